"""What operators say of events: one line for each verdict, added to a label file that is never rewritten.

The file is an ordinary label table for `read_labels`. Every field of a line is quoted, so that a line that was cut
short (power lost while writing) never passes for a whole one: it lacks fields or leaves a quote open.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from sensorad.errors import DataError, SchemaError, UsageError
from sensorad.logs.failures import writing
from sensorad.types import Event

__all__ = ["FALSE_ALARM", "FAULT", "LabelLine", "Verdict", "append_verdict", "cut_line", "unguarded"]

FALSE_ALARM = "false-alarm"
FAULT = "fault"
CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
RISKY = "=+-@\t\r'"
"""A spreadsheet runs a cell that begins with one of these, unless a quote mark stands in front; the quote mark itself
is among them so that names can be read back exactly."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an operator says of an event: a false alarm, or a fault with or without a code.

    Parameters
    ----------
    is_fault
        Whether something was wrong with the plant or its sensors.
    code
        The plant's own name for the kind of fault: up to 64 letters, digits and ``- _ .``.

    Raises
    ------
    UsageError
        Another code, or a code for a false alarm.

    Examples
    --------
    >>> Verdict.parse("fault:BRG-2")
    Verdict(is_fault=True, code='BRG-2')
    >>> Verdict.parse("false-alarm").kind
    'false-alarm'
    """

    is_fault: bool
    code: str = ""

    def __post_init__(self) -> None:
        if self.code and not self.is_fault:
            raise UsageError(f"a false alarm has no code, got {self.code!r}")
        if self.code and not CODE.fullmatch(self.code):
            raise UsageError(
                f"a fault code is up to 64 letters, digits and - _ . only, got {self.code!r}", hint="for example BRG-2"
            )

    @property
    def kind(self) -> str:
        """The verdict as it stands in the column ``kind``."""
        if not self.is_fault:
            return FALSE_ALARM
        return f"{FAULT}:{self.code}" if self.code else FAULT

    @classmethod
    def parse(cls, text: str) -> Verdict:
        """The verdict of "false-alarm", "fault" or "fault:CODE"."""
        word, colon, code = text.partition(":")
        if word == FAULT and bool(colon) == bool(code):
            return cls(is_fault=True, code=code)
        if text == FALSE_ALARM:
            return cls(is_fault=False)
        close = get_close_matches(text, (FALSE_ALARM, FAULT), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "CODE is up to 64 letters, digits and - _ ."
        raise UsageError(f"a verdict is {FALSE_ALARM!r}, {FAULT!r} or '{FAULT}:CODE', got {text!r}", hint=hint)


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line of a label file, in the order of its columns; times are ISO 8601 in UTC, to the nanosecond."""

    start: str
    end: str
    group: str
    kind: str
    event_id: str


COLUMNS = tuple(field.name for field in fields(LabelLine))


def append_verdict(path: str | os.PathLike[str], event: Event, verdict: Verdict) -> LabelLine:
    """Add one line to the label file ``path``, made if it is not there; on return the line is on the disk.

    The line goes out in one write to a file opened for appending, under a lock where the system has one. So it is
    there or not if the process is killed, and lines of two processes never mix. A file whose last line was cut short
    by a power failure goes on with a new line, with a warning that names the cut one.

    Returns
    -------
    What was written.

    Raises
    ------
    SchemaError
        The file exists and is not a label file of this kind.
    DataError
        The machine's name cannot stand in a text file.
    StorageError
        The file cannot be written; what it held before is still there.

    Examples
    --------
    >>> import tempfile
    >>> event = Event("2a96b438b81b", "pump-1", 1_700_000_000_000_000_000, 1_700_000_060_500_000_000,
    ...               1_700_000_000_000_000_000, "interval", 1.5, 3.0, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     line = append_verdict(Path(folder) / "events.labels.csv", event, Verdict.parse("fault:BRG-2"))
    >>> line.end, line.kind
    ('2023-11-14T22:14:20.5Z', 'fault:BRG-2')
    """
    line = LabelLine(_iso_utc(event.start), _iso_utc(event.end), event.group, verdict.kind, event.event_id)
    record = _record(line)
    with writing(str(path)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        with writing(str(path)):
            is_locked = _lock(descriptor)
            size = os.fstat(descriptor).st_size
            held = Path(path).read_bytes() if size else b""
        _check_header(held, str(path))
        _append(descriptor, _opening(held) + record, size if is_locked else None, Path(path))
    finally:
        os.close(descriptor)
    if (number := cut_line(held.decode("utf-8-sig", "replace"))) is not None:
        warnings.warn(
            f"line {number} of {path} was cut short and the file cannot be used with it: remove that line, "
            "and label its event again",
            stacklevel=2,
        )
    return line


def cut_line(text: str) -> int | None:
    """Number of the first line, from 1, that is not a whole record of a CSV table; None = all are whole.

    Examples
    --------
    >>> cut_line('a,b\\n"1","2"\\n"3","')
    3
    """
    lines = list(io.StringIO(text, newline=""))
    rows = csv.reader(lines, strict=True)
    n_fields = 0
    while True:
        first = rows.line_num
        try:
            row = next(rows, None)
        except csv.Error:  # an open quote runs on into the next line, or into the end
            return first + 1
        if row is None:
            return None
        n_fields = n_fields or len(row)
        # A line that quotes its fields and ends with a comma has lost the last one.
        has_lost_last = lines[first].startswith('"') and lines[rows.line_num - 1].rstrip("\r\n").endswith(",")
        if has_lost_last or (row and len(row) != n_fields):
            return first + 1


def unguarded(words: Iterable[str]) -> list[str]:
    """The words without the quote mark that keeps a spreadsheet from running them.

    Examples
    --------
    >>> unguarded(["'=pump", "pump", "'s"])
    ['=pump', 'pump', "'s"]
    """
    return [word[1:] if word[:1] == "'" and word[1:2] and word[1] in RISKY else word for word in words]


def _guarded(word: str) -> str:
    return f"'{word}" if word[:1] and word[0] in RISKY else word


def _iso_utc(time: int) -> str:
    seconds, rest = divmod(time, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _record(line: LabelLine) -> bytes:
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(map(_guarded, astuple(line)))
    try:
        record = table.getvalue().encode()
    except UnicodeEncodeError:
        record = b"\0"
    if b"\0" in record:
        raise DataError(
            f"machine {line.group!r} has a name that cannot stand in a text file",
            where=f"event {line.event_id}",
            hint="rename the machine in the log",
        )
    return record


def _check_header(held: bytes, where: str) -> None:
    first = held.decode("utf-8-sig", "replace").splitlines()[:1]
    names = next(csv.reader(first), [])
    if held and tuple(names) != COLUMNS:
        raise SchemaError(
            f"expected a label file with the columns {','.join(COLUMNS)}, found {','.join(names)[:100]!r}",
            where=where,
            hint="choose another file with -o",
        )


def _opening(held: bytes) -> bytes:
    """What must stand between the content of the file and a new line."""
    if not held:
        return ",".join(COLUMNS).encode() + b"\n"
    return b"" if held.endswith(b"\n") else b"\n"


def _append(descriptor: int, content: bytes, size: int | None, path: Path) -> None:
    """One write, all of it or nothing of it; ``size`` to go back to, None where others may write meanwhile."""
    with writing(str(path)):
        if os.write(descriptor, content) < len(content):
            if size is not None:
                os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
        if not size and sys.platform != "win32":  # the name of a new file must last as well
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _lock(descriptor: int) -> bool:
    """Wait for the lock of the file, which ends with the descriptor; False where there are none."""
    if sys.platform == "win32":
        return False
    import fcntl

    with contextlib.suppress(OSError):  # network file systems without locks: appending is all they offer
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    return False

"""Where rows come from: lines of a pipe or of a file, or a stored log replayed; each knows its place for a restart."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from sensorad.errors import DataError
from sensorad.logs import LogFormat
from sensorad_cli.stream_lines import FileBytes, Line, LineCutter, PipeBytes
from sensorad_cli.stream_records import BEYOND_FLOAT32, Broken, CsvLines, JsonLines, Record, Skipped
from sensorad_cli.stream_stop import Stop

if TYPE_CHECKING:
    from sensorad.logs import SensorLog

__all__ = ["LineSource", "ReplaySource", "Source", "Taken"]

MAGICS = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip"}
REPLAY_ROWS = 1_024
TAIL_BYTES = 1 << 16
STAND_INS = np.array([0.0, math.nan, math.inf, BEYOND_FLOAT32])
"""What a flawed cell is handed over as, by its position in `FLAWS`."""


class Taken(NamedTuple):
    """What was read, the offset behind it and its number: of a line in its file, or of a row in its log."""

    item: Record | Broken | Skipped
    end: int
    number: int


class Source(Protocol):
    """Rows in the order of their arrival.

    Attributes
    ----------
    goes_on : bool
        It starts behind what an earlier run has committed, so nothing comes twice.
    group_name : str
        What the machine's column is called.
    """

    goes_on: bool
    group_name: str | None

    def read(self, seconds: float | None) -> Sequence[Taken] | None:
        """The next rows, none if there are none within ``seconds``; None at the end."""

    def place(self, done: Taken | None) -> dict[str, Any]:
        """What has to be kept so that a restart goes on behind ``done``; None = nothing was taken yet."""


class LineSource:
    """Lines of JSON or CSV; which of the two, the first line tells unless ``kind`` does.

    Parameters
    ----------
    place
        Where an earlier run stopped. A file that still begins with what was read then is read on from there; any other
        is read from its start.
    """

    def __init__(
        self,
        source: PipeBytes | FileBytes,
        names: Sequence[str],
        form: LogFormat,
        stop: Stop,
        warn: Callable[[str], None],
        *,
        label: str,
        kind: str | None = None,
        allow_missing: int = 0,
        place: dict[str, Any] | None = None,
    ) -> None:
        self.group_name = form.group
        self.goes_on = False
        self._bytes = source
        self._names, self._form, self._allow_missing = names, form, allow_missing
        self._stop, self._warn, self._label, self._kind = stop, warn, label, kind
        self._cutter = LineCutter()
        self._parser: JsonLines | CsvLines | None = None
        self._header: str | None = None
        self._is_over = False
        self._start = (0, 0)  # bytes and lines of this file before the first that is read
        self._is_of_this_file = False
        self._stored_header = None if place is None else place.get("header")
        if place is not None and isinstance(source, FileBytes):
            self._go_on(source, place)

    def read(self, seconds: float | None) -> Sequence[Taken] | None:
        """Parsed lines, with the wait ended early where the end of the run is wished for."""
        if self._is_over:
            return None
        chunk = self._bytes.read(self._stop, seconds)
        if chunk:
            self._refuse_other_content(chunk)
            return self._parsed(self._cutter.feed(chunk))
        if chunk is not None:
            return ()
        rest = self._parsed(self._cutter.rest())
        if isinstance(self._bytes, FileBytes) and self._bytes.was_replaced:
            self._warn("the file was replaced: reading the new one from its start")
            self._cutter, self._parser = LineCutter(), None
            self._start, self._is_of_this_file = (0, 0), False  # whoever restarts now begins with the new file
        else:
            self._is_over = True
        return rest

    def place(self, done: Taken | None) -> dict[str, Any]:
        """For a file, what tells it from others; for a pipe the header, which a restarted sender may leave out."""
        end, number = (done.end, done.number) if done is not None and self._is_of_this_file else self._start
        place = {"label": self._label, "line": number, "header": self._header or self._stored_header}
        if isinstance(self._bytes, FileBytes):
            place |= self._bytes.fingerprint(end)
        return place

    def _go_on(self, source: FileBytes, place: dict[str, Any]) -> None:
        offset, number = place.get("offset"), place.get("line")
        if not (isinstance(offset, int) and isinstance(number, int) and source.is_beyond(offset)):
            return  # another kind of source
        if source.fingerprint(offset)["sha256"] != place.get("sha256"):
            return
        first = next((line for line in source.head() if line.text.strip()), None)
        if first is not None:
            self._parser, _ = self._parser_for(first)
        source.seek(offset)
        self._cutter = LineCutter(offset, number, is_within_line=source.is_within_line(offset))
        self._start = (offset, number)
        self.goes_on = True

    def _parsed(self, lines: Sequence[Line]) -> list[Taken]:
        taken = []
        for text, why, end, number in lines:
            item: Record | Broken | Skipped
            if why:
                item = Broken(why)
            elif self._parser is None:
                if not text.strip():
                    item = Skipped()
                else:
                    self._parser, is_row = self._parser_for(Line(text, why, end, number))
                    item = self._parser(text) if is_row else Skipped()
            else:
                item = self._parser(text)
            taken.append(Taken(item, end, number))
        self._is_of_this_file |= bool(taken)
        return taken

    def _parser_for(self, first: Line) -> tuple[JsonLines | CsvLines, bool]:
        """What reads lines like the first one, and whether that one is a row already."""
        kind = self._kind or ("json" if first.text.lstrip().startswith("{") else "csv")
        if kind == "json":
            return JsonLines(self._names, self._form, self._warn), True
        known = self._header or self._stored_header
        try:
            parser, is_row = self._csv(first.text), False
        except DataError as err:
            # A sender that starts again need not repeat its header: then the line is a row under the one before.
            again = None if known is None else self._csv(known)
            if again is None or not isinstance(again(first.text), Record):
                raise type(err)(err.what, where=f"{self._label}, line {first.number}", hint=err.hint) from err
            parser, is_row = again, True
        else:
            known = first.text
        self._header = known
        return parser, is_row

    def _csv(self, header: str) -> CsvLines:
        return CsvLines(header, self._names, self._form, self._warn, allow_missing=self._allow_missing)

    def _refuse_other_content(self, chunk: bytes) -> None:
        """What is stored in columns, or compressed, is replayed from files."""
        found = next((kind for magic, kind in MAGICS.items() if chunk.startswith(magic)), None)
        if self._cutter.offset == 0 and found is not None:
            hint = "name the file, and with the ending of its kind, to have it replayed"
            raise DataError(f"expected lines of JSON or CSV, found {found} content", where=self._label, hint=hint)


class ReplaySource:
    """A stored log, Parquet or whatever else `SensorLog` reads, row by row in the order of its rows."""

    def __init__(self, log: SensorLog, path: str, *, place: dict[str, Any] | None = None) -> None:
        self.group_name = log.group_name if log.format.group is not None else None
        self._log = log
        self._print = _fingerprint(log.files or (path,))
        self._label = path
        row = None if place is None or place.get("sha256") != self._print else place.get("row")
        self.goes_on = isinstance(row, int)
        self._n_done = row if isinstance(row, int) else 0
        self._taken = self._rows(self._n_done)

    def read(self, seconds: float | None) -> Sequence[Taken] | None:
        """Never waits."""
        return next(self._taken, None)

    def place(self, done: Taken | None) -> dict[str, Any]:
        """The number of rows read."""
        row = self._n_done if done is None else done.number
        return {"label": self._label, "row": row, "sha256": self._print}

    def _rows(self, n_done: int) -> Iterator[Sequence[Taken]]:
        for block in self._log.blocks():
            if int(block.index[-1]) < n_done:
                continue
            for start in range(0, len(block), REPLAY_ROWS):
                part = block.take(slice(start, start + REPLAY_ROWS))
                part = part.take(part.index >= n_done)
                values = np.where(part.flaw == 0, part.values.astype(np.float64), STAND_INS[part.flaw])  # (T, C)
                groups = [part.group_names[code] for code in part.group.tolist()]
                modes: list[str | None] = [None] * len(part)
                if part.mode is not None:
                    modes = [part.mode_names[code] or None for code in part.mode.tolist()]
                rows = zip(part.time.tolist(), groups, modes, values.tolist(), strict=True)
                numbers = (part.index + 1).tolist()
                yield [Taken(Record(*row), n, n) for row, n in zip(rows, numbers, strict=True)]


def _fingerprint(files: Sequence[str]) -> str:
    """Names, sizes and last bytes, where Parquet keeps its table of contents."""
    digest = hashlib.sha256()
    for name in files:
        path = Path(name)
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as content:
            content.seek(max(0, size - TAIL_BYTES))
            digest.update(content.read(TAIL_BYTES))
    return digest.hexdigest()

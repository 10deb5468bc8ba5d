"""Verdicts of operators: written whole or not at all, read back as labels."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.errors import DataError, SchemaError, StorageError, UsageError
from sensorad.logs import LogFormat, read_labels
from sensorad.logs.feedback import Verdict, append_verdict, cut_line
from sensorad.types import Event

NOON = 1_717_243_200 * 10**9
FAULT = Verdict(is_fault=True)
WRITER = """
import sys
from sensorad.logs.feedback import Verdict, append_verdict
from sensorad.types import Event
path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(n):
    start = 1_717_243_200 * 10**9 + i
    event = Event(f"{name}{i:011d}", name * 40, start, start + 1, start, "interval", 1.5, 3.0, 2)
    append_verdict(path, event, Verdict.parse("fault:X"))
    print(i, flush=True)
"""


def _event(name: str = "2a96b438b81b", group: str = "", start: int = NOON, end: int | None = None) -> Event:
    return Event(name, group, start, start + 10**9 if end is None else end, start, "interval", 1.5, 3.0, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.labels.csv"


def _writer(path: Path, name: str, n: int) -> subprocess.Popen[str]:
    args = [sys.executable, "-c", WRITER, str(path), name, str(n)]
    return subprocess.Popen(args, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("text", ["false-alarm", "fault", "fault:BRG-2", "fault:a.b_C-9", "fault:-1"])
def test_verdicts_there_and_back(text: str) -> None:
    verdict = Verdict.parse(text)
    assert verdict.kind == text
    assert verdict.is_fault == text.startswith("fault")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'fault:CODE', got ''"),
        ("fault:", "'fault:CODE'"),
        ("fault:a b", "letters, digits and - _ ."),
        ("fault:=1+1", "letters, digits"),
        ("fault:a,b", "letters, digits"),
        ('fault:"x', "letters, digits"),
        ("fault:a\nb", "letters, digits"),
        ("fault:a\n", "letters, digits"),
        ("fault:ä", "letters, digits"),
        ("fault:" + "x" * 65, "up to 64"),
        ("false_alarm", "did you mean 'false-alarm'"),
        ("false-alarm:x", "did you mean 'false-alarm'"),
        ("Fault", "did you mean 'fault'"),
        ("=cmd()", "'fault:CODE'"),
    ],
)
def test_other_verdicts_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Verdict.parse(text)
    assert words in str(refusal.value)


def test_a_false_alarm_has_no_code() -> None:
    with pytest.raises(UsageError, match="no code"):
        Verdict(is_fault=False, code="X")


def test_lines_are_added_and_the_last_of_an_event_counts(path: Path) -> None:
    one, other = _event("aaaa", "pump 1"), _event("bbbb", "pump 2", NOON + 5)
    for event, verdict in ((one, FAULT), (other, FAULT), (one, Verdict(is_fault=False))):
        append_verdict(path, event, verdict)
    labels = read_labels(path)
    assert labels.event_id == ("aaaa", "bbbb", "aaaa")
    assert labels.kind == ("fault", "fault", "false-alarm")
    assert labels.group == ("pump 1", "pump 2", "pump 1")
    assert labels.faults().event_id == ("bbbb",)
    append_verdict(path, one, Verdict(is_fault=True, code="BRG"))
    faults = read_labels(path).faults()
    assert (faults.event_id, faults.kind) == (("bbbb", "aaaa"), ("fault", "fault:BRG"))
    assert faults.start.tolist() == [NOON + 5, NOON]
    assert len(path.read_text().splitlines()) == 5
    assert faults.faults().event_id == faults.event_id


def test_the_file_is_plain_csv(path: Path) -> None:
    append_verdict(path, _event(end=NOON + 1), FAULT)
    assert path.read_text() == (
        "start,end,group,kind,event_id\n"
        '"2024-06-01T12:00:00Z","2024-06-01T12:00:00.000000001Z","","fault","2a96b438b81b"\n'
    )


@given(
    st.integers(NOON, NOON + 10**18),
    st.integers(0, 10**15),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
def test_times_and_machines_come_back_exactly_and_run_in_no_spreadsheet(start: int, length: int, group: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        for name in ("e1", "=e2"):
            append_verdict(path, _event(name, group, start, start + length), FAULT)
        labels = read_labels(path)
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
    assert labels.start.tolist() == [start] * 2
    assert labels.end.tolist() == [start + length] * 2
    assert labels.group == (group, group)
    assert labels.event_id == ("e1", "=e2")
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize("group", ["a\0b", "a\ud800"])
def test_machines_that_no_text_can_hold_are_refused(path: Path, group: str) -> None:
    with pytest.raises(DataError, match="rename the machine"):
        append_verdict(path, _event(group=group), FAULT)
    assert not path.exists()


def test_labels_of_other_sources_keep_their_quote_marks_and_their_meaning(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"start": ["2024-06-01T12:00Z"] * 3, "end": ["2024-06-01T13:00Z"] * 3, "kind": ["x", "false-alarm", None]}
    )
    assert len(read_labels(frame).faults()) == 2
    assert read_labels(frame).event_id == ("", "", "")
    frame["group"] = "'=pump"
    assert read_labels(frame).group[0] == "'=pump"
    frame.to_csv(tmp_path / "table.csv", index=False)
    assert read_labels(tmp_path / "table.csv").group[0] == "'=pump"
    frame["event_id"] = ["a", "", None]
    assert read_labels(frame).faults().event_id == ("a", "")
    frame.rename(columns={"group": "machine"}).to_parquet(tmp_path / "table.parquet")
    assert read_labels(tmp_path / "table.parquet", LogFormat(group="machine")).event_id == ("a", "", "")


def test_two_processes_at_once_lose_no_line(path: Path) -> None:
    n = 60
    writers = [_writer(path, name, n) for name in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    labels = read_labels(path)
    assert sorted(labels.event_id) == sorted(f"{name}{i:011d}" for name in "abc" for i in range(n))
    assert path.read_text().count("start,end") == 1
    assert all(group == name[0] * 40 for group, name in zip(labels.group, labels.event_id, strict=True))


def test_a_line_waits_for_the_one_that_is_being_written(path: Path) -> None:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with _writer(path, "a", 1) as writer:
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=1.5)
            assert path.read_bytes() == b""
            fcntl.flock(file, fcntl.LOCK_UN)
            assert writer.wait(timeout=60) == 0
    assert len(read_labels(path)) == 1


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.011, 0.03])
def test_kill_9_leaves_whole_lines_and_every_line_that_was_reported(path: Path, delay: float) -> None:
    with _writer(path, "a", 100_000) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        reported = [first, *writer.stdout.read().splitlines(keepends=True)]
        writer.wait()
    n_reported = sum(line.endswith("\n") for line in reported)
    labels = read_labels(path)
    assert n_reported <= len(labels) <= n_reported + 1
    append_verdict(path, _event(), FAULT)
    assert read_labels(path).event_id[-1] == "2a96b438b81b"


def test_no_cut_passes_for_a_whole_line(path: Path) -> None:
    """Whatever the byte at which a power failure cut the file: the next line stands by itself, the cut one is named."""
    for name in ("aaaa", "bbbb"):
        append_verdict(path, _event(name, 'pump "1"\n, x'), FAULT)
    whole = path.read_bytes()
    head = whole.index(b"\n") + 1
    first = head + (len(whole) - head) // 2
    for length in range(head, len(whole)):
        path.write_bytes(whole[:length])
        is_whole = length in (head, first - 1, first, len(whole) - 1)
        with contextlib.nullcontext() if is_whole else pytest.warns(UserWarning, match=r"line \d of .*cut short"):
            append_verdict(path, _event("cccc"), FAULT)
        assert path.read_bytes().startswith(whole[:length])
        if is_whole:
            assert read_labels(path).event_id[-1] == "cccc"
            continue
        n_lines = whole[: head if length < first else first].count(b"\n")
        with pytest.raises(DataError, match=rf"line {n_lines + 1} is not whole.*remove that line and label"):
            read_labels(path)
        lines = path.read_bytes().split(b"\n")
        assert lines[-2].endswith(b'"cccc"'), "removing the cut lines is enough"


def test_a_cut_line_at_the_end_is_refused_before_anything_is_added(path: Path) -> None:
    append_verdict(path, _event("aaaa"), FAULT)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="line 2"):
        read_labels(path)


def test_whole_and_cut_records() -> None:
    assert cut_line("") is None
    assert cut_line("a,b\n1,2\n\n3,4") is None
    assert cut_line('a,b\r\n"1","x\ny"\r\n1\r\n') == 4
    assert cut_line("a,b\n1,2,3\n") == 2
    assert cut_line('a,b\n1,2\n"3","4"5\n') == 3
    assert cut_line('a,b\n1,\n"3",\n') == 3, "nothing is a value where others are not quoted"


@contextlib.contextmanager
def _file_size_limit(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_takes_nothing_away(path: Path) -> None:
    append_verdict(path, _event("aaaa"), FAULT)
    before = path.read_bytes()
    with _file_size_limit(len(before) + 10), pytest.raises(StorageError, match=r"No space left.*events.labels.csv"):
        append_verdict(path, _event("bbbb"), FAULT)
    assert path.read_bytes() == before
    if Path("/dev/full").exists():
        full = path.with_name("full.csv")
        full.symlink_to("/dev/full")
        with pytest.raises(StorageError, match=r"No space left.*full.csv"):
            append_verdict(full, _event("bbbb"), FAULT)


def test_other_files_are_left_alone(path: Path) -> None:
    for content in (b"start,end\n", b"PAR1", b"start;end;group;kind;event_id\n", b"start,en", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match=r"start,end,group,kind,event_id.*choose another file"):
            append_verdict(path, _event(), FAULT)
        assert path.read_bytes() == content
    for place in (path.parent, path.parent / "no" / "labels.csv"):
        with pytest.raises(StorageError):
            append_verdict(place, _event(), FAULT)


def test_empty_files_and_files_saved_by_a_spreadsheet_go_on(path: Path) -> None:
    path.touch()
    append_verdict(path, _event("aaaa"), FAULT)
    assert read_labels(path).event_id == ("aaaa",)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b'"', b"").replace(b"\n", b"\r\n"))
    append_verdict(path, _event("bbbb"), FAULT)
    assert read_labels(path).event_id == ("aaaa", "bbbb")
    path.write_bytes(b"start,end,group,kind,event_id")
    append_verdict(path, _event("cccc"), FAULT)
    assert read_labels(path).event_id == ("cccc",)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_an_io_error(path: Path) -> None:
    path.touch(0o400)
    with pytest.raises(StorageError, match="permission"):
        append_verdict(path, _event(), FAULT)

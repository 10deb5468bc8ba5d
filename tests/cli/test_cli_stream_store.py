"""The state directory of a stream: everything of one moment together, or nothing of it."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sensorad.errors import ArtefactError, StorageError
from sensorad.types import Event
from sensorad_cli.stream_store import StateDirectory, committed_events

EVENT = Event(
    event_id="0123456789ab",
    group="pump 'ä'\n1",
    start=1_714_564_800_000_000_001,
    end=1_714_564_860_000_000_000,
    peak=1_714_564_830_000_000_000,
    kind="interval",
    severity=1.1 + 2**-40,
    score=0.1,
    n_rows=7,
    sensors=("TI;101", "PI-7"),
    shares=(2 / 3, 0.1),
    expected=(1.5, math.nan),
    actual=(math.nan, 1e-30),
    note="a note",
    return_days=1 / 3,
    onsets=(1_714_564_800_000_000_001, 1_714_564_810_000_000_003),
    reason="",
)
QUALITY = replace(
    EVENT, event_id="q", kind="quality", severity=math.nan, score=math.nan, return_days=None, reason="flat", sensors=()
)
PLACE = {"kind": "lines", "offset": 2**40, "line": 3}


def same(one: Event, other: Event) -> bool:
    """Equal in every field, where NaN equals NaN."""
    return all(repr(getattr(one, field.name)) == repr(getattr(other, field.name)) for field in fields(Event))


def test_what_is_committed_comes_back_exactly(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with StateDirectory(folder) as state:
        assert state.committed() is None
        assert committed_events(folder) == ([], 0, None)
        state.commit(b"\0\1blob", PLACE, [EVENT], [QUALITY], "pump")
        events, n_open, group = committed_events(folder)  # while the stream goes on
    assert n_open == 1
    assert group == "pump"
    for found, expected in zip(sorted(events, key=lambda event: event.event_id), (EVENT, QUALITY), strict=True):
        assert same(found, expected)
    with StateDirectory(folder) as state:
        assert state.committed() == (b"\0\1blob", PLACE)


def test_open_events_are_replaced_and_closed_ones_stay(tmp_path: Path) -> None:
    def event(name: str, n_rows: int) -> Event:
        return replace(EVENT, event_id=name, n_rows=n_rows)

    def found() -> dict[str, int]:
        return {event.event_id: event.n_rows for event in committed_events(tmp_path / "s")[0]}

    with StateDirectory(tmp_path / "s") as state:
        state.commit(b"", PLACE, [event("a", 1)], [event("b", 1), event("c", 1)], None)
        assert found() == {"a": 1, "b": 1, "c": 1}
        state.commit(b"", PLACE, [event("b", 5)], [event("d", 1)], None)
        assert found() == {"a": 1, "b": 5, "d": 1}
        state.commit(b"", PLACE, [], [event("d", 2)], None)
        assert found() == {"a": 1, "b": 5, "d": 2}


def test_a_commit_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    with StateDirectory(tmp_path / "s") as state:
        state.commit(b"one", PLACE, [EVENT], [], None)
        with pytest.raises(ArtefactError):
            state.commit(b"two", {"bad": {1, 2}}, [QUALITY], [], None)
        assert state.committed() == (b"one", PLACE)
        state.commit(b"three", PLACE, [], [], None)
    assert [event.event_id for event in committed_events(tmp_path / "s")[0]] == [EVENT.event_id]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with StateDirectory(tmp_path / "s"), pytest.raises(StorageError, match="locked"):
        StateDirectory(tmp_path / "s")
    with StateDirectory(tmp_path / "s"):
        pass


def test_other_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        StateDirectory(tmp_path / "no" / "s")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="found a file"):
        StateDirectory(tmp_path / "file")
    with pytest.raises(StorageError, match="holds other files"):
        StateDirectory(tmp_path)
    with pytest.raises(StorageError, match="no state of a stream"):
        committed_events(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def foreign(folder: Path, *statements: str) -> Path:
    folder.mkdir()
    database = sqlite3.connect(folder / "stream.sqlite")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return folder


def test_foreign_newer_and_damaged_databases_are_refused(tmp_path: Path) -> None:
    with StateDirectory(tmp_path / "s") as state:
        state.commit(b"x" * 50_000, PLACE, [replace(EVENT, event_id=f"e{n}") for n in range(200)], [], None)
    database = tmp_path / "s" / "stream.sqlite"
    whole = database.read_bytes()

    other = foreign(tmp_path / "other", "CREATE TABLE x (y)")
    with pytest.raises(ArtefactError, match="no state of a stream"):
        StateDirectory(other)
    with pytest.raises(ArtefactError, match="no state of a stream"):
        committed_events(other)

    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for read in (StateDirectory, committed_events):
        with pytest.raises(ArtefactError, match="version 2, this program knows up to 1"):
            read(tmp_path / "s")

    for damaged in (whole[: len(whole) // 2], whole[:4096] + b"\xff" * 4096 + whole[8192:], b"SQLite nothing" * 99):
        database.write_bytes(damaged)
        for path in database.parent.glob("*-*"):
            path.unlink()
        with pytest.raises(ArtefactError, match="damaged"):
            StateDirectory(tmp_path / "s")
    database.write_bytes(whole)
    with StateDirectory(tmp_path / "s") as state:
        assert state.committed() is not None


@pytest.mark.parametrize(
    "change",
    ["UPDATE events SET score = 0.2", "UPDATE events SET shares = '[1.0]'", "UPDATE progress SET source = '{}'"],
)
def test_changed_rows_are_refused(tmp_path: Path, change: str) -> None:
    with StateDirectory(tmp_path / "s") as state:
        state.commit(b"", PLACE, [EVENT], [QUALITY], "pump")
    database = sqlite3.connect(tmp_path / "s" / "stream.sqlite")
    database.execute(change)
    database.commit()
    database.close()
    with pytest.raises(ArtefactError, match="seal"):
        committed_events(tmp_path / "s")


def test_a_process_killed_before_its_first_table_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "lock").touch()
    (tmp_path / "s" / "stream.sqlite").touch()
    assert committed_events(tmp_path / "s") == ([], 0, None)
    with StateDirectory(tmp_path / "s") as state:
        state.commit(b"", PLACE, [EVENT], [], None)
    assert len(committed_events(tmp_path / "s")[0]) == 1

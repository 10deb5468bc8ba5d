"""Events and label tables: written, read back, refused when damaged."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorad.errors import DataError, SchemaError, SensoradError, StorageError, TimeError, UsageError
from sensorad.logs import Labels, LogFormat, event_table, read_events, read_labels, write_events
from sensorad.types import Event

NOON = 1_717_243_200 * 10**9
EVENTS = [
    Event(
        event_id=f"e{n}",
        group=f"pump {n % 2}",
        start=NOON + n * 10**12,
        end=NOON + n * 10**12 + 5 * 10**9,
        peak=NOON + n * 10**12 + 2 * 10**9,
        kind=("point", "interval", "quality")[n % 3],
        severity=1.5 + n,
        score=3.75 + n,
        n_rows=n + 1,
        sensors=("TI-101", "=cmd()")[: n % 3],
        shares=(0.75, 0.25)[: n % 3],
        expected=(1.5, math.nan)[: n % 3],
        actual=(2.5, -1.0)[: n % 3],
        note="stuck" if n == 1 else "",
    )
    for n in range(7)
]
COLUMNS = ["event_id", "machine", "start", "end", "peak", "kind", "severity", "score", "n_rows"]
COLUMNS += ["sensors", "shares", "expected", "actual", "return_days", "onset_seconds", "reason"]


def plain(events: list[Event]) -> list[str]:
    """Comparable although NaN differs from itself."""
    return [repr(event) for event in events]


@pytest.mark.parametrize("events", [EVENTS, EVENTS[:1], []])
def test_round_trip(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    write_events(path, events, "machine")
    assert plain(read_events(path)) == plain(events)
    assert pq.read_schema(path).names == COLUMNS
    assert [str(pq.read_schema(path).field(name).type) for name in ("start", "n_rows", "sensors", "shares")] == [
        *("timestamp[us, tz=UTC]", "int64", "list<element: string>", "list<element: float>")
    ]


def test_log_without_groups(tmp_path: Path) -> None:
    alone = [replace(event, group="") for event in EVENTS]
    write_events(tmp_path / "events.parquet", alone, None)
    assert plain(read_events(tmp_path / "events.parquet")) == plain(alone)
    assert "machine" not in pq.read_schema(tmp_path / "events.parquet").names
    with pytest.raises(UsageError, match="group"):
        write_events(tmp_path / "more.parquet", EVENTS, None)
    with pytest.raises(SchemaError, match="rename"):
        write_events(tmp_path / "more.parquet", EVENTS, "kind")
    assert [path.name for path in tmp_path.iterdir()] == ["events.parquet"]


def test_nanoseconds_are_kept(tmp_path: Path) -> None:
    fine = [replace(EVENTS[0], peak=NOON + 7)]
    write_events(tmp_path / "events.parquet", fine, "machine")
    assert plain(read_events(tmp_path / "events.parquet")) == plain(fine)


def test_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    write_events(path, EVENTS, "machine")
    with pytest.raises(StorageError, match="--force"):
        write_events(path, [], "machine")
    assert len(read_events(path)) == 7
    write_events(path, [], "machine", force=True)
    assert read_events(path) == []


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    write_events(path, [replace(EVENTS[2], group="+1", sensors=("=cmd()", "PI-7"))], "machine")
    with path.open(newline="") as file:
        header, cells = csv.reader(file)
    assert header == COLUMNS
    assert cells[1] == "'+1"
    assert cells[2] == "2024-06-01T12:33:20.000000Z"
    assert cells[9:11] == ["'=cmd();PI-7", "0.75;0.25"]


@pytest.mark.parametrize(("kind", "library"), [("pandas", pd), ("polars", pl), ("arrow", pa), ("files", pa)])
@pytest.mark.parametrize("events", [EVENTS, []])
def test_table_of_the_kind_that_came_in(kind: Any, library: Any, events: list[Event]) -> None:
    table = event_table(events, "machine", kind)
    assert type(table).__module__.partition(".")[0] == library.__name__
    data = pa.Table.from_pandas(table) if kind == "pandas" else pa.table(table)
    assert data.column_names == COLUMNS
    assert data["event_id"].to_pylist() == [event.event_id for event in events]
    assert data["severity"].to_pylist() == [event.severity for event in events]
    assert data["sensors"].to_pylist() == [list(event.sensors) for event in events]
    assert data["start"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist() == [e.start for e in events]


def test_flipped_bits_raise_or_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    write_events(path, EVENTS, "machine")
    raw = path.read_bytes()
    dice = random.Random(3)
    n_refused = 0
    for position in range(0, len(raw), 3):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            got = read_events(path)
        except SensoradError:
            n_refused += 1
        else:
            assert plain(got) == plain(EVENTS), position
    assert n_refused > 500


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"start": [1]}), path)
    with pytest.raises(DataError, match="holds no sensorad events"):
        read_events(path)
    with pytest.raises(StorageError, match="does not exist"):
        read_events(tmp_path / "gone.parquet")


def label_frame(**more: Any) -> pd.DataFrame:
    times = ["2024-06-01 12:00", "2024-06-02 12:00"]
    return pd.DataFrame(
        {
            "start": pd.to_datetime(times, utc=True),
            "end": pd.to_datetime(times, utc=True) + pd.Timedelta("5min"),
            **more,
        }
    )


def assert_labels(labels: Labels, group: list[str], kind: list[str]) -> None:
    assert len(labels) == 2
    assert labels.start.dtype == labels.end.dtype == np.int64
    assert labels.start.tolist() == [NOON, NOON + 86_400 * 10**9]
    assert (labels.end - labels.start).tolist() == [300 * 10**9] * 2
    assert (labels.group, labels.kind) == (tuple(group), tuple(kind))


def test_labels_from_every_source(tmp_path: Path) -> None:
    frame = label_frame(group=["a", "b"], kind=["stuck", None], remark=["x", "y"])
    frame.to_parquet(tmp_path / "labels.parquet")
    frame.to_csv(tmp_path / "labels.csv", index=False)
    sources = [frame, pl.from_pandas(frame), pa.Table.from_pandas(frame)]
    for source in [*sources, tmp_path / "labels.parquet", str(tmp_path / "labels.csv")]:
        assert_labels(read_labels(source), ["a", "b"], ["stuck", ""])


def test_labels_without_group_or_with_another_name() -> None:
    assert_labels(read_labels(label_frame()), ["", ""], ["", ""])
    frame = label_frame(machine=["a", "b"])
    assert_labels(read_labels(frame, LogFormat(group="machine")), ["a", "b"], ["", ""])
    with pytest.raises(SchemaError, match=r"'machin' is missing.*'machine'"):
        read_labels(frame, LogFormat(group="machin"))


def test_label_times_follow_the_format() -> None:
    naive = label_frame()
    for name in ("start", "end"):
        naive[name] = naive[name].dt.tz_localize(None)
    with pytest.raises(TimeError, match="--time-zone UTC"):
        read_labels(naive)
    assert_labels(read_labels(naive, LogFormat(time_zone="UTC")), ["", ""], ["", ""])


def test_label_faults(tmp_path: Path) -> None:
    frame = label_frame()
    with pytest.raises(SchemaError, match="'end' is missing"):
        read_labels(frame[["start"]])
    with pytest.raises(DataError, match=r"ends before it starts.*row 1"):
        read_labels(frame.assign(end=[frame["end"][0], frame["start"][0]]))
    with pytest.raises(StorageError, match="does not exist"):
        read_labels(tmp_path / "gone.csv")
    with pytest.raises(SchemaError, match="empty"):
        read_labels(pd.DataFrame())
    assert len(read_labels(frame.iloc[:0])) == 0

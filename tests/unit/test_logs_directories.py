"""Logs of several files and directories: one schema for all, checked before the first row."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from sensorad.errors import DataError, SchemaError
from sensorad.logs import LogFormat, SensorLog
from sensorad.types import FLAWS, Sensor, SensorSchema

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
MISSING = FLAWS.index("missing")
N_ROWS = 50


def table(n_rows: int = N_ROWS, first: int = 0) -> pa.Table:
    """Minutes, two sensors without flaws, and a machine that alternates."""
    rows = range(first, first + n_rows)
    return pa.table(
        {
            "time": pa.array([START + timedelta(minutes=row) for row in rows], pa.timestamp("us", "UTC")),
            "TI-101": pa.array([row * 0.5 for row in rows]),
            "PI-7": pa.array([float(row) for row in rows]),
            "machine": pa.array([f"pump {row % 2}" for row in rows]),
        }
    )


def cells(log: SensorLog, column: int, rows: int = 16) -> list[float | None]:
    """One sensor over all blocks, None where flawed."""
    return [
        None if flaw else float(value)
        for block in log.blocks(rows)
        for value, flaw in zip(block.values[:, column], block.flaw[:, column], strict=True)
    ]


def written(path: Path, data: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(data, path, write_page_checksum=True)
    else:
        arrow_csv.write_csv(data, path)
    return path


def test_directory_is_read_sorted_and_recursive_with_its_partitions(tmp_path: Path) -> None:
    data = table(6).drop_columns("machine")
    for number, machine in enumerate(["B", "A"]):
        for day in (1, 2):
            part = data.slice(2 * number + day - 1, 1)
            written(tmp_path / f"machine={machine}" / f"day={day}" / f"part.{'csv' if day == 1 else 'parquet'}", part)
    written(tmp_path / "_unfinished" / "x.parquet", data)
    written(tmp_path / ".hidden.parquet", data)
    (tmp_path / "README.md").write_text("not a log")
    log = SensorLog(tmp_path, LogFormat(group="machine", mode="day"))
    assert log.schema.names == ("TI-101", "PI-7"), "directories give no sensors"
    assert cells(log, 1) == [2, 3, 0, 1]
    groups, modes, index = [], [], []
    for block in log.blocks():
        assert block.mode is not None
        groups += [block.group_names[code] for code in block.group]
        modes += [block.mode_names[code] for code in block.mode]
        index += block.index.tolist()
    assert (groups, modes, index) == (["A", "A", "B", "B"], ["1", "2", "1", "2"], [0, 1, 2, 3])
    alone = SensorLog(tmp_path / "machine=B" / "day=2" / "part.parquet", LogFormat(group="machine"))
    assert next(alone.blocks()).group_names == ("B",)


def test_column_in_the_file_wins_over_its_directory(tmp_path: Path) -> None:
    log = SensorLog(written(tmp_path / "PI-7=9" / "log.parquet", table(3)))
    assert log.schema.names == ("TI-101", "PI-7")
    assert next(log.blocks()).values[:, 1].tolist() == [0, 1, 2]


def test_paths_keep_the_order_given(tmp_path: Path) -> None:
    late = written(tmp_path / "a.parquet", table(3, first=3))
    early = written(tmp_path / "b.parquet", table(3))
    assert cells(SensorLog([early, late]), 1) == [0, 1, 2, 3, 4, 5]
    assert cells(SensorLog([late, early]), 1) == [3, 4, 5, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.drop_columns("PI-7"), r"'PI-7' is missing.*b\."),
        (lambda data: data.drop_columns("time"), r"'time' is missing.*b\."),
        (lambda data: data.drop_columns("machine"), r"'machine' is missing.*b\."),
        (lambda data: data.append_column("LI-9", pa.array([1.0] * N_ROWS)), r"LI-9.*b\..*--exclude"),
        (lambda data: data.set_column(2, "PI-7", pa.array(["high"] * N_ROWS)), r"'high'.*b\..*'PI-7', row 0"),
        (lambda data: data.set_column(2, "PI-7", pa.array(["1", "2,5"] * 25)), r"'2,5'.*b\..*'PI-7', row 1"),
        (lambda data: data.set_column(0, "time", pa.array(range(N_ROWS))), r"unit.*b\..*'time'"),
        (lambda data: data.set_column(0, "time", pa.array(["soon"] * N_ROWS)), r"'soon'.*b\..*'time', row 0"),
    ],
)
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_that_differ_are_refused_before_any_row(change: Any, message: str, ending: str, tmp_path: Path) -> None:
    paths = [written(tmp_path / f"a.{ending}", table()), written(tmp_path / f"b.{ending}", change(table()))]
    with pytest.raises(DataError, match=message):
        SensorLog(paths, LogFormat(group="machine"))


def test_dead_sensor_in_one_file_is_still_that_sensor(tmp_path: Path) -> None:
    dead = table().set_column(2, "PI-7", pa.nulls(N_ROWS))
    for ending in ("parquet", "csv"):
        for first, second in itertools.permutations((table(), dead)):
            paths = [written(tmp_path / f"a.{ending}", first), written(tmp_path / f"b.{ending}", second)]
            log = SensorLog(paths)
            assert log.schema.names == ("TI-101", "PI-7")
            assert cells(log, 1).count(None) == N_ROWS


def test_text_beyond_the_sample_is_an_error_when_read(tmp_path: Path) -> None:
    words = ["1.5"] * 600 + ["12,5"] + ["1"] * 9
    path = written(tmp_path / "log.csv", table(610).set_column(2, "PI-7", pa.array(words)))
    log = SensorLog(path)
    with pytest.raises(SchemaError, match=r"'12,5'.*log.csv, column 'PI-7', row 600"):
        list(log.blocks(100))


def test_empty_and_header_only_files(tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_bytes(b"")
    log = SensorLog(bare)
    assert list(log.blocks()) == []
    assert log.n_rows == 0
    assert log.notes == [f"{bare} is empty"]
    header = tmp_path / "header.csv"
    header.write_text("time,TI-101,PI-7,machine")
    assert list(SensorLog(header).blocks()) == []
    assert list(SensorLog(header, schema=SensorSchema((Sensor("TI-101"),))).blocks()) == []
    full = written(tmp_path / "full.csv", table(3))
    log = SensorLog([bare, header, full])
    assert log.schema.names == ("TI-101", "PI-7")
    assert cells(log, 1) == [0, 1, 2]
    assert list(SensorLog(pd.DataFrame()).blocks()) == []

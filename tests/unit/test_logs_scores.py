"""Scores to files and tables and back: every row, in input order, complete or absent."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import DataError, SchemaError, SensoradError, StorageError, UsageError
from sensorad.logs import ScoreWriter, read_scores, score_table
from sensorad.types import REASONS, STATUSES, TOP_SENSORS, ScoreBlock, Sensor, SensorSchema

SCHEMA = SensorSchema((Sensor("TI-101", unit="degC"), Sensor("PI-7"), Sensor("=cmd()"), Sensor("LI-3", low=0.0)))
START_NS = 1_717_243_200 * 10**9
COLUMNS = [
    *("score", "severity", "alarm", "status", "reason"),
    *("top_sensors", "top_shares", "top_expected", "top_actual", "row_surprise"),
]


def scores(n_rows: int, seed: int = 0, groups: tuple[str, ...] = ("",)) -> ScoreBlock:
    rng = np.random.default_rng(seed)
    top = np.argsort(rng.random((n_rows, TOP_SENSORS)), axis=1).astype(np.int16)
    top[top >= len(SCHEMA)] = -1
    n_named = rng.integers(0, TOP_SENSORS + 1, n_rows)
    top[np.arange(TOP_SENSORS) >= n_named[:, None]] = -1
    top = np.take_along_axis(top, np.argsort(top < 0, axis=1, kind="stable"), axis=1)
    is_named = top >= 0

    def cells(empty: float) -> Any:
        values = rng.normal(size=top.shape).astype(np.float32)
        values[rng.random(top.shape) < 0.2] = empty
        return np.where(is_named, values, np.float32(empty))

    score = rng.normal(3, 2, n_rows)
    score[rng.random(n_rows) < 0.3] = np.nan
    return ScoreBlock(
        index=np.arange(n_rows),
        time=START_NS + np.arange(n_rows) * 10**9,
        group=rng.integers(0, len(groups), n_rows).astype(np.int32),
        group_names=groups,
        score=score,
        row_surprise=np.where(np.isnan(score), np.nan, rng.random(n_rows)).astype(np.float32),
        status=rng.integers(0, len(STATUSES), n_rows).astype(np.uint8),
        reason=rng.integers(0, len(REASONS), n_rows).astype(np.uint8),
        top_sensors=top,
        top_shares=np.abs(cells(0)),
        top_expected=cells(np.nan),
        top_actual=cells(np.nan),
    )


def write(path: Path, blocks: list[ScoreBlock], group: str | None = "machine", **options: Any) -> Path:
    with ScoreWriter(path, SCHEMA, "datetime", group, 2.5, {"method": "quantile"}, **options) as writer:
        for block in blocks:
            writer.write(block)
    return path


def naive_row(block: ScoreBlock, row: int, threshold: float) -> dict[str, Any]:
    """One row of the table, spelt out."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    score = number(block.score[row])
    top = [k for k in range(TOP_SENSORS) if block.top_sensors[row, k] >= 0]
    return {
        "machine": block.group_names[block.group[row]],
        "score": score,
        "severity": None if score is None else score / threshold,
        "alarm": None if score is None else score > threshold,
        "status": STATUSES[block.status[row]],
        "reason": REASONS[block.reason[row]],
        "top_sensors": [SCHEMA.names[block.top_sensors[row, k]] for k in top],
        "top_shares": [float(block.top_shares[row, k]) for k in top],
        "top_expected": [number(block.top_expected[row, k]) for k in top],
        "top_actual": [number(block.top_actual[row, k]) for k in top],
        "row_surprise": number(block.row_surprise[row]),
    }


def assert_same(got: list[ScoreBlock], expected: ScoreBlock) -> None:
    for name in ScoreBlock.__slots__:
        if name in ("group", "group_names", "mode", "mode_names"):
            continue
        joined = np.concatenate([getattr(block, name) for block in got])
        assert joined.dtype == getattr(expected, name).dtype, name
        np.testing.assert_array_equal(joined, getattr(expected, name), err_msg=name)
    names = [block.group_names[code] for block in got for code in block.group]
    assert names == [expected.group_names[code] for code in expected.group]


@given(st.integers(0, 60), st.integers(0, 99), st.integers(1, 70), st.sampled_from([("",), ("a", "b", "c")]))
@settings(deadline=None, max_examples=40)
def test_file_round_trip(n_rows: int, seed: int, size: int, groups: tuple[str, ...]) -> None:
    block = scores(n_rows, seed, groups)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        write(path, [block.take(slice(at, at + size)) for at in range(0, n_rows, size)])
        stored = read_scores(path)
        got = list(stored.blocks(size))
        assert stored.n_rows == n_rows
        assert sum(map(len, got)) == n_rows
        if got:
            assert_same(got, block)
            assert_same(list(stored.blocks(size)), block)


def test_columns_types_and_values(tmp_path: Path) -> None:
    block = scores(200, groups=("a", "b"))
    data = pq.read_table(write(tmp_path / "scores.parquet", [block]))
    assert data.column_names == ["datetime", "machine", *COLUMNS]
    assert [str(field.type) for field in data.schema] == [
        *("timestamp[us, tz=UTC]", "string", "double", "double", "bool", "string", "string"),
        *("list<element: string>", "list<element: float>", "list<element: float>", "list<element: float>", "float"),
    ]
    rows = data.drop_columns("datetime").to_pylist()
    assert rows == [naive_row(block, row, 2.5) for row in range(200)]
    assert data["datetime"].cast(pa.int64()).to_pylist() == (block.time // 1_000).tolist()
    alone = pq.read_table(write(tmp_path / "alone.parquet", [block], group=None))
    assert alone.column_names == ["datetime", *COLUMNS]


def test_encodings(tmp_path: Path) -> None:
    meta = pq.ParquetFile(write(tmp_path / "scores.parquet", [scores(2_000)])).metadata
    for number in range(meta.num_columns):
        chunk = meta.row_group(0).column(number)
        is_word = chunk.path_in_schema.split(".")[0] in ("machine", "status", "reason", "top_sensors")
        assert chunk.has_dictionary_page == is_word, chunk.path_in_schema
        assert chunk.compression == "ZSTD"


def test_row_groups_are_full_whatever_the_blocks(tmp_path: Path) -> None:
    block = scores(150_000)
    path = write(tmp_path / "scores.parquet", [block.take(slice(at, at + 40_000)) for at in range(0, 150_000, 40_000)])
    meta = pq.ParquetFile(path).metadata
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [65_536, 65_536, 18_928]


def test_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.parquet", [scores(3)])
    raw = json.loads(pq.read_schema(path).metadata[b"sensorad"])
    assert {name: raw[name] for name in ("format", "time", "group", "threshold", "method")} == {
        **{"format": 1, "time": "datetime", "group": "machine", "threshold": 2.5, "method": "quantile"}
    }
    stored = read_scores(path)
    assert stored.metadata == raw
    assert (stored.time_name, stored.group_name, stored.line.threshold if stored.line else None) == (
        "datetime",
        "machine",
        2.5,
    )
    assert stored.schema == SCHEMA
    assert stored.sensor_names == SCHEMA.names


def test_times_keep_nanoseconds_where_needed(tmp_path: Path) -> None:
    block = scores(3)
    block.time = block.time + 1
    path = write(tmp_path / "fine.parquet", [block])
    assert_same(list(read_scores(path).blocks()), block)
    assert str(pq.read_schema(path).field("datetime").type) == "timestamp[ns, tz=UTC]"
    coarse = write(tmp_path / "coarse.parquet", [scores(3)], time_unit="ns")
    assert str(pq.read_schema(coarse).field("datetime").type) == "timestamp[ns, tz=UTC]"
    with pytest.raises(DataError, match="time_unit='ns'"):
        write(tmp_path / "lost.parquet", [block], time_unit="us")
    assert not (tmp_path / "lost.parquet").exists()


def test_without_threshold_severity_and_alarm_are_null(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with ScoreWriter(path, SCHEMA, "time", None, None) as writer:
        writer.write(scores(5))
    data = pq.read_table(path)
    assert data["severity"].null_count == data["alarm"].null_count == 5
    assert read_scores(path).line is None


@pytest.mark.parametrize("threshold", [math.nan, math.inf, 0.0, -1.0])
def test_degenerate_thresholds_are_refused(threshold: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="threshold"):
        ScoreWriter(tmp_path / "scores.parquet", SCHEMA, "time", None, threshold)


def test_sort_back_restores_the_input_order(tmp_path: Path) -> None:
    block = scores(300, groups=("a", "b"))
    shuffled = np.random.default_rng(3).permutation(300)
    blocks = [block.take(shuffled[at : at + 70]) for at in range(0, 300, 70)]
    blocks[0].group_names = ("a", "b")
    assert_same(list(read_scores(write(tmp_path / "s.parquet", blocks, sort_back=True)).blocks()), block)
    with pytest.raises(DataError, match="sort_back"):
        write(tmp_path / "t.parquet", blocks)
    with pytest.raises(DataError, match="twice"):
        write(tmp_path / "t.parquet", [blocks[0], blocks[0]], sort_back=True)
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]


def test_csv_output_holds_no_formula(tmp_path: Path) -> None:
    block = scores(200, groups=("=a", "+b", "-c", "@d", "e"))
    path = tmp_path / "scores.csv"
    with ScoreWriter(path, SCHEMA, "=time", "machine", 2.5) as writer:
        writer.write(block)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=time", "machine", *COLUMNS]
    assert len(rows) == 201
    for row, cells in enumerate(rows[1:]):
        expected = naive_row(block, row, 2.5)
        group = expected["machine"]
        assert cells[0] == np.datetime_as_string(np.datetime64(int(block.time[row]), "ns"), "us") + "Z"
        assert cells[1] == (group if group == "e" else "'" + group)
        assert cells[2] == "" if expected["score"] is None else float(cells[2]) == expected["score"]
        assert cells[4] == {None: "", True: "true", False: "false"}[expected["alarm"]]
        named = ";".join(expected["top_sensors"])
        assert cells[7] == ("'" + named if named.startswith("=") else named)
        shares = [float(share) for share in cells[8].split(";") if share]
        np.testing.assert_allclose(shares, expected["top_shares"], rtol=1e-6)
    empty = write(tmp_path / "empty.csv", [])
    assert len(empty.read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_existing_file_is_kept_without_force(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("precious")
    with pytest.raises(StorageError, match="--force"):
        write(path, [scores(3)])
    assert path.read_text() == "precious"
    write(path, [scores(3)], force=True)
    assert path.stat().st_size > 100
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"

    def write_while_another_does() -> None:
        with ScoreWriter(path, SCHEMA, "time", None, 1.0) as writer:
            writer.write(scores(3))
            path.write_text("precious")

    with pytest.raises(StorageError, match="exists"):
        write_while_another_does()
    assert path.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.parquet"]


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing(name: str, error: type[BaseException], tmp_path: Path) -> None:
    old = tmp_path / f"old-{name}"
    old.write_text("old")

    def fail(path: Path, force: bool) -> None:
        with ScoreWriter(path, SCHEMA, "time", None, 1.0, force=force) as writer:
            writer.write(scores(100_000))
            raise error

    for path, force in ((tmp_path / name, False), (old, True)):
        with pytest.raises(error):
            fail(path, force)
    assert [file.name for file in tmp_path.iterdir()] == [old.name]
    assert old.read_text() == "old"


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with ScoreWriter(path, SCHEMA, "time", None, 1.0) as writer:
        writer.write(scores(100_000))
        assert not path.exists()
        assert [file.suffix for file in tmp_path.iterdir()] == [".tmp"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~int(_umask(), 8)


def test_file_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.parquet"
    synced: list[tuple[bool, bool]] = []

    def note(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    write(path, [scores(3)])
    assert synced == [(False, False), (True, True)], "first the file, then, renamed, its directory"


def _umask() -> str:
    status = Path("/proc/self/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Umask"))


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
sys.path.insert(0, sys.argv[3])
from test_logs_scores import SCHEMA, scores
from sensorad.errors import StorageError
from sensorad.logs import ScoreWriter
try:
    with ScoreWriter(sys.argv[1], SCHEMA, "time", None, 1.0, force=True) as writer:
        for seed in range(3):
            block = scores(70_000, seed)
            block.index = block.index + 70_000 * seed
            writer.write(block)
except StorageError as err:
    print("refused:", err)
"""


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
@pytest.mark.parametrize("limit", [0, 10_000, 3_000_000])
def test_full_disk_leaves_the_old_file(name: str, limit: int, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("old")
    command = [sys.executable, "-c", FULL_DISK, str(path), str(limit), str(Path(__file__).parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout.startswith("refused: cannot be written"), run
    assert run.stderr == ""
    assert name in run.stdout
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_unwritable_targets(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="directory does not exist"):
        write(tmp_path / "gone" / "scores.parquet", [])
    with pytest.raises(StorageError, match="found a directory"):
        write(tmp_path, [], force=True)


def test_misuse(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    for time, group in (("score", None), ("time", "status"), ("time", "time")):
        with pytest.raises(SchemaError, match="rename"):
            ScoreWriter(path, SCHEMA, time, group, 1.0)
    with pytest.raises(UsageError, match="with statement"):
        ScoreWriter(path, SCHEMA, "time", None, 1.0).write(scores(1))
    with pytest.raises(UsageError, match="taken: threshold"):
        ScoreWriter(path, SCHEMA, "time", None, 1.0, {"threshold": 3})
    with pytest.raises(UsageError, match="JSON"):
        ScoreWriter(path, SCHEMA, "time", None, 1.0, {"x": math.nan})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "library"), [("pandas", pd), ("polars", pl), ("arrow", pa), ("files", pa)])
def test_table_of_the_kind_that_came_in(kind: Any, library: Any) -> None:
    block = scores(100, groups=("a", "b"))
    order = np.random.default_rng(0).permutation(100)
    blocks = [block.take(order[:30]), block.take(order[30:])]
    table = score_table(blocks, SCHEMA, "datetime", "machine", 2.5, kind)
    assert type(table).__module__.partition(".")[0] == library.__name__
    assert list(table.columns if kind in ("pandas", "polars") else table.column_names) == [
        *("datetime", "machine"),
        *COLUMNS,
    ]
    data = pa.Table.from_pandas(table) if kind == "pandas" else pa.table(table)
    rows = data.select([name for name in data.column_names if name != "datetime"]).to_pylist()
    assert rows == [naive_row(block, row, 2.5) for row in range(100)]
    if kind == "pandas":
        assert str(table["datetime"].dtype) == "datetime64[us, UTC]"
        assert str(table["alarm"].dtype) == "boolean"
        assert len(score_table([], SCHEMA, "datetime", "machine", 2.5, kind)) == 0


def test_flipped_bits_in_scores_raise_or_change_nothing(tmp_path: Path) -> None:
    block = scores(150)
    path = write(tmp_path / "scores.parquet", [block])
    raw = path.read_bytes()
    good = read_scores(path).metadata
    dice = random.Random(2)
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    n_refused = 0
    positions = dice.sample(range(footer), 300) + dice.sample(range(footer, len(raw)), 1_500)
    for position in positions:
        damaged = bytearray(raw)
        damaged[position] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            stored = read_scores(path)
            got = list(stored.blocks())
        except SensoradError:
            n_refused += 1
            continue
        assert stored.metadata == good, position
        assert_same(got, block)
    assert n_refused > len(positions) / 2


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"score": [1.0]}), plain)
    with pytest.raises(DataError, match="holds no sensorad scores"):
        read_scores(plain)
    text = tmp_path / "scores.csv"
    write(text, [scores(2)])
    with pytest.raises(DataError, match="not Parquet"):
        read_scores(text)
    with pytest.raises(StorageError, match="does not exist"):
        read_scores(tmp_path / "gone.parquet")
    good = pq.read_table(write(tmp_path / "scores.parquet", [scores(2)]))
    edited = tmp_path / "edited.parquet"
    pq.write_table(good.drop_columns("reason"), edited)
    with pytest.raises(DataError, match="columns are not those"):
        read_scores(edited)
    words = good.set_column(good.column_names.index("status"), "status", pa.array(["fine", "fine"]))
    pq.write_table(words.replace_schema_metadata(good.schema.metadata), edited)
    with pytest.raises(DataError, match=r"unknown status 'fine'.*edited\.parquet"):
        list(read_scores(edited).blocks())

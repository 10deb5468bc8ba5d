"""`SensorLog` over every kind of source: the same rows, matched by name, checked before the first row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from sensorad.errors import SchemaError, TimeError, UsageError
from sensorad.logs import LogFormat, SensorLog
from sensorad.types import FLAWS, RowBlock, Sensor, SensorSchema

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
START_NS = int(START.timestamp()) * 10**9
MISSING = FLAWS.index("missing")
N_ROWS = 50


def table(n_rows: int = N_ROWS, first: int = 0, **more: Any) -> pa.Table:
    """Minutes, two sensors with a null and a NaN, and a machine that alternates."""
    rows = range(first, first + n_rows)
    return pa.table(
        {
            "time": pa.array([START + timedelta(minutes=row) for row in rows], pa.timestamp("us", "UTC")),
            "TI-101": pa.array([None if row == 3 else row * 0.5 for row in rows], pa.float64()),
            "PI-7": pa.array([float("nan") if row == 5 else row for row in rows], pa.float32()),
            "machine": pa.array([f"pump {row % 2}" for row in rows]),
            **more,
        }
    )


def joined(blocks: Any) -> dict[str, Any]:
    """All rows of all blocks as plain lists, names instead of codes."""
    held = list(blocks)
    out: dict[str, Any] = {name: [] for name in ("index", "time", "values", "flaw", "group", "mode", "label")}
    for block in held:
        for name in ("index", "time", "values", "flaw"):
            out[name] += getattr(block, name).tolist()
        out["group"] += [block.group_names[code] for code in block.group]
        out["mode"] += [] if block.mode is None else [block.mode_names[code] for code in block.mode]
        out["label"] += [] if block.label is None else block.label.tolist()
    return out


def written(path: Path, data: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(data, path, write_page_checksum=True, **options)
    else:
        arrow_csv.write_csv(data, path, arrow_csv.WriteOptions(**options))
    return path


def sources(tmp_path: Path, n_rows: int = N_ROWS) -> dict[str, Any]:
    data = table(n_rows)
    stream = pa.RecordBatchReader.from_batches(data.schema, data.to_batches(max_chunksize=7))
    return {
        "arrow": data,
        "batch": pa.RecordBatch.from_arrays([column.combine_chunks() for column in data.columns], data.column_names),
        "stream": stream,
        "pandas": data.to_pandas(),
        "pandas indexed": data.to_pandas().set_index("time"),
        "pandas arrow types": data.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": pl.from_arrow(data),
        "polars lazy": pl.DataFrame(data).lazy(),
        "parquet": written(tmp_path / "log.parquet", data, row_group_size=11),
        "parquet text path": str(written(tmp_path / "log2.parquet", data)),
        "csv": written(tmp_path / "log.csv", data),
        "csv semicolon": written(tmp_path / "semi.csv", data, delimiter=";"),
        "csv tab": written(tmp_path / "tab.csv", data, delimiter="\t"),
        "csv unquoted": written(tmp_path / "plain.csv", data, quoting_style="none"),
        "paths": [
            written(tmp_path / "a.parquet", data.slice(0, 20)),
            written(tmp_path / "b.csv", data.slice(20)),
        ],
    }


SOURCE_NAMES = (
    *("arrow", "batch", "stream", "pandas", "pandas indexed", "pandas arrow types", "polars", "polars lazy"),
    *("parquet", "parquet text path", "csv", "csv semicolon", "csv tab", "csv unquoted", "paths"),
)


@pytest.mark.parametrize("name", SOURCE_NAMES)
@pytest.mark.parametrize("rows", [1, 7, 10_000])
def test_every_source_gives_the_same_rows(name: str, rows: int, tmp_path: Path) -> None:
    log = SensorLog(sources(tmp_path)[name], LogFormat(group="machine"))
    got = joined(log.blocks(rows))
    assert log.schema.names == ("TI-101", "PI-7")
    assert got["index"] == list(range(N_ROWS))
    assert got["time"] == [START_NS + row * 60 * 10**9 for row in range(N_ROWS)]
    expected = [[0.0 if row == 3 else row * 0.5, 0.0 if row == 5 else float(row)] for row in range(N_ROWS)]
    assert got["values"] == expected
    flaws = [[MISSING if row == 3 else 0, MISSING if row == 5 else 0] for row in range(N_ROWS)]
    assert got["flaw"] == flaws
    assert got["group"] == [f"pump {row % 2}" for row in range(N_ROWS)]
    assert all(len(block) <= rows for block in log.blocks(rows))
    assert joined(log.blocks(rows)) == got, "each call of blocks starts again"


@pytest.mark.parametrize(
    ("name", "kind", "n_rows"),
    [
        ("arrow", "arrow", 50),
        ("stream", "arrow", 50),
        ("pandas", "pandas", 50),
        ("polars", "polars", 50),
        ("parquet", "files", 50),
        ("csv", "files", None),
        ("paths", "files", None),
    ],
)
def test_kind_and_number_of_rows(name: str, kind: str, n_rows: int | None, tmp_path: Path) -> None:
    log = SensorLog(sources(tmp_path)[name])
    assert (log.kind, log.n_rows) == (kind, n_rows)
    assert len(log.files) == {"parquet": 1, "csv": 1, "paths": 2}.get(name, 0)
    assert (log.time_name, log.group_name) == ("time", None)


def test_block_arrays_have_the_promised_types() -> None:
    block = next(SensorLog(table(), LogFormat(group="machine", mode="PI-7", label="TI-101", sensors=())).blocks(3))
    assert isinstance(block, RowBlock)
    types = {name: getattr(block, name).dtype for name in ("index", "time", "values", "flaw", "group")}
    assert types == {"index": "int64", "time": "int64", "values": "float32", "flaw": "uint8", "group": "int32"}
    assert block.mode is not None
    assert block.mode.dtype == np.int32
    assert block.label is not None
    assert block.label.tolist() == [False, True, True]
    assert all(getattr(block, name).flags.writeable for name in ("index", "time", "values", "flaw"))


def test_groups_modes_and_labels_are_not_sensors() -> None:
    data = table(4, mode=pa.array([1, 1, None, 2]), bad=pa.array([0, 1, 0, 0]))
    log = SensorLog(data, LogFormat(group="machine", mode="mode", label="bad"))
    got = joined(log.blocks(2))
    assert log.schema.names == ("TI-101", "PI-7")
    assert got["mode"] == ["1", "1", "", "2"]
    assert got["label"] == [False, True, False, False]


def test_group_names_grow_and_are_never_reordered() -> None:
    data = table(6).set_column(3, "machine", pa.array(["b", "b", "a", "a", "c", "b"]))
    names = [tuple(block.group_names) for block in SensorLog(data, LogFormat(group="machine")).blocks(2)]
    assert names == [("b",), ("b", "a"), ("b", "a", "c")]


def test_categories_without_rows_are_no_machines() -> None:
    frame = table(4).to_pandas()
    frame["machine"] = pd.Categorical(["b", "b", "a", "a"], categories=["x", "a", "b"])
    assert next(SensorLog(frame, LogFormat(group="machine")).blocks()).group_names == ("b", "a")


def test_missing_machine_is_an_error_with_its_row() -> None:
    data = table(4).set_column(3, "machine", pa.array(["b", "b", None, "a"]))
    with pytest.raises(SchemaError, match=r"'machine', row 2"):
        list(SensorLog(data, LogFormat(group="machine")).blocks())


def test_units_and_ranges_come_from_field_metadata(tmp_path: Path) -> None:
    meta = {b"unit": b"degC", b"low": b"-10", b"high": b"250.5", b"kind": b"measurement"}
    schema = pa.schema([pa.field("time", pa.timestamp("us", "UTC")), pa.field("TI-101", pa.float32(), metadata=meta)])
    schema = schema.append(pa.field("XV-1", pa.bool_(), metadata={"kind": "state"}))
    schema = schema.append(pa.field("odd", pa.int8(), metadata={"low": "cold", "kind": "gauge", "high": "nan"}))
    data = pa.table([pa.array([START]).cast(pa.timestamp("us", "UTC")), [1.0], [True], [1]], schema=schema)
    for source in (data, written(tmp_path / "log.parquet", data)):
        log = SensorLog(source)
        assert log.schema.sensors == (
            Sensor("TI-101", unit="degC", low=-10, high=250.5, kind="measurement"),
            Sensor("XV-1", kind="state"),
            Sensor("odd"),
        )
        assert sum("'odd'" in note for note in log.notes) == 2


def test_named_sensors_keep_their_units_and_order() -> None:
    log = SensorLog(table(), LogFormat(sensors=("PI-7", "TI-101")))
    assert log.schema.names == ("PI-7", "TI-101")
    assert next(log.blocks()).values[2].tolist() == [2, 1]


def test_reordered_columns_give_identical_blocks_and_one_note() -> None:
    data = table()
    schema = SensorLog(data).schema
    other = data.select(["PI-7", "machine", "TI-101", "time"])
    log = SensorLog(other, schema=schema)
    assert joined(log.blocks()) == joined(SensorLog(data, schema=schema).blocks())
    assert sum("another order" in note for note in log.notes) == 1
    assert not any("another order" in note for note in SensorLog(data, schema=schema).notes)


def test_extra_columns_are_ignored_with_one_note() -> None:
    schema = SensorSchema((Sensor("TI-101"),))
    log = SensorLog(table(x=pa.array(range(N_ROWS))), schema=schema)
    assert log.schema is schema
    [note] = log.notes
    assert note == "3 columns ignored: PI-7, machine, x"


def test_missing_column_names_the_closest_match() -> None:
    schema = SensorSchema((Sensor("TI-101"), Sensor("PI7")))
    with pytest.raises(SchemaError, match=r"'PI7' is missing.*did you mean 'PI-7'"):
        SensorLog(table(), schema=schema)


def test_allowed_missing_column_is_flagged() -> None:
    schema = SensorSchema((Sensor("TI-101"), Sensor("PI7"), Sensor("PI-7")))
    log = SensorLog(table(), schema=schema, allow_missing=1)
    block = next(log.blocks())
    assert (block.flaw[:, 1] == MISSING).all()
    assert (block.values[:, 1] == 0).all()
    assert block.values[10].tolist() == [5, 0, 10]
    assert any("missing: PI7" in note for note in log.notes)
    more = SensorSchema((*schema.sensors, Sensor("LI-2")))
    with pytest.raises(SchemaError, match=r"1 more: LI-2.*--allow-missing 2"):
        SensorLog(table(), schema=more, allow_missing=1)


def test_renaming_is_explicit() -> None:
    schema = SensorSchema((Sensor("TI-102"),))
    log = SensorLog(table(), LogFormat(rename=(("TI-101", "TI-102"),)), schema=schema)
    assert next(log.blocks()).values[2].tolist() == [1]
    with pytest.raises(SchemaError, match=r"'TI-100' is missing.*did you mean 'TI-101'"):
        SensorLog(table(), LogFormat(rename=(("TI-100", "TI-102"),)))
    with pytest.raises(SchemaError, match="twice: PI-7"):
        SensorLog(table(), LogFormat(rename=(("TI-101", "PI-7"),)))


def test_duplicate_columns_are_refused(tmp_path: Path) -> None:
    data = table(2)
    double = data.append_column("PI-7", data["PI-7"])
    frame = data.to_pandas()
    frame = pd.concat([frame, frame[["PI-7"]]], axis=1)
    path = tmp_path / "log.csv"
    path.write_text("time,PI-7,PI-7\n2024-06-01T12:00Z,1,2\n")
    for source in (double, frame, path, written(tmp_path / "log.parquet", double)):
        with pytest.raises(SchemaError, match="twice: PI-7"):
            SensorLog(source)


def test_excluded_columns_and_misspelt_exclusions() -> None:
    assert SensorLog(table(), LogFormat(exclude=("PI-7",))).schema.names == ("TI-101",)
    with pytest.raises(SchemaError, match=r"'PI7'.*did you mean 'PI-7'"):
        SensorLog(table(), LogFormat(exclude=("PI7",)))


def test_no_numeric_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="no numeric column"):
        SensorLog(table().select(["time", "machine"]))


@pytest.mark.parametrize("role", ["time", "group", "mode", "label"])
def test_misspelt_roles_name_the_closest_column(role: str) -> None:
    values: dict[str, Any] = {role: "machin"}
    with pytest.raises(SchemaError, match=r"'machin' is missing.*'machine'"):
        SensorLog(table(), LogFormat(**values))


def test_time_column_is_found_or_asked_for(tmp_path: Path) -> None:
    data = table(3)
    two = data.append_column("logged", data["time"])
    with pytest.raises(TimeError, match=r"time, logged.*--time NAME"):
        SensorLog(two)
    assert SensorLog(two, LogFormat(time="logged")).time_name == "logged"
    with pytest.raises(TimeError, match=r"no column of time stamps.*--time NAME.*--time-step 60s"):
        SensorLog(data.drop_columns("time"))
    words = data.set_column(0, "when", data["time"].cast(pa.string()))
    with pytest.raises(TimeError, match="only candidates: when"):
        SensorLog(words)
    assert SensorLog(words, LogFormat(time="when")).time_name == "when"
    named = SensorLog(words.rename_columns(["Date Time", *words.column_names[1:]]))
    assert named.time_name == "Date Time"
    epoch = data.set_column(0, "timestamp", pa.array([START_NS // 10**9] * 3))
    with pytest.raises(TimeError, match="only candidates: timestamp"):
        SensorLog(epoch)
    assert SensorLog(epoch, LogFormat(time_unit="s")).time_name == "timestamp"


def test_time_faults_are_found_before_any_row(tmp_path: Path) -> None:
    data = table(3)
    naive = data.set_column(0, "time", data["time"].cast(pa.timestamp("us")))
    with pytest.raises(TimeError, match="--time-zone UTC"):
        SensorLog(naive)
    with pytest.raises(TimeError, match="--time-unit"):
        SensorLog(data, LogFormat(time="PI-7"))
    with pytest.raises(TimeError, match="ISO 8601"):
        SensorLog(data, LogFormat(time="machine"))
    path = tmp_path / "naive.csv"
    path.write_text("time,a\n2024-06-01 12:00,1\n")
    with pytest.raises(TimeError, match="--time-zone UTC"):
        SensorLog(path)
    assert joined(SensorLog(naive, LogFormat(time_zone="UTC")).blocks())["time"][0] == START_NS


def test_log_without_time_column_counts_rows_of_each_group() -> None:
    form = LogFormat(time_step_seconds=60, time_origin="2024-06-01T12:00Z", group="machine")
    data = table(7).drop_columns("time")
    log = SensorLog(data, form)
    assert log.time_name == "time"
    for rows in (1, 2, 100):
        got = joined(log.blocks(rows))
        assert [(time - START_NS) // (60 * 10**9) for time in got["time"]] == [0, 0, 1, 1, 2, 2, 3]
    alone = LogFormat(time_step_seconds=60, time_origin="2024-06-01T12:00Z", exclude=("time",))
    assert joined(SensorLog(table(7), alone).blocks(3))["time"][-1] == START_NS + 6 * 60 * 10**9


def test_resolution_of_times_is_told() -> None:
    data = table(2)
    fine = data.set_column(0, "time", data["time"].cast(pa.timestamp("ns", "UTC")))
    words = data.set_column(0, "time", pa.array(["2024-06-01T12:00:00.123456789Z", "2024-06-01T12:00:01.000000000Z"]))
    bare = data.drop_columns("time")
    assert SensorLog(data).time_unit == "us"
    assert SensorLog(fine).time_unit == "ns"
    assert SensorLog(words).time_unit == "ns"
    assert SensorLog(bare, LogFormat(time_step_seconds=60)).time_unit == "us"
    assert SensorLog(bare, LogFormat(time_step_seconds=1 / 48_000)).time_unit == "ns"


def test_text_that_is_mostly_numbers_is_a_sensor_with_an_error() -> None:
    words = table().set_column(2, "PI-7", pa.array(["1", "2", "ERR", "3", "4"] * 10))
    with pytest.raises(SchemaError, match=r"'ERR'.*'PI-7', row 2"):
        SensorLog(words)
    mixed = table(5).to_pandas()
    mixed["PI-7"] = pd.Series([1, 2, "12,5", None, 4], dtype=object)
    with pytest.raises(SchemaError, match=r"'12,5'.*'PI-7', row 2"):
        SensorLog(mixed)
    spelt = table().set_column(2, "PI-7", pa.array(["1.5", ""] * 25))
    assert next(SensorLog(spelt).blocks()).values[:2, 1].tolist() == [1.5, 0]


def test_words_are_not_sensors_unless_named() -> None:
    log = SensorLog(table())
    assert log.notes == ["1 columns ignored (not numeric): machine"]
    with pytest.raises(SchemaError, match=r"'pump 0'.*'machine', row 0"):
        SensorLog(table(), LogFormat(sensors=("machine",)))
    with pytest.raises(SchemaError, match="expected numbers, got timestamp"):
        SensorLog(table().append_column("logged", table()["time"]), LogFormat(time="time", sensors=("logged",)))


def test_whole_column_kinds_of_pandas() -> None:
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-06-01 12:00", periods=3, freq="min", tz="UTC"),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "level": pd.Categorical([1.0, 2.0, 3.0]),
            7: [1, 2, 3],
        }
    )
    log = SensorLog(frame)
    assert log.schema.names == ("nullable", "flag", "level", "7")
    block = next(log.blocks())
    assert block.values.tolist() == [[1, 1, 1, 1], [0, 0, 2, 2], [3, 0, 3, 3]]
    assert block.flaw.tolist() == [[0, 0, 0, 0], [MISSING, MISSING, 0, 0], [0, 0, 0, 0]]


def test_rows_after_filtering_a_pandas_frame_keep_their_order() -> None:
    frame = table().to_pandas()
    frame = frame[frame["PI-7"] > 10].sort_values("PI-7", ascending=False)
    assert [row[1] for row in joined(SensorLog(frame).blocks())["values"]] == list(range(49, 10, -1))


@pytest.mark.parametrize("n_rows", [0, 1])
@pytest.mark.parametrize("name", SOURCE_NAMES[:-1])
def test_tables_without_rows_give_no_blocks(name: str, n_rows: int, tmp_path: Path) -> None:
    log = SensorLog(sources(tmp_path, n_rows)[name], schema=SensorSchema((Sensor("TI-101"), Sensor("PI-7"))))
    assert sum(map(len, log.blocks())) == n_rows


def test_misuse_is_a_usage_error() -> None:
    for source in (None, 3, [], [table()], {"a": 1}, np.zeros((2, 2))):
        with pytest.raises(UsageError):
            SensorLog(source)
    with pytest.raises(UsageError, match="rows"):
        SensorLog(table()).blocks(0)
    with pytest.raises(UsageError, match="allow_missing"):
        SensorLog(table(), allow_missing=-1)


def test_odd_names_are_read_like_others(tmp_path: Path) -> None:
    names = ["a.b", "a", "=cmd()", "../x", "with, comma", 'with "quote"', "tab\tname", "x" * 500]
    data = pa.table({"time": table(2)["time"], **{name: [float(i)] * 2 for i, name in enumerate(names)}})
    for source in (data, written(tmp_path / "log.parquet", data), written(tmp_path / "log.csv", data)):
        log = SensorLog(source)
        assert list(log.schema.names) == names
        assert next(log.blocks()).values[0].tolist() == list(range(len(names)))


def test_nested_columns_are_ignored(tmp_path: Path) -> None:
    data = table(2, a=pa.array([{"b": 1}, {"b": 2}]), l=pa.array([[1], [2]]))
    log = SensorLog(written(tmp_path / "log.parquet", data))
    assert log.schema.names == ("TI-101", "PI-7")
    assert len(next(log.blocks())) == 2


def test_key_blocks_are_the_blocks_without_sensors() -> None:
    log = SensorLog(table(), LogFormat(group="machine", label="TI-101"), schema=SensorSchema((Sensor("PI-7"),)))
    keys = list(log.key_blocks(20))
    assert all(block.values.shape == (len(block), 0) for block in keys)
    assert np.concatenate([block.time for block in keys]).tolist() == [
        START_NS + row * 60 * 10**9 for row in range(N_ROWS)
    ]


def test_an_index_that_pandas_has_stored_is_no_sensor(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-01-01", periods=4, freq="min", tz="UTC")
    table = pd.DataFrame({"time": stamps, "flow": [1.0, 2.0, 3.0, 4.0]}, index=[5, 6, 7, 9])
    table.to_parquet(tmp_path / "log.parquet")
    log = SensorLog(tmp_path / "log.parquet", LogFormat())
    assert list(log.schema.names) == ["flow"]
    assert any("__index_level_0__" in note for note in log.notes)

"""Long logs: readings pivoted to wide rows, streaming where ordered, against a dictionary of dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import DataError, SchemaError, TimeError, UsageError
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.logs.long_layout import BATCH_READINGS
from sensorad.types import FLAWS, Sensor, SensorSchema

START = 1_717_243_200
MISSING = FLAWS.index("missing")
LONG = LogFormat(layout="long", time_unit="s", time="time")
GROUPED = LogFormat(layout="long", time_unit="s", time="time", group="machine")

Row = tuple[int, str, list[float | None]]


def long_table(readings: list[Any], *more: str) -> pa.Table:
    columns: list[Any] = list(zip(*readings, strict=True)) if readings else [[] for _ in range(3 + len(more))]
    times = pa.array([START + time for time in columns[0]], pa.int64())
    return pa.table([times, *map(pa.array, map(list, columns[1:]))], names=["time", "tag", "value", *more])


def rows_of(log: Any, rows: int = 1_000) -> list[Row]:
    out: list[Row] = []
    for block in log.blocks(rows):
        for time, group, values, flaws in zip(block.time, block.group, block.values, block.flaw, strict=True):
            cells = [None if flaw else float(value) for value, flaw in zip(values, flaws, strict=True)]
            out.append((int(time) // 10**9 - START, block.group_names[group], cells))
    return out


def naive_rows(readings: list[tuple[int, str, float, str]], tags: list[str]) -> list[Row]:
    """Sort by time, then collect: one row for each (time, group); a second value opens a second row."""
    table: dict[tuple[int, str], list[dict[str, float]]] = {}
    for time, tag, value, group in sorted(readings, key=lambda reading: reading[0]):
        versions = table.setdefault((time, group), [{}])
        if tag in versions[0] and versions[0][tag] == value:
            continue
        for cells in versions:
            if tag not in cells:
                cells[tag] = value
                break
        else:
            versions.append({tag: value})
    return [(time, group, [cells.get(tag) for tag in tags]) for (time, group), rows in table.items() for cells in rows]


READING = st.tuples(
    st.integers(0, 6), st.sampled_from("ABC"), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from(["m1", "m2"])
)


@given(st.lists(READING, min_size=1, max_size=40), st.booleans(), st.integers(1, 5))
@settings(deadline=None)
def test_pivot_equals_the_naive_one(readings: list[Any], is_sorted: bool, rows: int) -> None:
    if is_sorted:
        readings = sorted(readings, key=lambda reading: reading[0])
    log = SensorLog(long_table(readings, "machine"), GROUPED)
    tags = sorted({tag for _, tag, _, _ in readings})
    assert list(log.schema.names) == tags
    got = rows_of(SortedLog(log), rows)
    assert sorted(got, key=repr) == sorted(naive_rows(readings, tags), key=repr)
    index = np.concatenate([block.index for block in log.blocks(rows)])
    assert index.tolist() == list(range(len(got)))
    assert all(len(block) <= rows for block in log.blocks(rows))


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
def test_batches_never_tear_a_row(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorad.logs.long_layout.BATCH_READINGS", batch)
    readings = [(time, tag, float(time * 10 + ord(tag)), "m") for time in range(7) for tag in "ABC"]
    log = SensorLog(long_table(readings, "machine"), GROUPED)
    assert rows_of(log) == naive_rows(readings, ["A", "B", "C"])
    assert log.notes == []


def test_rows_continue_across_files(tmp_path: Path) -> None:
    readings = [(time, tag, float(time)) for time in range(4) for tag in "AB"]
    paths = []
    for number, part in enumerate((readings[:3], readings[3:])):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(long_table(part), paths[-1], write_page_checksum=True)
    log = SensorLog(paths, LONG)
    assert rows_of(log) == [(time, "", [float(time)] * 2) for time in range(4)]
    assert log.notes == []
    assert log.n_rows is None


@pytest.mark.parametrize("batch", [3, BATCH_READINGS])
def test_tag_by_tag_export_is_sorted_in_memory(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorad.logs.long_layout.BATCH_READINGS", batch)
    readings = [(time, tag, float(time)) for tag in "AB" for time in range(5)]
    log = SensorLog(long_table(readings), LONG)
    assert rows_of(log, 2) == [(time, "", [float(time)] * 2) for time in range(5)]
    assert log.notes == ["long log is not ordered by time: sorted in memory"]


def test_machine_by_machine_export_streams() -> None:
    readings = [(time, tag, 1.0, machine) for machine in ("m2", "m1") for time in range(3) for tag in "AB"]
    log = SensorLog(long_table(readings, "machine"), GROUPED)
    assert rows_of(log) == [(time, machine, [1.0, 1.0]) for machine in ("m2", "m1") for time in range(3)]
    assert log.notes == []


def test_torn_time_of_one_machine_is_put_together() -> None:
    readings = [(0, "A", 1.0, "m1"), (1, "A", 1.0, "m2"), (0, "B", 2.0, "m1")]
    log = SensorLog(long_table(readings, "machine"), GROUPED)
    assert rows_of(log) == [(0, "m1", [1.0, 2.0]), (1, "m2", [1.0, None])]


def test_repeated_readings() -> None:
    same = [(0, "A", 1.0), (0, "A", 1.0), (0, "B", 2.0)]
    assert rows_of(SensorLog(long_table(same), LONG)) == [(0, "", [1.0, 2.0])]
    other = [(0, "A", 1.0), (0, "A", 5.0), (0, "B", 2.0), (0, "A", 1.0)]
    assert rows_of(SensorLog(long_table(other), LONG)) == [(0, "", [1.0, 2.0]), (0, "", [5.0, None])]


@pytest.mark.parametrize(
    ("qualities", "good"),
    [
        (["Good", "good ", "OK", "Bad", "uncertain", None], [True, True, True, False, False, False]),
        ([192, 255, 216, 0, 64, None], [True, True, True, False, False, False]),
        (["192", "216", "0", "64", "", "1922222"], [True, True, False, False, False, False]),
        ([True, True, False, False, None, True], [True, True, False, False, False, True]),
    ],
)
def test_readings_of_bad_quality_are_missing(qualities: list[Any], good: list[bool]) -> None:
    form = LogFormat(layout="long", time="time", time_unit="s", quality="quality")
    readings = [(time, "A", float(time + 1), quality) for time, quality in enumerate(qualities)]
    for data in (long_table(readings, "quality"), long_table(readings, "quality").to_pandas()):
        got = rows_of(SensorLog(data, form))
        assert [cells[0] is not None for _, _, cells in got] == good


def test_words_in_place_of_values_pass_only_with_bad_quality() -> None:
    readings = [(0, "A", "1.5", "good"), (1, "A", "Bad Input", "bad"), (2, "A", "2.5", "good")]
    form = LogFormat(layout="long", time="time", time_unit="s", quality="quality")
    data = long_table(readings, "quality")
    assert [cells for _, _, cells in rows_of(SensorLog(data, form))] == [[1.5], [None], [2.5]]
    dictionary = data.set_column(2, "value", data["value"].dictionary_encode())
    assert [cells for _, _, cells in rows_of(SensorLog(dictionary, form))] == [[1.5], [None], [2.5]]
    with pytest.raises(SchemaError, match=r"'Bad Input'.*'value', row 1"):
        rows_of(SensorLog(data, LONG))


def test_schema_given_ignores_other_tags_and_misses_its_own() -> None:
    data = long_table([(time, tag, 1.0) for time in range(2) for tag in ("TI-101", "PI-7", "X")])
    schema = SensorSchema((Sensor("PI-7"), Sensor("TI-101")))
    log = SensorLog(data, LONG, schema=schema)
    assert rows_of(log) == [(0, "", [1, 1]), (1, "", [1, 1])]
    assert log.notes == ["1 tags ignored: X"]
    more = SensorSchema((*schema.sensors, Sensor("TI_101")))
    with pytest.raises(SchemaError, match=r"tag 'TI_101' is missing"):
        SensorLog(data, LONG, schema=more)
    block = next(SensorLog(data, LONG, schema=more, allow_missing=1).blocks())
    assert (block.flaw[:, 2] == MISSING).all()


def test_chosen_excluded_and_renamed_tags() -> None:
    data = long_table([(0, tag, float(n)) for n, tag in enumerate("ABC")])

    def names(**values: Any) -> tuple[str, ...]:
        return SensorLog(data, LogFormat(layout="long", time="time", time_unit="s", **values)).schema.names

    assert names(sensors=("C", "A")) == ("C", "A")
    assert names(exclude=("B",)) == ("A", "C")
    assert names(rename=(("A", "Z"),)) == ("B", "C", "Z")
    renamed = SensorLog(data, LogFormat(layout="long", time="time", time_unit="s", rename=(("A", "Z"),)))
    assert rows_of(renamed) == [(0, "", [1, 2, 0])]
    with pytest.raises(SchemaError, match="'D'"):
        names(exclude=("D",))
    with pytest.raises(SchemaError, match="'D' is missing"):
        names(sensors=("D",))
    with pytest.raises(SchemaError, match="several tags"):
        list(SensorLog(data, LogFormat(layout="long", time="time", time_unit="s", rename=(("A", "B"),))).blocks())


def test_modes_labels_and_other_column_names() -> None:
    readings = [(0, "A", 1.0, "run", 0), (0, "B", 1.0, "stop", 1), (1, "A", 1.0, "stop", 0)]
    data = long_table(readings, "state", "bad").rename_columns(["ts", "point", "reading", "state", "bad"])
    form = LogFormat(layout="long", time="ts", time_unit="s", tag="point", value="reading", mode="state", label="bad")
    modes: list[str] = []
    labels: list[bool] = []
    for block in SensorLog(data, form).blocks():
        assert block.mode is not None
        assert block.label is not None
        modes += [block.mode_names[code] for code in block.mode]
        labels += block.label.tolist()
    assert (modes, labels) == (["run", "stop"], [True, False])


def test_time_column_of_a_long_frame_is_found() -> None:
    frame = pd.DataFrame(
        {"stamp": pd.to_datetime(["2024-06-01 12:00"] * 2, utc=True), "tag": ["A", "B"], "value": [1.0, 2.0]}
    )
    assert rows_of(SensorLog(frame, LogFormat(layout="long"))) == [(0, "", [1.0, 2.0])]


def test_faults() -> None:
    data = long_table([(0, "A", 1.0), (1, None, 1.0)])
    with pytest.raises(SchemaError, match=r"no tag.*row 1"):
        SensorLog(data, LONG)
    with pytest.raises(SchemaError, match=r"'tag' is missing"):
        SensorLog(data.drop_columns("tag"), LONG)
    with pytest.raises(SchemaError, match="expected numbers"):
        SensorLog(data.set_column(2, "value", pa.array([1, 2], pa.timestamp("s"))), LONG)
    with pytest.raises(TimeError, match="time is missing"):
        SensorLog(data.set_column(0, "time", pa.array([START, None])), LONG)
    with pytest.raises(UsageError):
        LogFormat(layout="long", time_step_seconds=1)
    assert list(SensorLog(long_table([]), LONG).blocks()) == []


def test_bad_long_file_is_skipped_on_request(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(long_table([(0, "A", 1.0)]), good, write_page_checksum=True)
    pq.write_table(long_table([(1, None, 1.0), (1, "B", 1.0)]), bad, write_page_checksum=True)
    with pytest.raises(DataError):
        SensorLog([good, bad], LONG)
    log = SensorLog([good, bad], LONG, skip_bad_files=True)
    assert rows_of(log) == [(0, "", [1.0])]
    assert list(log.bad_files) == [str(bad)]

"""Order of rows: told in one pass, repaired by a stable sort that keeps the input index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import TimeError, UsageError
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.logs.order_watch import OrderWatch

START = 1_717_243_200
FORM = LogFormat(time="time", time_unit="s", group="machine")
KEYS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30)


def log_of(keys: list[tuple[int, int]], **options: Any) -> SensorLog:
    data = pa.table(
        {
            "time": pa.array([START + time for time, _ in keys], pa.int64()),
            "value": pa.array(np.arange(len(keys), dtype=np.float32)),
            "machine": pa.array([f"m{group}" for _, group in keys], pa.string()),
        }
    )
    return SensorLog(data, FORM, **options)


def naive_late(keys: list[tuple[int, int]]) -> list[bool]:
    latest: dict[int, int] = {}
    out = []
    for time, group in keys:
        out.append(group in latest and time < latest[group])
        latest[group] = max(latest.get(group, time), time)
    return out


def is_torn(keys: list[tuple[int, int]]) -> bool:
    """Whether some (time, group) stands in two places with another time between them."""
    for first, key in enumerate(keys):
        for second in range(first + 1, len(keys)):
            if keys[second] == key and any(keys[middle][0] != key[0] for middle in range(first, second)):
                return True
    return False


def watched(keys: list[tuple[int, int]], size: int, check_runs: bool) -> list[bool]:
    watch = OrderWatch(check_runs)
    out: list[bool] = []
    for start in range(0, len(keys), size):
        part = np.array(keys[start : start + size])
        out += watch.late_rows(part[:, 0], part[:, 1].astype(np.int32)).tolist()
    assert watch.late_rows(np.zeros(0, np.int64), np.zeros(0, np.int32)).tolist() == []
    return out


@given(KEYS, st.integers(1, 9))
@settings(deadline=None)
def test_late_rows_equal_the_naive_ones_in_any_blocks(keys: list[tuple[int, int]], size: int) -> None:
    assert watched(keys, size, False) == naive_late(keys)


@given(KEYS, st.integers(1, 9))
@settings(deadline=None)
def test_torn_times_are_seen_in_any_blocks(keys: list[tuple[int, int]], size: int) -> None:
    assert any(watched(keys, size, True)) == (any(naive_late(keys)) or is_torn(keys))


@given(KEYS, st.integers(1, 9))
@settings(deadline=None)
def test_sorted_log(keys: list[tuple[int, int]], size: int) -> None:
    log = SortedLog(log_of(keys))
    assert log.n_unsorted == sum(naive_late(keys))
    blocks = list(log.blocks(size))
    assert all(0 < len(block) <= size for block in blocks)
    index = [int(row) for block in blocks for row in block.index]
    expected = list(range(len(keys)))
    if log.n_unsorted:
        expected.sort(key=lambda row: keys[row][0])
    assert index == expected
    for block in blocks:
        for row, time, value, group in zip(block.index, block.time, block.values, block.group, strict=True):
            assert time == (START + keys[row][0]) * 10**9
            assert value == row
            assert block.group_names[group] == f"m{keys[row][1]}"
    assert [block.index.tolist() for block in log.blocks(size)] == [block.index.tolist() for block in blocks]


def test_ordered_log_streams_untouched_with_duplicates_kept() -> None:
    log = SortedLog(log_of([(0, 0), (0, 0), (3, 1), (1, 0), (1, 0)]))
    assert log.n_unsorted == 0
    assert log.notes == log.log.notes
    assert np.concatenate([block.index for block in log.blocks(2)]).tolist() == [0, 1, 2, 3, 4]
    assert log.schema is log.log.schema


def test_moved_rows_are_counted_in_the_notes() -> None:
    log = SortedLog(log_of([(5, 0), (1, 0), (2, 0), (6, 0)]))
    assert "2 rows out of time order: sorted" in log.notes
    assert [block.index.tolist() for block in log.blocks(3)] == [[1, 2, 0], [3]]


@pytest.mark.parametrize(("on_log", "on_sorted"), [(True, False), (False, True)])
def test_strict_refuses_the_first_row_that_goes_back(on_log: bool, on_sorted: bool) -> None:
    with pytest.raises(TimeError, match=r"2024-06-01T12:00:01.*row 2"):
        SortedLog(log_of([(0, 0), (3, 0), (1, 0)], strict=on_log), strict=on_sorted)
    SortedLog(log_of([(0, 0), (3, 1), (1, 0)], strict=on_log), strict=on_sorted)


def test_modes_and_labels_move_with_their_rows() -> None:
    data = pa.table({"time": [START + 2, START], "value": [1.0, 2.0], "mode": ["b", "a"], "bad": [1, 0]})
    form = LogFormat(time="time", time_unit="s", mode="mode", label="bad")
    [block] = SortedLog(SensorLog(data, form)).blocks()
    assert block.mode is not None
    assert [block.mode_names[code] for code in block.mode] == ["a", "b"]
    assert block.label is not None
    assert block.label.tolist() == [False, True]


def test_one_shot_stream_can_be_sorted() -> None:
    data = pa.table({"time": [START + 2, START], "value": [1.0, 2.0]})
    stream = pa.RecordBatchReader.from_batches(data.schema, data.to_batches())
    [block] = SortedLog(SensorLog(stream, LogFormat(time="time", time_unit="s"))).blocks()
    assert block.index.tolist() == [1, 0]


@given(KEYS, st.integers(1, 9))
@settings(deadline=None)
def test_the_last_of_one_time_comes_first_and_all_rows_stay(keys: list[tuple[int, int]], size: int) -> None:
    if not keys:
        return
    log = SortedLog(log_of(keys), keep="last")
    found = [int(index) for block in log.blocks(size) for index in block.index]
    assert sorted(found) == list(range(len(keys)))
    first: dict[tuple[int, int], int] = {}
    for index in found:
        first.setdefault(keys[index], index)
    assert first == {key: index for index, key in enumerate(keys)}, "of each group and time the last of the file"
    for _, group in set(keys):
        times = [keys[index][0] for index in found if keys[index][1] == group]
        assert times == sorted(times)
    latest: dict[int, int] = {}
    n_repeated = 0
    for time, group in keys:
        n_repeated += latest.get(group) == time
        latest[group] = max(latest.get(group, time), time)
    assert log.n_unsorted == sum(naive_late(keys)) + n_repeated
    assert ("the last of one time first" in "".join(log.notes)) == (log.n_unsorted > 0)


def test_an_ordered_log_without_repeated_times_streams_through_whichever_row_is_kept() -> None:
    keys = [(time, group) for time in range(4) for group in range(2)]
    log = SortedLog(log_of(keys), keep="last", strict=True)
    assert log.n_unsorted == 0
    assert [len(block) for block in log.blocks(3)] == [3, 3, 2]


def test_repeated_times_are_no_disorder_that_strict_would_refuse() -> None:
    log = SortedLog(log_of([(0, 0), (1, 0), (1, 0)]), strict=True, keep="last")
    assert [block.index.tolist() for block in log.blocks()] == [[0, 2, 1]]
    with pytest.raises(UsageError, match="keep is 'first' or 'last', got 'middle'"):
        SortedLog(log_of([(0, 0)]), keep="middle")  # type: ignore[arg-type]

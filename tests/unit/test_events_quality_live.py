"""Single rows and ticks against `QualityMonitor.update` row by row: the same events on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_events_quality_twin import SCHEMA, SECOND, few_rows, limits, logs, rules

from sensorad.errors import ArtefactError
from sensorad.events import EventRule, QualityLimits, QualityMonitor
from sensorad.events.quality_machine import MachineQuality
from sensorad.types import FLAWS, REASONS, STATUSES, Event, RowBlock, ScoreBlock, Sensor, SensorSchema

Log = tuple[RowBlock, ScoreBlock]


def _row_by_row(log: Log, limits: QualityLimits, rule: EventRule) -> tuple[list[list[Event]], list[list[Event]]]:
    """For each row: the events that it closes, and those that are open after it."""
    rows, scores = log
    monitor = QualityMonitor(SCHEMA, limits, rule)
    closed, ongoing = [], []
    for i in range(len(rows)):
        closed.append(monitor.update(rows.take(slice(i, i + 1)), scores.take(slice(i, i + 1))))
        ongoing.append(monitor.ongoing())
    closed.append(monitor.finish())
    return closed, ongoing


def _live_row(monitor: QualityMonitor, log: Log, i: int) -> list[Event]:
    rows, scores = log
    flaw = rows.flaw[i] if rows.flaw[i].any() or i % 2 else None
    values = rows.values[i].copy()
    slot = monitor.slot(rows.group_names[rows.group[i]])
    events = monitor.live_row(slot, int(rows.time[i]), values, flaw, int(scores.status[i]), int(scores.reason[i]))
    values[:] = np.nan  # the row belongs to the caller again
    return events


def _told(events: list[Event]) -> set[tuple[str, tuple[str, ...]]]:
    """What news are made of: which events there are, and their sensors in order."""
    return {(event.event_id, event.sensors) for event in events}


@settings(max_examples=120, deadline=None)
@given(logs, limits, rules, st.sampled_from([0.0, 0.1, 1.0]), st.integers(0, 2**32 - 1))
def test_live_rows_close_the_same_events_on_the_same_rows(log, limits, rule, asked, seed):
    with few_rows:
        closed, ongoing = _row_by_row(log, limits, rule)
        monitor = QualityMonitor(SCHEMA, limits, rule)
        asks = np.random.default_rng(seed).random(len(log[0])) < asked
        for i in range(len(log[0])):
            before = monitor.version
            assert repr(_live_row(monitor, log, i)) == repr(closed[i])
            assert monitor.n_open == len({event.group for event in ongoing[i]})
            if monitor.version == before:
                assert _told(ongoing[i]) == _told(ongoing[i - 1] if i else [])
            if asks[i]:
                assert repr(monitor.ongoing()) == repr(ongoing[i])
        assert repr(monitor.finish()) == repr(closed[-1])


@settings(max_examples=60, deadline=None)
@given(logs, limits, rules, st.integers(0, 2**32 - 1))
def test_restarts_and_blocks_between_live_rows_change_nothing(log, limits, rule, seed):
    rng = np.random.default_rng(seed)
    rows, scores = log
    with few_rows:
        closed, _ = _row_by_row(log, limits, rule)
        monitor = QualityMonitor(SCHEMA, limits, rule)
        i = 0
        while i < len(rows):
            end = i + 1
            if rng.random() < 0.8:
                found = _live_row(monitor, log, i)
            else:
                end = min(i + int(rng.integers(1, 4)), len(rows))
                found = monitor.update(rows.take(slice(i, end)), scores.take(slice(i, end)))
            assert sorted(map(repr, found)) == sorted(repr(event) for row in closed[i:end] for event in row)
            if rng.random() < 0.2:
                state = monitor.state()
                monitor = QualityMonitor(SCHEMA, limits, rule)
                monitor.restore(state)
            i = end
        assert repr(monitor.finish()) == repr(closed[-1])


@settings(max_examples=60, deadline=None)
@given(logs, limits, rules, st.integers(0, 2**32 - 1))
def test_ticks_close_the_same_events_on_the_same_rows(log, limits, rule, seed):
    rng = np.random.default_rng(seed)
    rows, scores = log
    with few_rows:
        closed, ongoing = _row_by_row(log, limits, rule)
        monitor = QualityMonitor(SCHEMA, limits, rule)
        i = 0
        while i < len(rows):
            end = min(i + int(rng.integers(1, 7)), len(rows))
            if rng.random() < 0.3:
                found = _live_row(monitor, log, i)
                end = i + 1
            else:  # sometimes with a machine twice
                part = slice(i, end)
                slots = np.array([monitor.slot(rows.group_names[g]) for g in rows.group[part]])
                flaw = rows.flaw[part] if rows.flaw[part].any() or rng.random() < 0.5 else None
                found = monitor.live_rows(
                    slots, rows.time[part], rows.values[part], flaw, scores.status[part], scores.reason[part]
                )
            assert sorted(map(repr, found)) == sorted(repr(event) for row in closed[i:end] for event in row)
            if rng.random() < 0.3:
                assert repr(monitor.ongoing()) == repr(ongoing[end - 1])
            i = end
        assert repr(monitor.finish()) == repr(closed[-1])


few_pending = mock.patch.multiple("sensorad.events.quality_pending", MOST_PENDING=25, LEAST_PENDING=25)
faults = st.lists(
    st.tuples(
        st.sampled_from(["flat", "missing", "overflow", "outage", "outside", "pause", "rate"]),
        st.integers(0, 400),
        st.integers(1, 120),
        st.lists(st.integers(0, 3), min_size=1, max_size=4),
    ),
    max_size=6,
)


def _faulty_log(seed: int, steps: float, faults: list[tuple[str, int, int, list[int]]]) -> Log:
    """Noise, rounded to ``steps``, with faults that last: what, first row, rows, sensors."""
    rng = np.random.default_rng(seed)
    values = (np.round(rng.uniform(1, 3, size=(400, 4)) / steps) * steps).astype(np.float32)
    flaw = np.zeros((400, 4), np.uint8)
    time = np.cumsum(np.where(rng.random(400) < 0.02, rng.choice([2, 5], 400), 1)) * SECOND
    reason = np.zeros(400, np.uint8)
    for what, first, n, sensors in faults:
        part = slice(first, first + n)
        if what == "pause":
            time[first:] += n * SECOND
        elif what == "rate":
            reason[part] = REASONS.index("rate")
        elif what == "outage":
            flaw[part, :3] = FLAWS.index("missing")
        elif what in ("missing", "overflow"):
            flaw[part, sensors] = FLAWS.index(what)
        else:
            values[part, sensors] = 2.5 if what == "flat" else rng.uniform(5, 9, size=values[part, sensors].shape)
    values[flaw > 0] = 0
    group = rng.choice(rng.choice([1, 2]), 400).astype(np.int32)
    rows = RowBlock(np.arange(400), time, values, flaw, group, ("x", "y"))
    scores = ScoreBlock.empty_for(rows)
    scores.status[:] = STATUSES.index("scored")
    scores.reason[:] = reason
    return rows, scores


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-6, 0.5]),
    faults,
    st.lists(st.sampled_from([0, 1, 3, 12]), min_size=4, max_size=4),
    rules,
    st.booleans(),
)
def test_faults_that_last_are_told_on_the_same_rows(seed, steps, faults, longest, rule, in_ticks):
    log = _faulty_log(seed, steps, faults)
    limits = QualityLimits(tuple(longest), (0, 0, None, 8), ("", "", "", "constant"))
    closed, ongoing = _row_by_row(log, limits, rule)
    with few_pending:
        monitor = QualityMonitor(SCHEMA, limits, rule)
        for i in range(len(log[0])):
            before = monitor.version
            found = _tick(monitor, log, slice(i, i + 1)) if in_ticks else _live_row(monitor, log, i)
            assert repr(found) == repr(closed[i])
            if monitor.version == before:
                assert _told(ongoing[i]) == _told(ongoing[i - 1] if i else [])
            if i % 50 == seed % 50:
                assert repr(monitor.ongoing()) == repr(ongoing[i])
        assert repr(monitor.finish()) == repr(closed[-1])


def _tick(monitor: QualityMonitor, log: Log, part: slice) -> list[Event]:
    rows, scores = log
    slots = np.array([monitor.slot(rows.group_names[g]) for g in rows.group[part]])
    flaw = rows.flaw[part] if rows.flaw[part].any() else None
    return monitor.live_rows(slots, rows.time[part], rows.values[part], flaw, scores.status[part], scores.reason[part])


def _plant(n: int = 400) -> tuple[QualityMonitor, np.ndarray]:
    schema = SensorSchema(tuple(Sensor(name, low=-50.0, high=50.0) for name in "abcdefgh"))
    limits = QualityLimits((1,) * 8, (0,) * 8, ("",) * 8)
    values = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    return QualityMonitor(schema, limits, EventRule(step_seconds=1.0)), values


def _dead(values: np.ndarray, flaw: np.ndarray) -> None:
    values[:, 2] = 7.0


def _lost(values: np.ndarray, flaw: np.ndarray) -> None:
    values[:, 2], flaw[:, 2] = 0.0, FLAWS.index("missing")


def _outside(values: np.ndarray, flaw: np.ndarray) -> None:
    values[:, 2] += 100.0


def _nothing(values: np.ndarray, flaw: np.ndarray) -> None:
    pass


@pytest.mark.parametrize("spoil", [_nothing, _dead, _lost, _outside])
@pytest.mark.parametrize("in_ticks", [False, True])
def test_rows_that_decide_nothing_are_not_looked_at_one_by_one(spoil: Callable[..., None], in_ticks: bool):
    monitor, values = _plant()
    flaw = np.zeros(values.shape, np.uint8)
    spoil(values, flaw)
    slot = monitor.slot("pump-1")
    follow = mock.Mock(side_effect=MachineQuality.follow_row)
    with mock.patch.object(MachineQuality, "follow_row", lambda *row: follow(*row)):
        for i in range(len(values)):
            if in_ticks:
                one = np.zeros(1, np.uint8)
                monitor.live_rows(np.array([slot]), np.array([i * SECOND]), values[i, None], flaw[i, None], one, one)
            else:
                monitor.live_row(slot, i * SECOND, values[i], flaw[i], 0, 0)
    assert follow.call_count <= 12
    version = monitor.version
    events = monitor.ongoing()
    assert [event.sensors for event in events] == ([] if spoil is _nothing else [("c",)])
    assert all(event.n_rows == len(values) for event in events)
    assert (monitor.n_open, monitor.version) == (len(events), version)


@pytest.mark.parametrize("in_ticks", [False, True])
@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_stuck_sensor_is_told_with_the_row_that_reaches_its_limit(column: int, repeats: int, in_ticks: bool):
    limits = QualityLimits((1, 7, 12), (0,) * 3, ("",) * 3)
    schema = SensorSchema((Sensor("a"), Sensor("b"), Sensor("c")))
    one = np.zeros(1, np.uint8)
    for first in range(1, 90):
        values = np.arange(200, dtype=np.float32)[:, None] // [repeats, 1, 1] + np.float32([0, 100, 200])
        values = values.astype(np.float32)
        values[first:, column] = -1.0
        monitor = QualityMonitor(schema, limits, EventRule(step_seconds=1.0))
        slot, row = monitor.slot("pump-1"), -1
        while monitor.n_open == 0:
            row += 1
            if in_ticks:
                monitor.live_rows(np.array([slot]), np.array([row * SECOND]), values[row, None], None, one, one)
            else:
                monitor.live_row(slot, row * SECOND, values[row], None, 0, 0)
        assert row == first + (10, 21, 36)[column] - 1


def test_machines_may_join_at_any_time():
    monitor, values = _plant()
    status = np.zeros(40, np.uint8)
    for i in range(60):
        slots = np.array([monitor.slot(f"pump-{m}") for m in range(min(1 + i, 40))])
        n = len(slots)
        values[i, 3] = 7.0  # stuck from the first row of each machine
        monitor.live_rows(slots, np.full(n, i * SECOND), np.tile(values[i], (n, 1)), None, status[:n], status[:n])
    assert monitor.group_names == [f"pump-{m}" for m in range(40)]
    assert sorted(event.n_rows for event in monitor.ongoing()) == list(range(21, 61))


def test_a_finished_log_leaves_the_slots():
    monitor, _values = _plant()
    slot = monitor.slot("pump-1")
    for i in range(20):
        monitor.live_row(slot, i * SECOND, np.ones(8, np.float32), None, 0, 0)
    version = monitor.version
    [event] = monitor.finish()
    assert (event.reason, event.n_rows) == ("flat", 20)
    assert (monitor.slot("pump-1"), monitor.n_open, monitor.ongoing()) == (slot, 0, [])
    assert monitor.version != version
    for i in range(9):  # earlier times: another log
        assert monitor.live_row(slot, i * SECOND, np.ones(8, np.float32), None, 0, 0) == []
    assert monitor.finish() == []


def test_rows_far_in_the_future_do_not_move_the_clock():
    monitor, values = _plant()
    slot = monitor.slot("pump-1")
    for i in range(30):
        far = i == 10
        status, reason = ("unscorable", "far_future") if far else ("scored", "")
        time = (i + 10**6 * far) * SECOND
        monitor.live_row(slot, time, values[i], None, STATUSES.index(status), REASONS.index(reason))
    [event] = monitor.finish()
    assert (event.reason, event.note, event.n_rows) == ("clock", "1 row out of order", 1)


def test_a_state_is_a_copy_and_leaves_its_monitor_alone():
    monitor, values = _plant()
    slot = monitor.slot("pump-1")
    values[:, 2] = 7.0
    for i in range(30):
        monitor.live_row(slot, i * SECOND, values[i], None, 0, 0)
    state, before = monitor.state(), repr(monitor.ongoing())
    for i in range(30, 60):
        monitor.live_row(slot, i * SECOND, values[i], None, 0, 0)
    for _ in range(2):
        other, _ = _plant()
        other.restore(state)
        assert repr(other.ongoing()) == before
        other.live_row(other.slot("pump-1"), 30 * SECOND, values[30], None, 0, 0)
    assert [event.n_rows for event in monitor.finish()] == [60]


def _without_a_part(state: dict[str, Any]) -> None:
    del state["runs"]


def _of_another_schema(state: dict[str, Any]) -> None:
    state["runs"]["cells"] = state["runs"]["cells"][:, :5]


def _of_other_numbers(state: dict[str, Any]) -> None:
    state["runs"]["time"] = state["runs"]["time"].astype(np.float64)


def _below_nothing(state: dict[str, Any]) -> None:
    state["runs"]["flat_n"][0, 0] = -1


def _named_twice(state: dict[str, Any]) -> None:
    state["machines"][1] = state["machines"][0]


def _of_no_machine(state: dict[str, Any]) -> None:
    state["events"]["machine"][0] = 2


def _of_no_reason(state: dict[str, Any]) -> None:
    state["events"]["reason"][0] = 17


def _of_no_sensor(state: dict[str, Any]) -> None:
    state["events"]["column"][0] = 8


def _of_the_whole_row(state: dict[str, Any]) -> None:
    state["events"]["column"][0] = -1


def _without_events(state: dict[str, Any]) -> None:
    state["events"] = _plant()[0].state()["events"]


@pytest.mark.parametrize(
    "damage",
    [
        _without_a_part,
        _of_another_schema,
        _of_other_numbers,
        _below_nothing,
        _named_twice,
        _of_no_machine,
        _of_no_reason,
        _of_no_sensor,
        _of_the_whole_row,
        _without_events,
    ],
)
def test_damaged_states_are_refused_and_change_nothing(damage: Callable[[dict[str, Any]], None]):
    monitor, values = _plant()
    values[:, 2] = 7.0
    for name in ("pump-1", "pump-2"):
        for i in range(30):
            monitor.live_row(monitor.slot(name), i * SECOND, values[i], None, 0, 0)
    state, before = monitor.state(), repr(monitor.ongoing())
    damage(state)
    with pytest.raises(ArtefactError, match="the state does not fit"):
        monitor.restore(state)
    with pytest.raises(ArtefactError, match="the state does not fit"):
        monitor.restore([])  # type: ignore[arg-type]
    assert repr(monitor.ongoing()) == before

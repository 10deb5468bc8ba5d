"""One property of the quality monitor per promise; its slow twin is in test_events_quality_twin."""

from __future__ import annotations

from itertools import pairwise
from unittest import mock

import numpy as np
import pytest

from sensorad.errors import UsageError
from sensorad.events import EventRule, event_id
from sensorad.events.quality import QualityMonitor
from sensorad.events.quality_limits import QualityLimits
from sensorad.logs import read_events, write_events
from sensorad.types import FLAWS, REASONS, STATUSES, Event, RowBlock, ScoreBlock, Sensor, SensorSchema

SECOND = 10**9
START = 1_700_000_000 * SECOND
MISSING, INFINITE, OVERFLOW = (FLAWS.index(name) for name in ("missing", "infinite", "overflow"))
RULE = EventRule(merge_gap_rows=5, step_seconds=1.0)


def _schema(n: int, **ranges: float) -> SensorSchema:
    return SensorSchema(tuple(Sensor(f"S{c}", **ranges) for c in range(n)))


def _limits(n: int, flat: int = 1, missing: int | None = 0, **more: float) -> QualityLimits:
    return QualityLimits((flat,) * n, (missing,) * n, ("",) * n, **more)


def _noise(n_rows: int, n_sensors: int, seed: int = 0, seconds: np.ndarray | None = None) -> RowBlock:
    values = np.random.default_rng(seed).normal(size=(n_rows, n_sensors)).astype(np.float32)
    time = START + (np.arange(n_rows) if seconds is None else np.asarray(seconds)) * SECOND
    return RowBlock(np.arange(n_rows), time, values, np.zeros(values.shape, np.uint8), np.zeros(n_rows, np.int32))


def _lose(rows: RowBlock, where: object, flaw: int = MISSING) -> None:
    rows.flaw[where] = flaw
    rows.values[where] = 0


def _scored(rows: RowBlock) -> ScoreBlock:
    scores = ScoreBlock.empty_for(rows)
    scores.status[:] = STATUSES.index("scored")
    return scores


def _events(
    rows: RowBlock,
    limits: QualityLimits | None = None,
    rule: EventRule = RULE,
    schema: SensorSchema | None = None,
    scores: ScoreBlock | None = None,
    cuts: tuple[int, ...] = (),
) -> list[Event]:
    n = rows.values.shape[1]
    monitor = QualityMonitor(schema or _schema(n), limits or _limits(n), rule)
    events = []
    for a, b in pairwise([0, *cuts, len(rows)]):
        part = slice(a, b)
        events += monitor.update(rows.take(part), None if scores is None else scores.take(part))
    return sorted([*events, *monitor.finish()], key=lambda event: (event.start, event.event_id))


def _spans(events: list[Event]) -> list[tuple[str, int, int]]:
    return [(e.reason, (e.start - START) // SECOND, (e.end - START) // SECOND) for e in events]


# --- flat ---


def test_a_stuck_sensor_is_reported_within_the_stated_rows_and_not_before():
    rows = _noise(200, 3)
    rows.values[50:, 1] = 7.25
    limits = _limits(3, flat=12)
    until = limits.rows_until_flat(1)
    assert until == 36
    monitor = QualityMonitor(_schema(3), limits, RULE)
    assert monitor.update(rows.take(slice(0, 50 + until - 1))) == monitor.ongoing() == []
    assert monitor.update(rows.take(slice(50 + until - 1, 50 + until))) == []
    [event] = monitor.ongoing()
    assert (event.sensors, event.reason, event.start, event.n_rows) == (("S1",), "flat", START + 50 * SECOND, until)


def test_a_flat_event_runs_from_the_first_to_the_last_equal_row():
    rows = _noise(200, 2)
    rows.values[50:93, 1] = 7.25
    [event] = _events(rows, _limits(2, flat=2))
    assert _spans([event]) == [("flat", 50, 92)]
    assert (event.kind, event.n_rows, event.sensors, event.shares) == ("quality", 43, ("S1",), (1.0,))
    assert (event.actual, event.onsets, event.peak) == ((7.25,), (event.start,), event.start)
    assert np.isnan([event.severity, event.score, *event.expected]).all()
    assert event.note == "flat for 43 rows at 7.25 (longest on normal data: 2)"


def test_slow_and_coarse_sensors_are_not_flat():
    rng = np.random.default_rng(1)

    def plant(n_rows: int) -> RowBlock:
        rows = _noise(n_rows, 3, seed=int(rng.integers(1000)))
        slow = np.cumsum(rng.normal(size=n_rows)) * 0.03
        rows.values[:, 1] = np.round(slow * 2) / 2  # steps of 0.5
        rows.values[:, 2] = np.repeat(rng.normal(size=n_rows // 60 + 1), 60)[:n_rows]  # a laboratory value
        return rows

    limits = QualityLimits.fit([plant(20_000)], _schema(3), 1.0)
    assert limits.still == ("", "", "")
    later = plant(20_000)
    assert _events(later, limits) == []
    later.values[5_000 : 5_000 + 2 * limits.rows_until_flat(2), 2] = 0.25
    assert [event.sensors for event in _events(later, limits)] == [("S2",)]


def test_constants_states_and_unknown_sensors_are_never_flat():
    rows = _noise(5_000, 3)
    rows.values[:] = 7.0
    limits = QualityLimits((5_000, 900, 0), (0, 0, None), ("constant", "state", "unknown"))
    assert _events(rows, limits) == []


def test_saturation_is_flat_at_an_end_of_the_range():
    rows = _noise(300, 1)
    np.clip(rows.values, None, 1.0, out=rows.values)
    assert _events(rows, _limits(1, flat=3)) == []
    rows.values[100:160] = 1.0
    [event] = _events(rows, _limits(1, flat=3))
    assert (event.reason, event.actual) == ("flat", (1.0,))


def test_missing_cells_neither_end_nor_lengthen_a_flat_run():
    rows = _noise(100, 3)
    rows.values[20:40, 0] = 3.0
    _lose(rows, (slice(24, 36, 2), 0))
    _lose(rows, (slice(38, 44), 0))
    limits = _limits(3, missing=9)
    [event] = _events(rows, limits)
    assert _spans([event]) == [("flat", 20, 37)]
    assert event.note.startswith("flat for 12 rows")
    rows = _noise(100, 3)
    rows.values[20:40, 0] = 3.0
    _lose(rows, (np.r_[22:33], 0))  # nine readings are left
    assert _events(rows, limits) == []


def test_a_gap_in_time_ends_a_flat_run():
    rows = _noise(60, 2, seconds=np.r_[0:30, 130:160])
    rows.values[22:38, 0] = 3.0
    assert [event.reason for event in _events(rows)] == ["clock"]
    rows.values[10:50, 0] = 3.0
    assert _spans(_events(rows)) == [("flat", 10, 29), ("clock", 29, 130), ("flat", 130, 149)]


def test_a_value_known_before_a_gap_is_forgotten_when_the_first_cells_after_it_are_missing():
    rows = _noise(60, 3, seconds=np.r_[0:30, 130:160])
    rows.values[25:50, 0] = 3.0
    _lose(rows, (slice(30, 33), 0))
    for cuts in ((), (31,), (30, 32)):
        found = _spans(_events(rows, cuts=cuts))
        assert found == [("clock", 29, 130), ("flat", 133, 149)]


# --- missing and outages ---


def test_a_silent_sensor_is_reported_after_its_stated_rows():
    rows = _noise(100, 3)
    _lose(rows, (slice(20, 24), 0))
    _lose(rows, (slice(40, 45), 0))
    _lose(rows, (slice(60, 80), 1))
    limits = QualityLimits((1, 1, 1), (0, 7, 0), ("", "", ""))
    assert [limits.rows_until_missing(c) for c in range(2)] == [5, 21]
    [event] = _events(rows, limits)
    assert _spans([event]) == [("missing", 40, 44)]
    assert (event.sensors, event.n_rows) == (("S0",), 5)
    assert event.note == "missing for 5 rows (longest on normal data: 0)"
    assert np.isnan(event.actual).all()


def test_an_outage_is_one_event_from_its_first_row():
    rows = _noise(100, 50)
    _lose(rows, slice(30, 32))
    [event] = _events(rows, _limits(50))
    assert _spans([event]) == [("missing", 30, 31)]
    assert event.sensors == tuple(f"S{c}" for c in range(50))
    assert event.shares == (1 / 50,) * 50
    assert event.note == "no data from 50 of 50 sensors for 2 rows"


def test_a_ragged_and_flickering_outage_is_one_event_too():
    rows = _noise(100, 8)
    for c in range(8):
        _lose(rows, (slice(30 + c % 4, 50 - c % 3), c))
    _lose(rows, slice(53, 54))
    [event] = _events(rows, _limits(8))
    assert _spans([event]) == [("missing", 32, 53)]
    assert set(event.sensors) == {f"S{c}" for c in range(8)}
    assert sum(event.shares) == pytest.approx(1.0)
    assert list(event.shares) == sorted(event.shares, reverse=True)


def test_where_outages_are_normal_each_sensor_is_judged_and_alike_ones_are_joined():
    rows = _noise(200, 4)
    _lose(rows, slice(30, 33))
    _lose(rows, slice(100, 140))
    _lose(rows, (slice(140, 150), 2))
    limits = _limits(4, missing=3, longest_blind=3)
    events = _events(rows, limits)
    assert _spans(events) == [("missing", 100, 139), ("missing", 100, 149)] or _spans(events) == [
        ("missing", 100, 149),
        ("missing", 100, 139),
    ]
    assert {event.sensors for event in events} == {("S0", "S1", "S3"), ("S2",)}
    assert "3 sensors missing for 40 rows (longest on normal data: 3)" in {event.note for event in events}


def test_a_sensor_dead_before_and_after_an_outage_keeps_its_own_event():
    rows = _noise(100, 4)
    _lose(rows, (slice(20, 80), 0))
    _lose(rows, slice(40, 44))
    found = _events(rows)
    assert _spans(found) == [("missing", 20, 79), ("missing", 40, 43)]
    assert [event.sensors for event in found] == [("S0",), ("S0", "S1", "S2", "S3")]


# --- overflow and ranges ---


def test_infinite_and_overflowing_cells_are_told_at_once():
    rows = _noise(50, 2)
    _lose(rows, (20, 0), INFINITE)
    _lose(rows, (21, 0), OVERFLOW)
    [event] = _events(rows)
    assert (_spans([event]), event.sensors) == ([("overflow", 20, 21)], ("S0",))
    assert event.note == "infinite or too large in 2 rows"


def test_values_outside_the_declared_range_are_told_at_once_and_bounds_are_inside():
    rows = _noise(50, 3)
    rows.values[:] = np.abs(rows.values) % 0.1
    rows.values[10] = np.float32(0.1)  # above the bound 0.1 before it is rounded like a cell
    schema = SensorSchema((Sensor("A", low=0.0, high=0.1), Sensor("B", low=0.05), Sensor("C")))
    rows.values[:, 1] += 1
    _lose(rows, (30, 1))  # stored as 0, which is no reading
    assert _events(rows, schema=schema, limits=_limits(3)) == []
    rows.values[20:23, 0] = [0.2, -3.5, 0.4]
    [event] = _events(rows, schema=schema, limits=_limits(3))
    assert (_spans([event]), event.sensors) == ([("out_of_range", 20, 22)], ("A",))
    assert (event.expected, event.actual) == ((0.0,), (-3.5,))
    assert event.note == "outside the declared range in 3 rows, worst -3.5 beyond 0"


def test_a_cell_without_a_number_is_not_the_worst_reading():
    rows = _noise(50, 3)
    rows.values[:, 0] = 1 + np.arange(50)
    rows.values[[20, 24], 0] = 0.25
    _lose(rows, (22, 0))  # stored as 0
    schema = SensorSchema((Sensor("A", low=0.5), Sensor("B"), Sensor("C")))
    [event] = _events(rows, schema=schema, limits=_limits(3))
    assert (_spans([event]), event.actual, event.expected) == ([("out_of_range", 20, 24)], (0.25,), (0.5,))


def test_a_bound_beyond_float32_is_none():
    rows = _noise(20, 1)
    assert _events(rows, schema=_schema(1, low=-1e300, high=1e300)) == []


# --- the clock ---


def test_gaps_are_told_from_the_row_before_to_the_row_after():
    rows = _noise(40, 2, seconds=np.r_[0:20, 25:30, 3630:3645])
    [event] = _events(rows)
    assert (_spans([event]), event.sensors, event.n_rows) == ([("clock", 29, 3630)], (), 2)
    assert event.note == "gap of 60 min"
    assert _events(rows, rule=EventRule(merge_gap_rows=5)) == []
    assert _events(rows, limits=_limits(2, gap_steps=4000.0)) == []


@pytest.mark.parametrize("has_scores", [False, True])
def test_late_rows_and_contradictions_are_told_and_repetitions_are_not(has_scores):
    rows = _noise(40, 2, seconds=np.r_[0:10, 9:29, 12, 29:38])
    assert rows.time[30] == START + 12 * SECOND
    scores = None
    if has_scores:
        scores = _scored(rows)
        scores.status[10], scores.reason[10] = STATUSES.index("duplicate"), REASONS.index("same_time")
        scores.status[30], scores.reason[30] = STATUSES.index("late"), REASONS.index("out_of_order")
    found = _events(rows, scores=scores, rule=EventRule(merge_gap_rows=2, step_seconds=1.0))
    assert _spans(found) == [("clock", 9, 9), ("clock", 28, 28)]
    assert [event.note for event in found] == [
        "1 row with a time already taken by other values",
        "1 row out of order",
    ]
    rows.values[10] = rows.values[9]
    assert len(_events(rows, scores=scores)) == 1
    _lose(rows, (slice(9, 11), 1))
    assert len(_events(rows, scores=scores, cuts=(10,))) == 1


def test_rows_out_of_place_take_no_part_in_what_is_said_of_sensors():
    rows = _noise(60, 2, seconds=np.r_[0:20, np.zeros(20, int), 20:40])
    rows.values[10:50, 0] = 3.0
    rows.values[20:40, 0] = 99.0
    found = _events(rows, limits=_limits(2, flat=5), schema=_schema(2, high=50.0))
    assert _spans(found) == [("flat", 10, 29), ("clock", 19, 19)]
    assert found[0].n_rows == 20


def test_another_sampling_rate_is_taken_from_the_scores():
    rows = _noise(60, 2)
    scores = _scored(rows)
    scores.reason[20:30] = REASONS.index("rate")
    [event] = _events(rows, scores=scores)
    assert (_spans([event]), event.note) == ([("clock", 20, 29)], "10 rows at another sampling rate")


def test_faults_of_the_clock_that_lie_together_are_one_event():
    seconds = np.r_[0:10, 30:40, 39, 41:60]
    rows = _noise(len(seconds), 2, seconds=seconds)
    [event] = _events(rows, rule=EventRule(merge_gap_rows=10, step_seconds=1.0))
    assert _spans([event]) == [("clock", 9, 39)]
    assert event.note == "gap of 21 s; 1 row with a time already taken by other values"


# --- merging, cuts, ids, bounds ---


def test_pauses_up_to_the_merge_gap_are_bridged():
    rows = _noise(100, 2)
    for first in (10, 26, 43):  # pauses of 5 and 6 rows
        rows.values[first : first + 11, 0] = first
    found = _events(rows)
    assert _spans(found) == [("flat", 10, 36), ("flat", 43, 53)]
    assert found[0].note == "flat in 2 stretches, the longest of 11 rows at 10 (longest on normal data: 1)"
    assert found[0].n_rows == 27


def test_sensors_alike_are_one_event_also_where_one_of_them_is_known_later():
    rows = _noise(100, 3)
    rows.values[20:60, :2] = 3.0
    rows.values[63:90, 1] = 4.0  # might still have continued S1's event when S0's is known to be over
    limits = QualityLimits((1, 10, 1), (0, 0, 0), ("", "", ""))
    for cuts in ((), (68,), tuple(range(1, 100))):
        [event] = _events(rows, limits, cuts=cuts)
        assert (_spans([event]), event.sensors) == ([("flat", 20, 59)], ("S0", "S1"))
        assert event.note == "2 sensors flat for 40 rows (longest on normal data: 1 to 10)"
    rows.values[63:99, 1] = 4.0  # and now it does
    for cuts in ((), (68,), tuple(range(1, 100))):
        found = _events(rows, limits, cuts=cuts)
        assert sorted(_spans(found)) == [("flat", 20, 59), ("flat", 20, 98)]
        assert len({event.event_id for event in found}) == 2


def test_a_chance_equality_between_the_ends_of_a_long_block_joins_nothing():
    for last in range(7, 13):  # of the rows that are looked at there
        for first in range(-13, -7):
            rows = _noise(5_000, 1)
            rows.values[last - 4 : last + 1] = rows.values[first : first + 5] = 3.0
            assert _events(rows) == []
    for n_equal in (9, 10):
        for first in (0, 1, 4_000, 5_000 - n_equal):
            rows = _noise(5_000, 1)
            rows.values[first : first + n_equal] = 3.0
            assert len(_events(rows)) == n_equal - 9


def test_runs_at_the_ends_of_long_blocks_go_on_in_the_next():
    for n_before in range(1, 12):
        rows = _noise(6_000, 2)
        rows.values[3_000 - n_before : 3_000 - n_before + 12, 1] = 3.0
        [event] = _events(rows, cuts=(3_000,))
        assert _spans([event]) == [("flat", 3_000 - n_before, 3_000 - n_before + 11)]


def test_ids_are_stable_and_differ_from_those_of_process_events():
    rows = _noise(200, 3)
    rows.values[50:90, :2] = 3.0
    _lose(rows, (slice(50, 90), 2), INFINITE)
    whole, cut = _events(rows), _events(rows, cuts=(60, 61, 150))
    assert [event.event_id for event in whole] == [event.event_id for event in cut]
    assert len({event.event_id for event in whole}) == 2
    assert event_id("", START + 50 * SECOND, ("S0", "S1", "S2")) not in {event.event_id for event in whole}
    rows.values[85:90, :2] = np.random.default_rng(9).normal(size=(5, 2))
    assert {event.event_id for event in _events(rows)} == {event.event_id for event in whole}


def test_a_hopeless_sensor_gives_a_bounded_number_of_events():
    rows = _noise(4_000, 2)
    _lose(rows, (slice(0, 4_000, 10), 0), INFINITE)
    with mock.patch("sensorad.events.quality_drafts.MOST_EVENTS", 20):
        found = _events(rows)
        assert repr(_events(rows, cuts=tuple(range(7, 4_000, 7)))) == repr(found)
    assert len(found) == 20
    assert (found[-1].end - START) // SECOND == 3_990
    assert found[-1].note == (
        "infinite or too large in 381 rows; event 20 of its kind, and all later ones are part of it"
    )
    assert "later" not in found[-2].note


def test_memory_holds_only_what_is_open():
    monitor = QualityMonitor(_schema(3), _limits(3), RULE)
    for i in range(50):
        rows = _noise(60, 3, seed=i)
        rows.time[:] += 60 * i * SECOND
        rows.values[5:20, :2] = 3.0
        _lose(rows, (slice(25, 35), 0))
        monitor.update(rows)
    [machine] = monitor._machines
    assert machine.book.is_empty
    assert monitor.finish() == []


def test_machines_keep_apart_and_may_be_named_in_any_order():
    rows = _noise(200, 2)
    rows.group[:] = np.arange(200) % 2
    rows.group_names = ("a", "b")
    rows.values[rows.group == 1, 0] = 3.0
    rows.time[:] = START + np.arange(200) // 2 * SECOND
    [event] = _events(rows)
    assert (event.group, event.n_rows) == ("b", 100)
    monitor = QualityMonitor(_schema(2), _limits(2), RULE)
    first, second = rows.take(slice(0, 100)), rows.take(slice(100, 200))
    second.group_names, second.group = ("b", "a"), 1 - second.group
    assert repr(monitor.update(first) + monitor.update(second) + monitor.finish()) == repr([event])


def test_empty_blocks_single_rows_and_empty_schemas():
    monitor = QualityMonitor(_schema(2), _limits(2), RULE)
    rows = _noise(1, 2)
    _lose(rows, (slice(0, 1),))
    assert monitor.update(rows.take(slice(0, 0)), _scored(rows.take(slice(0, 0)))) == []
    assert monitor.update(rows) == []
    [event] = monitor.finish()
    assert (event.reason, event.n_rows) == ("missing", 1)
    assert monitor.finish() == []
    none = _noise(50, 0, seconds=np.r_[0:25, 100:125])
    assert [event.reason for event in _events(none)] == ["clock"]


def test_limits_must_be_those_of_the_schema():
    with pytest.raises(UsageError, match="3 sensors, the schema has 2"):
        QualityMonitor(_schema(2), _limits(3), RULE)


def test_events_survive_the_event_file(tmp_path):
    rows = _noise(200, 3, seconds=np.r_[0:150, 400:450])
    rows.values[50:90, :2] = 3.0
    _lose(rows, (slice(100, 120), 2), INFINITE)
    events = _events(rows, schema=_schema(3, high=2.5))
    assert {event.reason for event in events} == {"flat", "overflow", "out_of_range", "clock"}
    write_events(tmp_path / "events.parquet", events, None)
    assert repr(read_events(tmp_path / "events.parquet")) == repr(events)

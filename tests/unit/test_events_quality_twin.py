"""The quality monitor against its slow twin, which follows every cell row by row, in any cut and interleaving."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.events import EventRule
from sensorad.events.quality import QualityMonitor
from sensorad.events.quality_limits import QualityLimits
from sensorad.types import FLAWS, REASONS, STATUSES, Event, RowBlock, ScoreBlock, Sensor, SensorSchema

SECOND = 10**9
SCHEMA = SensorSchema((Sensor("A"), Sensor("B", high=4.0), Sensor("C", low=0.5, high=4.0), Sensor("D")))
GROUPS = ("x", "y", "z")

limits = st.builds(
    QualityLimits,
    longest_flat=st.tuples(*[st.integers(1, 4)] * 4),
    longest_missing=st.tuples(*[st.sampled_from([None, 0, 1, 2])] * 4),
    still=st.tuples(*[st.sampled_from(["", "", "", "constant"])] * 4),
    longest_blind=st.sampled_from([0, 0, 2]),
    gap_steps=st.sampled_from([6.0, 20.0]),
)
rules = st.builds(
    EventRule, merge_gap_rows=st.sampled_from([0, 1, 3, 8]), step_seconds=st.sampled_from([None, 1.0, 2.0])
)
logs = st.builds(
    lambda seed, n, moves, flaws, blind, odd: _log(seed, n, moves, flaws, blind, odd),
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 2, 5, 20, 60, 60, 150]),
    moves=st.sampled_from([0.05, 0.2, 0.5]),
    flaws=st.sampled_from([0.0, 0.02, 0.2]),
    blind=st.sampled_from([0.0, 0.05]),
    odd=st.sampled_from([0.0, 0.1]),
)
few_rows = mock.patch.multiple("sensorad.events.quality_limits", LEAST_FLAT=3, LEAST_MISSING=2, GROWTH=2)
sampled = mock.patch.multiple("sensorad.events.quality_equal_runs", SHORT_BLOCK=2)


def _log(seed: int, n: int, moves: float, flaws: float, blind: float, odd: float) -> tuple[RowBlock, ScoreBlock]:
    """Sticky cells, flaws that last, outages, and a clock that stumbles in a share ``odd`` of the rows."""
    rng = np.random.default_rng(seed)
    values = np.zeros((n, 4), np.float32)
    flaw = np.zeros((n, 4), np.uint8)
    level, bad = np.zeros(4), np.zeros(4, int)
    for row in range(n):
        level = np.where(rng.random(4) < moves, rng.choice([0.0, 1.0, 2.0, 4.0, 5.0, -2.0, 7.5], 4), level)
        bad = np.where(rng.random(4) < flaws, rng.choice([1, 1, 1, 2, 3], 4), np.where(rng.random(4) < 0.4, 0, bad))
        values[row], flaw[row] = level, bad
        if rng.random() < blind:
            flaw[row, rng.permutation(4)[:3]] = FLAWS.index("missing")
    values[flaw > 0] = 0
    step = np.where(rng.random(n) < odd, rng.choice([0, 0, -2, 2, 4, 9, 30], n), 1)
    rows = RowBlock(
        index=np.arange(n),
        time=1_700_000_000 * SECOND + np.cumsum(step) * SECOND,
        values=values,
        flaw=flaw,
        group=rng.choice(rng.choice([1, 3]), n).astype(np.int32),
        group_names=GROUPS,
    )
    scores = ScoreBlock.empty_for(rows)
    scores.status[:] = np.where(rng.random(n) < odd / 3, rng.choice(len(STATUSES), n), 0)
    scores.reason[:] = np.where(rng.random(n) < odd / 2, rng.choice(len(REASONS), n), 0)
    return rows, scores


Place = tuple[int, int, int]  # time, position, number of a row


def naive_quality(
    rows: RowBlock, scores: ScoreBlock | None, schema: SensorSchema, limits: QualityLimits, rule: EventRule
) -> list[tuple[Any, ...]]:
    """Every event of the rows as the tuple that `_plain` makes."""
    found: list[tuple[Any, ...]] = []
    for machine in sorted({int(code) for code in rows.group}):
        own = [row for row in range(len(rows)) if rows.group[row] == machine]
        kept, marks = _clock(rows, scores, own, rule, limits)
        name = rows.group_names[machine]
        for first, last in _merged([(first, last) for first, last in marks], rule):
            found.append((name, "clock", first[0], last[0], last[2] - first[2] + 1, (), (), (), ()))
        found += _of_sensors(rows, kept, name, schema, limits, rule)
    return sorted(found, key=repr)


def _clock(
    rows: RowBlock, scores: ScoreBlock | None, own: list[int], rule: EventRule, limits: QualityLimits
) -> tuple[list[tuple[int, Place, bool]], list[tuple[Place, Place]]]:
    """Rows in order as (row, place, is first of a segment), and first and last place of each fault of the clock."""
    kept: list[tuple[int, Place, bool]] = []
    marks: list[tuple[Place, Place]] = []
    for row in own:
        time = int(rows.time[row])
        status = "scored" if scores is None else STATUSES[scores.status[row]]
        reason = "" if scores is None else REASONS[scores.reason[row]]
        is_called_out = status in ("duplicate", "late") or reason in ("out_of_order", "far_future")
        if is_called_out or (kept and time <= kept[-1][1][0]):
            if not kept:
                continue
            place = kept[-1][1]
            if time == place[0]:
                before = kept[-1][0]
                if _cells(rows, row) != _cells(rows, before):
                    marks.append((place, place))
            elif status != "duplicate":
                marks.append((place, place))
            continue
        if not kept:
            place, steps = (time, 0, 0), 0.0
        else:
            steps = 0.0 if rule.step_seconds is None else (time - kept[-1][1][0]) / (rule.step_seconds * 1e9)
            place = (time, kept[-1][1][1] + max(1, round(steps)), len(kept))
        if steps > limits.gap_steps:
            marks.append((kept[-1][1], place))
        if reason == "rate":
            marks.append((place, place))
        kept.append((row, place, steps > 6.0))
    return kept, marks


def _cells(rows: RowBlock, row: int) -> list[float | None]:
    return [float(v) if f == 0 else None for v, f in zip(rows.values[row], rows.flaw[row], strict=True)]


def _merged(runs: list[tuple[Place, Place]], rule: EventRule) -> list[tuple[Place, Place]]:
    events: list[tuple[Place, Place]] = []
    for first, last in sorted(runs, key=lambda run: (run[1][2], run[0][1])):
        if events and first[1] - events[-1][1][1] - 1 <= rule.merge_gap_rows:
            events[-1] = events[-1][0], last
        else:
            events.append((first, last))
    return events


def _of_sensors(
    rows: RowBlock,
    kept: list[tuple[int, Place, bool]],
    group: str,
    schema: SensorSchema,
    limits: QualityLimits,
    rule: EventRule,
) -> list[tuple[Any, ...]]:
    n_sensors = len(schema)
    is_missing = {row: [FLAWS[f] == "missing" for f in rows.flaw[row]] for row, _, _ in kept}
    is_blind = {row: sum(cells) > n_sensors / 2 for row, cells in is_missing.items()}
    found: list[tuple[Any, ...]] = []

    outages = [] if limits.longest_blind else _runs_where(kept, lambda row: is_blind[row])
    for first, last, runs in _events(outages, rule):
        cells = [sum(is_missing[row][c] for run in runs for row, _ in run) for c in range(n_sensors)]
        found.append(_plain_of(group, "missing", first, last, schema, dict(enumerate(cells)), {}))

    alike: dict[tuple[str, Place, Place], tuple[dict[int, int], dict[int, tuple[float, float]]]] = {}
    for c, sensor in enumerate(schema.sensors):
        low = -math.inf if sensor.low is None else sensor.low
        high = math.inf if sensor.high is None else sensor.high

        def hides(row: int) -> bool:
            return limits.longest_blind == 0 and is_blind[row]

        def is_out(row: int, c: int = c, low: float = low, high: float = high) -> bool:
            return rows.flaw[row, c] == 0 and not low <= rows.values[row, c] <= high

        told: dict[str, list[list[tuple[int, Place]]]] = {
            "missing": [
                run
                for run in _runs_where(kept, lambda row, c=c: is_missing[row][c] and not hides(row))
                if limits.rows_until_missing(c) is not None and len(run) >= limits.rows_until_missing(c)
            ],
            "overflow": _runs_where(kept, lambda row, c=c: rows.flaw[row, c] > 1),
            "out_of_range": _runs_where(kept, is_out),
            "flat": [
                run
                for run in _equal_runs(rows, kept, c)
                if limits.rows_until_flat(c) is not None and len(run) >= limits.rows_until_flat(c)
            ],
        }
        for reason, runs in told.items():
            for first, last, members in _events(runs, rule):
                cells, shown = alike.setdefault((reason, first, last), ({}, {}))
                cells[c] = sum(len(run) for run in members)
                if reason == "flat":
                    longest = max(len(run) for run in members)
                    run = next(run for run in members if len(run) == longest)
                    shown[c] = math.nan, float(rows.values[run[0][0], c])
                elif reason == "out_of_range":
                    worst = (-1.0, 0.0, 0.0)
                    for row in (row for run in members for row, _ in run):
                        value = float(rows.values[row, c])
                        beyond, bound = max((low - value, low), (value - high, high))
                        if beyond > worst[0]:
                            worst = beyond, bound, value
                    shown[c] = worst[1:]
                else:
                    shown[c] = math.nan, math.nan
    for (reason, first, last), (cells, shown) in alike.items():
        found.append(_plain_of(group, reason, first, last, schema, cells, shown))
    return found


def _runs_where(kept: list[tuple[int, Place, bool]], holds: Any) -> list[list[tuple[int, Place]]]:
    runs: list[list[tuple[int, Place]]] = []
    is_open = False
    for row, place, is_start in kept:
        if is_start:
            is_open = False
        if holds(row):
            if not is_open:
                runs.append([])
            runs[-1].append((row, place))
        is_open = bool(holds(row))
    return runs


def _equal_runs(rows: RowBlock, kept: list[tuple[int, Place, bool]], c: int) -> list[list[tuple[int, Place]]]:
    runs: list[list[tuple[int, Place]]] = []
    value = None
    for row, place, is_start in kept:
        if is_start:
            value = None
        if rows.flaw[row, c]:
            continue
        if value is None or rows.values[row, c] != value:
            runs.append([])
        runs[-1].append((row, place))
        value = rows.values[row, c]
    return runs


def _events(runs: list[list[tuple[int, Place]]], rule: EventRule) -> list[tuple[Place, Place, list[Any]]]:
    spans = _merged([(run[0][1], run[-1][1]) for run in runs], rule)
    return [
        (first, last, [run for run in runs if first[2] <= run[0][1][2] and run[-1][1][2] <= last[2]])
        for first, last in spans
    ]


def _plain_of(
    group: str,
    reason: str,
    first: Place,
    last: Place,
    schema: SensorSchema,
    cells: dict[int, int],
    shown: dict[int, tuple[float, float]],
) -> tuple[Any, ...]:
    order = sorted((c for c in cells if cells[c]), key=lambda c: (-cells[c], c))
    nothing = math.nan, math.nan
    return (
        group,
        reason,
        first[0],
        last[0],
        last[2] - first[2] + 1,
        tuple(schema.names[c] for c in order),
        tuple(cells[c] / sum(cells.values()) for c in order),
        tuple(shown.get(c, nothing)[0] for c in order),
        tuple(shown.get(c, nothing)[1] for c in order),
    )


def _plain(event: Event) -> tuple[Any, ...]:
    assert event.kind == "quality"
    assert math.isnan(event.severity)
    assert math.isnan(event.score)
    assert event.onsets == (event.start,) * len(event.sensors)
    return (
        event.group,
        event.reason,
        event.start,
        event.end,
        event.n_rows,
        event.sensors,
        event.shares,
        event.expected,
        event.actual,
    )


def _found(blocks: list[tuple[RowBlock, ScoreBlock | None]], limits: QualityLimits, rule: EventRule) -> list[Event]:
    monitor = QualityMonitor(SCHEMA, limits, rule)
    events = [event for rows, scores in blocks for event in monitor.update(rows, scores)]
    return sorted(events + monitor.finish(), key=repr)


def _cut(rows: RowBlock, scores: ScoreBlock, cuts: list[int]) -> list[tuple[RowBlock, ScoreBlock | None]]:
    bounds = [0, *sorted({c for c in cuts if c <= len(rows)}), len(rows)]
    return [(rows.take(slice(a, b)), scores.take(slice(a, b))) for a, b in pairwise(bounds)]


@settings(max_examples=300, deadline=None)
@given(logs, limits, rules, st.lists(st.integers(0, 150), max_size=8), st.booleans())
def test_same_as_row_by_row_for_any_blocks(log, limits, rule, cuts, has_scores):
    rows, scores = log
    with few_rows:
        blocks = _cut(rows, scores, cuts)
        if not has_scores:
            scores, blocks = None, [(part, None) for part, _ in blocks]
        whole = _found([(rows, scores)], limits, rule)
        expected = naive_quality(rows, scores, SCHEMA, limits, rule)
        assert sorted((_plain(event) for event in whole), key=repr) == _eq(expected)
        assert repr(_found(blocks, limits, rule)) == repr(whole)
    ids = [event.event_id for event in whole]
    assert len(set(ids)) == len(ids)


def _eq(expected: list[tuple[Any, ...]]) -> Any:
    return _SameText(expected)


class _SameText(list):
    """Equal to what reads the same: NaN is equal to NaN."""

    def __eq__(self, other: object) -> bool:
        return repr(list(self)) == repr(other)

    __hash__ = None


@settings(max_examples=100, deadline=None)
@given(logs, limits, rules)
def test_row_by_row_blocks_give_the_same_events(log, limits, rule):
    rows, scores = log
    with few_rows:
        single = _found(_cut(rows, scores, list(range(len(rows)))), limits, rule)
        assert repr(single) == repr(_found([log], limits, rule))


@settings(max_examples=100, deadline=None)
@given(logs, limits, rules, st.randoms(use_true_random=False))
def test_interleaving_of_machines_changes_nothing(log, limits, rule, random):
    rows, scores = log
    places = {g: list(np.flatnonzero(rows.group == g)) for g in range(3)}
    order = []
    while any(places.values()):
        order.append(places[random.choice([g for g in places if places[g]])].pop(0))
    at = np.array(order)
    with few_rows:
        assert repr(_found([(rows.take(at), scores.take(at))], limits, rule)) == repr(_found([log], limits, rule))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.sampled_from([0.02, 0.5, 0.98, 1.0])] * 4),
    limits,
    rules,
    st.lists(st.integers(0, 400), max_size=4),
)
def test_long_blocks_are_sampled_without_loss(seed, moves, limits, rule, cuts):
    rng = np.random.default_rng(seed)
    n = 400
    values = np.zeros((n, 4), np.float32)
    for c in range(4):
        level = np.cumsum(rng.random(n) < moves[c])
        values[:, c] = rng.choice([0.0, 0.25, 0.5, 3.0], n)[level - level[0]] if rng.random() < 0.5 else level / 200
    time = np.cumsum(np.where(rng.random(n) < 0.01, 9, 1)) * SECOND
    rows = RowBlock(np.arange(n), time, values, np.zeros((n, 4), np.uint8), np.zeros(n, np.int32), GROUPS)
    scores = ScoreBlock.empty_for(rows)
    scores.status[:] = 0
    with few_rows, sampled:
        whole = _found([(rows, scores)], limits, rule)
        expected = naive_quality(rows, scores, SCHEMA, limits, rule)
        assert sorted((_plain(event) for event in whole), key=repr) == _eq(expected)
        assert repr(_found(_cut(rows, scores, cuts), limits, rule)) == repr(whole)

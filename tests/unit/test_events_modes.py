"""Events under alarm lines of operating modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import cut, make_block, naive_events

from sensorad.alarm_line import AlarmLine
from sensorad.events import EventBuilder, EventRule
from sensorad.types import Event, ScoreBlock

NAMES = tuple(f"S{i}" for i in range(6))
MODES = ("idle", "run", "clean", "")
LINE = AlarmLine(1.0, {"idle": 0.25, "run": 4.0})  # powers of 2, so that scores on a line are on it exactly
SECOND = 10**9


def _build(
    blocks: list[ScoreBlock],
    line: AlarmLine = LINE,
    rule: EventRule | None = None,
    return_days: Callable[[float], float | None] | None = None,
) -> list[Event]:
    builder = EventBuilder(NAMES, line, rule or EventRule(merge_gap_rows=1), return_days)
    return [event for block in blocks for event in builder.update(block)] + builder.finish()


def _span(event: Event) -> tuple[int, int]:
    return event.start // SECOND, event.end // SECOND


def test_every_row_is_judged_by_the_line_of_its_own_mode():
    score = [0.3, 0.1, 0.1, 3.9, 0.1, 0.1, 4.1, 0.1, 0.1, 1.1]
    mode = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    events = _build([make_block(score, mode=mode, mode_names=MODES)])
    assert [_span(event) for event in events] == [(0, 0), (6, 6), (9, 9)]  # 3.9 is normal while it runs


def test_an_event_goes_on_through_a_change_of_mode():
    score = [0.1, 0.5, 0.5, 8.0, 8.0, 2.0, 0.1]
    mode = [0, 0, 0, 1, 1, 2, 2]
    [event] = _build([make_block(score, mode=mode, mode_names=MODES)])
    assert _span(event) == (1, 5)
    # The release level too is the row's own: 3.5 while running is below the line and above its release level.
    score = [8.0, 3.5, 3.5, 3.0, 0.1]
    [event] = _build([make_block(score, mode=[1] * 5, mode_names=MODES)], rule=EventRule(merge_gap_rows=0))
    assert _span(event) == (0, 2)


def test_severity_is_relative_to_the_rows_own_line_and_the_score_is_as_scored():
    # The idle row is 3 times its line, the running one twice: the lower score is the peak.
    score = [0.75, 8.0, 0.1]
    [event] = _build([make_block(score, mode=[0, 1, 1], mode_names=MODES)])
    assert (event.peak, event.severity, event.score) == (0, 3.0, 0.75)


def test_equal_severities_take_the_first_row():
    [event] = _build([make_block([8.0, 0.5, 0.0], mode=[1, 0, 0], mode_names=MODES)])
    assert (event.peak, event.severity, event.score) == (0, 2.0, 8.0)


def test_blame_weighs_rows_by_severity_and_not_by_score():
    block = make_block([0.75, 8.0, 0.1], mode=[0, 1, 1], mode_names=MODES)
    block.top_sensors[:2, 0], block.top_shares[:2, 0] = [4, 2], 1.0
    [event] = _build([block])
    assert event.sensors == ("S4", "S2")
    assert event.shares == (0.6, 0.4)


def test_the_return_period_is_asked_for_the_comparable_peak():
    asked = []

    def return_days(level: float) -> float | None:
        asked.append(level)
        return 10.0 * level

    block = make_block([0.75, 8.0, 0.1, 0.1, 0.1, 6.0], mode=[0, 1, 1, 1, 1, 1], mode_names=MODES)
    events = _build([block], return_days=return_days)
    assert asked == [3.0, 1.5]
    assert [event.return_days for event in events] == [30.0, 15.0]
    assert [event.return_days for event in _build([block])] == [None, None]
    assert [event.return_days for event in _build([block], return_days=lambda level: None)] == [None, None]


def test_a_log_without_modes_is_judged_by_the_pooled_line():
    score = [0.1, 0.5, 0.5, 1.1, 8.0, 0.1]
    [event] = _build([make_block(score)])
    assert (_span(event), event.severity) == ((3, 4), 8.0)
    assert _build([make_block(score)]) == _build([make_block(score)], AlarmLine(1.0))


def test_an_unheard_of_mode_is_judged_by_the_pooled_line():
    score = [0.1, 0.5, 1.1, 0.1]
    events = _build([make_block(score, mode=[0, 1, 1, 0], mode_names=("holiday", "strike"))])
    assert [_span(event) for event in events] == [(2, 2)]


def test_modes_may_come_by_as_the_log_goes_on():
    first = make_block([0.5, 0.1], mode=[0, 0], mode_names=("idle",))
    second = make_block([0.1, 3.9, 4.1], mode=[0, 1, 1], mode_names=("idle", "run"), start=2)
    events = _build([first, second], rule=EventRule(merge_gap_rows=0))
    assert [_span(event) for event in events] == [(0, 0), (4, 4)]


def test_modes_without_lines_of_their_own_change_nothing():
    rng = np.random.default_rng(0)
    score = rng.gamma(1.0, 0.6, 200)
    plain = _build([make_block(score)], AlarmLine(1.0))
    with_modes = make_block(score, mode=rng.integers(0, 4, 200), mode_names=MODES)
    assert plain
    assert _build([with_modes], AlarmLine(1.0)) == plain
    assert _build([with_modes], AlarmLine(1.0, {"elsewhere": 9.0})) == plain


rows = st.lists(
    st.tuples(
        st.integers(0, 1),  # machine
        st.sampled_from([0, 0, 0, 1, 1, 2, 3]),  # mode
        # On, and around, the lines 0.25, 1 and 4 and their release levels.
        st.sampled_from([np.nan, 0.1, 0.2, 0.24, 0.25, 0.3, 0.8, 0.9, 1.0, 1.5, 3.1, 3.2, 3.9, 4.0, 4.5, 9.0]),
        st.sampled_from([0.0, 0.0, 4.0]),
    ),
    min_size=1,
    max_size=40,
)
rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 2),
    min_rows=st.integers(1, 2),
    release=st.sampled_from([0.5, 1.0]),
    refractory_rows=st.sampled_from([0, 0, 5]),
)


@settings(max_examples=300, deadline=None)
@given(rows, rules, st.lists(st.integers(0, 40), max_size=6), st.integers(0, 2**16))
def test_same_as_judging_row_by_row(drawn, rule, cuts, seed):
    machine, mode, score, surprise = zip(*drawn, strict=True)
    block = make_block(score, group=machine, group_names=("a", "b"), surprise=surprise, mode=mode, mode_names=MODES)
    rng = np.random.default_rng(seed)
    block.top_sensors[:, :3] = [rng.permutation(6)[:3] for _ in range(len(block))]
    block.top_shares[:, :3] = rng.dirichlet(np.ones(4), len(block))[:, :3]
    block.top_expected[:, :3], block.top_actual[:, :3] = rng.normal(size=(2, len(block), 3))
    expected = naive_events(block, NAMES, LINE, rule, return_days=float)
    for blocks in ([block], cut(block, [c for c in cuts if c < len(block)])):
        events = _build(blocks, rule=rule, return_days=float)
        assert sorted(events, key=lambda event: (event.start, event.group)) == expected


@pytest.mark.parametrize("rule", [EventRule(), EventRule(merge_gap_rows=3, release=0.6, refractory_rows=20)])
def test_events_of_scores_made_comparable_beforehand_are_the_same(rule):
    rng = np.random.default_rng(1)
    mode = np.repeat(rng.integers(0, 4, 30), 20)
    score = rng.gamma(1.0, 0.4, 600) * np.array([0.25, 4.0, 1.0, 1.0])[mode]
    events = _build([make_block(score, mode=mode, mode_names=MODES)], rule=rule)
    level = LINE.comparable(score, mode.astype(np.int32), MODES)
    pooled = _build([make_block(level)], AlarmLine(1.0), rule=rule)
    assert len(events) > 1
    for own, other in zip(events, pooled, strict=True):
        assert (own.start, own.end, own.peak, own.severity) == (other.start, other.end, other.peak, other.severity)

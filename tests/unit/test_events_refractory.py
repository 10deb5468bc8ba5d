"""Refractory time: what it holds back, what it must not hide, and that no cut of the rows changes it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import cut, make_block, naive_events

from sensorad.errors import UsageError
from sensorad.events import EventBuilder, EventRule, event_spans
from sensorad.events.rule import MOST_ROWS
from sensorad.types import Event, ScoreBlock
from sensorad_cli.event_options import EventOptions

NAMES = ("S0",)
SECOND = 10**9
LEVELS = (np.nan, 0.1, 0.1, 0.1, 0.6, 0.8, 0.9, 1.0, 1.1, 2.0, 3.5)

rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 3),
    min_rows=st.integers(1, 3),
    release=st.sampled_from([0.5, 0.8, 1.0]),
    step_seconds=st.sampled_from([None, 1.0]),
    refractory_rows=st.integers(0, 20),
)
scores = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=80)


def _build(blocks: list[ScoreBlock], rule: EventRule) -> list[Event]:
    builder = EventBuilder(NAMES, 1.0, rule)
    return [event for block in blocks for event in builder.update(block)] + builder.finish()


def _found(score: list[float], seconds: list[float] | None = None, **settings: object) -> list[tuple[int, int]]:
    rule = EventRule(**settings)
    return [(e.start // SECOND, e.end // SECOND) for e in _build([make_block(score, seconds=seconds)], rule)]


def test_no_event_opens_up_to_the_last_position_of_the_refractory_time():
    score = [0.1] * 30
    score[3] = 2.0
    for after in range(1, 12):
        again = score.copy()
        again[3 + after] = 2.0
        expected = [(3, 3)] if after <= 7 else [(3, 3), (3 + after, 3 + after)]
        if after == 1:
            expected = [(3, 4)]  # the next row goes on with the event
        assert _found(again, merge_gap_rows=0, refractory_rows=7) == expected


@pytest.mark.parametrize("gap", [0, 1, 2, 5])
@pytest.mark.parametrize("beyond", [0, 1, 2, 3])
def test_the_first_opening_after_a_gap_and_a_rest_of_any_length(gap, beyond):
    rest = gap + 1 + beyond
    for place in range(2, 14):
        score = [0.1] * 15
        score[0] = score[place] = 2.0
        if place <= gap + 1:
            expected = [(0, place)]
        elif place <= rest:
            expected = [(0, 0)]
        else:
            expected = [(0, 0), (place, place)]
        assert _found(score, merge_gap_rows=gap, refractory_rows=rest) == expected


def test_the_merge_gap_goes_first():
    score = [2.0, 0.1, 0.1, 2.0] + [0.1] * 9 + [2.0, 0.1]
    assert _found(score, merge_gap_rows=2, refractory_rows=9) == [(0, 3), (13, 13)]  # counted from the joined row
    assert _found(score, merge_gap_rows=2, refractory_rows=10) == [(0, 3)]


@settings(max_examples=100, deadline=None)
@given(scores, rules)
def test_a_time_no_longer_than_the_merge_gap_and_a_row_changes_nothing(score, rule):
    block = make_block(score)
    plain = EventRule(rule.merge_gap_rows, rule.min_rows, rule.release, step_seconds=rule.step_seconds)
    for rest in range(rule.merge_gap_rows + 2):
        rested = EventRule(**plain.to_json() | {"refractory_rows": rest})
        assert _build([block], rested) == _build([block], plain)


def test_a_lasting_fault_is_reported_again_when_the_time_is_over():
    score = [2.0, 0.1, 0.1] + [2.0] * 10
    assert _found(score, merge_gap_rows=0, refractory_rows=6) == [(0, 0), (7, 12)]
    # At or above the release level is not enough to open: the first row above the line does.
    score = [2.0, 0.1, 0.1, 2.0, 2.0, 0.9, 0.9, 0.9, 2.0, 0.9, 0.1]
    assert _found(score, merge_gap_rows=0, refractory_rows=5) == [(0, 0), (8, 9)]
    assert _found(score, merge_gap_rows=0) == [(0, 0), (3, 9)]


def test_an_event_that_goes_on_is_never_cut_short():
    assert _found([2.0] * 20, merge_gap_rows=0, refractory_rows=5) == [(0, 19)]


def test_an_event_dropped_for_its_length_starts_no_refractory_time():
    score = [2.0, 0.1, 0.1, 2.0, 2.0, 0.1, 0.1, 2.0, 2.0]
    settings_ = {"merge_gap_rows": 0, "min_rows": 2, "refractory_rows": 4}
    assert _found(score, **settings_) == [(3, 4)]
    assert _found(score, **settings_ | {"min_rows": 1}) == [(0, 0), (7, 8)]


def test_rows_within_the_time_do_not_count_for_the_length():
    score = [2.0, 2.0, 0.1, 0.1, 2.0, 2.0, 0.1, 0.1]
    assert _found(score, merge_gap_rows=0, min_rows=2, refractory_rows=2) == [(0, 1), (4, 5)]
    assert _found(score, merge_gap_rows=0, min_rows=2, refractory_rows=3) == [(0, 1)]  # one row of two is left


def test_rows_without_score_and_missing_rows_pass_the_time():
    nan = np.nan
    assert _found([2.0, nan, nan, nan, 2.0], merge_gap_rows=0, refractory_rows=3) == [(0, 0), (4, 4)]
    seconds = [0, 1, 9]
    settings_ = {"merge_gap_rows": 0, "refractory_rows": 8}
    assert _found([2.0, 0.1, 2.0], seconds, **settings_) == [(0, 0)]
    assert _found([2.0, 0.1, 2.0], seconds, step_seconds=1.0, **settings_) == [(0, 0), (9, 9)]


def test_machines_rest_on_their_own():
    block = make_block([2.0, 0.1, 0.1, 2.0], group=[0, 0, 0, 1], group_names=("a", "b"))
    rule = EventRule(merge_gap_rows=0, refractory_rows=50)
    assert [event.group for event in _build([block], rule)] == ["a", "b"]


@settings(max_examples=300, deadline=None)
@given(scores, rules, st.lists(st.integers(0, 80), max_size=12))
def test_same_as_row_by_row_for_any_blocks(score, rule, cuts):
    block = make_block(score)
    expected = naive_events(block, NAMES, 1.0, rule)
    assert _build([block], rule) == expected
    assert _build(cut(block, [c for c in cuts if c < len(block)]), rule) == expected
    assert _build([block.take(slice(i, i + 1)) for i in range(len(block))], rule) == expected
    spans = event_spans(block.time, block.score, block.group, 1.0, rule)
    assert spans.start.tolist() == [event.start // SECOND for event in expected]
    assert spans.end.tolist() == [event.end // SECOND for event in expected]
    assert spans.peak.tolist() == [event.peak // SECOND for event in expected]


@settings(max_examples=100, deadline=None)
@given(scores, rules)
def test_it_only_takes_away_and_keeps_events_apart(score, rule):
    block = make_block(score)
    rested = _build([block], rule)
    plain = _build([block], EventRule(**rule.to_json() | {"refractory_rows": 0}))
    assert len(rested) <= len(plain)
    for event in rested:
        assert any(other.start <= event.start and event.end == other.end for other in plain)
    for before, after in pairwise(rested):
        assert (after.start - before.end) // SECOND > rule.refractory_rows


def test_memory_holds_no_more_than_one_number_for_each_resting_machine():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=0, refractory_rows=5))
    for i in range(200):
        builder.update(make_block([2.0, 0.1, 0.1, 0.1], start=4 * i))
        assert len(builder._tracker._barred) <= 1
    builder.update(make_block([2.0, *[0.1] * 20], start=800))
    builder.update(make_block([2.0], start=821))
    assert builder._tracker._barred == {}


def test_the_command_line_takes_rows_and_lengths_of_time():
    learned = EventRule(step_seconds=60.0)
    assert EventOptions(refractory=90).rule(learned).refractory_rows == 90
    assert EventOptions(refractory=5400.0).rule(learned).refractory_rows == 90
    assert EventOptions(refractory=5459.0).rule(learned).refractory_rows == 90
    assert EventOptions().rule(EventRule(refractory_rows=7)).refractory_rows == 7
    tenths = EventRule(step_seconds=0.1)
    assert EventOptions(merge_gap=0.7, refractory=1.0).rule(tenths) == EventRule(
        merge_gap_rows=7, step_seconds=0.1, refractory_rows=10
    )
    with pytest.raises(UsageError, match=r"no time between rows.*--refractory in rows"):
        EventOptions(refractory=5.0).rule(EventRule())


def test_the_longest_time_of_all_still_fits():
    rule = EventRule(merge_gap_rows=0, refractory_rows=MOST_ROWS)
    assert len(_build([make_block([2.0, 0.1, 0.1, 2.0])], rule)) == 1

"""The event builder against its slow twin, and one property per promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import cut, make_block, naive_events

from sensorad.errors import DataError, TimeError, UsageError
from sensorad.events import EventBuilder, EventRule, event_spans
from sensorad.types import STATUSES, Event, ScoreBlock

NAMES = tuple(f"S{i}" for i in range(8))
GROUPS = ("a", "b", "c")
# Around the threshold 1 and the release levels 0.5, 0.8 and 1, with ties.
LEVELS = (np.nan, 0.1, 0.49, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 2.0, 2.0, 3.5)

rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 4),
    min_rows=st.integers(1, 3),
    release=st.sampled_from([0.5, 0.8, 1.0]),
    point_rows=st.integers(1, 3),
    echo_rows=st.integers(0, 3),
    window_rows=st.integers(1, 5),
    step_seconds=st.sampled_from([None, 1.0, 2.0]),
    refractory_rows=st.sampled_from([0, 0, 1, 3, 6, 12]),
)
rows = st.lists(
    st.tuples(
        st.integers(0, 2),  # machine
        st.sampled_from([0, 1, 1, 1, 1, 2, 4, 9]),  # seconds since the row before
        st.sampled_from(LEVELS),
        st.sampled_from(["scored"] * 8 + ["degraded", "duplicate", "late"]),
        st.sampled_from([0.0, 0.0, 3.0, 5.0, np.nan]),  # row_surprise
    ),
    min_size=1,
    max_size=50,
)


def _block(drawn: list[tuple[int, int, float, str, float]], seed: int) -> ScoreBlock:
    machine, waited, score, status, surprise = zip(*drawn, strict=True)
    block = make_block(
        score,
        seconds=np.cumsum(waited),
        group=machine,
        group_names=GROUPS,
        surprise=surprise,
        status=[STATUSES.index(name) for name in status],
    )
    rng = np.random.default_rng(seed)
    for row in range(len(block)):
        n_listed = rng.integers(0, 6)
        block.top_sensors[row, :n_listed] = rng.permutation(len(NAMES))[:n_listed]
        block.top_shares[row, :n_listed] = np.sort(rng.dirichlet(np.ones(6))[:n_listed])[::-1]
        block.top_expected[row, :n_listed] = rng.normal(size=n_listed)
        block.top_actual[row, :n_listed] = rng.normal(size=n_listed)
    return block


def _build(blocks: list[ScoreBlock], threshold: float = 1.0, rule: EventRule | None = None) -> list[Event]:
    builder = EventBuilder(NAMES, threshold, rule or EventRule())
    return [event for block in blocks for event in builder.update(block)] + builder.finish()


def _in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.start, event.group))


@settings(max_examples=300, deadline=None)
@given(rows, rules, st.lists(st.integers(0, 50), max_size=8), st.integers(0, 2**16))
def test_same_as_row_by_row_for_any_blocks(drawn, rule, cuts, seed):
    block = _block(drawn, seed)
    expected = naive_events(block, NAMES, 1.0, rule)
    whole = _build([block], rule=rule)
    assert _in_order(whole) == expected
    assert _build(cut(block, [c for c in cuts if c < len(block)]), rule=rule) == whole


@settings(max_examples=50, deadline=None)
@given(rows, rules, st.integers(0, 2**16))
def test_row_by_row_blocks_give_the_same_events(drawn, rule, seed):
    block = _block(drawn, seed)
    single = [block.take(slice(i, i + 1)) for i in range(len(block))]
    assert _build(single, rule=rule) == _build([block], rule=rule)


@settings(max_examples=100, deadline=None)
@given(rows, rules, st.randoms(use_true_random=False))
def test_interleaving_of_machines_changes_nothing(drawn, rule, random):
    block = _block(drawn, 0)
    places = {g: list(np.flatnonzero(block.group == g)) for g in range(3)}
    order = []
    while any(places.values()):
        order.append(places[random.choice([g for g in places if places[g]])].pop(0))
    assert _in_order(_build([block.take(np.array(order))], rule=rule)) == _in_order(_build([block], rule=rule))


@settings(max_examples=100, deadline=None)
@given(rows, rules)
def test_spans_are_the_builders_events(drawn, rule):
    block = _block([(*row[:3], "scored", *row[4:]) for row in drawn], 0)
    spans = event_spans(block.time, block.score, block.group, 1.0, rule)
    events = _build([block], rule=rule)
    assert len(spans) == len(events)
    found = sorted(
        (int(block.time[s]), int(block.time[e]), int(block.time[p]), GROUPS[g])
        for s, e, p, g in zip(spans.start, spans.end, spans.peak, spans.group, strict=True)
    )
    assert found == sorted((event.start, event.end, event.peak, event.group) for event in events)


def _spans(score: list[float], **settings: object) -> list[tuple[int, int]]:
    events = _build([make_block(score)], rule=EventRule(**settings))
    return [(event.start // 10**9, event.end // 10**9) for event in events]


def test_release_level_keeps_an_event_open():
    score = [0.1, 0.9, 1.5, 0.8, 0.8, 0.79, 0.9, 0.1]
    assert _spans(score, merge_gap_rows=0, release=0.8) == [(2, 4)]
    assert _spans(score, merge_gap_rows=0, release=1.0) == [(2, 2)]


def test_a_row_at_the_threshold_does_not_open():
    assert _spans([0.0, 1.0, 0.0]) == []


def test_pauses_up_to_the_merge_gap_are_bridged():
    score = [2.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0]
    assert _spans(score, merge_gap_rows=2) == [(0, 3), (7, 7)]
    assert _spans(score, merge_gap_rows=3) == [(0, 7)]
    assert _spans(score, merge_gap_rows=0) == [(0, 0), (3, 3), (7, 7)]


def test_min_rows_counts_rows_above_the_threshold_only():
    score = [2.0, 0.9, 0.9, 0.0, 0.0, 0.0, 2.0, 2.0]
    assert _spans(score, merge_gap_rows=0, min_rows=2) == [(6, 7)]
    assert _spans(score, merge_gap_rows=3, min_rows=3) == [(0, 7)]


def test_unscored_rows_neither_open_nor_close_but_long_ones_end_it():
    nan = np.nan
    assert _spans([2.0, nan, nan, 0.9, nan, 2.0], merge_gap_rows=2) == [(0, 5)]
    assert _spans([2.0, nan, nan, nan, 0.9, 2.0], merge_gap_rows=2) == [(0, 0), (5, 5)]
    assert _spans([nan, nan, nan]) == []


def test_a_hole_in_time_counts_as_the_rows_missing_in_it():
    block = make_block([2.0, 2.0, 2.0], seconds=[0, 1, 8])
    assert len(_build([block], rule=EventRule(merge_gap_rows=5))) == 1
    assert len(_build([block], rule=EventRule(merge_gap_rows=5, step_seconds=1.0))) == 2
    assert len(_build([block], rule=EventRule(merge_gap_rows=6, step_seconds=1.0))) == 1


def test_duplicate_late_and_out_of_order_rows_take_no_part():
    clean = make_block([2.0, 0.1, 2.0])
    status = [STATUSES.index(name) for name in ("scored", "late", "duplicate", "scored", "scored")]
    with_extra = make_block([2.0, 9.0, 0.0, 0.1, 2.0], seconds=[0, -50, 0, 1, 2], status=status)
    rule = EventRule(merge_gap_rows=1)
    assert _build([with_extra], rule=rule) == _build([clean], rule=rule)
    assert len(_build([clean], rule=rule)) == 1


def test_an_event_is_given_as_soon_as_nothing_can_join_it():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=2))
    assert builder.update(make_block([2.0, 0.0, 0.0])) == []
    [event] = builder.update(make_block([0.0], start=3))
    assert (event.start, event.end) == (0, 0)
    assert builder.finish() == []


def test_peak_is_the_first_of_equal_scores_and_severity_counts_in_thresholds():
    block = make_block([1.5, 6.0, 2.0, 6.0, 0.0])
    [event] = _build([block], threshold=1.5)
    assert (event.peak, event.score, event.severity) == (10**9, 6.0, 4.0)
    assert (event.start, event.end, event.n_rows) == (10**9, 3 * 10**9, 3)


def test_blame_is_weighted_by_severity_and_reads_values_at_the_worst_row():
    block = make_block([2.0, 6.0, 0.0])
    block.top_sensors[:2, :2] = [[0, 1], [1, 2]]
    block.top_shares[:2, :2] = [[0.75, 0.25], [0.5, 0.25]]
    block.top_expected[:2, :2] = [[10, 20], [21, 30]]
    block.top_actual[:2, :2] = [[11, 22], [23, 33]]
    [event] = _build([block])
    assert event.sensors == ("S1", "S0", "S2")
    # Row weights 2 and 6: S1 = (0.25 2 + 0.5 6) / 8, S0 = 0.75 2 / 8, S2 = 0.25 6 / 8; equal ones in schema order.
    assert event.shares == (0.4375, 0.1875, 0.1875)
    assert event.expected == (21.0, 10.0, 30.0)
    assert event.actual == (23.0, 11.0, 33.0)


def test_at_most_five_sensors_and_shares_of_at_most_one():
    rng = np.random.default_rng(0)
    block = make_block(1.0 + rng.random(400))
    block.top_sensors[:] = [rng.permutation(8)[:5] for _ in range(400)]
    block.top_shares[:] = 0.2
    [event] = _build([block])
    assert len(event.sensors) == 5
    assert list(event.shares) == sorted(event.shares, reverse=True)
    assert 0 < sum(event.shares) <= 1


def test_ids_depend_neither_on_later_data_nor_on_the_threshold():
    short = _build([make_block([0.0, 3.0, 0.0])])
    longer = _build([make_block([0.0, 3.0, 2.0, 2.0, 0.0])])
    higher = _build([make_block([0.0, 3.0, 0.0])], threshold=2.0)
    assert short[0].event_id == longer[0].event_id == higher[0].event_id
    elsewhere = _build([make_block([0.0, 3.0], group_names=("other",))])
    assert elsewhere[0].event_id != short[0].event_id


def test_a_machines_bad_data_touch_no_other_machine():
    rng = np.random.default_rng(1)
    block = make_block(rng.gamma(1, 0.5, 200), group=rng.integers(0, 2, 200), group_names=("a", "b"))
    spoiled = make_block(np.where(block.group == 1, np.nan, block.score), group=block.group, group_names=("a", "b"))
    rule = EventRule(merge_gap_rows=2)
    of_a = [event for event in _build([block], rule=rule) if event.group == "a"]
    assert of_a
    assert _build([spoiled], rule=rule) == of_a


def test_new_machines_may_join_but_not_change_places():
    builder = EventBuilder(NAMES, 1.0, EventRule())
    builder.update(make_block([2.0], group_names=("a",)))
    builder.update(make_block([2.0], group=[1], group_names=("a", "b")))
    assert [event.group for event in builder.finish()] == ["a", "b"]
    with pytest.raises(DataError, match="changed their order"):
        builder.update(make_block([2.0], group_names=("b", "a")))


def test_rows_that_step_back_in_time_are_refused():
    with pytest.raises(TimeError, match=r"steps back by 2 s.*1970-01-01T00:00:03"):
        _build([make_block([0.0, 0.0, 0.0], seconds=[4, 5, 3])])
    builder = EventBuilder(NAMES, 1.0, EventRule())
    builder.update(make_block([0.0], seconds=[5]))
    with pytest.raises(TimeError, match="time order"):
        builder.update(make_block([0.0], seconds=[3]))


def test_negative_machine_numbers_are_refused_in_blocks_and_alone():
    for group in ([-1], [0, -1]):
        with pytest.raises(DataError, match="must not be negative, got -1"):
            _build([make_block([0.1] * len(group), group=group)])


def test_infinite_scores_and_unknown_sensors_are_refused():
    with pytest.raises(DataError, match="finite"):
        _build([make_block([0.0, np.inf])])
    block = make_block([2.0])
    block.top_sensors[0, 0] = 8
    with pytest.raises(DataError, match="schema has 8 sensors"):
        _build([block])


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
def test_thresholds_must_be_positive_and_finite(threshold):
    with pytest.raises(UsageError, match="positive and finite"):
        EventBuilder(NAMES, threshold, EventRule())


def test_empty_blocks_and_empty_logs():
    assert _build([]) == []
    assert _build([make_block([])]) == []
    block = make_block([0.0, 2.0, 0.0])
    assert _build([make_block([]), block, make_block([])]) == _build([block])


def test_memory_holds_only_what_is_open():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=1))
    for i in range(300):
        builder.update(make_block([2.0, 0.0, 0.0, 0.0], start=4 * i))
    assert len(builder._drafts) == len(builder._tracker._open) == 0


def test_kinds_reach_the_event():
    spike = make_block([0.0, 5.0, 4.0, 3.0, 0.0], surprise=[0, 6, 4, 0, 0])
    creep = make_block([0.0, 1.5, 1.6, 1.7, 0.0])
    assert [event.kind for event in _build([spike])] == ["point"]
    assert [event.kind for event in _build([creep])] == ["interval"]


def test_surprise_is_looked_for_in_later_blocks_too():
    block = make_block([2.0] * 6, surprise=[0, 0, 4, 0, 0, 0])
    blocks = cut(block, [2, 4])
    assert _build(blocks) == _build([block])
    assert _build(blocks)[0].kind == "point"
    apart = make_block([2.0] * 20, surprise=[4] + [0] * 18 + [4])
    assert _build(cut(apart, [10]))[0].kind == "interval"

"""The event builder while the log goes on: what is open, single rows passed over, and a restart at any row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import SECOND, make_block, naive_events
from saved_states import assert_refuses_damage, reread

from sensorad.alarm_line import AlarmLine
from sensorad.errors import ArtefactError, DataError, TimeError
from sensorad.events import EventBuilder, EventRule
from sensorad.types import Event, ScoreBlock

NAMES = tuple(f"S{i}" for i in range(6))
GROUPS = ("a", "b", "c")
MODES = ("idle", "run")
LINE = AlarmLine(1.0, {"run": 4.0})
# Around the threshold 1 and the release levels 0.5, 0.8 and 1, with ties.
LOW, HIGH = (0.1, 0.1, 0.49, 0.5, 0.7, 0.8), (0.5, 0.8, 0.9, 1.0, 1.1, 2.0, 2.0, 3.5, 9.0)

rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 4),
    min_rows=st.integers(1, 3),
    release=st.sampled_from([0.5, 0.8, 1.0]),
    point_rows=st.integers(1, 3),
    step_seconds=st.sampled_from([None, 1.0, 2.0]),
    refractory_rows=st.sampled_from([0, 0, 3, 6, 12]),
)
logs = st.builds(
    lambda seed, n_rows, hot: _log(seed, n_rows, hot),
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.sampled_from([60, 60, 40, 20, 3, 1]),
    hot=st.sampled_from([0.1, 0.4, 0.8]),
)


def _log(seed: int, n_rows: int, hot: float) -> ScoreBlock:
    """Three machines in any order, their rows high with a chance of ``hot``, now and then a pause or no score."""
    rng = np.random.default_rng(seed)
    machine = rng.choice([0, 0, 0, 1, 2], n_rows)
    score = np.where(rng.random(n_rows) < hot, rng.choice(HIGH, n_rows), rng.choice(LOW, n_rows))
    mode = np.repeat(rng.integers(0, 2, n_rows), 5)[:n_rows]
    block = make_block(
        np.where(rng.random(n_rows) < 0.1, np.nan, score * np.array([1.0, 4.0])[mode]),
        seconds=np.cumsum(rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 4, 9], n_rows)),
        group=machine,
        group_names=GROUPS,
        surprise=rng.choice([0.0, 0.0, 3.0, 5.0, np.nan], n_rows),
        mode=mode,
        mode_names=MODES,
    )
    for row in range(n_rows):
        n_listed = rng.integers(0, 6)
        block.top_sensors[row, :n_listed] = rng.permutation(len(NAMES))[:n_listed]
        block.top_shares[row, :n_listed] = np.sort(rng.dirichlet(np.ones(6))[:n_listed])[::-1]
        block.top_expected[row, :n_listed] = rng.normal(size=n_listed)
        block.top_actual[row, :n_listed] = rng.normal(size=n_listed)
    return block


def _rows(block: ScoreBlock) -> list[ScoreBlock]:
    return [block.take(slice(i, i + 1)) for i in range(len(block))]


def _builder(rule: EventRule) -> EventBuilder:
    return EventBuilder(NAMES, LINE, rule, return_days=lambda level: 3.0 * level)


def _finished(block: ScoreBlock, rule: EventRule) -> list[Event]:
    """Events that are open at the end of the rows, by a fresh builder and its end of the log."""
    builder = _builder(rule)
    builder.update(block)
    return builder.finish()


@settings(max_examples=40, deadline=None)
@given(logs, rules)
def test_what_is_open_is_what_the_end_of_the_log_would_give(block, rule):
    builder = _builder(rule)
    for i, row in enumerate(_rows(block)):
        builder.update(row)
        so_far = block.take(slice(0, i + 1))
        ongoing = builder.ongoing()
        assert ongoing == _finished(so_far, rule)
        assert all(event in naive_events(so_far, NAMES, LINE, rule, lambda level: 3.0 * level) for event in ongoing)
        assert builder.n_open >= len(ongoing)
        for group, name in enumerate(GROUPS):
            assert builder.ongoing([group, 7]) == [event for event in ongoing if event.group == name]
    assert builder.ongoing() == builder.finish()
    assert builder.ongoing() == []


@settings(max_examples=200, deadline=None)
@given(logs, rules)
def test_rows_passed_over_are_rows_done_with(block, rule):
    """Row by row, with `update` only where `pass_over` says no; the outcome is that of one block."""
    builder, plain = _builder(rule), _builder(rule)
    events: list[Event] = []
    level = LINE.comparable(block.score, block.mode, block.mode_names)
    for i, row in enumerate(_rows(block)):
        closed = plain.update(row)
        is_quiet = builder.n_open == 0 and not level[i] > 1.0
        if builder.pass_over(int(block.time[i]), int(block.group[i]), float(level[i])):
            assert closed == []
        else:
            assert not is_quiet
            events += builder.update(row)
        assert builder.ongoing() == plain.ongoing()
    events += builder.finish()
    whole = _builder(rule)
    assert events == whole.update(block) + whole.finish()


@settings(max_examples=150, deadline=None)
@given(logs, rules, st.data())
def test_a_restart_at_any_row_changes_nothing(block, rule, data):
    stops = data.draw(st.lists(st.integers(0, len(block) - 1), min_size=1, max_size=4))
    whole = _builder(rule)
    expected = whole.update(block) + whole.finish()
    builder = _builder(rule)
    events: list[Event] = []
    for i, row in enumerate(_rows(block)):
        if i in stops:
            state = builder.state()
            before = builder.ongoing()
            builder.update(row)  # the one that is given up goes on, which must not reach the state
            builder.finish()
            builder = _builder(rule)
            builder.restore(reread(state))
            assert builder.ongoing() == before
        if np.isnan(block.score[i]) and i % 2:
            builder.pass_over(int(block.time[i]), int(block.group[i]), np.nan) or events.extend(builder.update(row))
        else:
            events += builder.update(row)
    assert events + builder.finish() == expected


@settings(max_examples=60, deadline=None)
@given(logs, rules, st.integers(0, 60))
def test_blocks_after_a_restart_too(block, rule, stop):
    first, second = block.take(slice(0, stop)), block.take(slice(stop, None))
    whole = _builder(rule)
    expected = whole.update(block) + whole.finish()
    before, after = _builder(rule), _builder(rule)
    events = before.update(first)
    after.restore(reread(before.state()))
    assert events + after.update(second) + after.finish() == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), rules, st.integers(0, 2**16), st.booleans())
def test_ticks_of_many_machines_are_their_rows_one_by_one(n_ticks, rule, seed, is_mixed):
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(12)]
    together, single = _builder(rule), _builder(rule)
    for tick in range(n_ticks):
        here = rng.permutation(12)[: rng.integers(1, 13)]
        block = make_block(
            rng.choice([np.nan, *LOW, *HIGH], len(here)),
            seconds=[tick] * len(here),
            group=here if is_mixed else np.sort(here),
            group_names=names,
            surprise=rng.choice([0.0, 4.0], len(here)),
        )
        block.top_sensors[:, 0] = rng.integers(0, 6, len(here))
        block.top_shares[:, 0] = 0.5
        block.top_expected[:, 0], block.top_actual[:, 0] = rng.normal(size=(2, len(here)))
        closed = [event for row in _rows(block) for event in single.update(row)]
        assert together.update(block) == closed
        assert together.ongoing() == single.ongoing()
    assert together.finish() == single.finish()


def test_an_open_event_is_made_again_only_when_a_row_joins_it():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=3))
    builder.update(make_block([2.0]))
    [first] = builder.ongoing()
    assert builder.pass_over(SECOND, 0, 0.1)
    builder.update(make_block([0.1], start=2))
    [same] = builder.ongoing()
    assert same is first
    builder.update(make_block([3.0], start=3))
    [grown] = builder.ongoing()
    assert (grown.event_id, grown.n_rows, grown.severity) == (first.event_id, 4, 3.0)


def test_a_builder_in_use_can_be_set_back():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=3))
    builder.update(make_block([2.0]))
    state, before = builder.state(), builder.ongoing()
    builder.update(make_block([3.0], start=1))
    assert builder.ongoing() != before
    builder.restore(state)
    assert builder.ongoing() == before


def test_events_too_short_so_far_are_not_ongoing():
    builder = EventBuilder(NAMES, 1.0, EventRule(min_rows=2))
    builder.update(make_block([2.0]))
    assert (builder.ongoing(), builder.n_open) == ([], 1)
    builder.update(make_block([2.0], start=1))
    assert [event.n_rows for event in builder.ongoing()] == [2]


def test_which_rows_are_passed_over():
    rule = EventRule(merge_gap_rows=2, release=0.8)
    builder = EventBuilder(NAMES, 1.0, rule)
    assert builder.pass_over(0, 0, 0.9)  # above the release level, but there is nothing to go on with
    assert builder.pass_over(SECOND, 0, np.nan)
    assert builder.pass_over(0, 5, 0.1)  # a machine that nobody has heard of
    assert not builder.pass_over(2 * SECOND, 0, 1.1)
    assert not builder.pass_over(2 * SECOND, 0, np.inf)
    builder.update(make_block([2.0], start=2))
    assert not builder.pass_over(3 * SECOND, 0, 0.9)  # goes on
    assert builder.pass_over(3 * SECOND, 0, np.nan)
    assert builder.pass_over(4 * SECOND, 0, 0.1)  # released
    assert not builder.pass_over(5 * SECOND, 0, 0.9)  # closes
    assert [event.end for event in builder.update(make_block([0.9], start=5))] == [2 * SECOND]


def test_rows_passed_over_take_their_places():
    builder = EventBuilder(NAMES, 1.0, EventRule(merge_gap_rows=0))
    for i in range(4):
        assert builder.pass_over(i * SECOND, 0, 0.1)
    with pytest.raises(TimeError, match="steps back by 2 s"):
        builder.pass_over(SECOND, 0, 0.1)
    with pytest.raises(DataError, match="negative"):
        builder.pass_over(SECOND, -1, 0.1)
    with pytest.raises(DataError, match="finite"):
        builder.update(make_block([np.inf], start=4))


def test_a_damaged_state_is_refused():
    def make() -> EventBuilder:
        return EventBuilder(NAMES, 1.0, EventRule(refractory_rows=90, merge_gap_rows=2))

    builder = make()
    block = make_block([2.0] * 3, group=[0, 1, 2], group_names=GROUPS)
    block.top_sensors[:, 0] = 3
    block.top_shares[:, 0] = 1.0
    builder.update(block)
    builder.update(make_block([0.1] * 5, start=3, group_names=GROUPS))
    state = builder.state()
    assert len(state["tracker"]["barred_group"]) == 1
    assert_refuses_damage(make, state)
    for part, place, value in (("names", 2, None), ("group", 0, 77), ("group", 0, 0)):
        broken = reread(state)
        if value is None:
            del broken[part][place]
        else:
            broken[part] = np.where(np.arange(len(broken[part])) == place, value, broken[part])
        with pytest.raises(ArtefactError, match="does not fit"):
            make().restore(broken)
    with pytest.raises(ArtefactError, match="does not fit"):
        EventBuilder(NAMES[:4], 1.0, EventRule()).restore(state)


def test_names_keep_their_order_through_a_restart():
    builder = EventBuilder(NAMES, 1.0, EventRule())
    builder.update(make_block([2.0], group_names=("a", "b")))
    again = EventBuilder(NAMES, 1.0, EventRule())
    again.restore(builder.state())
    with pytest.raises(DataError, match="changed their order"):
        again.update(make_block([2.0], group_names=("b", "a")))
    again.restore(builder.state())
    again.update(make_block([2.0], start=1, group=[2], group_names=("a", "b", "c")))
    assert [event.group for event in again.finish()] == ["a", "c"]


def test_the_state_of_a_fleet_is_a_few_arrays():
    names = [f"m{i}" for i in range(300)]
    builder = EventBuilder(NAMES, 1.0, EventRule())
    builder.update(make_block([2.0] * 300, group=np.arange(300), group_names=names))
    state = builder.state()
    assert state["drafts"]["blame"].shape == (300, 6)

    def n_leaves(part: object) -> int:
        return sum(map(n_leaves, part.values())) if isinstance(part, dict) else 1

    assert n_leaves(state) < 30

"""What is told of events while they go on: each thing once, and the same things through any restart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import make_block, naive_events
from saved_states import assert_refuses_damage, reread

from sensorad.errors import ArtefactError
from sensorad.events import ChangeWatch, EventBuilder, EventChange, EventRule, QualityLimits, QualityMonitor
from sensorad.events.stored_events import events_of, stored_events
from sensorad.types import Event, RowBlock, ScoreBlock, Sensor, SensorSchema

NAMES = ("S0", "S1", "S2")
GROUPS = ("a", "b")
RULE = EventRule(merge_gap_rows=1, min_rows=2, point_rows=1, window_rows=2, echo_rows=0)
EVENT = Event("2a96b438b81b", "a", 0, 10, 5, "point", 1.5, 18.0, 11, ("S0", "S1"), (0.6, 0.2), (1.0, 2.0), (1.5, 2.5))

logs = st.builds(
    lambda seed, n_rows, hot: _log(seed, n_rows, hot),
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.sampled_from([40, 40, 30, 20, 5, 1]),
    hot=st.sampled_from([0.1, 0.5, 0.8]),
)


def _log(seed: int, n_rows: int, hot: float) -> ScoreBlock:
    rng = np.random.default_rng(seed)
    high = rng.choice([1.1, 1.3, 1.8, 2.5, 4.0, 9.0], n_rows)
    block = make_block(
        np.where(rng.random(n_rows) < hot, high, rng.choice([0.1, 0.9, np.nan], n_rows)),
        group=rng.integers(0, 2, n_rows),
        group_names=GROUPS,
        surprise=rng.choice([0.0, 5.0], n_rows),
    )
    block.top_sensors[:, 0], block.top_shares[:, 0] = rng.integers(0, 3, n_rows), 0.5
    block.top_expected[:, 0], block.top_actual[:, 0] = 1.0, 2.0
    return block


def _told(changes: list[EventChange]) -> list[tuple[str, Event]]:
    return [(change.what, change.event) for change in changes]


def _naive_changes(block: ScoreBlock, rule: EventRule) -> list[tuple[str, Event]]:
    """From all events of all beginnings of the log: an event is open while more rows could still change it."""
    found: list[tuple[str, Event]] = []
    told: dict[str, Event] = {}
    final = {event.event_id: event for event in naive_events(block, NAMES, 1.0, rule)}
    is_over: set[str] = set()
    for i in range(len(block)):
        machine = GROUPS[block.group[i]]
        position = int((block.group[: i + 1] == block.group[i]).sum()) - 1
        opened, shut = [], []
        for event in naive_events(block.take(slice(0, i + 1)), NAMES, 1.0, rule):
            if event.group != machine or event.event_id in is_over:
                continue
            own = block.time[block.group == block.group[i]]
            last = int(np.flatnonzero(own == event.end)[0])
            if position - last > rule.merge_gap_rows:
                shut.append(("closed", event))
                is_over.add(event.event_id)
                assert final[event.event_id] == event
                continue
            before = told.get(event.event_id)
            if before is None:
                opened.append(("opened", event))
            elif (
                event.severity >= 1.25 * before.severity
                or event.kind != before.kind
                or event.sensors[0] != before.sensors[0]
            ):
                opened.append(("changed", event))
            else:
                continue
            told[event.event_id] = event
        found += shut + opened
    rest = [event for event in final.values() if event.event_id not in is_over]
    return found + [("closed", event) for event in sorted(rest, key=lambda event: (event.start, event.group))]


@settings(max_examples=60, deadline=None)
@given(logs, st.data())
def test_told_once_and_in_order_as_the_slow_twin_through_any_restart(block, data):
    stops = data.draw(st.lists(st.integers(0, len(block) - 1), max_size=3))
    builder, watch = EventBuilder(NAMES, 1.0, RULE), ChangeWatch()
    of_machine = data.draw(st.booleans())
    found: list[tuple[str, Event]] = []
    for i in range(len(block)):
        if i in stops:
            state = watch.state()
            watch.changes([], [])
            watch = ChangeWatch()
            watch.restore(reread(state))
        closed = builder.update(block.take(slice(i, i + 1)))
        code = int(block.group[i])
        if of_machine:
            found += _told(watch.changes(closed, builder.ongoing([code]), [GROUPS[code]]))
        else:
            found += _told(watch.changes(closed, builder.ongoing()))
    found += _told(watch.changes(builder.finish(), []))
    assert found == _naive_changes(block, RULE)
    assert watch.n_open == 0


@settings(max_examples=60, deadline=None)
@given(logs, st.lists(st.integers(1, 40), max_size=4))
def test_longer_blocks_tell_the_same_ends(block, cuts):
    """Whatever the cut, every event is opened once, first, and closed once, last, in its final shape."""
    builder, watch = EventBuilder(NAMES, 1.0, RULE), ChangeWatch()
    found: list[EventChange] = []
    bounds = [0, *sorted({cut for cut in cuts if cut < len(block)}), len(block)]
    for low, high in pairwise(bounds):
        found += watch.changes(builder.update(block.take(slice(low, high))), builder.ongoing())
    found += watch.changes(builder.finish(), [])
    final = naive_events(block, NAMES, 1.0, RULE)
    assert {change.what for change in found} <= {"opened", "changed", "closed"}
    for event in final:
        own = [change for change in found if change.event.event_id == event.event_id]
        assert [change.what == "opened" for change in own] == [True] + [False] * (len(own) - 1)
        assert [change.what == "closed" for change in own] == [False] * (len(own) - 1) + [True]
        assert own[-1].event == event
    assert {change.event.event_id for change in found} == {event.event_id for event in final}


def test_growth_is_measured_from_what_was_told_last():
    watch = ChangeWatch()
    severities = [1.0, 1.2, 1.24, 1.25, 1.5, 1.56, 1.57, 1.0, 9.0]
    told = [
        change.event.severity
        for severity in severities
        for change in watch.changes([], [replace(EVENT, severity=severity)])
    ]
    assert told == [1.0, 1.25, 1.57, 9.0]


def test_kind_and_leading_sensor_are_news_and_nothing_else_is():
    watch = ChangeWatch()
    watch.changes([], [EVENT])
    grown = replace(EVENT, end=90, n_rows=90, shares=(0.5, 0.4), sensors=("S0", "S2"), severity=1.6)
    assert watch.changes([], [grown]) == []
    turned = replace(grown, sensors=("S2", "S0"))
    assert watch.changes([], [turned]) == [EventChange("changed", turned)]
    longer = replace(turned, kind="interval")
    assert watch.changes([], [longer]) == [EventChange("changed", longer)]
    assert watch.changes([], [longer]) == []
    assert watch.changes([longer], []) == [EventChange("closed", longer)]


def test_opened_and_closed_at_once():
    assert ChangeWatch().changes([EVENT], []) == [EventChange("opened", EVENT), EventChange("closed", EVENT)]


def test_open_events_are_told_by_the_row_that_causes_it():
    watch = ChangeWatch()
    late = replace(EVENT, event_id="late", start=0, end=30)
    soon = replace(EVENT, event_id="soon", start=5, end=20, group="b")
    over = replace(EVENT, event_id="over", end=2)
    assert [(c.what, c.event.event_id) for c in watch.changes([over], [late, soon])] == [
        ("opened", "over"),
        ("closed", "over"),
        ("opened", "soon"),
        ("opened", "late"),
    ]


def test_machines_that_are_not_asked_for_stay_as_they_are():
    watch = ChangeWatch()
    other = replace(EVENT, event_id="other", group="b")
    watch.changes([], [EVENT, other])
    assert watch.changes([], [EVENT], ["a"]) == []
    assert watch.changes([], [], ["c"]) == []
    assert watch.n_open == 2
    assert watch.changes([], [], ["b"]) == [EventChange("withdrawn", other)]
    assert watch.n_open == 1
    assert watch.changes([other], []) == [
        EventChange("opened", other),
        EventChange("closed", other),
        EventChange("withdrawn", EVENT),
    ]


def test_faults_of_sensors_that_become_one_are_withdrawn():
    """Two sensors fail together; one is back for a row, so they part, and the pause is too short, so they join."""
    schema = SensorSchema((Sensor("A"), Sensor("B"), Sensor("C")))
    limits = QualityLimits((1, 1, 1), (0, 0, 0), ("", "", ""))
    monitor, watch = QualityMonitor(schema, limits, EventRule(merge_gap_rows=4)), ChangeWatch()
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    flaw = np.zeros((40, 3), np.uint8)
    flaw[5:20, :2] = 2  # infinite, told at once
    flaw[10:12, 1] = 0
    values[flaw > 0] = 0
    rows = RowBlock(
        np.arange(40), 10**18 + np.arange(40) * 10**9, values, flaw, np.zeros(40, np.int32), group_names=("m",)
    )
    found: list[EventChange] = []
    events: list[Event] = []
    for i in range(40):
        closed = monitor.update(rows.take(slice(i, i + 1)))
        events += closed
        found += watch.changes(closed, monitor.ongoing())
    events += (last := monitor.finish())
    found += watch.changes(last, [])
    assert [(change.what, change.event.sensors) for change in found] == [
        ("opened", ("A", "B")),
        ("opened", ("B",)),
        ("withdrawn", ("B",)),
        ("closed", ("A", "B")),
    ]
    assert [change.event for change in found if change.what == "closed"] == events
    n_told = Counter(change.event.event_id for change in found if change.what == "opened")
    n_over = Counter(change.event.event_id for change in found if change.what in ("closed", "withdrawn"))
    assert n_told == n_over


def test_events_come_back_as_they_were():
    quality = replace(
        EVENT,
        event_id="q",
        kind="quality",
        severity=np.nan,
        sensors=(),
        shares=(),
        expected=(),
        actual=(),
        reason="clock",
    )
    full = replace(EVENT, return_days=12.5, onsets=(3, 4), note="ü")
    unknown = replace(EVENT, sensors=("S2",), shares=(1.0,), expected=(np.nan,), actual=(0.1,), onsets=(2**62,))
    before = [full, quality, unknown]
    after = events_of(reread(stored_events(before)))
    assert [repr(event) for event in after] == [repr(event) for event in before]
    assert events_of(stored_events([])) == []


def test_a_damaged_state_is_refused():
    watch = ChangeWatch()
    watch.changes([], [replace(EVENT, onsets=(0, 1)), replace(EVENT, event_id="b", onsets=(0, 1))])
    state = watch.state()
    assert_refuses_damage(ChangeWatch, state)
    for name, value in (("kind", ["point", "?"]), ("n_sensors", np.array([1, 2])), ("n_sensors", np.array([5, -1]))):
        broken = reread(state)
        broken["told"][name] = value
        with pytest.raises(ArtefactError, match="does not fit"):
            ChangeWatch().restore(broken)

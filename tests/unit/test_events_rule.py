"""Event rules, kinds and ids."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_events import naive_kind

from sensorad.errors import UsageError
from sensorad.events import EventRule, event_id, event_kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merge_gap_rows", -1),
        ("merge_gap_rows", 1.0),
        ("min_rows", 0),
        ("min_rows", True),
        ("release", 0.0),
        ("release", 1.01),
        ("release", float("nan")),
        ("release", "0.8"),
        ("point_rows", 0),
        ("echo_rows", -1),
        ("window_rows", 0),
        ("surprise_level", 0.0),
        ("step_seconds", 0.0),
        ("step_seconds", float("inf")),
        ("refractory_rows", -1),
        ("refractory_rows", 2.0),
        ("refractory_rows", 10**13),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(UsageError, match=name):
        EventRule(**{name: value})


def test_json_round_trip():
    rule = EventRule(3, 2, 0.5, 1, 4, 60, 2.5, 0.25, 90)
    assert EventRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert EventRule.from_json({}) == EventRule()
    assert EventRule.from_json(EventRule().to_json()) == EventRule()


def test_a_rule_that_knew_no_refractory_time_still_loads():
    older = EventRule(merge_gap_rows=5, step_seconds=60.0).to_json()
    assert older.pop("refractory_rows") == 0
    assert EventRule.from_json(older) == EventRule(merge_gap_rows=5, step_seconds=60.0)


def test_unknown_settings_are_refused():
    with pytest.raises(UsageError, match="mergegap"):
        EventRule.from_json({"mergegap": 3})


@pytest.mark.parametrize(
    ("n_positions", "surprising", "kind"),
    [
        (1, (0, 0), "point"),
        (33, (0, 12), "point"),  # 3 + 30 rows long, surprising rows over 3 + 10
        (34, (0, 12), "interval"),  # longer than a short disturbance can echo
        (33, (0, 13), "interval"),  # the disturbance itself was not short
        (5, None, "interval"),  # no row is abnormal in itself
        (33, (3, 15), "point"),
        (33, (4, 4), "interval"),  # something rose before the row that should explain it
    ],
)
def test_a_point_is_a_short_cause_at_the_start_with_a_short_echo(n_positions, surprising, kind):
    assert event_kind(n_positions, surprising, EventRule()) == kind


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.builds(EventRule, point_rows=st.integers(1, 4), echo_rows=st.integers(0, 6), window_rows=st.integers(1, 30)),
)
def test_kinds_are_those_of_the_rule_spelled_out(is_surprising, rule):
    at = list(range(100, 100 + len(is_surprising)))
    rows = [position for position, flag in zip(at, is_surprising, strict=True) if flag]
    surprising = (rows[0] - 100, rows[-1] - 100) if rows else None
    assert event_kind(len(at), surprising, rule) == naive_kind(at, rows, rule)


def test_ids_are_short_stable_and_sensitive_to_what_they_stand_for():
    first = event_id("pump", 5, ("a", "b"))
    assert first == event_id("pump", 5, ["a", "b"])
    assert len(first) == 12
    assert int(first, 16) >= 0
    others = {
        event_id("pump2", 5, ("a", "b")),
        event_id("pump", 6, ("a", "b")),
        event_id("pump", 5, ("b", "a")),
        event_id("pump", 5, ("a,b",)),
        event_id("", 5, ("pump", "a", "b")),
        event_id("\ud800\x00", 5, ("a", "b")),  # hostile names do not break it
    }
    assert len(others | {first}) == 7

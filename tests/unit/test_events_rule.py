"""Event rules, kinds and ids."""

from __future__ import annotations

import json

import pytest

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
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(UsageError, match=name):
        EventRule(**{name: value})


def test_json_round_trip():
    rule = EventRule(3, 2, 0.5, 1, 4, 60, 2.5, 0.25)
    assert EventRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert EventRule.from_json({}) == EventRule()
    assert EventRule.from_json(EventRule().to_json()) == EventRule()


def test_unknown_settings_are_refused():
    with pytest.raises(UsageError, match="mergegap"):
        EventRule.from_json({"mergegap": 3})


@pytest.mark.parametrize(
    ("n_positions", "n_surprising", "kind"),
    [
        (1, 1, "point"),
        (33, 13, "point"),  # 3 + 30 rows long, surprising rows over 3 + 10
        (34, 13, "interval"),  # longer than a short disturbance can echo
        (33, 14, "interval"),  # the disturbance itself was not short
        (5, 0, "interval"),  # no row is abnormal in itself
    ],
)
def test_a_point_is_a_short_cause_with_a_short_echo(n_positions, n_surprising, kind):
    assert event_kind(n_positions, n_surprising, EventRule()) == kind


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

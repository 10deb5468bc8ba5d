"""`LogFormat`: checked once, kept as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sensorad.errors import UsageError
from sensorad.logs import LogFormat


@pytest.mark.parametrize(
    "form",
    [
        LogFormat(),
        LogFormat(time="t", sensors=("a", "b"), group="g", mode="m", label="y", time_zone="Europe/Berlin"),
        LogFormat(layout="long", tag="name", value="v", quality="q", exclude=("x",), rename=(("old", "new"),)),
        LogFormat(time_step_seconds=0.5, time_origin="2024-01-01T00:00:00Z"),
        LogFormat(time="t", time_unit="ms"),
    ],
)
def test_json_round_trip(form: LogFormat) -> None:
    text = json.dumps(form.to_json())
    assert LogFormat.from_json(json.loads(text)) == form


def test_json_holds_only_what_was_set() -> None:
    assert LogFormat(group="g").to_json() == {"group": "g"}


def test_unknown_json_key_is_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        LogFormat.from_json({"colour": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layout": "tall"}, "layout"),
        ({"time": "x", "group": "x"}, "both time and group"),
        ({"time": "x", "sensors": ("x",)}, "both a sensor and time"),
        ({"sensors": ("a",), "exclude": ("a",)}, "excluded"),
        ({"sensors": ("a", "a")}, "twice"),
        ({"sensors": "abc"}, "several names"),
        ({"exclude": "abc"}, "several names"),
        ({"layout": "long", "value": "tag"}, "both tag and value"),
        ({"time_unit": "days"}, "time unit"),
        ({"time_zone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"time_zone": "../etc/passwd"}, "unknown"),
        ({"time_step_seconds": 0.0}, "positive"),
        ({"time_step_seconds": float("nan")}, "positive"),
        ({"time_step_seconds": 1.0, "time": "t"}, "not both"),
        ({"time_step_seconds": 1.0, "layout": "long"}, "time column"),
        ({"time_origin": "yesterday"}, "ISO 8601"),
        ({"time_origin": "2024-01-01"}, "no zone"),
        ({"rename": (("a", "x"), ("b", "x"))}, "same new name"),
        ({"rename": (("a", "x"), ("a", "y"))}, "same old name"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LogFormat(**values)


def test_lists_become_tuples() -> None:
    form = LogFormat(sensors=["a"], exclude=["b"], rename=[["c", "d"]])  # type: ignore[arg-type]
    assert (form.sensors, form.exclude, form.rename) == (("a",), ("b",), (("c", "d"),))
    hash(form)


def test_origin_may_take_the_declared_zone() -> None:
    assert LogFormat(time_origin="2024-01-01", time_zone="+02:00").time_zone == "+02:00"

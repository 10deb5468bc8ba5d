"""Events as columns of arrays and lists, for states that a restart reads back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sensorad.events.state_parts import array_in, misfit, names_in, part_of
from sensorad.types import Event

__all__ = ["events_of", "stored_events"]

_TEXTS = ("event_id", "group", "kind", "note", "reason")
_NUMBERS = ("start", "end", "peak", "n_rows")
_LEVELS = ("severity", "score")
_BLAMES = ("shares", "expected", "actual")
KINDS = ("point", "interval", "quality")


def stored_events(events: Sequence[Event]) -> dict[str, Any]:
    """The events as plain columns; what they say of their sensors lies end to end, ``n_sensors`` for each event."""
    return_days = [np.nan if event.return_days is None else event.return_days for event in events]
    return {
        **{name: [getattr(event, name) for event in events] for name in _TEXTS},
        **{name: np.array([getattr(event, name) for event in events], np.int64) for name in _NUMBERS},
        **{name: np.array([getattr(event, name) for event in events], np.float64) for name in _LEVELS},
        "return_days": np.array(return_days, np.float64),
        "n_sensors": np.array([len(event.sensors) for event in events], np.int64),
        "sensors": [name for event in events for name in event.sensors],
        "onsets": np.array([time for event in events for time in event.onsets], np.int64),
        **{name: np.array([x for event in events for x in getattr(event, name)], np.float64) for name in _BLAMES},
    }


def events_of(state: object) -> list[Event]:
    """The events of `stored_events`.

    Raises
    ------
    ArtefactError
        Columns are missing, of other lengths, or of other types.
    """
    columns = part_of(state, "events")
    texts = {name: names_in(columns, name) for name in _TEXTS}
    n_events = len(texts["event_id"])
    numbers = {name: array_in(columns, name, np.int64, (n_events,)).tolist() for name in _NUMBERS}
    levels = {name: array_in(columns, name, np.float64, (n_events,)).tolist() for name in (*_LEVELS, "return_days")}
    n_sensors = array_in(columns, "n_sensors", np.int64, (n_events,))
    sensors = names_in(columns, "sensors")
    if any(len(column) != n_events for column in texts.values()) or (n_sensors < 0).any():
        raise misfit("columns of events have different lengths")
    if n_sensors.sum() != len(sensors) or not set(texts["kind"]) <= set(KINDS):
        raise misfit("sensors or kinds are not those of events")
    blames = {name: array_in(columns, name, np.float64, (len(sensors),)).tolist() for name in _BLAMES}
    blames["sensors"] = sensors
    blames["onsets"] = array_in(columns, "onsets", np.int64, (len(sensors),)).tolist()
    bounds = pairwise(np.append(0, np.cumsum(n_sensors)).tolist())
    events: list[Event] = []
    for i, (low, high) in enumerate(bounds):
        fields: dict[str, Any] = {name: column[i] for name, column in (texts | numbers | levels).items()}
        fields |= {name: tuple(column[low:high]) for name, column in blames.items()}
        if np.isnan(fields["return_days"]):
            fields["return_days"] = None
        events.append(Event(**fields))
    return events

"""Which events matter most where not all can be shown: alarms by severity, then findings about data by length."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sensorad.types import Event

__all__ = ["ranked_alarms", "ranked_events", "ranked_findings"]


def ranked_alarms(events: Iterable[Event]) -> list[Event]:
    """Events about the plant, the most severe first; an unknown severity counts as the least.

    Examples
    --------
    >>> severities = {"a": 1.5, "b": float("nan"), "c": float("inf")}
    >>> events = [Event(name, "", 0, 9, 0, "interval", x, x, 9) for name, x in severities.items()]
    >>> [event.event_id for event in ranked_alarms(events)]
    ['c', 'a', 'b']
    """
    return sorted((event for event in events if event.kind != "quality"), key=_severest_first)


def ranked_findings(events: Iterable[Event]) -> list[Event]:
    """Events about the data, the longest first."""
    return sorted((event for event in events if event.kind == "quality"), key=_longest_first)


def ranked_events(events: Iterable[Event]) -> list[Event]:
    """All alarms, then all findings."""
    events = list(events)
    return [*ranked_alarms(events), *ranked_findings(events)]


def _severest_first(event: Event) -> tuple[float, int, str]:
    return (math.inf if math.isnan(event.severity) else -event.severity, event.start, event.event_id)


def _longest_first(event: Event) -> tuple[int, int, str]:
    return (event.start - event.end, event.start, event.event_id)

"""What another line or another rule would have changed: events gained, lost and kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sensorad.types import Event

__all__ = ["EventDifference", "event_difference"]


@dataclass(frozen=True, slots=True)
class EventDifference:
    """Two lists of events of the same scores, held against each other.

    Attributes
    ----------
    gained, lost : tuple of Event
        Events of the second list that meet none of the first, and the other way round, by start time.
    kept : tuple of (Event, Event)
        Events of the first list, each with the most severe event of the second that it meets.
    """

    gained: tuple[Event, ...]
    lost: tuple[Event, ...]
    kept: tuple[tuple[Event, Event], ...]


def event_difference(before: Sequence[Event], after: Sequence[Event]) -> EventDifference:
    """Match events of one machine that share a moment, both ends included.

    Where a lower line joins two events into one, neither is lost; where a higher line cuts one in two, neither part
    is gained.

    Examples
    --------
    >>> def event(name, start, end):
    ...     return Event(name, "", start, end, start, "interval", 2.0, 4.0, end - start)
    >>> found = event_difference([event("a", 0, 9), event("b", 50, 60)], [event("c", 5, 20), event("d", 90, 95)])
    >>> [e.event_id for e in found.gained], [e.event_id for e in found.lost]
    (['d'], ['b'])
    >>> [(a.event_id, b.event_id) for a, b in found.kept]
    [('a', 'c')]
    """
    pairs = _overlaps(before, after)
    met_before = {i for i, _ in pairs}
    met_after = {j for _, j in pairs}
    partners: dict[int, list[int]] = defaultdict(list)
    for i, j in pairs:
        partners[i].append(j)
    kept = [(before[i], max((after[j] for j in partners[i]), key=lambda event: event.severity)) for i in partners]
    return EventDifference(
        gained=_ordered(after[j] for j in range(len(after)) if j not in met_after),
        lost=_ordered(before[i] for i in range(len(before)) if i not in met_before),
        kept=tuple(sorted(kept, key=lambda pair: (pair[0].start, pair[0].group))),
    )


def _overlaps(before: Sequence[Event], after: Sequence[Event]) -> list[tuple[int, int]]:
    """Positions of events that share a moment; one sweep, since the events of one list do not overlap each other."""
    by_machine: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, events in enumerate((before, after)):
        for position in sorted(range(len(events)), key=lambda p: events[p].start):
            by_machine[events[position].group][side].append(position)
    pairs = []
    for left, right in by_machine.values():
        i = j = 0
        while i < len(left) and j < len(right):
            one, other = before[left[i]], after[right[j]]
            if one.end >= other.start and other.end >= one.start:
                pairs.append((left[i], right[j]))
            if one.end <= other.end:
                i += 1
            else:
                j += 1
    return pairs


def _ordered(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: (event.start, event.group)))

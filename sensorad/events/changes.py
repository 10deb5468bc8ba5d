"""What is worth telling of events while they go on: that they opened, changed or closed, each once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sensorad.events.stored_events import events_of, stored_events
from sensorad.types import Event

__all__ = ["GROWTH", "ChangeWatch", "EventChange"]

GROWTH = 1.25
"""An event is told again when its severity has grown by a quarter since it was told last: 14 tellings at most on the
way from the alarm line to 20 times its height."""


@dataclass(frozen=True, slots=True)
class EventChange:
    """News of one event.

    Attributes
    ----------
    what : str
        "opened", "changed", "closed" (the event is final), or "withdrawn": what had been told as an event of its own
        turned out to be part of another. Only events about data are ever withdrawn, where sensors that failed on the
        same row stop and go on so that their faults become one.
    event : Event
        The event as it stands.
    """

    what: Literal["opened", "changed", "closed", "withdrawn"]
    event: Event


class ChangeWatch:
    """Turns events as they stand into news; nothing is told twice.

    An event is opened on first sight. It has changed when its kind or its leading sensor is another than was told
    last, or its severity has grown by a quarter since. It is closed with its final shape.

    Examples
    --------
    >>> from dataclasses import replace
    >>> event = Event("2a96b438b81b", "pump-1", 0, 10, 5, "point", 1.5, 18.0, 11)
    >>> watch = ChangeWatch()
    >>> [change.what for change in watch.changes([], [event])]
    ['opened']
    >>> watch.changes([], [replace(event, end=20, severity=1.8)])
    []
    >>> [change.what for change in watch.changes([], [replace(event, end=30, severity=1.9)])]
    ['changed']
    >>> [change.what for change in watch.changes([replace(event, end=40, severity=2.0)], [])]
    ['closed']
    """

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Event]] = {}  # machine -> event id -> the event as it was told last

    @property
    def n_open(self) -> int:
        """Events that were told and have not been closed."""
        return sum(map(len, self._told.values()))

    def changes(
        self, closed: Iterable[Event], ongoing: Iterable[Event], groups: Iterable[str] | None = None
    ) -> list[EventChange]:
        """News since the last call, in the order of the rows that cause them.

        Closed events come first, in the order given, because a machine's next event cannot open before; then open
        ones by the time of the row that joined them last, start and machine. An event that is seen for the first
        time when it is closed is opened and closed.

        Parameters
        ----------
        closed
            Events closed since the last call.
        ongoing
            **All** events that are open, of the machines in ``groups``.
        groups
            Machines that ``ongoing`` speaks of, None = all. There is no news of a machine without rows.
        """
        found: list[EventChange] = []
        for event in closed:
            if self._drop(event) is None:
                found.append(EventChange("opened", event))
            found.append(EventChange("closed", event))
        news: list[EventChange] = []
        standing: dict[str, set[str]] = {}
        for event in ongoing:
            standing.setdefault(event.group, set()).add(event.event_id)
            told = self._told.setdefault(event.group, {})
            before = told.get(event.event_id)
            if before is None:
                news.append(EventChange("opened", event))
            elif before is not event and _is_news(before, event):
                news.append(EventChange("changed", event))
            else:
                continue
            told[event.event_id] = event
        for group in list(self._told) if groups is None else [group for group in groups if group in self._told]:
            gone = self._told[group].keys() - standing.get(group, ())
            if gone:
                lost = sorted((self._told[group][event_id] for event_id in gone), key=_by_row)
                found += [EventChange("withdrawn", event) for event in lost if self._drop(event) is not None]
        return found + sorted(news, key=lambda change: _by_row(change.event))

    def state(self) -> dict[str, Any]:
        """What has been told, for a restart."""
        return {"told": stored_events([event for told in self._told.values() for event in told.values()])}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises
        ------
        ArtefactError
            The state is damaged.
        """
        told: dict[str, dict[str, Event]] = {}
        for event in events_of(state.get("told")):
            told.setdefault(event.group, {})[event.event_id] = event
        self._told = told

    def _drop(self, event: Event) -> Event | None:
        """What was told of an event that is over; None = nothing."""
        told = self._told.get(event.group, {})
        before = told.pop(event.event_id, None)
        if before is not None and not told:
            del self._told[event.group]
        return before


def _is_news(told: Event, event: Event) -> bool:
    return (
        event.severity >= GROWTH * told.severity  # NaN, of events about data, compares false
        or event.kind != told.kind
        or event.sensors[:1] != told.sensors[:1]
    )


def _by_row(event: Event) -> tuple[int, int, str, str]:
    return event.end, event.start, event.group, event.event_id

"""Events gained, lost and kept, against comparing every pair."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sensorad.events import event_difference
from sensorad.types import Event


def _events(draws: np.random.Generator, prefix: str) -> list[Event]:
    """Events that do not overlap within a machine, in any order."""
    events = []
    for group in ("a", "b"):
        bounds = np.sort(draws.choice(400, size=2 * int(draws.integers(0, 12)), replace=False))
        for number, (start, end) in enumerate(list(pairwise(bounds.tolist()))[::2]):
            severity = float(draws.uniform(1, 5))
            events.append(Event(f"{prefix}{group}{number}", group, start, end, start, "interval", severity, 1.0, 1))
    return [events[i] for i in draws.permutation(len(events))]


def _meet(one: Event, other: Event) -> bool:
    return one.group == other.group and one.start <= other.end and other.start <= one.end


@pytest.mark.parametrize("seed", range(30))
def test_as_comparing_every_pair(seed: int) -> None:
    draws = np.random.default_rng(seed)
    before, after = _events(draws, "x"), _events(draws, "y")
    found = event_difference(before, after)
    assert {event.event_id for event in found.gained} == {
        event.event_id for event in after if not any(_meet(event, other) for other in before)
    }
    assert {event.event_id for event in found.lost} == {
        event.event_id for event in before if not any(_meet(event, other) for other in after)
    }
    expected = {}
    for event in before:
        if partners := [other for other in after if _meet(event, other)]:
            expected[event.event_id] = max(partners, key=lambda other: other.severity).event_id
    assert {left.event_id: right.event_id for left, right in found.kept} == expected
    assert [e.start for e in found.gained] == sorted(e.start for e in found.gained)


def test_the_same_events_differ_in_nothing() -> None:
    events = _events(np.random.default_rng(99), "x")
    found = event_difference(events, events)
    assert (found.gained, found.lost) == ((), ())
    assert all(left is right for left, right in found.kept)
    assert len(found.kept) == len(events)

"""Quality events in the making: merged, closed when nothing can join them, joined over sensors."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_limits import QualityLimits
from sensorad.events.quality_runs import Place
from sensorad.types import Event, SensorSchema

__all__ = ["MOST_EVENTS", "WHOLE_ROW", "ClockFaults", "Draft", "DraftBook", "quality_event", "quality_event_id"]

MOST_EVENTS = 1_000
"""Events of one reason on one sensor of one machine; the last one takes in all that follows."""

WHOLE_ROW = -1
"""Column of drafts that belong to rows and not to a sensor: blind rows and the clock."""

SECOND = 10**9


@dataclass(slots=True)
class ClockFaults:
    """What was wrong with the clock, counted."""

    n_gaps: int = 0
    longest_gap: int = 0
    n_late: int = 0
    n_conflicts: int = 0
    n_rate: int = 0

    def add(self, other: ClockFaults) -> None:
        self.n_gaps += other.n_gaps
        self.longest_gap = max(self.longest_gap, other.longest_gap)
        self.n_late += other.n_late
        self.n_conflicts += other.n_conflicts
        self.n_rate += other.n_rate

    def __str__(self) -> str:
        said = []
        if self.n_gaps:
            longest = _duration(self.longest_gap)
            said.append(f"gap of {longest}" if self.n_gaps == 1 else f"{self.n_gaps} gaps, longest {longest}")
        if self.n_late:
            said.append(f"{_n(self.n_late, 'row')} out of order")
        if self.n_conflicts:
            said.append(f"{_n(self.n_conflicts, 'row')} with a time already taken by other values")
        if self.n_rate:
            said.append(f"{_n(self.n_rate, 'row')} at another sampling rate")
        return "; ".join(said)


@dataclass(slots=True)
class Draft:
    """What is known of one reason on one sensor between ``first`` and ``last``.

    Attributes
    ----------
    n_cells, n_runs, longest
        Bad cells, the runs that they make, and cells of the longest run.
    value, expected : float
        What the longest run or the worst cell shows, and the declared bound that it crosses.
    cells : (C,) int64, optional
        Missing cells of each sensor, for blind rows.
    is_last
        The last event that is given for this reason and sensor: it never closes.
    """

    reason: str
    column: int
    first: Place
    last: Place
    n_cells: int = 0
    n_runs: int = 0
    longest: int = 0
    value: float = np.nan
    expected: float = np.nan
    cells: NDArray[np.int64] | None = None
    clock: ClockFaults | None = None
    is_last: bool = False

    def add(self, later: Draft) -> None:
        """Go on with what a later row shows; the first of equals keeps its value."""
        self.last = later.last
        self.n_cells += later.n_cells
        self.n_runs += later.n_runs
        if self._is_worse(later):
            self.value, self.expected = later.value, later.expected
        self.longest = max(self.longest, later.longest)
        if self.cells is not None and later.cells is not None:
            self.cells = self.cells + later.cells
        if self.clock is not None and later.clock is not None:
            self.clock.add(later.clock)

    def _is_worse(self, later: Draft) -> bool:
        if self.reason == "out_of_range":
            return abs(later.value - later.expected) > abs(self.value - self.expected)
        return later.longest > self.longest


@dataclass(slots=True)
class DraftBook:
    """All drafts of one machine that may still grow, and those that wait for a sibling.

    Sensors whose drafts have the same reason and span become one event. They need not be known to be over on the
    same row, because a run that is still too short to be told may yet continue one of them; whichever is over first
    waits, so that cuts into blocks decide nothing.

    ``n_changes`` counts drafts that were opened or are over.
    """

    merge_gap: int
    open: dict[tuple[str, int], Draft] = field(default_factory=dict)
    over: list[Draft] = field(default_factory=list)
    n_events: Counter[tuple[str, int]] = field(default_factory=Counter)
    n_changes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.open or self.over)

    def add(self, found: Draft) -> None:
        """Merge into the open draft of the same reason and sensor, or open a new one."""
        key = found.reason, found.column
        draft = self.open.get(key)
        if draft is not None:
            if draft.is_last or found.first[1] - draft.last[1] - 1 <= self.merge_gap:
                draft.add(found)
                return
            self.over.append(draft)
        self.n_changes += 1
        self.n_events[key] += 1
        found.is_last = self.n_events[key] >= MOST_EVENTS
        self.open[key] = found

    def close(self, position: int, since: Callable[[Draft], int]) -> list[list[Draft]]:
        """Drafts that are over once the machine stands at ``position``, joined over sensors.

        ``since(draft)`` is the position at which a run that may come to continue the draft began.
        """
        growing: list[Draft] = []
        for key, draft in list(self.open.items()):
            reach = draft.last[1] + self.merge_gap + 1
            if not draft.is_last and position > reach and since(draft) > reach:
                self.over.append(self.open.pop(key))
            else:
                growing.append(draft)
        if not self.over:
            return []
        self.n_changes += 1
        waited_for = {_span(draft) for draft in growing if draft.column != WHOLE_ROW}
        ready = [draft for draft in self.over if draft.column == WHOLE_ROW or _span(draft) not in waited_for]
        self.over = [draft for draft in self.over if draft.column != WHOLE_ROW and _span(draft) in waited_for]
        return _joined(ready)

    def rest(self) -> list[list[Draft]]:
        """Everything as it stands, joined over sensors; the book stays as it is."""
        return _joined([*self.over, *self.open.values()])


def quality_event(group: str, drafts: Sequence[Draft], schema: SensorSchema, limits: QualityLimits) -> Event:
    """One event from drafts of the same reason and span."""
    names = schema.names
    drafts = sorted(drafts, key=lambda draft: draft.column)
    lead = drafts[0]
    is_whole_row = lead.column == WHOLE_ROW
    cells = {draft.column: draft.n_cells for draft in drafts if not is_whole_row}
    if lead.cells is not None:
        cells = {int(c): int(lead.cells[c]) for c in np.flatnonzero(lead.cells)}
    shown = {draft.column: (draft.expected, draft.value) for draft in drafts}
    order = sorted(cells, key=lambda column: (-cells[column], column))
    total = sum(cells.values())
    start = lead.first[0]
    return Event(
        event_id=quality_event_id(group, start, lead.reason, None if is_whole_row else names[lead.column], names),
        group=group,
        start=start,
        end=lead.last[0],
        peak=start,
        kind="quality",
        severity=np.nan,
        score=np.nan,
        n_rows=lead.last[2] - lead.first[2] + 1,
        sensors=tuple(names[column] for column in order),
        shares=tuple(cells[column] / total for column in order),
        expected=tuple(shown.get(column, (np.nan, np.nan))[0] for column in order),
        actual=tuple(shown.get(column, (np.nan, np.nan))[1] for column in order),
        note=_note(drafts, limits, len(cells), len(names)),
        onsets=(start,) * len(order),
        reason=lead.reason,
    )


def quality_event_id(group: str, start: int, reason: str, sensor: str | None, schema_names: Sequence[str]) -> str:
    """Twelve hexadecimal digits from machine, start, reason and the event's first sensor in schema order.

    ``sensor`` is None for events of whole rows. Other sensors do not enter, because which of them stay till the end
    is known only there; no two events share reason, start and first sensor.

    Examples
    --------
    >>> quality_event_id("pump-1", 1_700_000_000_000_000_000, "flat", "TI-101", ("TI-101", "PI-7"))
    'ef050be52341'
    """
    key = json.dumps(["quality", group, int(start), reason, sensor, list(schema_names)], separators=(",", ":"))
    return hashlib.sha256(key.encode("ascii")).hexdigest()[:12]


def _joined(drafts: Iterable[Draft]) -> list[list[Draft]]:
    alike: dict[tuple[object, ...], list[Draft]] = {}
    for draft in drafts:
        alike.setdefault((draft.column == WHOLE_ROW, *_span(draft)), []).append(draft)
    return list(alike.values())


def _span(draft: Draft) -> tuple[str, int, int]:
    return draft.reason, draft.first[2], draft.last[2]


def _note(drafts: Sequence[Draft], limits: QualityLimits, n_sensors: int, n_all: int) -> str:
    """The event in words."""
    lead = drafts[0]
    columns = [draft.column for draft in drafts]
    who = f"{n_sensors} sensors " if n_sensors > 1 else ""
    longest = max(draft.longest for draft in drafts)
    runs = max(draft.n_runs for draft in drafts)
    how_long = (
        f"in {runs:,} stretches, the longest of {_n(longest, 'row')}" if runs > 1 else f"for {_n(longest, 'row')}"
    )
    at = f" at {lead.value:g}" if n_sensors == 1 else ""
    if lead.clock is not None:
        note = str(lead.clock)
    elif lead.cells is not None:
        note = f"no data from {n_sensors} of {n_all} sensors {how_long}"
    elif lead.reason == "flat":
        usual = _usual([limits.longest_flat[column] for column in columns])
        note = f"{who}flat {how_long}{at} (longest on normal data: {usual})"
    elif lead.reason == "missing":
        usual = _usual([limits.longest_missing[column] or 0 for column in columns])
        note = f"{who}missing {how_long} (longest on normal data: {usual})"
    elif lead.reason == "out_of_range":
        beyond = f", worst {lead.value:g} beyond {lead.expected:g}" if n_sensors == 1 else ""
        note = f"{who}outside the declared range in {_n(max(draft.n_cells for draft in drafts), 'row')}{beyond}"
    else:
        note = f"{who}infinite or too large in {_n(max(draft.n_cells for draft in drafts), 'row')}"
    if any(draft.is_last for draft in drafts):
        note += f"; event {MOST_EVENTS:,} of its kind, and all later ones are part of it"
    return note


def _usual(longest: Sequence[int]) -> str:
    low, high = min(longest), max(longest)
    return str(low) if low == high else f"{low} to {high}"


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _duration(nanoseconds: int) -> str:
    seconds = nanoseconds / SECOND
    for limit, unit, size in ((120.0, "s", 1.0), (7_200.0, "min", 60.0), (172_800.0, "h", 3_600.0)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400.0:.3g} days"

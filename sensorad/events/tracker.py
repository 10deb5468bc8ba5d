"""Follows runs of high scores through blocks of rows: the one place that decides where events begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events.clock import RowClock
from sensorad.events.rule import EventRule

__all__ = ["EventTracker", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one block adds to one event.

    Attributes
    ----------
    group : int
        Machine. It has at most one open event at a time, so this names the event too.
    is_new : bool
        The event opens here; otherwise the machine's open event goes on.
    rows : (n,) int64
        Rows of the block that belong to the event, in time order; may be empty where an event only closes.
    position, number : (n,) int64
        Their positions on the machine's row grid, and their counts among the machine's rows.
    n_above : int
        How many of them are above the threshold.
    closed_at : int
        Row of the block by which the event is known to be over; -1 = still open.
    """

    group: int
    is_new: bool
    rows: NDArray[np.int64]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    n_above: int
    closed_at: int


@dataclass(slots=True)
class _Open:
    """An event that may still grow: its last position, and whether the run has not been released since."""

    last: int
    is_running: bool


class EventTracker:
    """Cuts blocks of scores into pieces of events; memory holds only what is open.

    The pieces depend on the rows and not on how they are cut into blocks. ``min_rows`` is left to the caller,
    because only a finished event can be counted.
    """

    def __init__(self, threshold: float, rule: EventRule) -> None:
        if not isfinite(threshold) or threshold <= 0:
            raise UsageError(
                f"a threshold must be positive and finite, got {threshold!r}",
                hint="severity is score / threshold, so scores must be scaled to be positive where they alarm",
            )
        self.threshold = threshold
        self.rule = rule
        self._release = threshold * rule.release
        self._clock = RowClock(rule.step_seconds)
        self._open: dict[int, _Open] = {}

    def update(self, time: NDArray[np.int64], score: NDArray[np.float64], group: NDArray[np.int32]) -> list[Piece]:
        """Pieces of events in the next rows, shapes (T,), machine by machine and in time order within each."""
        if len(score) == 0:
            return []
        if len(score) == 1 and not score[0] >= self._release and int(group[0]) not in self._open:
            self._clock.tick(int(time[0]), int(group[0]))
            return []
        placed = self._clock.advance(time, group)
        if placed.order is not None:
            score = score[placed.order]
        warm = np.flatnonzero(score >= self._release)  # NaN compares false
        if len(warm) == 0 and not self._open:
            return []
        # A machine without a warm row and without an open event has nothing to say: only the others are visited.
        warm_bounds = np.searchsorted(warm, placed.starts)
        is_busy = np.diff(warm_bounds) > 0
        if self._open:
            is_busy |= np.isin(placed.groups, np.fromiter(self._open, np.int64, len(self._open)))
        pieces: list[Piece] = []
        for g in np.flatnonzero(is_busy):
            start, end = int(placed.starts[g]), int(placed.starts[g + 1])
            rows = np.arange(start, end) if placed.order is None else placed.order[start:end]
            pieces += self._follow(
                group=int(placed.groups[g]),
                rows=rows,
                position=placed.position[start:end],
                first_number=int(placed.number[g]),
                score=score[start:end],
                warm=warm[warm_bounds[g] : warm_bounds[g + 1]] - start,
            )
        return pieces

    def finish(self) -> list[int]:
        """Machines whose event was still open; the log is over, so they are closed now."""
        machines = sorted(self._open)
        self._open.clear()
        return machines

    def _follow(
        self,
        group: int,
        rows: NDArray[np.int64],
        position: NDArray[np.int64],
        first_number: int,
        score: NDArray[np.float64],
        warm: NDArray[np.int64],
    ) -> list[Piece]:
        """Pieces of one machine; ``warm`` are its rows at or above the release level, as places in ``rows``."""
        gap = self.rule.merge_gap_rows
        if np.isinf(score[warm]).any():
            raise DataError("scores must be finite, got infinity", hint="the detector must bound its scores")
        carried = self._open.pop(group, None)
        n_cold = np.cumsum(score < self._release)  # (T,) released rows so far
        # The open event enters as a row of its own in front, so that the rest treats it like any other row.
        place = warm
        at = position[warm]
        cold = n_cold[warm]
        above = score[warm] > self.threshold
        if carried is not None:
            place = np.append(-1, place)
            at = np.append(carried.last, at)
            cold = np.append(0 if carried.is_running else -1, cold)
            above = np.append(True, above)

        # A strand is unbroken warmth; from its first row above the threshold on, its rows belong to an event.
        is_break = np.append(True, (np.diff(cold) != 0) | (np.diff(at) > gap + 1))
        n_above = np.cumsum(above)
        heads = np.flatnonzero(is_break)
        before: NDArray[np.int64] = (n_above - above)[heads]
        is_member = n_above > before[np.cumsum(is_break) - 1]
        place, at, cold, above = place[is_member], at[is_member], cold[is_member], above[is_member]
        if len(place) == 0:
            return []

        cuts = np.flatnonzero(np.diff(at) > gap + 1) + 1
        bounds = [0, *cuts.tolist(), len(place)]
        pieces = []
        for i, (low, high) in enumerate(pairwise(bounds)):
            last = int(at[high - 1])
            over = int(np.searchsorted(position, last + gap + 1))  # from this row on, nothing can join any more
            is_new = i > 0 or carried is None
            low += not is_new
            pieces.append(
                Piece(
                    group=group,
                    is_new=is_new,
                    rows=rows[place[low:high]],
                    position=at[low:high],
                    number=first_number + place[low:high],
                    n_above=int(above[low:high].sum()),
                    closed_at=int(rows[over]) if over < len(rows) else -1,
                )
            )
        if pieces[-1].closed_at < 0:
            self._open[group] = _Open(last=int(at[-1]), is_running=bool(n_cold[-1] == cold[-1]))
        return pieces

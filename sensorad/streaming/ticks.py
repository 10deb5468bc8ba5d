"""Many machines at once: the rows of a tick that need no special care, as arrays.

A row needs none if all its cells are there, its window is whole and has no missing cell, and it comes in time. On such
rows every rule of the engine but those about the rate falls away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorad.data import Timing, soft_compress
from sensorad.data.scaling import KNEE
from sensorad.data.timing import SLOW_LIMIT, STRANGE_LIMIT
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import SLACK, Ring
from sensorad.types import REASONS, STATUSES

__all__ = ["TickRows", "TickScorer", "TickScores", "TickWindows", "is_plain", "tick_status", "write_rows"]


TICK_CELLS, TICK_MACHINES = 2**16, (32, 128)
"""Windows read at once: so many cells in float64 stay in a second-level cache; the least and the most of them."""


class TickRows(NamedTuple):
    """Where the newest rows of several machines lie.

    Attributes
    ----------
    slots
        A slice where the machines are neighbours, in step with each other; else their numbers (N,).
    places
        One place for all of them in the first case, else (N,).
    n_rows : (N,)
        Rows of their segments.
    """

    slots: slice | NDArray[np.integer]
    places: int | NDArray[np.int64]
    n_rows: NDArray[np.int64]

    def windows(self, ring: Ring) -> NDArray[Any]:
        """(N, n_rows * width); a view where the machines are in step."""
        windows: NDArray[Any] = ring.windows[self.slots, self.places]
        return windows

    def newest(self, ring: Ring) -> NDArray[Any]:
        """(N, width) the newest rows; a view where the machines are in step."""
        rows: NDArray[Any] = ring.array[self.slots, ring.newest + self.places]
        return rows

    def write(self, ring: Ring, rows: NDArray[np.generic]) -> None:
        """Set the newest rows (N, width)."""
        ring.array[self.slots, ring.newest + self.places] = rows

    def parts(self, n_cells: int) -> Iterator[tuple[slice, TickRows]]:
        """Some machines after the others, as many at once as leave ``n_cells`` of each of them in the cache."""
        at_once = int(np.clip(TICK_CELLS // n_cells, *TICK_MACHINES))
        for first in range(0, len(self.n_rows), at_once):
            yield slice(first, first + at_once), self._part(first, first + at_once)

    def _part(self, first: int, stop: int) -> TickRows:
        """Some of the machines, counted from the first of them."""
        n_rows = self.n_rows[first:stop]
        places = self.places if isinstance(self.places, int) else self.places[first:stop]
        if isinstance(self.slots, slice):
            return TickRows(slice(self.slots.start + first, self.slots.start + first + len(n_rows)), places, n_rows)
        return TickRows(self.slots[first:stop], places, n_rows)


class TickWindows(NamedTuple):
    """What was read of the windows of several machines, (N, C) each.

    Attributes
    ----------
    newest
        Deviations of the newest rows.
    expected, window, linear
        Expected newest rows, mean square errors, and those of the linear part. NaN where nothing is known.
    steps
        One-step errors as `LinearRow.steps`, still with the intercept; of a network alone, nothing.
    """

    newest: NDArray[np.float64]
    expected: NDArray[np.float64]
    window: NDArray[np.float64]
    linear: NDArray[np.float64]
    steps: NDArray[np.float64]


class TickScores(NamedTuple):
    """Scores of several machines.

    Attributes
    ----------
    score, surprise : (N,)
    expected : (N, C)
        Expected newest rows, in deviations.
    blame
        Rows (n,) -> shares (n, C); good for ever.
    """

    score: NDArray[np.float64]
    surprise: NDArray[np.float64]
    expected: NDArray[np.float64]
    blame: Callable[[NDArray[np.intp]], NDArray[np.float64]]


TickScorer = Callable[[TickRows], TickScores]


def is_plain(
    machines: Machines, slots: NDArray[np.integer], time: NDArray[np.int64], gap_ns: float, length: int, warm: int
) -> NDArray[np.bool_]:
    """(N,) True where nothing in the past of a machine makes its next row a special case."""
    counters = machines.counters[:, slots]
    newest, n_rows, hole, n_blind = counters[:4]
    pause = time - newest
    plain: NDArray[np.bool_] = (pause > 0) & (pause <= gap_ns) & (n_rows + 1 >= warm) & (n_blind == 0)
    plain &= (hole == 0) | (n_rows + 1 - hole >= length)
    return plain


def write_rows(
    machines: Machines, slots: NDArray[np.integer], time: NDArray[np.int64], deviations: NDArray[np.float64]
) -> TickRows:
    """Write down the next row of each machine; ``deviations`` (N, C) are not yet compressed."""
    largest = max(float(deviations.max()), -float(deviations.min()))
    if largest > KNEE:
        far = np.flatnonzero((np.abs(deviations) > KNEE).any(axis=1))
        deviations[far] = soft_compress(deviations[far])
    counters = machines.counters
    places = counters[4, slots] + 1
    if places.max() == SLACK:
        machines.move_all_back(slots[places == SLACK])
        places[places == SLACK] = 0
    n_rows = counters[1, slots] + 1
    counters[0, slots], counters[1, slots], counters[4, slots] = time, n_rows, places
    first, place = int(slots[0]), int(places[0])
    is_in_step = bool((places == place).all()) and bool((np.diff(slots) == 1).all())
    tick = TickRows(slice(first, first + len(slots)), place, n_rows) if is_in_step else TickRows(slots, places, n_rows)
    tick.write(machines.rows, deviations.astype(np.float32))
    tick.write(machines.times, time[:, None])
    return tick


def tick_status(
    machines: Machines, tick: TickRows, time: NDArray[np.int64], timing: Timing, back: int, least_back: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Status and reason (N,) by the rate alone."""
    status, reason = np.zeros(len(time), np.uint8), np.zeros(len(time), np.uint8)
    if back < least_back:
        return status, reason
    first = tick.windows(machines.times)[:, -1 - back]
    ratio = (time - first) / 1e9 / back / timing.mean_step_seconds
    change = np.maximum(ratio, 1.0 / np.maximum(ratio, 1e-12))
    if float(change.max()) > SLOW_LIMIT:
        status[change > SLOW_LIMIT] = STATUSES.index("degraded")
        status[change > STRANGE_LIMIT] = STATUSES.index("unscorable")
        reason[change > SLOW_LIMIT] = REASONS.index("rate")
    return status, reason

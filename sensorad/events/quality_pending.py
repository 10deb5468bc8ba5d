"""Rows that decide nothing, kept until they are worth looking at: what they add to runs is worked out together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_runs import NEVER
from sensorad.events.quality_stack import QualityStack, RunRow

__all__ = ["PendingRows"]

MOST_PENDING = 63
"""Rows kept for each machine: taking them in costs ten times as much as keeping one, so more would gain little."""

LEAST_PENDING, MOST_CELLS = 8, 2_048
"""Wide machines keep fewer rows, no more than so many cells as long as these are at least so many rows."""


class PendingRows:
    """The newest rows of ``M`` machines that are not part of their runs yet.

    All of them are in order, without a gap in time before any, and of one machine they have the same flaws.

    Attributes
    ----------
    most : int
        ``P``, rows that a machine can keep.
    n_rows : (M,) int64
    values : (M, 1 + P, C) float32
        After the values of the runs that are open.
    time, position : (M, P) int64
    flaw : (M, C) uint8
        Of every pending row, and of the newest row before them.
    """

    def __init__(self, stack: QualityStack, flat_limits: NDArray[np.int64]) -> None:
        self._stack = stack
        self.most = max(LEAST_PENDING, min(MOST_PENDING, MOST_CELLS // max(1, stack.n_sensors)))
        self._ramp = np.arange(1, self.most + 1, dtype=np.int8)[:, None]
        self._judges_flat = bool((flat_limits != NEVER).any())
        self._make(stack.size)

    def grow(self) -> None:
        """Room for as many machines as the stack has."""
        n_old, n_rows, values, time = len(self.n_rows), self.n_rows, self.values, self.time
        position, flaw = self.position, self.flaw
        self._make(self._stack.size)
        self.n_rows[:n_old], self.values[:n_old], self.time[:n_old] = n_rows, values, time
        self.position[:n_old], self.flaw[:n_old] = position, flaw

    def take_in(self, machines: NDArray[np.intp]) -> None:
        """Make the pending rows of these machines, (S,), at least one each, part of the runs; none are pending then."""
        stack = self._stack
        n_rows = self.n_rows[machines]  # (S,)
        newest = self.values[machines, n_rows]  # (S, C)
        flaw = self.flaw[machines]
        is_flawed = flaw > 0 if flaw.any() else None
        place = np.stack([stack.time[machines], stack.position[machines], stack.number[machines] + n_rows], axis=1)
        if self._judges_flat:
            self._take_in_flat(machines, n_rows, newest, is_flawed, place)
        if is_flawed is not None:
            newest = np.where(is_flawed, np.float32(np.nan), newest)
        held = stack.held_n[machines]
        if held.any():
            stack.held_n[machines] = held + (held > 0) * n_rows[:, None]
        stack.cells[machines] = newest
        stack.number[machines] = place[:, 2]
        self.n_rows[machines] = 0

    def _take_in_flat(
        self,
        machines: NDArray[np.intp],
        n_rows: NDArray[np.int64],
        newest: NDArray[np.float32],
        is_flawed: NDArray[np.bool_] | None,
        place: NDArray[np.int64],
    ) -> None:
        """Runs of equal values with the pending rows; ``place`` (S, 3) is that of the newest row."""
        stack, values = self._stack, self.values
        is_anew = newest != values[machines, n_rows - 1]  # (S, C) most runs began with the newest row
        s, c = (~is_anew).nonzero()
        column = values[machines[s], : int(n_rows.max()) + 1, c]  # (Q, 1 + R)
        row = np.arange(1, column.shape[1])
        row = np.where(row <= n_rows[s, None], row, 0)
        head = ((column[:, 1:] != column[:, :-1]) * row).max(axis=1, initial=0)  # (Q,) counted from 1; 0 = before all
        n_cells = np.where(is_anew, 1, stack.flat_n[machines] + n_rows[:, None])
        first = np.where(is_anew[:, :, None], place[:, None], stack.flat_first[machines])  # (S, C, 3)
        last = np.broadcast_to(place[:, None], first.shape)
        is_late = head > 0
        s, c, head = s[is_late], c[is_late], head[is_late]
        n_cells[s, c] = n_rows[s] + 1 - head
        m = machines[s]
        first[s, c] = np.stack([self.time[m, head - 1], self.position[m, head - 1], stack.number[m] + head], axis=1)
        if is_flawed is not None:
            n_cells = np.where(is_flawed, stack.flat_n[machines], n_cells)
            first = np.where(is_flawed[:, :, None], stack.flat_first[machines], first)
            last = np.where(is_flawed[:, :, None], stack.flat_last[machines], last)
            newest = np.where(is_flawed, stack.flat_value[machines], newest)
        stack.flat_n[machines], stack.flat_first[machines], stack.flat_last[machines] = n_cells, first, last
        stack.flat_value[machines] = values[machines, 0] = newest

    def take_in_one(self, slot: int, runs: RunRow, is_flawed: NDArray[np.bool_] | None) -> None:
        """`take_in` for one machine at a third of the cost; ``is_flawed`` is None where no column is."""
        stack, values = self._stack, self.values[slot]
        n, number = int(self.n_rows[slot]), int(stack.number[slot])
        place = int(stack.time[slot]), int(stack.position[slot]), number + n
        newest = values[n]
        if self._judges_flat:
            changes = values[1 : n + 1] != values[:n]  # (R, C)
            if is_flawed is not None:
                changes[:, is_flawed] = False
            head = (changes * self._ramp[:n]).max(axis=0, initial=0)  # (C,)
            c = head.nonzero()[0]
            if is_flawed is None:
                np.add(runs.flat_n, n, out=runs.flat_n)
                runs.flat_last[:] = place
                runs.flat_value[:] = newest
            else:
                runs.flat_n[~is_flawed] += n
                runs.flat_last[~is_flawed] = place
                np.copyto(runs.flat_value, newest, where=~is_flawed)
            row = head[c].astype(np.intp) - 1
            runs.flat_n[c] = n - row
            first = runs.flat_first
            first[c, 0], first[c, 1], first[c, 2] = self.time[slot, row], self.position[slot, row], row + (number + 1)
            stack.cells[slot] = newest
            values[0] = runs.flat_value
        else:
            stack.cells[slot] = newest
        if is_flawed is not None:
            stack.cells[slot, is_flawed] = np.nan
        stack.number[slot] = place[2]
        self.n_rows[slot] = 0

    def _make(self, size: int) -> None:
        c = self._stack.n_sensors
        self.n_rows = np.zeros(size, np.int64)
        self.values = np.zeros((size, 1 + self.most, c), np.float32)  # takes no memory before the first live row
        self.time = np.zeros((size, self.most), np.int64)
        self.position = np.zeros((size, self.most), np.int64)
        self.flaw = np.zeros((size, c), np.uint8)

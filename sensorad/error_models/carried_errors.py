"""Errors of an LSTM that carries its state from row to row: one step a row instead of a window of them.

The state begins anew in every slot of absolute time, after a warm-up over the rows before the slot, so a score still
depends on a stated number of rows: batch, any cut into blocks, a stream and a restart give the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.data import TimeGrid
from sensorad.error_models.errors import AskedRows, SensorErrors, StackedErrors
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.whole_windows import slot_starts

__all__ = ["SLOT_ROWS", "CarriedErrors"]

SLOT_ROWS = 256
"""Rows that a slot usually has: a warm-up of 30 rows then costs an eighth more."""

SIDE_BY_SIDE = 256
"""Slots that are followed at once: their steps still lie in the cache."""


@dataclass(frozen=True, slots=True)
class CarriedErrors(StackedErrors):
    """Errors of the newest row, as an LSTM without a linear part rebuilds it from its carried state.

    Attributes
    ----------
    network
        The LSTM.
    length
        Rows of warm-up before each slot, less at the start of a segment; the first ``length`` - 1 rows of a segment
        have no error.
    grid
        Where the state begins anew: in a slot, it starts from nothing ``length`` rows before the slot's first row.
        More than twice `SLOT_ROWS` rows after that row, there is no error until the next slot begins.
    """

    network: NumpyLSTM
    length: int
    grid: TimeGrid

    @property
    def held_rows(self) -> int:
        """Rows after the first one of a slot for which its state is carried at most."""
        return 2 * SLOT_ROWS

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        return self.held_rows + self.length

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        rows, at = asked.rows, asked.at
        slot = slot_starts(self.grid, asked, self.held_rows)
        is_read = (slot >= 0) & asked.has_window(self.length)
        # One run for each slot: from its warm-up to its last row that is asked for.
        first, which = np.unique(slot[is_read], return_inverse=True)
        stop, begin = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64)
        np.maximum.at(stop, which, at[is_read] + 1)
        begin[which] = (at - asked.age)[is_read]  # of the segment
        start = np.maximum(first - self.length, begin)
        found = np.full(rows.shape, np.nan, np.float32)
        order = np.argsort(start - stop, kind="stable")  # longest first, so that those still running stay in front
        for some in range(0, len(order), SIDE_BY_SIDE):
            chosen = order[some : some + SIDE_BY_SIDE]
            self._follow(rows, start[chosen], first[chosen], stop[chosen], found)
        expected = np.where(is_read[:, None], found[at], np.float32(np.nan))
        newest = np.where(asked.usable[at], rows[at].astype(np.float64) - expected, np.nan)
        window = newest**2
        return SensorErrors(window, newest, expected, np.full(newest.shape, np.nan), window)

    def _follow(
        self,
        rows: NDArray[np.float32],
        start: NDArray[np.int64],
        first: NDArray[np.int64],
        stop: NDArray[np.int64],
        expected: NDArray[np.float32],
    ) -> None:
        """Write what is expected in rows ``first`` to before ``stop`` of each run that begins in row ``start``."""
        state = self.network.start(len(start))
        length = stop - start  # falling
        for step in range(int(length[0])):
            n = int(np.searchsorted(-length, -step))  # runs that are longer than this step
            at = start[:n] + step
            self.network.step(rows[at], state[:n])
            warm = at >= first[:n]
            if warm.any():
                expected[at[warm]] = self.network.newest(state[:n][warm])

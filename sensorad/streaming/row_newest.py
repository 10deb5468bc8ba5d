"""Rows under the published rule of encoder-decoders, which looks at the newest row alone."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.scoring.single import MahalanobisScheme
from sensorad.streaming.machines import Machines
from sensorad.streaming.row_blame import divided, share
from sensorad.streaming.row_tails import row_tail
from sensorad.streaming.row_windows import WindowReader
from sensorad.streaming.ticks import TickRows, TickScores

__all__ = ["NewestRows"]


class NewestRows:
    """The distance of the newest row's absolute errors from those of normal rows; its reasons can wait.

    Parameters
    ----------
    reader
        Rebuilds the newest row.
    scheme
        What was learned.
    """

    def __init__(self, reader: WindowReader, scheme: MahalanobisScheme) -> None:
        self._reader = reader
        self.depth, self.n_times, self.rings, self.tail = reader.depth, reader.n_times, reader.rings, reader.tail
        self.warm = reader.length
        self._mean = scheme.covariance.mean
        self._precision = np.ascontiguousarray(scheme.covariance.precision)
        self._weight = 1.0 / np.diag(self._precision)
        self._evidence, self._row_tail = scheme.tail.evidence, row_tail(scheme.tail)
        self._delta, self._product = np.empty(len(self._mean)), np.empty(len(self._mean))
        self._distance = 0.0

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows
        self._reader.attach(machines)

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row; NaN where it has too little past, or no cell."""
        reader, cells, delta = self._reader, self._rows.windows[slot, place], self._delta
        reader.project(cells)
        if not reader.read(cells, slot, place, n, present, newest):
            return nan
        np.subtract(cells[-len(delta) :], reader.expected, delta)
        np.absolute(delta, delta)
        np.subtract(delta, self._mean, delta)
        if newest is not None:
            delta[~newest] = 0.0  # what is missing counts as usual
            if not newest.any():
                return nan
        np.dot(self._precision, delta, self._product)
        self._distance = max(float(delta.dot(self._product)), 0.0)
        return self._distance

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, whose windows are whole and have no missing cell."""
        read = self._reader.tick(tick)
        error = read.newest - read.expected
        delta = np.nan_to_num(np.abs(error) - self._mean)
        product = delta @ self._precision
        score = np.maximum(np.einsum("nc,nc->n", product, delta), 0.0)
        score[~np.isfinite(error).any(axis=1)] = nan
        return TickScores(
            score,
            self._evidence(score),
            read.expected,
            lambda rows: divided(product[rows] ** 2 * self._weight),
        )

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow."""
        return self.tail.copy(), self._product.copy(), self._distance

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the row's own distance."""
        return self._row_tail(reasons[2])

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares: by how much the distance falls if a sensor is ignored."""
        shares: NDArray[np.float64] = share(reasons[1] ** 2 * self._weight)
        return shares

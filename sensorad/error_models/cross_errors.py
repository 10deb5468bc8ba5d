"""Errors of each sensor as all others tell it, beside a linear part or alone. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import AskedRows, BesideLinear, SensorErrors, in_place
from sensorad.error_models.numpy_cross import REACH, NumpyCross, lagged, missing_sensors
from sensorad.error_models.smoothing import memory_rows, smooth
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["SPAN", "CrossErrors"]

SPAN = 5
"""Rows over which squared errors are smoothed, as the one-step errors of the fused score are."""


@dataclass(frozen=True, slots=True)
class CrossErrors(BesideLinear):
    """Squared errors of the ``sensors`` under a network that reads the others, as an opinion beside a linear part.

    Errors look back over the last rows only. A missing sensor is hidden from the network at all lags and not judged;
    where sensors are missing, the squared errors of the others are divided by as much as they usually grow.

    Without a linear part these errors are the window errors, of all sensors.

    Attributes
    ----------
    network
        Predicts sensors.
    sensors : (G,) int64
        Those that are judged, rising.
    gate : (C,) float64
        Share of the network's correction that counts.
    widening : (C, C) float64
        [i, j]: by how much of itself the mean squared error of sensor i grows where sensor j is missing.
    length
        Rows per window; shorter ones than the reach of the network are not waited for until it is full.
    pca, autoregression
        The linear part; None for the network alone.
    """

    network: NumpyCross
    sensors: NDArray[np.int64]
    gate: NDArray[np.float64]
    widening: NDArray[np.float64]
    length: int
    pca: WindowPCA | None
    autoregression: RidgeAutoregression | None

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        own = REACH + memory_rows(SPAN) - 1
        return own if self.linear_part is None else max(own, self.linear_part.context_rows)

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        squares, expected = self._smoothed(asked)
        linear = self.linear_part
        if linear is None:
            newest = np.where(asked.usable[asked.at], asked.rows[asked.at] - expected, np.nan)
            return SensorErrors(squares, newest, expected.astype(np.float32), np.full(newest.shape, np.nan), squares)
        found = linear.errors_at(asked)
        said = found.expected.copy()
        is_known = np.isfinite(expected)
        said[is_known] = expected[is_known]
        return replace(found, expected=said, cross=squares)

    def _smoothed(self, asked: AskedRows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, C) smoothed squares and predictions; NaN for sensors that are not judged, and at first in a segment."""
        rows, usable = asked.rows, asked.usable
        squares, expected = np.full(asked.shape, np.nan), np.full(asked.shape, np.nan)
        first = min(REACH, self.length - 1)
        is_ready = asked.age >= first
        if not is_ready.any():
            return squares, expected
        begin = _begins(asked, first)
        needed = np.flatnonzero(begin >= 0)
        run_age = _run_age(needed, begin[needed])
        amount, predicted = self._squares(rows, usable, needed, begin[needed])
        known = usable[needed][:, self.sensors]
        smoothed = smooth(np.where(known, amount, 0.0), SPAN, run_age)
        if not known.all():
            # The mean over known rows, as a ratio: the same additions whether or not other rows have holes.
            smoothed /= np.maximum(smooth(known.astype(np.float64), SPAN, run_age), 1e-300)
            smoothed[~known] = np.nan
        places = np.searchsorted(needed, asked.at[is_ready])
        squares[:, self.sensors] = in_place(smoothed[places], is_ready)
        expected[:, self.sensors] = in_place(predicted[places], is_ready)
        return squares, expected

    def _squares(
        self, rows: NDArray[np.float32], usable: NDArray[np.bool_], at: NDArray[np.int64], begin: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, G) squared errors of rows, and predictions."""
        linear, correction = self.network.parts(rows, usable, at, self.sensors, begin)
        predicted = linear + self.gate[self.sensors] * correction
        amount = (rows[at][:, self.sensors] - predicted) ** 2
        if not usable.all():
            missing = missing_sensors(usable, lagged(at, begin)).astype(np.float64)
            amount /= 1.0 + missing @ self.widening[self.sensors].T
        return amount, predicted


def _begins(asked: AskedRows, first: int) -> NDArray[np.int64]:
    """(S,) first row of the segment of each row whose squares enter the smoothed ones of those asked for; else -1."""
    begin = np.full(len(asked.rows), -1, np.int64)
    for back in range(memory_rows(SPAN)):
        is_there = asked.age >= first + back
        begin[asked.at[is_there] - back] = (asked.at - asked.age)[is_there]
    return begin


def _run_age(rows: NDArray[np.int64], begin: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of ``rows`` (n,) stand before each without a gap in the same segment."""
    starts = (np.diff(rows, prepend=-2) > 1) | (np.diff(begin, prepend=-2) != 0)
    place = np.arange(len(rows))
    return np.asarray(place - np.maximum.accumulate(np.where(starts, place, 0)))

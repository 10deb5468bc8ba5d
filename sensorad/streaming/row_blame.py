"""Which sensor's fault explains the one-step errors of a row: `Contributions` for a single row.

The whole-array form fills its batches up, so that a row comes out the same to the last bit in any batch. Here nobody
waits for 31 other rows: the same formula in memory that is used again, equal to it up to rounding.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from sensorad.scoring.contributions import NO_SUSPECT, PARTLY, SHARPNESS, WHOLLY, Contributions

__all__ = ["RowContributions", "divided", "share"]


def divided(amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C) amounts that are not negative, divided by their sums; equal shares where all are 0."""
    total = amount.sum(axis=1, keepdims=True)
    return np.where(total > 0, amount / np.where(total > 0, total, 1.0), 1.0 / amount.shape[1])


def share(amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """`divided` for one row (C,)."""
    total = float(amount.sum())
    return amount / total if total > 0 else np.full(len(amount), 1.0 / len(amount))


class RowContributions:
    """Shares of blame by what a fault of each sensor explains.

    Parameters
    ----------
    contributions
        Of the model and its usual errors.
    """

    def __init__(self, contributions: Contributions) -> None:
        self._root = contributions.root  # (C, F, F), F = R + lags values of a fault that are free
        self._backward = np.ascontiguousarray(contributions.response[::-1])  # (lags + 1, C, C), oldest first
        n_taps, n_sensors, _ = self._backward.shape
        n_rows, n_free = contributions.n_rows, self._root.shape[1]
        self.n_rows, self._n_free, self._n_sensors = n_rows, n_free, n_sensors
        # [j, back * C + i]: the error that a fault of i, so many rows ago, causes in j.
        self._taps = np.ascontiguousarray(self._backward.reshape(n_taps * n_sensors, n_sensors).T)
        self._traces = np.empty((n_rows, n_taps * n_sensors))
        # Row r of errors speaks of the values r .. r + lags of a fault: they are written along a diagonal band of
        # memory that is 0 elsewhere, and summed over r.
        band = np.zeros((n_rows, n_sensors, n_free))
        row, sensor, value = band.strides
        self._band = band.reshape(n_rows, -1)
        shape = (n_rows, n_taps, n_sensors)
        self._diagonal = as_strided(band, shape, (row + value, value, sensor))
        self._traces_by_tap = self._traces.reshape(shape)
        self._found = np.empty(n_sensors * n_free)
        self._found_by_sensor = self._found.reshape(n_sensors, 1, n_free)
        self._one_each_row, self._one_each_value = np.ones(n_rows), np.ones(n_free)
        self._parts = np.empty((n_sensors, 1, n_free))
        self._squares = np.empty((n_sensors, n_free))
        self._fault = np.empty(n_free)
        cell = self._fault.strides[0]
        self._courses = as_strided(self._fault, (n_rows, n_taps), (cell, cell))

    def blame(self, errors: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, C) relative one-step errors and shares (C,) by own errors -> shares (C,)."""
        n_sensors, n_free = self._n_sensors, float(self._n_free)
        flat = errors.reshape(-1)
        total = float(flat.dot(flat))
        drop = self._drops(errors).tolist()
        suspects = [sensor for sensor, share in enumerate(own.tolist()) if share * n_sensors >= NO_SUSPECT]
        rest = {sensor: self._unexplained(total, drop[sensor]) for sensor in suspects}
        first = min(suspects, key=rest.__getitem__)
        top = drop[first]
        trust = min(max((top / max(total, 1e-300) - PARTLY) / (WHOLLY - PARTLY), 0.0), 1.0)
        if trust == 0.0 or top <= n_free:  # no more than on normal rows
            return own
        least = rest[first]
        likely = [(least / rest[sensor]) ** SHARPNESS if sensor in rest else 0.0 for sensor in range(n_sensors)]
        size = sqrt(max(top / n_free - 1.0, 0.0)) / sum(likely)
        share = [size * part for part in likely]
        left = self._drops(self._without(errors, first)).tolist()
        others = [sensor for sensor in suspects if sensor != first]
        if others:
            second = max(others, key=left.__getitem__)
            share[second] += sqrt(max(left[second] / n_free - 1.0, 0.0))
        blame: NDArray[np.float64] = np.array(share) * (trust / sum(share)) + (1.0 - trust) * own
        return blame

    def _drops(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """(C,) drops of the squared errors; their parts, whose squares sum to them, stay in memory."""
        errors.dot(self._taps, self._traces)
        self._diagonal[...] = self._traces_by_tap
        self._one_each_row.dot(self._band, self._found)
        np.matmul(self._found_by_sensor, self._root, self._parts)
        np.multiply(self._parts[:, 0], self._parts[:, 0], self._squares)
        drops: NDArray[np.float64] = self._squares.dot(self._one_each_value)
        return drops

    def _without(self, errors: NDArray[np.float64], sensor: int) -> NDArray[np.float64]:
        """The errors less what one sensor explains, by its parts in the last `_drops`."""
        self._root[sensor].dot(self._parts[sensor, 0], self._fault)
        rest: NDArray[np.float64] = errors - self._courses.dot(self._backward[:, sensor])
        return rest

    def _unexplained(self, total: float, drop: float) -> float:
        """How badly the errors fit a fault of a sensor with that drop."""
        rest = max(total - drop, 0.0)
        if self._n_sensors == 2:  # see `Contributions`: of two sensors the stuck one may be the quieter
            usual = float(self.n_rows)
            share = min(max(rest / usual, 1e-3), 1.0)
            rest += usual * (share - 1.0 - log(share))
        return float(rest + self._n_free)

"""Each sensor from all the others, and never from itself: what a fault of one sensor cannot hide behind.

Window-PCA and the autoregression read the sensor that they rebuild; a slow fault carries them along. Here a sensor is a
ridge regression on the present and some past values of the others. Leaving out the own columns needs no regression for
each sensor: it follows from the inverse P of the whole matrix (Lauritzen, Graphical Models, 1996, appendix C).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["OtherSensorsRegression", "weights_of_others"]

BATCH_ROWS = 4096

PENALTY_SHARE = 1e-3
"""Ridge penalty as a share of the number of rows: values are deviations, of size 1."""

LEAST_PENALTY = 1e-6
"""Keeps a sensor that never moves from making the matrix singular."""


@dataclass(frozen=True, slots=True)
class OtherSensorsRegression:
    """Expects of each sensor what the others say now and `LAGS` rows ago.

    Attributes
    ----------
    weights : (4 C + 1, C) float32
        Newest row first; the last row is the intercept. A sensor's own weights are 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.normal(size=(800, 1))
    >>> rows = (cause * [1.0, 2.0, -1.0] + 0.1 * rng.normal(size=(800, 3))).astype(np.float32)
    >>> expected = OtherSensorsRegression.fit([rows]).predict(rows)
    >>> bool(np.abs(rows[8:] - expected).std() < 0.3), bool((rows[8:].std(axis=0) > 0.9).all())
    (True, True)
    """

    weights: NDArray[np.float32]
    LAGS: ClassVar[tuple[int, ...]] = (0, 1, 3, 8)
    n_before: ClassVar[int] = LAGS[-1]
    """Rows that must stand before one."""

    @classmethod
    def fit(cls, segments: Sequence[NDArray[np.float32]]) -> OtherSensorsRegression:
        """Learn from segments (T, C) of consecutive rows in deviations."""
        n_sensors = segments[0].shape[1]
        size = len(cls.LAGS) * n_sensors + 1
        gram, n_rows = np.zeros((size, size)), 0
        for rows in segments:
            for first in range(cls.n_before, len(rows), BATCH_ROWS):
                known = cls._columns(rows[first - cls.n_before : first + BATCH_ROWS])
                gram += known.T @ known
                n_rows += len(known)
        penalty = np.append(np.full(size - 1, PENALTY_SHARE * n_rows), 0.0) + LEAST_PENALTY
        gram[np.diag_indices(size)] += penalty
        return cls(weights_of_others(gram, n_sensors))

    def predict(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """(T, C) rows -> (T - 8, C) what the others say of rows 8 onwards."""
        if len(rows) <= self.n_before:
            return np.empty((0, rows.shape[1]))
        predicted: NDArray[np.float64] = self._columns(rows) @ self.weights.astype(np.float64)
        return predicted

    @classmethod
    def _columns(cls, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """(T, C) -> (T - 8, 4 C + 1)."""
        parts = [rows[cls.n_before - lag : len(rows) - lag] for lag in cls.LAGS]
        return np.concatenate([*parts, np.ones((len(rows) - cls.n_before, 1))], axis=1, dtype=np.float64)

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Plain arrays for an artefact, under ``name``."""
        return {name: self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], name: str) -> OtherSensorsRegression:
        """The model of `to_arrays`."""
        return cls(arrays[name].astype(np.float32))


def weights_of_others(gram: NDArray[np.float64], n_sensors: int) -> NDArray[np.float32]:
    """(lags C + 1, C) weights of the regression of each sensor's newest reading on those of all others.

    With P the inverse of ``gram``, they are e - P_S (P_SS)^-1 e, S the sensor's own columns and e its newest one.

    Parameters
    ----------
    gram : (lags C + 1, lags C + 1)
        Sums of products of the readings, newest lag first, and of the intercept; any penalty included.
    """
    inverse = np.linalg.inv(gram)
    weights = np.zeros((len(gram), n_sensors))
    for sensor in range(n_sensors):
        own = np.arange(sensor, len(gram) - 1, n_sensors)
        newest = np.eye(len(own))[0]
        weights[:, sensor] = -inverse[:, own] @ np.linalg.solve(inverse[np.ix_(own, own)], newest)
        weights[own, sensor] = 0.0
    return weights.astype(np.float32)

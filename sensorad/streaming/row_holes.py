"""Missing cells of one row: filled as `GaussianImputer` does, with the weights of each pattern kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.data import GaussianImputer

__all__ = ["RowFill"]

MOST_PATTERNS = 512
"""Patterns of missing cells whose weights are kept; those of a plant with failing sensors come again and again."""


class RowFill:
    """Conditional means of the missing cells of a row, given the row before and the cells that are there."""

    def __init__(self, imputer: GaussianImputer) -> None:
        self._covariance = imputer.covariance
        self._weights: dict[bytes, NDArray[np.float64]] = {}

    def fill(self, row: NDArray[np.float32], present: NDArray[np.bool_], before: NDArray[np.floating]) -> None:
        """Write the cells of ``row`` (C,) that are not ``present``; ``before`` (C,) is the filled row before."""
        key = present.tobytes()
        weights = self._weights.get(key)
        if weights is None:
            if len(self._weights) >= MOST_PATTERNS:
                self._weights.pop(next(iter(self._weights)))  # the oldest
            weights = self._weights[key] = self._learned(present)
        row[~present] = weights @ np.concatenate([before, row[present]])

    def _learned(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        n_sensors = len(present)
        known = np.concatenate([np.arange(n_sensors), n_sensors + np.flatnonzero(present)])
        missing = n_sensors + np.flatnonzero(~present)
        inner = self._covariance[np.ix_(known, known)]
        weights: NDArray[np.float64] = np.linalg.solve(inner, self._covariance[np.ix_(known, missing)]).T
        return weights

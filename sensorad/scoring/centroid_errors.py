"""Errors of windows as the nearest of typical normal windows, beside a linear part or alone. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.data import window_view
from sensorad.models.centroids import WindowCentroids
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.scoring.errors import LinearErrors, SensorErrors

__all__ = ["CentroidErrors", "centroid_windows"]

SCORING_WINDOWS = 256
"""Windows compared at once: they, and their distances, still lie in the cache."""


@dataclass(frozen=True, slots=True)
class CentroidErrors:
    """Errors of whole windows under their nearest centroid, and everything else of the linear part, if there is one.

    The linear part predicts newest rows far better than a typical window does, so newest and expected rows are its own.

    Attributes
    ----------
    centroids
        Typical windows as they are: what a linear model leaves of them has no typical shape.
    pca, autoregression
        The linear part; None for centroids alone.
    """

    centroids: WindowCentroids
    pca: WindowPCA | None
    autoregression: RidgeAutoregression | None

    @property
    def linear_part(self) -> LinearErrors | None:
        """The linear part by itself."""
        if self.pca is None or self.autoregression is None:
            return None
        return LinearErrors(self.pca, self.autoregression)

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        lags = 0 if self.autoregression is None else self.autoregression.lags
        return max(self.centroids.length - 1, lags)

    def errors(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        row = np.arange(len(rows))
        return self.errors_at(rows, usable, time, row, row)

    def errors_at(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        time: NDArray[np.int64],
        at: NDArray[np.int64],
        age: NDArray[np.int64],
    ) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        window, newest, expected = centroid_windows(self.centroids, rows, usable, at, age)
        if self.linear_part is None:
            return SensorErrors(window, newest, expected, np.full(window.shape, np.nan), window)
        return replace(self.linear_part.errors_at(rows, usable, time, at, age), window=window)


def centroid_windows(
    model: WindowCentroids,
    rows: NDArray[np.float32],
    usable: NDArray[np.bool_],
    at: NDArray[np.int64],
    age: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Window errors, newest-row errors and expected rows (n, C) of the windows that end at ``at``.

    Meaning as in `SensorErrors`.
    """
    length, shape = model.length, (len(at), rows.shape[1])
    window, newest = np.full(shape, np.nan), np.full(shape, np.nan)
    expected = np.full(shape, np.nan, np.float32)
    chosen = np.flatnonzero(age >= length - 1)
    if len(chosen) == 0:
        return window, newest, expected
    windows = window_view(rows, length)
    present = None if usable.all() else window_view(usable, length)
    for first in range(0, len(chosen), SCORING_WINDOWS):
        part = chosen[first : first + SCORING_WINDOWS]
        start = at[part] - (length - 1)
        values = windows[start].astype(np.float64)
        rebuilt = model.reconstruct(values)
        error = values - rebuilt
        expected[part], newest[part] = rebuilt[:, -1], error[:, -1]
        error *= error
        if present is None:
            window[part] = error.sum(axis=1) / length
            continue
        known = present[start]
        newest[part] = np.where(known[:, -1], newest[part], np.nan)
        count = known.sum(axis=1)  # (n, C)
        total = np.where(known, error, 0.0).sum(axis=1)
        window[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return window, newest, expected

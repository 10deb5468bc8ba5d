"""Errors of windows as the nearest of typical normal windows, beside a linear part or alone. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.models.centroids import WindowCentroids
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.scoring.errors import BesideLinear, SensorErrors
from sensorad.scoring.whole_windows import Read, WindowErrors, errors_of_windows

__all__ = ["CentroidErrors", "centroid_windows"]

SCORING_WINDOWS = 256
"""Windows compared at once: they, and their distances, still lie in the cache."""


@dataclass(frozen=True, slots=True)
class CentroidErrors(BesideLinear):
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
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        lags = 0 if self.autoregression is None else self.autoregression.lags
        return max(self.centroids.length - 1, lags)

    def errors_at(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        time: NDArray[np.int64],
        at: NDArray[np.int64],
        age: NDArray[np.int64],
    ) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        window, newest, expected, _ = centroid_windows(self.centroids, rows, usable, at, age)
        if self.linear_part is None:
            return SensorErrors(window, newest, expected, np.full(window.shape, np.nan), window)
        return replace(self.linear_part.errors_at(rows, usable, time, at, age), window=window)


def centroid_windows(
    model: WindowCentroids,
    rows: NDArray[np.float32],
    usable: NDArray[np.bool_],
    at: NDArray[np.int64],
    age: NDArray[np.int64],
) -> WindowErrors:
    """Errors of the windows that end at ``at`` under the nearest centroid."""

    def read(windows: NDArray[np.float32]) -> Read:
        rebuilt = model.reconstruct(windows.astype(np.float64)).astype(np.float64)
        return Read(rebuilt, (windows - rebuilt) ** 2)

    return errors_of_windows(read, rows, usable, at, age, length=model.length, batch=SCORING_WINDOWS)

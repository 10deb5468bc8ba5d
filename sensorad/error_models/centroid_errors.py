"""Errors of windows as the nearest of typical normal windows, beside a linear part or alone. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import AskedRows, BesideLinear, SensorErrors
from sensorad.error_models.whole_windows import Read, errors_of_windows
from sensorad.models.centroids import WindowCentroids
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["CentroidErrors", "errors_under"]

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

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        linear = self.linear_part
        return errors_under(self.centroids, None if linear is None else linear.errors_at(asked), asked)


def errors_under(model: WindowCentroids, linear: SensorErrors | None, asked: AskedRows) -> SensorErrors:
    """Errors of windows under the nearest centroid, on top of those of a linear part if there is one."""

    def read(windows: NDArray[np.float32]) -> Read:
        rebuilt = model.reconstruct(windows.astype(np.float64)).astype(np.float64)
        return Read(rebuilt, (windows - rebuilt) ** 2)

    found = errors_of_windows(read, asked, length=model.length, batch=SCORING_WINDOWS)
    if linear is not None:
        return replace(linear, window=found.window)
    return SensorErrors(found.window, found.newest, found.expected, np.full(asked.shape, np.nan), found.window)

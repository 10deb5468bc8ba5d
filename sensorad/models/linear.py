"""The linear models: window-PCA and ridge autoregression across sensors.

They are the honest baselines, and the linear part of every network here: most of what a deep reconstruction model
learns from plant logs is linear (Sarfraz et al., "Position: Quo Vadis, Unsupervised Time Series Anomaly
Detection?", ICML 2024), and a linear autoencoder trained to the end spans the PCA subspace
(Baldi and Hornik, Neural Networks 2, 1989).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensorad.models.autocovariance import LinearPrior

__all__ = ["RidgeAutoregression", "WindowPCA", "window_gram"]

WINDOWS_PER_COMPONENT = 10
"""Windows needed for each component kept: of fewer, the last components describe the sample and not the plant."""

BATCH_WINDOWS = 1024
"""Windows reconstructed at once: 1,024 x 30 rows x 8 sensors in float64 are 2 MB, which a cache holds."""


def window_gram(rows: NDArray[np.floating], length: int) -> NDArray[np.float64]:
    """Sum over all windows w of w w^T, without building a window.

    Neighbouring windows share all but one row, so block (a, b) of the matrix follows from block (a - 1, b - 1) by one
    outer product in and one out: O(T L C^2) instead of O(T L^2 C^2).

    Parameters
    ----------
    rows : (T, C) with T >= L

    Returns
    -------
    (L C, L C), for windows flattened row by row.

    Examples
    --------
    >>> from sensorad.data import window_view
    >>> rows = np.random.default_rng(0).normal(size=(50, 2))
    >>> windows = window_view(rows, 4).reshape(-1, 8)
    >>> np.allclose(window_gram(rows, 4), windows.T @ windows)
    True
    """
    values = rows.astype(np.float64)
    n_rows, n_sensors = values.shape
    n_windows = n_rows - length + 1
    gram = np.zeros((length, n_sensors, length, n_sensors))
    for b in range(length):
        gram[0, :, b] = values[:n_windows].T @ values[b : b + n_windows]
    for a in range(1, length):
        inward, outward = values[n_windows + a - 1], values[a - 1]
        for b in range(a, length):
            joined = np.outer(inward, values[n_windows + b - 1]) - np.outer(outward, values[b - 1])
            gram[a, :, b] = gram[a - 1, :, b - 1] + joined
    for a in range(length):
        for b in range(a + 1, length):
            gram[b, :, a] = gram[a, :, b].T
    return gram.reshape(length * n_sensors, length * n_sensors)


@dataclass(frozen=True, slots=True)
class WindowPCA:
    """Reconstructs a window from its leading principal components.

    Attributes
    ----------
    components : (L C, K) float32
        Orthonormal columns, most variance first.
    length
        L.

    Examples
    --------
    >>> from sensorad.data import window_view
    >>> rng = np.random.default_rng(0)
    >>> rows = np.cumsum(rng.normal(size=(400, 3)), axis=0).astype(np.float32)
    >>> pca = WindowPCA.fit([rows], length=8, variance=0.9)
    >>> pca.reconstruct(window_view(rows, 8)).shape
    (393, 8, 3)
    """

    components: NDArray[np.float32]
    length: int
    _wide: list[NDArray[np.float64]] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def fit(
        cls,
        segments: Sequence[NDArray[np.float32]],
        length: int,
        variance: float,
        prior: LinearPrior | None = None,
    ) -> WindowPCA:
        """Components that hold ``variance`` (0..1) of the mean square of all windows of the segments (T, C).

        Fewer where the windows are too few to tell so many apart (`WINDOWS_PER_COMPONENT`). A ``prior`` counts as its
        rows more.
        """
        long_enough = [rows for rows in segments if len(rows) >= length]
        gram = sum(window_gram(rows, length) for rows in long_enough)
        n_windows = float(sum(len(rows) - length + 1 for rows in long_enough))
        if prior is not None:
            gram = gram + prior.rows * prior.autocovariance.of_windows(length)
            n_windows += prior.rows
        values, vectors = np.linalg.eigh(gram)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        total = values.sum()
        if total <= 0:
            return cls(np.zeros((len(values), 0), np.float32), length)
        # At least one direction is left out: a window that is reconstructed entirely has no error.
        most = min(len(values) - 1, max(1, int(n_windows) // WINDOWS_PER_COMPONENT))
        rank = min(int(np.searchsorted(np.cumsum(values) / total, variance)) + 1, most)
        return cls(np.ascontiguousarray(vectors[:, :rank], dtype=np.float32), length)

    def reconstruct(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, L, C) windows -> their projection, same shape.

        In float64: float32 products depend on how many windows come at once, by up to 1e-4 of a small error.
        """
        flat = np.ascontiguousarray(windows, dtype=np.float64).reshape(len(windows), -1)  # (N, L C)
        components = self.wide_components
        rebuilt: NDArray[np.float64] = np.reshape((flat @ components) @ components.T, windows.shape)
        return rebuilt

    @property
    def wide_components(self) -> NDArray[np.float64]:
        """The components in float64, worked out once."""
        if not self._wide:
            self._wide.append(self.components.astype(np.float64))
        return self._wide[0]

    def to_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Plain arrays for an artefact."""
        return {"pca.components": self.components}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]], length: int) -> WindowPCA:
        """The model of `to_arrays`."""
        return cls(arrays["pca.components"].astype(np.float32), length)


@dataclass(frozen=True, slots=True)
class RidgeAutoregression:
    """Predicts each row from the ``lags`` rows before it, across all sensors.

    Attributes
    ----------
    weights : (lags C + 1, C) float32
        Newest lag first; the last row is the intercept.
    lags

    Examples
    --------
    >>> time = np.arange(300)
    >>> rows = np.stack([np.sin(time / 5), np.cos(time / 5)], axis=1).astype(np.float32)
    >>> model = RidgeAutoregression.fit([rows], lags=2, penalty=1e-3)
    >>> bool(np.abs(rows[2:] - model.predict(rows)).max() < 0.01)
    True
    """

    weights: NDArray[np.float32]
    lags: int

    @classmethod
    def fit(
        cls,
        segments: Sequence[NDArray[np.float32]],
        lags: int,
        penalty: float,
        prior: LinearPrior | None = None,
    ) -> RidgeAutoregression:
        """Least squares with ``penalty`` times the squared weights, over all segments (T, C).

        A ``prior`` counts as its rows more.
        """
        n_sensors = segments[0].shape[1]
        gram = penalty * np.eye(lags * n_sensors + 1)
        moment = np.zeros((lags * n_sensors + 1, n_sensors))
        for rows in segments:
            for first in range(lags, len(rows), BATCH_WINDOWS):
                chunk = rows[first - lags : first + BATCH_WINDOWS]
                past = _past(chunk, lags).astype(np.float64)  # (t, lags C + 1)
                gram += past.T @ past
                moment += past.T @ chunk[lags:].astype(np.float64)
        if prior is not None:
            of_past, of_step = prior.autocovariance.of_steps(lags)
            gram += prior.rows * of_past
            moment += prior.rows * of_step
        return cls(np.linalg.solve(gram, moment).astype(np.float32), lags)

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(T, C) rows -> (T - lags, C) predictions of rows ``lags`` onwards; in float64 as in `WindowPCA`."""
        if len(rows) <= self.lags:
            return np.empty((0, rows.shape[1]))
        predicted: NDArray[np.float64] = _past(rows, self.lags).astype(np.float64) @ self.weights.astype(np.float64)
        return predicted

    def responses(self) -> NDArray[np.float64]:
        """(lags + 1, C, C) [k, i, j]: error of sensor j, k rows after sensor i read 1 too much.

        In the row itself only the sensor's own error changes; later the forecasts that take it for true do.
        """
        n_sensors = self.weights.shape[1]
        blocks = -self.weights[:-1].astype(np.float64).reshape(self.lags, n_sensors, n_sensors)
        return np.concatenate([np.eye(n_sensors)[None], blocks])

    def to_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Plain arrays for an artefact."""
        return {"autoregression.weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]], lags: int) -> RidgeAutoregression:
        """The model of `to_arrays`."""
        return cls(arrays["autoregression.weights"].astype(np.float32), lags)


def _past(rows: NDArray[np.float32], lags: int) -> NDArray[np.float32]:
    """(T, C) -> (T - lags, lags C + 1): the rows before each row, newest first, and a 1."""
    n_rows = len(rows)
    columns = [rows[lags - back : n_rows - back] for back in range(1, lags + 1)]
    return np.concatenate([*columns, np.ones((n_rows - lags, 1), rows.dtype)], axis=1)

"""Typical windows of normal operation: the means of a k-means clustering. Scoring needs nothing but NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.data import window_view
from sensorad.models.checks import at_least, check_weights, checked_options

__all__ = ["ShapeConfig", "WindowCentroids"]

MOST_CELLS = 2**24
"""Numbers in the windows that k-means learns from (64 MB): a longer log is learned from in larger steps."""

WINDOWS_PER_CENTROID = 4
"""Windows needed for each centroid: the mean of a few is a shape, a single window is mostly its own noise."""

PASSES = 10
"""Times that k-means goes over its windows."""

DOUBT = 1e-9
"""Centroids whose distances differ by less than this share of the squares that they are made of are compared again, in
an order of operations that does not depend on what stands beside the window."""


@dataclass(frozen=True, slots=True)
class ShapeConfig:
    """Size of a set of centroids.

    Attributes
    ----------
    centroids
        Typical windows at most; fewer where the log is short.
    sample
        Windows at most that they are learned from, evenly spaced over the log.
    """

    centroids: int = 256
    sample: int = 20_000

    def __post_init__(self) -> None:
        at_least(1, 16_384, centroids=self.centroids)
        at_least(1, 1_000_000, sample=self.sample)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ShapeConfig:
        return cls(**checked_options(cls, row))


@dataclass(frozen=True, slots=True)
class WindowCentroids:
    """Rebuilds a window as the nearest of a few hundred typical ones.

    Attributes
    ----------
    centroids : (K, L, C) float32

    Examples
    --------
    >>> wave = np.sin(np.arange(400) / 8)[:, None].astype(np.float32)
    >>> model = WindowCentroids.fit([wave], 20, ShapeConfig(centroids=50), seed=0)
    >>> windows = window_view(wave, 20)[:3]
    >>> bool(np.abs(model.reconstruct(windows) - windows).max() < 0.2)
    True
    >>> bool(np.abs(model.reconstruct(1.0 + 0.0 * windows) - 1.0).max() > 0.2)
    True
    """

    centroids: NDArray[np.float32]
    _wide: list[NDArray[np.float64]] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def fit(
        cls, segments: Sequence[NDArray[np.float32]], length: int, config: ShapeConfig, seed: int
    ) -> WindowCentroids:
        """Cluster windows of all segments (T, C), by mini-batch k-means (Sculley, WWW 2010) from k-means++ seeds.

        The number of steps is fixed, so that the result does not depend on the rounding of a stopping rule.
        """
        from sklearn.cluster import MiniBatchKMeans

        windows = _sample(segments, length, config.sample)
        flat = windows.reshape(len(windows), -1)
        n_centroids = max(1, min(config.centroids, len(flat) // WINDOWS_PER_CENTROID))
        clusters = MiniBatchKMeans(
            n_clusters=n_centroids,
            max_iter=PASSES,
            batch_size=max(1024, 2 * n_centroids),
            n_init=1,
            tol=0.0,
            max_no_improvement=None,
            random_state=seed % 2**32,
        ).fit(flat)
        centres = np.asarray(clusters.cluster_centers_, np.float32)
        return cls(np.ascontiguousarray(centres).reshape(n_centroids, length, -1))

    @property
    def length(self) -> int:
        """Rows of a window."""
        return int(self.centroids.shape[1])

    def nearest(self, windows: NDArray[np.floating]) -> NDArray[np.intp]:
        """(N, L, C) windows -> (N,) number of the centroid at the smallest Euclidean distance, the first of equals."""
        flat = np.ascontiguousarray(windows, np.float64).reshape(len(windows), -1)
        centroids, sizes = self._flat()
        size = np.einsum("nf,nf->n", flat, flat)
        distance = (flat @ centroids.T) * -2.0  # (N, K), less the size of the window
        distance += sizes
        best = distance.min(axis=1)
        in_doubt = distance <= (best + DOUBT * (size + sizes.max()))[:, None]
        found: NDArray[np.intp] = distance.argmin(axis=1)
        for row in np.flatnonzero(in_doubt.sum(axis=1) > 1):
            candidates = np.flatnonzero(in_doubt[row])
            found[row] = candidates[((centroids[candidates] - flat[row]) ** 2).sum(axis=1).argmin()]
        return found

    def reconstruct(self, windows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, L, C) windows -> the nearest centroid of each, same shape."""
        return self.centroids[self.nearest(windows)]

    def _flat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centroids (K, L C) and their squared sizes (K,) in float64, worked out once."""
        if not self._wide:
            flat = self.centroids.reshape(len(self.centroids), -1).astype(np.float64)
            self._wide.extend((flat, (flat**2).sum(axis=1)))
        return self._wide[0], self._wide[1]

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Plain arrays for an artefact."""
        return {"centroids": self.centroids}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], length: int, n_sensors: int) -> WindowCentroids:
        """The model of `to_arrays`.

        Raises
        ------
        ArtefactError
            The arrays are not centroids for windows of ``length`` rows of ``n_sensors`` sensors.
        """
        n_centroids = max(1, len(arrays["centroids"])) if "centroids" in arrays and arrays["centroids"].ndim else 1
        check_weights(arrays, {"centroids": (n_centroids, length, n_sensors)})
        return cls(arrays["centroids"])


def _sample(segments: Sequence[NDArray[np.float32]], length: int, n_most: int) -> NDArray[np.float32]:
    """(N, L, C) windows of all segments, evenly spaced."""
    long_enough = [rows for rows in segments if len(rows) >= length]
    n_windows = sum(len(rows) - length + 1 for rows in long_enough)
    n_most = max(1, min(n_most, MOST_CELLS // (length * segments[0].shape[1])))
    step = -(-n_windows // n_most)
    return np.concatenate([window_view(rows, length)[::step] for rows in long_enough])

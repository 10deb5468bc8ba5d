"""Filling of missing cells with what the present sensors and the previous row let one expect.

A filled cell keeps windows whole; its own error never counts. Holding the last value would break the
correlation with its neighbours and raise *their* errors, so the fill is the conditional mean of a Gaussian over the
previous and the current row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianImputer"]

RIDGE = 0.05
"""Added to the unit variances: cells are guessed a little towards the mean, and no matrix is singular."""


@dataclass(frozen=True, slots=True)
class GaussianImputer:
    """Conditional mean of missing cells given the previous row and the present cells of the same row.

    Attributes
    ----------
    covariance : (2C, 2C) float64
        Covariance of (previous row, current row) on normal data, in deviations (mean 0).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.normal(size=500)
    >>> rows = np.stack([cause, 2.0 * cause], axis=1).astype(np.float32)
    >>> usable = np.ones(rows.shape, bool)
    >>> usable[100, 1] = False
    >>> imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    >>> filled = imputer.fill(rows, usable)
    >>> bool(abs(filled[100, 1] - rows[100, 1]) < 0.3 * abs(rows[100, 1]))
    True
    """

    covariance: NDArray[np.float64]

    @classmethod
    def fit(cls, segments: list[NDArray[np.float32]], usable: list[NDArray[np.bool_]]) -> GaussianImputer:
        """Learn from segments (T, C) of consecutive rows; each pair of cells counts where both are present."""
        n_sensors = segments[0].shape[1]
        total = np.zeros((2 * n_sensors, 2 * n_sensors))
        count = np.zeros_like(total)
        for rows, present in zip(segments, usable, strict=True):
            weight = present.astype(np.float64)
            value = np.where(present, rows, 0.0).astype(np.float64)
            pair = np.concatenate([value[:-1], value[1:]], axis=1)  # (T - 1, 2C)
            seen = np.concatenate([weight[:-1], weight[1:]], axis=1)
            total += pair.T @ pair
            count += seen.T @ seen
        covariance = total / np.maximum(count, 1.0)
        # Pairwise counts can leave the matrix indefinite: lift its eigenvalues to the ridge.
        values, vectors = np.linalg.eigh(covariance)
        return cls((vectors * np.maximum(values, 0.0)) @ vectors.T + RIDGE * np.eye(2 * n_sensors))

    def fill(
        self, rows: NDArray[np.float32], usable: NDArray[np.bool_], previous: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """A copy of ``rows`` (T, C) of one segment with every missing cell filled, first row first.

        ``previous`` (C,) is the filled row before the first; None at the start of a segment: the mean.
        """
        holes = np.flatnonzero(~usable.all(axis=1))
        if len(holes) == 0:
            return rows
        filled = rows.copy()
        n_sensors = rows.shape[1]
        weights: dict[bytes, NDArray[np.float64]] = {}
        for row in holes:
            before = filled[row - 1] if row > 0 else previous
            if before is None:
                before = np.zeros(n_sensors, np.float32)
            present = usable[row]
            key = present.tobytes()
            if key not in weights:
                weights[key] = self._weights(present)
            known = np.concatenate([before, filled[row, present]])
            filled[row, ~present] = weights[key] @ known
        return filled

    def _weights(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Regression of the missing cells of a row on the previous row and its present cells."""
        n_sensors = len(present)
        known = np.concatenate([np.arange(n_sensors), n_sensors + np.flatnonzero(present)])
        missing = n_sensors + np.flatnonzero(~present)
        inner = self.covariance[np.ix_(known, known)]
        weights: NDArray[np.float64] = np.linalg.solve(inner, self.covariance[np.ix_(known, missing)]).T
        return weights

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact."""
        return {"imputer.covariance": self.covariance}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> GaussianImputer:
        """The imputer of `to_arrays`."""
        return cls(arrays["imputer.covariance"])

"""Distances and shares of blame under a shrunk covariance of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError

__all__ = ["ErrorCovariance"]


@dataclass(frozen=True, slots=True)
class ErrorCovariance:
    """Mean and inverse covariance of error vectors of normal rows.

    Attributes
    ----------
    mean : (C,) float64
    precision : (C, C) float64
        Inverse of the Ledoit-Wolf estimate plus the noise of the sensors.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(5000, 2)) * [1.0, 10.0]
    >>> model = ErrorCovariance.fit(errors, noise=np.zeros(2))
    >>> bool(8.0 < model.distance(np.array([[3.0, 0.0]]))[0] < 9.5)
    True
    >>> model.blame(np.array([[0.0, 20.0]])).argmax()
    np.int64(1)
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        errors: NDArray[np.floating],
        noise: NDArray[np.float64],
        *,
        is_centred: bool = False,
        extra_shrinkage: float = 0.0,
    ) -> ErrorCovariance:
        """Learn from errors (T, C); rows with NaN are left out.

        Parameters
        ----------
        noise : (C,)
            Standard deviation added to each sensor, so that an error-free sensor has a finite weight.
        is_centred
            Take the mean as 0.
        extra_shrinkage
            Share of the average variance added to every variance.

        Source: Ledoit and Wolf, Journal of Multivariate Analysis 88 (2004).
        """
        from sklearn.covariance import ledoit_wolf

        whole = errors[np.isfinite(errors).all(axis=1)].astype(np.float64)
        if len(whole) < 2:
            raise TooLittleDataError(f"error statistics need at least 2 complete rows, got {len(whole)}")
        mean = np.zeros(errors.shape[1]) if is_centred else whole.mean(axis=0)
        covariance, _ = ledoit_wolf(whole - mean, assume_centered=True)
        average = float(np.trace(covariance)) / len(covariance)
        covariance = covariance + np.diag(noise**2) + extra_shrinkage * average * np.eye(len(covariance))
        return cls(mean, np.linalg.pinv(covariance, hermitian=True))

    def distance(self, errors: NDArray[np.floating]) -> NDArray[np.float64]:
        """(T, C) -> (T,) squared Mahalanobis distance; NaN cells count as the mean."""
        delta = np.nan_to_num(errors - self.mean)
        squared: NDArray[np.float64] = np.einsum("tc,tc->t", delta @ self.precision, delta)
        return np.maximum(squared, 0.0)

    def blame(self, errors: NDArray[np.floating]) -> NDArray[np.float64]:
        """(T, C) -> (T, C): by how much the distance falls if a sensor is ignored.

        c_i = (P delta)_i^2 / P_ii with P the precision matrix, in closed form.
        """
        delta = np.nan_to_num(errors - self.mean)
        return (delta @ self.precision) ** 2 / np.diag(self.precision)

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact, under ``name``."""
        return {f"{name}.mean": self.mean, f"{name}.precision": self.precision}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], name: str) -> ErrorCovariance:
        """The model of `to_arrays`."""
        return cls(arrays[f"{name}.mean"], arrays[f"{name}.precision"])

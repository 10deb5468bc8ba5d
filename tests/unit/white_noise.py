"""Detectors of white noise whose limits of detection can be worked out on paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2, norm

from sensorad.types import RowBlock, Sensor, SensorSchema

__all__ = [
    "SECOND",
    "block_of",
    "limit",
    "miss_of_largest",
    "miss_of_square",
    "noise_block",
    "schema_of",
    "square",
    "square_line",
]

SECOND = 10**9
Miss = Callable[[float], NDArray[np.float64]]
"""Size of a fault -> the chance of each of its rows (L,) to stay below the line."""


def schema_of(n_sensors: int) -> SensorSchema:
    return SensorSchema(tuple(Sensor(f"x{i}") for i in range(n_sensors)))


def block_of(values: NDArray[np.floating], start: int = 0) -> RowBlock:
    n_rows, n_sensors = values.shape
    rows = np.arange(start, start + n_rows, dtype=np.int64)
    flaw = np.isnan(values).astype(np.uint8)
    filled = np.nan_to_num(values).astype(np.float32)
    return RowBlock(rows, rows * SECOND, filled, flaw.reshape(n_rows, n_sensors), np.zeros(n_rows, np.int32))


def noise_block(n_rows: int, covariance: NDArray[np.float64], seed: int) -> RowBlock:
    """Gaussian rows of that covariance (C, C), independent of each other."""
    rows = np.random.default_rng(seed).standard_normal((n_rows, len(covariance)))
    return block_of(rows @ np.linalg.cholesky(covariance).T)


def square(covariance: NDArray[np.float64]) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """The Mahalanobis square (T,) of rows."""
    precision = np.linalg.inv(covariance)
    return lambda rows: np.einsum("ti,ij,tj->t", rows.astype(np.float64), precision, rows.astype(np.float64))


def square_line(n_sensors: int, false_alarm: float) -> float:
    """Line of the square for that chance of a false alarm in a row."""
    return float(chi2.isf(false_alarm, n_sensors))


def miss_of_square(n_sensors: int, line: float, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance that the square of a row stays below the line, its mean being off by so many conditional sigmas."""
    return np.asarray(ncx2.cdf(line, n_sensors, np.maximum(shifts**2, 1e-12)))


def miss_of_largest(n_sensors: int, line: float, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance that the largest of ``n_sensors`` |z| stays below the line, one of them being off by so many sigmas."""
    others = (1.0 - 2.0 * norm.sf(line)) ** (n_sensors - 1)
    return np.asarray(others * (norm.cdf(line - shifts) - norm.cdf(-line - shifts)))


def limit(miss: Miss, share: float) -> float:
    """The size at which an alarm comes in that share of faults: 1 - prod of the misses of its rows."""
    return float(brentq(lambda size: 1.0 - float(np.prod(miss(size))) - share, 1e-3, 60.0))

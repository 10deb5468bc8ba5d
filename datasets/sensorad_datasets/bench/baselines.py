"""Simple detectors that every result must stand beside: causal, training statistics only, numpy and scikit-learn.

Each takes z-scored stretches. `Baseline.score` gives one score a row, NaN where a detector needs more rows before it,
and where it can the blame of each sensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .stretches import Stretch

__all__ = [
    "BASELINES",
    "Autoregression",
    "Baseline",
    "MaxZ",
    "NearestWindow",
    "RandomScore",
    "RowIndex",
    "RowPCA",
    "WindowPCA",
    "lagged",
    "principal_axes",
    "window_chunks",
]

LENGTH = 30  # rows in a window
VARIANCE = 0.9  # share that PCA keeps
LAGS = 10
PENALTY = 1.0
N_REFERENCES = 2000  # training windows that the nearest-window detector remembers
CHUNK = 2048  # windows handled at once

Scores = tuple[NDArray[np.float64], NDArray[np.float64] | None]
"""Scores (t,) and blames (t, C) or None."""


class Baseline(Protocol):
    """What the benchmark asks of a baseline."""

    def fit(self, stretches: list[Stretch]) -> None:
        """Learn from normal stretches."""

    def score(self, stretch: Stretch) -> Scores:
        """Scores of all rows of a stretch, each from this row and those before it."""


class RandomScore:
    """Uniform random numbers: what a measure gives for nothing."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def fit(self, stretches: list[Stretch]) -> None:
        pass

    def score(self, stretch: Stretch) -> Scores:
        return self._generator.random(len(stretch.rows)), None


class RowIndex:
    """The position in the log: high only where anomalies stand late in their files."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        pass

    def score(self, stretch: Stretch) -> Scores:
        return stretch.rows.astype(np.float64), None


class MaxZ:
    """The largest |z| of any sensor in the row."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        pass

    def score(self, stretch: Stretch) -> Scores:
        size = np.abs(stretch.values)
        return size.max(axis=1), size


class RowPCA:
    """Squared distance of the row from the principal subspace (the Q statistic)."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        values = np.concatenate([stretch.values for stretch in stretches])
        self._mean = values.mean(axis=0)
        centred = values - self._mean
        self._axes = principal_axes(centred.T @ centred)

    def score(self, stretch: Stretch) -> Scores:
        centred = stretch.values - self._mean
        squares = (centred - centred @ self._axes @ self._axes.T) ** 2  # (t, C)
        return squares.sum(axis=1), squares


class WindowPCA:
    """The same for the last 30 rows of all sensors together."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        size = stretches[0].values.shape[1] * LENGTH
        moments, total, n_windows = np.zeros((size, size)), np.zeros(size), 0
        for stretch in stretches:
            for _, windows in window_chunks(stretch):
                moments += windows.T @ windows
                total += windows.sum(axis=0, dtype=np.float64)
                n_windows += len(windows)
        mean = total / n_windows
        self._mean = mean.astype(np.float32)
        self._axes = principal_axes(moments - n_windows * np.outer(mean, mean)).astype(np.float32)

    def score(self, stretch: Stretch) -> Scores:
        n_rows, n_sensors = stretch.values.shape
        blame = np.full((n_rows, n_sensors), np.nan)
        for rows, windows in window_chunks(stretch):
            centred = windows - self._mean
            residual = centred - centred @ self._axes @ self._axes.T  # (n, C L)
            blame[rows] = (residual**2).reshape(-1, n_sensors, LENGTH).sum(axis=2)
        return blame.sum(axis=1), blame


class NearestWindow:
    """Distance of the last 30 rows to the nearest of up to 2,000 training windows, evenly spaced."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        n_windows = sum(max(0, len(stretch.rows) - LENGTH + 1) for stretch in stretches)
        chosen = np.unique(np.linspace(0, n_windows - 1, min(N_REFERENCES, n_windows)).astype(np.int64))
        kept, n_before = [], 0
        for stretch in stretches:
            for _, windows in window_chunks(stretch):
                inside = chosen[(chosen >= n_before) & (chosen < n_before + len(windows))] - n_before
                kept.append(windows[inside])
                n_before += len(windows)
        self._references = np.concatenate(kept)  # (R, C L)
        self._sizes = (self._references**2).sum(axis=1)

    def score(self, stretch: Stretch) -> Scores:
        scores = np.full(len(stretch.rows), np.nan)
        for rows, windows in window_chunks(stretch):
            nearest = (self._sizes - 2.0 * windows @ self._references.T).min(axis=1)
            scores[rows] = np.sqrt(np.maximum(nearest + (windows**2).sum(axis=1), 0.0))
        return scores, None


class Autoregression:
    """Ledoit-Wolf Mahalanobis distance of the one-step error of a ridge regression on the last 10 rows."""

    def __init__(self, seed: int) -> None:
        pass

    def fit(self, stretches: list[Stretch]) -> None:
        from sklearn.covariance import LedoitWolf

        usable = [stretch.values for stretch in stretches if len(stretch.rows) > LAGS]
        inputs = np.concatenate([lagged(values) for values in usable])  # (n, C lags + 1)
        targets = np.concatenate([values[LAGS:] for values in usable])
        penalty = PENALTY * np.eye(inputs.shape[1])
        penalty[-1, -1] = 0.0  # the intercept is free
        self._weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ targets)
        self._precision = LedoitWolf(assume_centered=True).fit(targets - inputs @ self._weights).precision_

    def score(self, stretch: Stretch) -> Scores:
        blame = np.full(stretch.values.shape, np.nan)
        scores = np.full(len(stretch.rows), np.nan)
        if len(stretch.rows) > LAGS:
            errors = stretch.values[LAGS:] - lagged(stretch.values) @ self._weights
            weighted = errors @ self._precision
            scores[LAGS:] = np.sqrt(np.maximum((weighted * errors).sum(axis=1), 0.0))
            # The drop in squared distance if this sensor were left out.
            blame[LAGS:] = weighted**2 / np.diag(self._precision)
        return scores, blame


def principal_axes(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fewest leading eigenvectors (D, K) that hold the wanted share of the variance; K < D."""
    variance, axes = np.linalg.eigh(moments)
    share = np.cumsum(np.maximum(variance[::-1], 0.0))
    n_axes = int(np.searchsorted(share, VARIANCE * share[-1])) + 1
    return axes[:, ::-1][:, : min(n_axes, len(variance) - 1)]


def window_chunks(stretch: Stretch) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Windows (n, C L), the rows of each sensor together, and the rows at which they end; some at a time."""
    n_windows = len(stretch.rows) - LENGTH + 1
    if n_windows < 1:
        return
    view = np.lib.stride_tricks.sliding_window_view(stretch.values.astype(np.float32), LENGTH, axis=0)  # (N, C, L)
    for first in range(0, n_windows, CHUNK):
        part = view[first : first + CHUNK]
        yield slice(first + LENGTH - 1, first + LENGTH - 1 + len(part)), part.reshape(len(part), -1)


def lagged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 10 rows before each row from the eleventh on, newest first, and a one: (t - 10, 10 C + 1)."""
    n_rows = len(values)
    before = [values[LAGS - 1 - lag : n_rows - 1 - lag] for lag in range(LAGS)]
    return np.concatenate([*before, np.ones((n_rows - LAGS, 1))], axis=1)


BASELINES: Mapping[str, Callable[[int], Baseline]] = MappingProxyType(
    {
        "random": RandomScore,
        "row-index": RowIndex,
        "max-z": MaxZ,
        "pca": RowPCA,
        "window-pca": WindowPCA,
        "nearest-window": NearestWindow,
        "autoregression": Autoregression,
    }
)
"""All baselines by name; each is made with a seed, which only the random one uses."""

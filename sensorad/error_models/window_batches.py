"""Errors of the linear part, batch by batch in reused buffers that a cache holds.

Everything lies sensor by sensor here, (C, T) seen from behind: windows side by side are then runs of consecutive
numbers, and what adds up rows or sensors adds up such runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["by_sensor", "projection_errors", "step_errors"]

LARGEST_BATCH = 256
"""Windows at once: smaller products waste time, larger ones leave the cache."""

PRODUCT_WINDOWS = 16
"""Products come in whole multiples of so many windows: kernels then treat all of them alike, and a window gets the same
bits whatever stands beside it."""

SHORT_RUN = 12
"""Windows of runs that are shorter in the mean are picked one by one."""


def by_sensor(rows: NDArray[Any]) -> NDArray[np.float64]:
    """(S, C) -> (C, S) float64."""
    return np.ascontiguousarray(rows.T, np.float64)


def projection_errors(
    values: NDArray[np.float64], usable: NDArray[np.bool_], pca: WindowPCA, ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Window errors, newest-row errors and expected rows (n, C) of the windows that end at ``ends`` (n,), rising.

    Meaning as in `SensorErrors`.

    Parameters
    ----------
    values : (C, S)
        Every window lies within them.
    usable : (S, C)
    """
    length, n_sensors = pca.length, len(values)
    window, newest = np.empty((n_sensors, len(ends))), np.empty((n_sensors, len(ends)))
    expected = np.empty((n_sensors, len(ends)), np.float32)
    if not len(ends):
        return window.T, newest.T, expected.T
    components = pca.wide_components
    flat = np.ascontiguousarray(components.T)
    windows = _Windows(values, length)
    has_holes = _has_holes(usable, length, ends)
    masks = _Windows(by_sensor(usable), length) if has_holes.any() else windows
    size = _batch_size(len(ends))
    error, rebuilt = np.empty((length, n_sensors, size)), np.empty((length * n_sensors, size))
    for part in _batches(len(ends), size):
        n_windows = part.stop - part.start
        windows.copy(ends[part], error)
        np.matmul(components, flat @ error.reshape(-1, size), out=rebuilt)
        expected[:, part] = rebuilt[-n_sensors:, :n_windows]
        error -= rebuilt.reshape(error.shape)
        newest[:, part] = error[-1, :, :n_windows]
        if not has_holes[part].any():
            window[:, part] = np.einsum("lcn,lcn->cn", error, error)[:, :n_windows]
            window[:, part] /= length
            continue
        mask = rebuilt.reshape(error.shape)
        masks.copy(ends[part], mask)
        newest[:, part][mask[-1, :, :n_windows] == 0.0] = np.nan
        error *= mask
        total = np.einsum("lcn,lcn->cn", error, error)[:, :n_windows]
        count = mask.sum(axis=0)[:, :n_windows]
        window[:, part] = np.where(count > 0.0, total / np.maximum(count, 1.0), np.nan)
    return window.T, newest.T, expected.T


def step_errors(
    values: NDArray[np.float64], usable: NDArray[np.bool_], model: RidgeAutoregression, ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n, C) signed one-step errors of the rows ``ends`` (n,), rising, 0 in missing cells.

    ``lags`` rows of the same stretch stand before each of them among the ``values`` (C, S).
    """
    n_sensors, lags = len(values), model.lags
    step = np.empty((n_sensors, len(ends)))
    if not len(ends):
        return step.T
    blocks = model.weights[:-1].astype(np.float64).reshape(lags, n_sensors, n_sensors)
    weights = np.ascontiguousarray(blocks[::-1].reshape(-1, n_sensors).T)  # oldest lag first, as the rows come
    intercept = model.weights[-1].astype(np.float64)[:, None]
    pasts = _Windows(values, lags)
    size = _batch_size(len(ends))
    past = np.empty((lags, n_sensors, size))
    for part in _batches(len(ends), size):
        pasts.copy(ends[part] - 1, past)
        predicted = weights @ past.reshape(-1, size)
        predicted += intercept
        step[:, part] = _at(values, ends[part]) - predicted[:, : part.stop - part.start]
    present = _at(usable.T, ends)
    if not present.all():
        step[~present] = 0.0
    return step.T


class _Windows:
    """All windows of ``length`` consecutive rows of values (C, S)."""

    def __init__(self, values: NDArray[np.float64], length: int) -> None:
        self._values = values
        self._length = length
        self._view = sliding_window_view(values, length, axis=1).transpose(2, 0, 1)  # (L, C, S - L + 1)

    def copy(self, ends: NDArray[np.int64], into: NDArray[np.float64]) -> None:
        """Put the windows that end at ``ends`` (n,), rising, side by side into (L, C, N); what is left over is 0."""
        n_windows = len(ends)
        starts = ends - (self._length - 1)
        if int(starts[-1] - starts[0]) == n_windows - 1:
            into[:, :, :n_windows] = self._view[:, :, starts[0] : starts[-1] + 1]
        else:
            breaks = np.flatnonzero(np.diff(starts) != 1) + 1
            if n_windows < SHORT_RUN * (len(breaks) + 1):
                rows = starts + np.arange(self._length)[:, None]  # (L, n)
                into[:, :, :n_windows] = self._values.take(rows, axis=1).transpose(1, 0, 2)
            else:
                places = [0, *breaks.tolist(), n_windows]
                for first, stop in pairwise(places):
                    start = int(starts[first])
                    into[:, :, first:stop] = self._view[:, :, start : start + stop - first]
        into[:, :, n_windows:] = 0.0


def _has_holes(usable: NDArray[np.bool_], length: int, ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether the window that ends there has a missing cell."""
    if usable.all():
        return np.zeros(len(ends), np.bool_)
    n_before = np.concatenate([[0], np.cumsum(~usable.all(axis=1))])
    found: NDArray[np.bool_] = n_before[ends + 1] > n_before[ends + 1 - length]
    return found


def _batch_size(n_windows: int) -> int:
    """Windows of a batch: all batches of a call are of one size, however few are left for the last."""
    return -(-min(n_windows, LARGEST_BATCH) // PRODUCT_WINDOWS) * PRODUCT_WINDOWS


def _batches(n_windows: int, size: int) -> Iterator[slice]:
    for first in range(0, n_windows, size):
        yield slice(first, min(first + size, n_windows))


def _at(values: NDArray[Any], at: NDArray[np.int64]) -> NDArray[Any]:
    """``values[:, at]`` for rising ``at``; a view where these are consecutive."""
    first, last = int(at[0]), int(at[-1])
    return values[:, first : last + 1] if last - first == len(at) - 1 else values[:, at]

"""Exponential smoothing with a finite memory, so that a score depends on a stated number of rows and no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["memory_rows", "smooth"]

MEMORY_SPANS = 3
"""Rows remembered, in spans: the weight left out is (1 - 2/(s+1))^(3s), 0.25 %."""


def memory_rows(span: int) -> int:
    """Rows that a smoothed value depends on, itself included."""
    return MEMORY_SPANS * span


def smooth(values: NDArray[np.floating], span: int, age: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Exponentially weighted mean of the rows so far, along the first axis; NaN rows carry no weight and stay NaN.

    Weights fall by 1 - 2 / (span + 1) a row and end after `memory_rows` rows, so a far past, and any damage in it,
    is forgotten exactly: no recursion, the same value in any chunking.

    Parameters
    ----------
    values : (T,) or (T, C)
    span
    age : (T,), optional
        Rows before each that belong to the same stretch, where several stretches lie one after another.

    Examples
    --------
    >>> smooth(np.array([1.0, 1.0, np.nan, 4.0]), span=1).tolist()
    [1.0, 1.0, nan, 4.0]
    >>> smooth(np.array([1.0, 2.0, 5.0]), span=1000, age=np.array([0, 1, 0])).round(1).tolist()
    [1.0, 1.5, 5.0]
    """
    decay, memory = 1.0 - 2.0 / (span + 1.0), memory_rows(span)
    is_known = np.isfinite(values)
    if is_known.all():
        total = _fading_sum(np.asarray(values, np.float64), decay, memory, age)
        weight = _fading_sum(np.ones(min(memory, len(values))), decay, memory, None)
        row = np.arange(len(values)) if age is None else age
        count = weight[np.minimum(row, len(weight) - 1)] if len(values) else weight
        smoothed: NDArray[np.float64] = total / (count if values.ndim == 1 else count[:, None])
        return smoothed
    total = _fading_sum(np.where(is_known, values, 0.0).astype(np.float64), decay, memory, age)
    count = _fading_sum(is_known.astype(np.float64), decay, memory, age)
    return np.where(is_known, total / np.maximum(count, 1e-300), np.nan)


def _fading_sum(
    values: NDArray[np.float64], decay: float, n_rows: int, age: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Sum of decay^k times the value k rows ago, over ``n_rows`` rows.

    Sums over 1, 2, 4, ... rows are put together as the binary digits of ``n_rows`` say: a dozen additions instead of
    one for each row, and the same ones for every row whatever lies around it.
    """
    power, n_covered = values, 1  # the sum over n_covered rows, a power of two
    total, n_summed = None, 0
    while True:
        if n_rows & n_covered:
            total = power if total is None else _plus_earlier(total, power, decay**n_summed, n_summed, age)
            n_summed += n_covered
        if n_summed == n_rows:
            return values.copy() if total is None else total
        power = _plus_earlier(power, power, decay**n_covered, n_covered, age)
        n_covered *= 2


def _plus_earlier(
    recent: NDArray[np.float64],
    earlier: NDArray[np.float64],
    factor: float,
    back: int,
    age: NDArray[np.int64] | None,
) -> NDArray[np.float64]:
    """``recent`` plus ``factor`` times what ``earlier`` was ``back`` rows ago in the same stretch."""
    if back >= len(recent) or factor == 0.0:
        return recent
    total = np.empty_like(recent)
    total[:back] = recent[:back]
    np.multiply(earlier[:-back], factor, out=total[back:])
    if age is not None:
        is_same = age[back:] >= back
        total[back:] *= is_same if total.ndim == 1 else is_same[:, None]
    total[back:] += recent[back:]
    return total

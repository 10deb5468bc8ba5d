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


def smooth(values: NDArray[np.floating], span: int) -> NDArray[np.float64]:
    """Exponentially weighted mean of the rows so far, along the first axis; NaN rows carry no weight and stay NaN.

    Weights fall by 1 - 2 / (span + 1) a row and end after `memory_rows` rows, so a far past, and any damage in it,
    is forgotten exactly: no recursion, the same value in any chunking.

    Parameters
    ----------
    values : (T,) or (T, C)
    span

    Examples
    --------
    >>> smooth(np.array([1.0, 1.0, np.nan, 4.0]), span=1).tolist()
    [1.0, 1.0, nan, 4.0]
    """
    decay = 1.0 - 2.0 / (span + 1.0)
    is_known = np.isfinite(values)
    known = np.where(is_known, values, 0.0).astype(np.float64)
    weight = is_known.astype(np.float64)
    total, count = known.copy(), weight.copy()
    for back in range(1, min(memory_rows(span), len(values))):
        factor = decay**back
        if factor == 0.0:
            break
        total[back:] += factor * known[:-back]
        count[back:] += factor * weight[:-back]
    return np.where(is_known, total / np.maximum(count, 1e-300), np.nan)

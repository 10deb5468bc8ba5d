"""Which rows of a stretch are hit, where only a share of them is: an exact number of rows, in bursts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["burst_rows", "burst_width", "rows_hit"]


def burst_width(length: int) -> int:
    """Rows over which noise is averaged, and so the usual length of a burst in a stretch of ``length`` rows."""
    return max(2, length // 10)


def rows_hit(share: NDArray[np.float64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """That share of the rows as a whole number, at least one."""
    return np.asarray(np.maximum(1, np.rint(share * length)), np.int64)


def burst_rows(
    inside: NDArray[np.bool_], n_hit: NDArray[np.int64], width: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """(P, L) True in exactly ``n_hit`` (P,) rows of those that are ``inside`` (P, L).

    They are the rows in which an average of white noise over ``width`` rows is highest: with 1 they are scattered, with
    more they come in bursts.

    Examples
    --------
    >>> inside = np.ones((1, 12), bool)
    >>> burst_rows(inside, np.array([5]), 3, np.random.default_rng(0)).sum()
    np.int64(5)
    """
    n, length = inside.shape
    noise = generator.random((n, length + width))
    total = np.cumsum(noise, axis=1)
    height = total[:, width:] - total[:, :-width]  # (P, L)
    height[~inside] = -1.0
    order = np.argsort(-height, axis=1)
    hit = np.zeros((n, length), np.bool_)
    np.put_along_axis(hit, order, np.arange(length) < n_hit[:, None], axis=1)
    return hit

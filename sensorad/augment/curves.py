"""Smooth random curves over the rows of a window: natural cubic splines through evenly spaced random knots."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["spline_basis"]


@cache
def spline_basis(length: int, n_knots: int) -> NDArray[np.float32]:
    """The natural cubic spline through knots y (K,) at evenly spaced rows, first to last, is ``spline_basis @ y``.

    Parameters
    ----------
    length
        Rows of a window, L, at least 2.
    n_knots
        Knots, K, at least 2; with 2 the curve is a straight line.

    Returns
    -------
    (L, K) float32, not writable

    Examples
    --------
    >>> spline_basis(5, 2) @ np.array([0.0, 1.0], np.float32)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    identity = np.eye(n_knots)
    # Second derivatives at the knots (knots one apart): m[k-1] + 4 m[k] + m[k+1] = 6 (y[k-1] - 2 y[k] + y[k+1]),
    # and 0 at both ends.
    bends = np.zeros((n_knots, n_knots))
    if n_knots > 2:
        inner = n_knots - 2
        system = 4.0 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
        bends[1:-1] = np.linalg.solve(system, 6.0 * (identity[:-2] - 2.0 * identity[1:-1] + identity[2:]))
    place = np.linspace(0.0, n_knots - 1.0, length)
    left = np.minimum(place.astype(np.int64), n_knots - 2)
    b = (place - left)[:, None]
    a = 1.0 - b
    basis = a * identity[left] + b * identity[left + 1]
    basis += ((a**3 - a) * bends[left] + (b**3 - b) * bends[left + 1]) / 6.0  # (L, K)
    found: NDArray[np.float32] = basis.astype(np.float32)
    found.flags.writeable = False
    return found

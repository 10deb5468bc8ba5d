"""Sums and maxima over the last rows of each row's own stretch, the same bits in any chunking.

Results over 1, 2, 4, ... rows are put together: a handful of passes instead of one for each row of the window, in an
order that does not depend on what lies around a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["earlier", "trailing_max", "trailing_sum"]


def trailing_sum(values: NDArray[np.float64], n_rows: int, age: NDArray[np.int64]) -> NDArray[np.float64]:
    """(S, C) sums over the last ``n_rows`` rows, or as many as the stretch has.

    Parameters
    ----------
    values : (S, C)
        Rows of stretches that lie one after another.
    age : (S,)
        Rows of its stretch before each row.

    Examples
    --------
    >>> trailing_sum(np.array([[1.0], [2.0], [4.0], [8.0]]), 2, np.array([0, 1, 2, 0]))[:, 0].tolist()
    [1.0, 3.0, 6.0, 8.0]
    """
    power, n_covered = values, 1  # the sum over n_covered rows
    total: NDArray[np.float64] | None = None
    n_summed = 0
    while True:
        if n_rows & n_covered:
            total = power if total is None else total + earlier(power, n_summed, age)
            n_summed += n_covered
        if n_summed == n_rows:
            return total if total is not None else np.zeros_like(values)
        power = power + earlier(power, n_covered, age)
        n_covered *= 2


def trailing_max(values: NDArray[np.float64], n_rows: int, age: NDArray[np.int64]) -> NDArray[np.float64]:
    """(S, C) the largest of the last ``n_rows`` rows, or of as many as the stretch has.

    Examples
    --------
    >>> trailing_max(np.array([[3.0], [1.0], [2.0], [0.0]]), 2, np.array([0, 1, 2, 0]))[:, 0].tolist()
    [3.0, 3.0, 2.0, 0.0]
    """
    largest, n_covered = values, 1
    while n_covered < n_rows:
        back = min(n_covered, n_rows - n_covered)
        largest = np.maximum(largest, earlier(largest, back, age, -np.inf))
        n_covered += back
    return largest


def earlier(
    values: NDArray[np.float64], back: int, age: NDArray[np.int64], otherwise: float = 0.0
) -> NDArray[np.float64]:
    """(S, C) the values ``back`` rows ago in the same stretch; ``otherwise`` where there is no such row.

    Examples
    --------
    >>> earlier(np.array([[3.0], [1.0], [2.0]]), 1, np.array([0, 1, 0]))[:, 0].tolist()
    [0.0, 3.0, 0.0]
    """
    found = np.full_like(values, otherwise)
    if back < len(values):
        found[back:] = values[: len(values) - back]
        found[age < back] = otherwise
    return found

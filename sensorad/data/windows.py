"""Windows as strided views: a log of T rows costs T rows of memory, whatever the window length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["window_view"]


def window_view(rows: NDArray[Any], length: int) -> NDArray[Any]:
    """All windows of ``length`` consecutive rows, as a read-only view of the same memory.

    Parameters
    ----------
    rows : (T, C)
    length
        L, at most T.

    Returns
    -------
    (T - L + 1, L, C) view; window n holds rows n .. n + L - 1. No rows where T < L.

    Examples
    --------
    >>> rows = np.arange(8).reshape(4, 2)
    >>> window_view(rows, 3).shape
    (2, 3, 2)
    >>> np.shares_memory(window_view(rows, 3), rows)
    True
    """
    if len(rows) < length:
        return np.empty((0, length, rows.shape[1]), rows.dtype)
    view = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)  # (N, C, L)
    return view.transpose(0, 2, 1)  # (N, L, C)

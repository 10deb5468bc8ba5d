"""What models share that read whole windows: which windows they read, batch by batch, and what errors follow.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorad.data import TimeGrid, held_from, window_view
from sensorad.error_models.errors import AskedRows, BesideLinear
from sensorad.errors import UsageError

__all__ = ["GridReading", "Read", "WindowBatch", "WindowErrors", "errors_of_windows", "slot_starts", "windows_at"]


class GridReading(BesideLinear):
    """A model that may read some windows only, and lets its word hold for the rows that follow.

    It then reads the windows that end on the first row of a slot of absolute time
    (docs/decisions/0010-reading-on-a-grid.md).

    Attributes
    ----------
    length
        Rows per window.
    grid
        Where it reads; None: every window.
    read_every
        Rows that a slot usually has. A reading holds for twice as many at most.
    """

    __slots__ = ()

    length: int
    grid: TimeGrid | None
    read_every: int

    def __post_init__(self) -> None:
        if (self.grid is None) != (self.read_every == 1):
            raise UsageError("a model that does not read every row needs a grid, and only such a one")
        if self.grid is not None and self.linear_part is None:
            raise UsageError("a model without a linear part must read every row")

    @property
    def held_rows(self) -> int:
        """Rows after a reading for which it holds at most."""
        return 0 if self.grid is None else 2 * self.read_every

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on; that a row begins a slot shows in the row before it."""
        lags = 0 if self.autoregression is None else self.autoregression.lags
        return max(self.length - 1 + self.held_rows, lags)

    def readings(self, grid: TimeGrid, asked: AskedRows) -> NDArray[np.int64]:
        """(n,) last row of the window whose reading holds in each of the rows; -1 where there is none."""
        slot = slot_starts(grid, asked, self.held_rows)
        is_whole = asked.age - (asked.at - slot) >= self.length - 1
        return np.where((slot >= 0) & is_whole, slot, -1)


def slot_starts(grid: TimeGrid, asked: AskedRows, most_rows: int) -> NDArray[np.int64]:
    """(n,) for each row the first row of its slot in its own segment; -1 where that is more than ``most_rows`` ago."""
    begins = grid.begins(asked.time)
    begins[asked.at - asked.age] = True
    return held_from(begins, most_rows)[asked.at]


class WindowBatch(NamedTuple):
    """Some of the windows that are asked for.

    Attributes
    ----------
    part : (n,) int64
        Their positions among all that are asked for.
    windows : (n, L, C) float32
    usable : (n, L, C) bool, optional
        Cells that were measured; None: all.
    """

    part: NDArray[np.int64]
    windows: NDArray[np.float32]
    usable: NDArray[np.bool_] | None


def windows_at(
    rows: NDArray[np.float32], usable: NDArray[np.bool_], ends: NDArray[np.int64], length: int, batch: int
) -> Iterator[WindowBatch]:
    """Windows of ``length`` rows (S, C) that end at ``ends`` (N,), ``batch`` at a time.

    Examples
    --------
    >>> rows = np.arange(6.0, dtype=np.float32)[:, None]
    >>> [found] = windows_at(rows, np.ones(rows.shape, bool), np.array([2, 5]), 3, batch=8)
    >>> found.part.tolist(), found.windows[..., 0].tolist(), found.usable
    ([0, 1], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], None)
    """
    if len(ends) == 0:
        return
    windows = window_view(rows, length)
    present = None if usable.all() else window_view(usable, length)
    for first in range(0, len(ends), batch):
        part = np.arange(first, min(first + batch, len(ends)))
        start = ends[part] - (length - 1)
        yield WindowBatch(part, windows[start], None if present is None else present[start])


class Read(NamedTuple):
    """What a model makes of N windows.

    Attributes
    ----------
    rebuilt : (N, L, C) float64
    squares : (N, L, C) float64
        Squared error of each cell, or what the model has in its place.
    channels : (N, E) float64, optional
        What else it measures; higher is more anomalous.
    """

    rebuilt: NDArray[np.float64]
    squares: NDArray[np.float64]
    channels: NDArray[np.float64] | None = None


class WindowErrors(NamedTuple):
    """Parts of `SensorErrors` that follow from whole windows; NaN where there is none behind a row."""

    window: NDArray[np.float64]
    newest: NDArray[np.float64]
    expected: NDArray[np.float32]
    channels: NDArray[np.float64] | None


def errors_of_windows(
    read: Callable[[NDArray[np.float32]], Read], asked: AskedRows, *, length: int, batch: int, n_channels: int = 0
) -> WindowErrors:
    """Errors (n, C) of the windows that end in the rows, which ``read`` gets ``batch`` at a time.

    A cell that was not measured counts in no mean.
    """
    window, newest = np.full(asked.shape, np.nan), np.full(asked.shape, np.nan)
    expected = np.full(asked.shape, np.nan, np.float32)
    channels = np.full((len(asked.at), n_channels), np.nan) if n_channels else None
    whole = np.flatnonzero(asked.has_window(length))
    for some, windows, known in windows_at(asked.rows, asked.usable, asked.at[whole], length, batch):
        part = whole[some]
        rebuilt, squares, measured = read(windows)
        expected[part] = rebuilt[:, -1]
        newest[part] = windows[:, -1] - rebuilt[:, -1]
        if channels is not None:
            channels[part] = measured
        if known is None:
            window[part] = squares.sum(axis=1) / length
            continue
        newest[part] = np.where(known[:, -1], newest[part], np.nan)
        count = known.sum(axis=1)  # (n, C)
        total = np.where(known, squares, 0.0).sum(axis=1)
        window[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return WindowErrors(window, newest, expected, channels)

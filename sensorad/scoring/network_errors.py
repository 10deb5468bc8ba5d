"""Errors of a network's windows, whatever runs the network: torch, NumPy or an ONNX runtime. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sensorad.data import TimeGrid, held_from, window_view
from sensorad.errors import UsageError
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.scoring.errors import LinearErrors, SensorErrors
from sensorad.scoring.window_evidence import TINY

__all__ = ["NetworkErrors", "StoredNetwork", "WindowNetwork", "slot_starts"]

SCORING_WINDOWS = 512
"""Windows rebuilt at once."""


class WindowNetwork(Protocol):
    """A network alone, without gate or linear part: windows (N, L, C) of what is left over -> windows of that shape."""

    def __call__(self, residual: NDArray[np.float32]) -> NDArray[np.float32]: ...


@runtime_checkable
class StoredNetwork(WindowNetwork, Protocol):
    """A network that can be asked for its weights."""

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name."""


@dataclass(frozen=True, slots=True)
class NetworkErrors:
    """Errors of windows under linear(x) + gate network(x - linear(x)), and one-step errors of the linear part.

    With a grid the network reads only the windows that end on the first row of a slot of absolute time. What it says of
    a window is by which factor the error of each sensor differs from that of the linear part; the factor holds for the
    rows that follow, whose own linear errors it multiplies. So every row is scored by its own window. Newest rows are
    then those of the linear part, in every row.

    Attributes
    ----------
    network
        What runs the network.
    gate
        Share of the network's output that counts, 0 to 1. At 0 the network says nothing and is not run.
    length
        Rows per window.
    pca, autoregression
        The linear part; None for a network alone.
    grid
        Where the network reads; None: every window.
    read_every
        Rows that a slot usually has. A factor holds for twice as many rows at most; without one the linear part speaks
        alone.
    """

    network: WindowNetwork
    gate: float
    length: int
    pca: WindowPCA | None
    autoregression: RidgeAutoregression | None
    grid: TimeGrid | None = None
    read_every: int = 1

    def __post_init__(self) -> None:
        if (self.grid is None) != (self.read_every == 1):
            raise UsageError("a network that does not read every row needs a grid, and only such a one")
        if self.grid is not None and self.linear_part is None:
            raise UsageError("a network without a linear part must read every row")

    @property
    def linear_part(self) -> LinearErrors | None:
        """The linear part by itself."""
        if self.pca is None or self.autoregression is None:
            return None
        return LinearErrors(self.pca, self.autoregression)

    @property
    def held_rows(self) -> int:
        """Rows after a reading for which it holds at most."""
        return 0 if self.grid is None else 2 * self.read_every

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on; that a row begins a slot shows in the row before it."""
        lags = 0 if self.autoregression is None else self.autoregression.lags
        return max(self.length - 1 + self.held_rows, lags)

    def errors(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        row = np.arange(len(rows))
        return self.errors_at(rows, usable, time, row, row)

    def errors_at(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        time: NDArray[np.int64],
        at: NDArray[np.int64],
        age: NDArray[np.int64],
    ) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        linear = self.linear_part
        if linear is None:
            window, newest, expected = self._every_window(rows, usable, at, age)
            return SensorErrors(window, newest, expected, np.full(window.shape, np.nan), window)
        found = linear.errors_at(rows, usable, time, at, age)
        if self.gate == 0.0:
            return found
        if self.grid is not None:
            return replace(found, window=found.window * self._held_factors(rows, usable, time, at, age))
        window, newest, expected = self._every_window(rows, usable, at, age)
        return replace(found, window=window, newest=newest, expected=expected)

    def rebuild(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, L, C) windows as the whole model rebuilds them.

        The linear part is in float64, so that batches of any size give the same.
        """
        linear = np.zeros(windows.shape) if self.pca is None else self.pca.reconstruct(windows)
        return linear + self._output(windows - linear)

    def factors(
        self,
        windows: NDArray[np.float32],
        usable: NDArray[np.bool_] | None = None,
        linear: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Mean square error of each sensor over that of the linear part, (N, C), for windows (N, L, C) read.

        Parameters
        ----------
        usable : (N, L, C)
            Cells that count; None = all. 1 where a sensor has none.
        linear : (N, L, C)
            Windows as the linear part rebuilds them, where they are known already.
        """
        if linear is None:
            if self.pca is None:
                raise UsageError("a network without a linear part has no factors")
            linear = self.pca.reconstruct(windows)
        left = windows - linear
        error = left - self._output(left)
        if usable is not None:
            left, error = np.where(usable, left, 0.0), np.where(usable, error, 0.0)
        count = windows.shape[1] if usable is None else np.maximum(usable.sum(axis=1), 1)
        own, other = _sum_of_squares(error) / count, _sum_of_squares(left) / count
        ratio: NDArray[np.float64] = (own + TINY**2) / (other + TINY**2)
        return ratio

    def _output(self, left: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the network, gated, rebuilds of windows (N, L, C) without their linear part."""
        output: NDArray[np.float64] = self.gate * self.network(left.astype(np.float32)).astype(np.float64)
        return output

    def _every_window(
        self, rows: NDArray[np.float32], usable: NDArray[np.bool_], at: NDArray[np.int64], age: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
        """Window errors, newest-row errors and expected rows (n, C) of the windows that end at ``at``."""
        shape = (len(at), rows.shape[1])
        window, newest = np.full(shape, np.nan), np.full(shape, np.nan)
        expected = np.full(shape, np.nan, np.float32)
        for part, windows, known in self._windows(rows, usable, at, np.flatnonzero(age >= self.length - 1)):
            rebuilt = self.rebuild(windows)
            error = windows - rebuilt
            expected[part] = rebuilt[:, -1]
            newest[part] = error[:, -1]
            if known is None:
                window[part] = _sum_of_squares(error) / self.length
                continue
            newest[part] = np.where(known[:, -1], error[:, -1], np.nan)
            count = known.sum(axis=1)  # (n, C)
            total = _sum_of_squares(np.where(known, error, 0.0))
            window[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return window, newest, expected

    def _held_factors(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        time: NDArray[np.int64],
        at: NDArray[np.int64],
        age: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """(n, C) the newest factor that still holds in the rows ``at``; 1 where there is none."""
        if self.grid is None:
            return np.ones((len(at), rows.shape[1]))
        reading = slot_starts(self.grid, time, at, age, self.held_rows)[at]
        has_reading = (reading >= 0) & (age - (at - reading) >= self.length - 1)
        needed, which = np.unique(reading[has_reading], return_inverse=True)
        factors = np.ones((len(needed), rows.shape[1]))
        for part, windows, known in self._windows(rows, usable, needed, np.arange(len(needed))):
            factors[part] = self.factors(windows, known)
        held = np.ones((len(at), rows.shape[1]))
        held[has_reading] = factors[which]
        return held

    def _windows(
        self, rows: NDArray[np.float32], usable: NDArray[np.bool_], ends: NDArray[np.int64], chosen: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_] | None]]:
        """Batches: positions in ``ends``, windows (n, L, C) that end there, usable cells of these; None = all."""
        if len(chosen) == 0:
            return
        windows = window_view(rows, self.length)
        present = None if usable.all() else window_view(usable, self.length)
        for first in range(0, len(chosen), SCORING_WINDOWS):
            part = chosen[first : first + SCORING_WINDOWS]
            start = ends[part] - (self.length - 1)
            yield part, windows[start], None if present is None else present[start]


def slot_starts(
    grid: TimeGrid, time: NDArray[np.int64], at: NDArray[np.int64], age: NDArray[np.int64], most_rows: int
) -> NDArray[np.int64]:
    """(S,) for each row the first row of its slot in its own segment; -1 where that is more than ``most_rows`` ago.

    ``at`` and ``age`` tell the segments that ``time`` (S,) consists of, as in `StackedErrorModel`.
    """
    begins = grid.begins(time)
    begins[at - age] = True
    return held_from(begins, most_rows)


def _sum_of_squares(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, L, C) -> (N, C)."""
    total: NDArray[np.float64] = np.einsum("nlc,nlc->nc", windows, windows)
    return total

"""Errors of a network's windows, whatever runs the network: torch, NumPy or an ONNX runtime. Imports none of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sensorad.data import TimeGrid
from sensorad.error_models.errors import TINY, AskedRows, SensorErrors
from sensorad.error_models.whole_windows import GridReading, Read, WindowErrors, errors_of_windows, windows_at
from sensorad.errors import UsageError
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["NetworkErrors", "ReadWindows", "ReadingNetwork", "StoredNetwork", "WindowNetwork"]

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


class ReadWindows(NamedTuple):
    """What a network says of N windows.

    Attributes
    ----------
    output : (N, L, C) float32
        Windows as it rebuilds them.
    squares : (N, L, C) float64, optional
        Its own measure of each cell's error, not negative; None: squared differences.
    channels : (N, E) float64, optional
        What else it measures; higher is more anomalous.
    """

    output: NDArray[np.float32]
    squares: NDArray[np.float64] | None = None
    channels: NDArray[np.float64] | None = None


@runtime_checkable
class ReadingNetwork(WindowNetwork, Protocol):
    """A network that says more of a window than how it rebuilds it.

    Attributes
    ----------
    n_channels
        E, 0 where it has none.
    """

    n_channels: int

    def read(self, residual: NDArray[np.float32], gate: float) -> ReadWindows:
        """Windows (N, L, C) read; ``gate`` is the share of the output that counts, here in ``squares``."""


@dataclass(frozen=True, slots=True)
class NetworkErrors(GridReading):
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
        Share of the network's output that counts, 0 to 1. At 0 a network without channels says nothing and is not run.
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

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        linear = self.linear_part
        return self.errors_beside(None if linear is None else linear.errors_at(asked), asked)

    def errors_beside(self, found: SensorErrors | None, asked: AskedRows) -> SensorErrors:
        """As `errors_at`, where those of the linear part have been ``found``; None without one."""
        if found is None:
            window, newest, expected, channels = self._every_window(asked)
            return SensorErrors(window, newest, expected, np.full(window.shape, np.nan), window, channels=channels)
        if self.gate == 0.0 and not self.n_channels:
            return found
        if self.grid is not None and self.pca is not None:
            factors, channels = self._held(self.grid, self.pca, asked)
            return replace(found, window=found.window * factors, channels=channels)
        window, newest, expected, channels = self._every_window(asked)
        return replace(found, window=window, newest=newest, expected=expected, channels=channels)

    @property
    def n_channels(self) -> int:
        """Channels of the network."""
        return int(getattr(self.network, "n_channels", 0))

    def rebuild(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, L, C) windows as the whole model rebuilds them.

        The linear part is in float64, so that batches of any size give the same.
        """
        return self.read(windows).rebuilt

    def read(self, windows: NDArray[np.float32]) -> Read:
        """What the whole model makes of windows (N, L, C)."""
        linear = np.zeros(windows.shape) if self.pca is None else self.pca.reconstruct(windows)
        output, squares, channels = self._read(windows - linear)
        rebuilt = linear + output
        return Read(rebuilt, (windows - rebuilt) ** 2 if squares is None else squares, channels)

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
        return self._compared(windows, usable, linear)[0]

    def _compared(
        self, windows: NDArray[np.float32], usable: NDArray[np.bool_] | None, linear: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Factors and channels."""
        left = windows - linear
        output, squares, channels = self._read(left)
        if squares is None:
            squares = (left - output) ** 2
        other = left**2
        if usable is not None:
            squares, other = np.where(usable, squares, 0.0), np.where(usable, other, 0.0)
        count = windows.shape[1] if usable is None else np.maximum(usable.sum(axis=1), 1)
        ratio: NDArray[np.float64] = (squares.sum(axis=1) / count + TINY**2) / (other.sum(axis=1) / count + TINY**2)
        return ratio, channels

    def _read(
        self, left: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """What the network, gated, says of windows (N, L, C) without their linear part: output, squares, channels."""
        residual = left.astype(np.float32)
        if isinstance(self.network, ReadingNetwork):
            output, squares, channels = self.network.read(residual, self.gate)
        else:
            output, squares, channels = self.network(residual), None, None
        return self.gate * output.astype(np.float64), squares, channels

    def _every_window(self, asked: AskedRows) -> WindowErrors:
        return errors_of_windows(
            self.read, asked, length=self.length, batch=SCORING_WINDOWS, n_channels=self.n_channels
        )

    def _no_channels(self, n_rows: int) -> NDArray[np.float64] | None:
        """Room for those of ``n_rows`` rows."""
        return np.full((n_rows, self.n_channels), np.nan) if self.n_channels else None

    def _held(
        self, grid: TimeGrid, pca: WindowPCA, asked: AskedRows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """(n, C) the newest factors that still hold in the rows, 1 where there are none; channels (n, E)."""
        held, channels = np.ones(asked.shape), self._no_channels(len(asked.at))
        reading = self.readings(grid, asked)
        has_reading = reading >= 0
        needed, which = np.unique(reading[has_reading], return_inverse=True)
        factors, measured = np.ones((len(needed), asked.shape[1])), self._no_channels(len(needed))
        for part, windows, known in windows_at(asked.rows, asked.usable, needed, self.length, SCORING_WINDOWS):
            factors[part], found = self._compared(windows, known, pca.reconstruct(windows))
            if measured is not None:
                measured[part] = found
        held[has_reading] = factors[which]
        if channels is not None and measured is not None:
            channels[has_reading] = measured[which]
        return held, channels

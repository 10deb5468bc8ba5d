"""The linear models on one window: both in one product, written into memory that is used again for every row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.ticks import TickRows, TickWindows

__all__ = ["NARROW", "LinearRow", "mean_present", "mean_squares"]


MOST_ZEROS = 4096
"""Products with 0 that cost less than a call of NumPy."""


subtract, multiply = np.subtract, np.multiply

NARROW = 12
"""Up to so many sensors a product adds up squares more quickly than a loop over rows."""


class LinearRow:
    """Window-PCA and ridge autoregression of windows of ``depth`` rows, flat and in float64.

    Parameters
    ----------
    pca, autoregression
        The models.
    step_scale : (C,)
        What the one-step errors are divided by.

    Attributes
    ----------
    depth
        Rows of a window: max(L, lags + 1).
    tail : (3 C,) or longer
        Expected newest row, window errors, and room for ``n_more`` numbers: what is kept of a row, side by side.
    """

    def __init__(
        self, pca: WindowPCA, autoregression: RidgeAutoregression, step_scale: NDArray[np.float64], n_more: int
    ) -> None:
        self.rings: dict[str, Ring | Table] = {}
        self.n_times = 1
        n_sensors = autoregression.weights.shape[1]
        length, lags = pca.length, autoregression.lags
        self.depth, self.length, self.lags, self.n_sensors = max(length, lags + 1), length, lags, n_sensors
        components = pca.components.astype(np.float64)  # (L C, K)
        n_components = components.shape[1]
        n_cells, n_window = self.depth * n_sensors, length * n_sensors
        self.first = n_cells - n_window  # where the window of the PCA begins

        weights = autoregression.weights.astype(np.float64)
        past = np.zeros((n_sensors, lags + 1, n_sensors))
        past[:, -1] = np.eye(n_sensors)
        for back in range(1, lags + 1):
            past[:, -1 - back] = -weights[(back - 1) * n_sensors : back * n_sensors].T
        past /= step_scale[:, None, None]
        self.n_past = (lags + 1) * n_sensors
        self.past = past.reshape(n_sensors, self.n_past)  # the last rows -> one-step errors without the intercept
        # Both in one product, unless that multiplies too many zeros.
        self._is_apart = n_sensors * (n_cells - self.n_past) > MOST_ZEROS
        forward = np.zeros((n_components + n_sensors, n_cells))
        forward[:n_components, self.first :] = components.T
        forward[n_components:, n_cells - self.n_past :] = self.past
        self.upright = np.ascontiguousarray(components.T)  # (K, L C)
        self.intercept = weights[-1] / step_scale
        self.backward = np.ascontiguousarray(components)  # (L C, K)
        self.n_components = n_components

        self.found = np.empty(n_components + n_sensors)
        self.code, self.steps = self.found[:n_components], self.found[n_components:]
        memory = np.zeros(n_window + n_sensors + n_more)
        self.rebuilt = memory[:n_window]
        self.tail = memory[n_window - n_sensors :]
        self.expected = self.tail[:n_sensors]
        self.window = self.linear_window = self.tail[n_sensors : 2 * n_sensors]
        self.more = self.tail[2 * n_sensors :]
        self.error = np.empty(n_window)
        self._squares = self.error.reshape(length, n_sensors)
        self._mean = np.full(length, 1.0 / length)
        self._spread_mean = np.tile(np.eye(n_sensors) / length, (length, 1))  # (L C, C): cells of a window -> means
        # The methods themselves: to look them up costs as much as a tenth of calling them.
        self._forward, self._backward, self._average = forward.dot, self.backward.dot, self._mean.dot
        self._upright, self._past = self.upright.dot, self.past.dot

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows

    def project(self, window: NDArray[np.float64]) -> None:
        """(D C,) -> `code` and `steps`."""
        if self._is_apart:
            self._upright(window[self.first :], self.code)
            self._past(window[-self.n_past :], self.steps)
        else:
            self._forward(window, self.found)

    def read(
        self,
        cells: NDArray[np.float64],
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> bool:
        """After `project`: `expected`, and the mean squares `window` of the errors; False where there are too few rows.

        Sensors without any cell in the window that is ``present`` (L, C; None = all) get NaN.
        """
        if n < self.length:
            return False
        error, rebuilt = self.error, self.rebuilt
        self._backward(self.code, rebuilt)
        subtract(cells[self.first :] if self.first else cells, rebuilt, error)
        multiply(error, error, error)
        if present is None:
            self._average(self._squares, self.linear_window)
        else:
            mean_present(self._squares, present, self.linear_window)
        return True

    def tick(self, tick: TickRows) -> TickWindows:
        """Whole windows of several machines."""
        shape = (len(tick.n_rows), self.n_sensors)
        newest, expected, window, steps = (np.empty(shape) for _ in range(4))
        for part, machines in tick.parts(self.depth * self.n_sensors):
            cells = machines.windows(self._rows)  # (n, D C)
            inside = cells[:, self.first :]
            error = (inside @ self.backward) @ self.upright  # (n, L C)
            newest[part], expected[part] = cells[:, -self.n_sensors :], error[:, -self.n_sensors :]
            np.subtract(inside, error, error)
            if self.n_sensors <= NARROW:
                np.multiply(error, error, error)
                np.matmul(error, self._spread_mean, window[part])
            else:
                window[part] = mean_squares(error.reshape(len(error), self.length, self.n_sensors))
            np.matmul(cells[:, -self.n_past :], self.past.T, steps[part])
        return TickWindows(newest, expected, window, window, steps)


def mean_squares(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, L, C) -> (N, C)."""
    mean: NDArray[np.float64] = np.einsum("nlc,nlc->nc", error, error)
    mean /= error.shape[1]
    return mean


def mean_present(squares: NDArray[np.float64], present: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
    """(L, C) -> ``mean`` (C,) of the cells where ``present`` is 1, NaN where it nowhere is."""
    each_row = np.ones(len(squares))
    np.multiply(squares, present, squares)
    count = each_row.dot(present)
    each_row.dot(squares, mean)
    if min(count.tolist()) == 0.0:
        mean[count == 0.0] = np.nan
    np.divide(mean, count, mean)

"""Networks on one window at a time: read where the grid says so, or row by row with a carried state. Needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.row_linear import LinearRow, mean_present
from sensorad.streaming.ticks import TickRows, TickWindows

__all__ = ["CarriedRow", "GridRow", "WholeRow"]


class GridRow:
    """A network that reads the first row of each slot; in between its last word on the linear errors holds.

    Parameters
    ----------
    linear
        The linear part; its ``linear_window`` moves out of the tail to make room for the window errors of the whole.
    """

    def __init__(self, model: NetworkErrors, linear: LinearRow) -> None:
        if model.grid is None:
            raise TypeError("this network reads every row")
        self._model, self._linear, self._slot_ns = model, linear, model.grid.slot_ns
        self.length, self._held_rows = model.length, model.held_rows
        self.depth, self.n_times, self.tail, self.expected = linear.depth, 2, linear.tail, linear.expected
        self.window = linear.window
        self.linear_window = linear.linear_window = np.empty(linear.n_sensors)
        self._factors = Table(linear.n_sensors, np.float64)
        self._read_at = Table(1, np.int64)  # the row of the segment where that was; 0 = nowhere
        self.rings: dict[str, Ring | Table] = {"factors": self._factors, "read_at": self._read_at}

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._times, self._rows = machines.times, machines.rows
        self._linear.attach(machines)

    def read(
        self,
        cells: NDArray[np.float64],
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> bool:
        """As `LinearRow.read`, with the errors of the linear part as ``linear_window``."""
        linear = self._linear
        if not linear.read(cells, slot, place, n, present, newest):
            return False
        before, now = self._times.windows[slot, place].tolist()[-2:]
        if before // self._slot_ns != now // self._slot_ns:
            shape = (1, self.length, linear.n_sensors)
            self._factors.array[slot] = self._model.factors(
                cells[linear.first :].reshape(shape).astype(np.float32),
                None if present is None else present[None] > 0.0,
                linear.rebuilt.reshape(shape),
            )[0]
            self._read_at.array[slot, 0] = n
        read_at = self._read_at.array[slot, 0]
        if read_at and n - read_at <= self._held_rows:
            np.multiply(self.linear_window, self._factors.array[slot], self.window)
        else:
            self.window[:] = self.linear_window
        return True

    def project(self, cells: NDArray[np.float64]) -> None:
        """As `LinearRow.project`."""
        self._linear.project(cells)

    def tick(self, tick: TickRows) -> TickWindows:
        """Whole windows of several machines."""
        found = self._linear.tick(tick)
        times = tick.windows(self._times)
        begins = times[:, -2] // self._slot_ns != times[:, -1] // self._slot_ns
        factors, read_at = self._factors.array[tick.slots], self._read_at.array[tick.slots]  # views or copies
        at = np.flatnonzero(begins)
        if len(at):
            cells = tick.windows(self._rows)[at, self._linear.first :]
            windows = cells.reshape(len(at), self.length, -1).astype(np.float32)
            factors[at], read_at[at, 0] = self._model.factors(windows), tick.n_rows[at]
            self._factors.array[tick.slots], self._read_at.array[tick.slots] = factors, read_at
        holds = (read_at[:, 0] > 0) & (tick.n_rows - read_at[:, 0] <= self._held_rows)
        return found._replace(window=np.where(holds[:, None], found.linear * factors, found.linear))


class WholeRow:
    """A network that reads every row, with or without a linear part."""

    def __init__(self, model: NetworkErrors, linear: LinearRow | None, n_used: int, n_cells: int) -> None:
        self._model, self._linear, self.length, self._n_sensors = model, linear, model.length, n_used
        self.depth = model.length if linear is None else linear.depth
        self.n_times, self.rings = 1, dict[str, Ring | Table]()
        self.tail = np.zeros(2 * n_used + n_cells) if linear is None else linear.tail
        self.expected, self.window = self.tail[:n_used], self.tail[n_used : 2 * n_used]
        self.linear_window = self.window if linear is None else np.empty(n_used)
        if linear is not None:
            linear.linear_window = self.linear_window

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows
        if self._linear is not None:
            self._linear.attach(machines)

    def project(self, cells: NDArray[np.float64]) -> None:
        """As `LinearRow.project`, where there is a linear part."""
        if self._linear is not None:
            self._linear.project(cells)

    def read(
        self,
        cells: NDArray[np.float64],
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> bool:
        """As `LinearRow.read`, with the errors of the linear part as ``linear_window``."""
        if n < self.length:
            return False
        if self._linear is not None:
            self._linear.read(cells, slot, place, n, present, newest)
        window = cells.reshape(-1, self._n_sensors)[-self.length :]
        rebuilt, (squares,), _ = self._model.read(window[None].astype(np.float32))
        self.expected[:] = rebuilt[0, -1]
        if present is None:
            squares.mean(axis=0, out=self.window)
        else:
            mean_present(squares, present, self.window)
        return True

    def tick(self, tick: TickRows) -> TickWindows:
        """Whole windows of several machines."""
        n_machines, n_sensors = len(tick.n_rows), self._n_sensors
        newest, expected, window = (np.empty((n_machines, n_sensors)) for _ in range(3))
        for part, machines in tick.parts(self.depth * n_sensors):
            cells = machines.windows(self._rows)[:, -self.length * n_sensors :]
            windows = cells.reshape(-1, self.length, n_sensors)
            rebuilt, squares, _ = self._model.read(windows.astype(np.float32))
            newest[part], expected[part] = windows[:, -1], rebuilt[:, -1]
            window[part] = squares.mean(axis=1)
        if self._linear is None:
            return TickWindows(newest, expected, window, window, window[:, :0])
        return self._linear.tick(tick)._replace(expected=expected, window=window)


class CarriedRow:
    """An LSTM that takes one step a row; in the first row of a slot it starts again, some rows before."""

    def __init__(self, model: CarriedErrors, n_used: int, n_cells: int) -> None:
        self._network, self.length, self._n_sensors = model.network, model.length, n_used
        self._slot_ns, self._held_rows = model.grid.slot_ns, model.held_rows
        self.depth, self.n_times = model.length + 1, 2
        self.tail = np.zeros(2 * n_used + n_cells)
        self.expected, self.window = self.tail[:n_used], self.tail[n_used : 2 * n_used]
        self.linear_window, self._row = self.window, np.empty(n_used, np.float32)
        self._states = Table(model.network.state_size, np.float32)
        self._begun_at = Table(1, np.int64)
        self.rings: dict[str, Ring | Table] = {"carried": self._states, "begun_at": self._begun_at}

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._times, self._rows = machines.times, machines.rows

    def project(self, cells: NDArray[np.float64]) -> None:
        """There is no linear part."""

    def read(
        self,
        cells: NDArray[np.float64],
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> bool:
        """Expected newest row, and its squared errors as ``window``; False where nothing is expected."""
        state, times = self._states.array[slot], self._times
        before, now = times.array[slot, times.newest + place - 1 : times.newest + place + 1, 0].tolist()
        if n == 1 or before // self._slot_ns != now // self._slot_ns:
            state[:] = 0.0
            self._begun_at.array[slot, 0] = n
            for row in cells.reshape(-1, self._n_sensors)[-min(n, self.length + 1) :].astype(np.float32):
                self._network.step(row, state)
        elif n - self._begun_at.array[slot, 0] > self._held_rows:
            return False
        else:
            self._row[:] = cells[-self._n_sensors :]
            self._network.step(self._row, state)
        if n < self.length:
            return False
        self.expected[:] = self._network.newest(state)
        np.subtract(cells[-self._n_sensors :], self.expected, self.window)
        np.multiply(self.window, self.window, self.window)
        if newest is not None:
            self.window[~newest] = np.nan
        return True

    def tick(self, tick: TickRows) -> TickWindows:
        """Newest rows of several machines, of which at least ``length`` rows are known."""
        times, n_rows = tick.windows(self._times), tick.n_rows
        states, begun_at = self._states.array[tick.slots], self._begun_at.array[tick.slots]  # views or copies
        begins = times[:, -2] // self._slot_ns != times[:, -1] // self._slot_ns
        rows = tick.windows(self._rows).reshape(len(n_rows), -1, self._n_sensors)
        at = np.flatnonzero(begins)
        if len(at):
            fresh = self._network.start(len(at))
            n_known = np.minimum(n_rows[at], self.length + 1)
            for n_warm in np.unique(n_known).tolist():  # a row less where the segment is no longer than a window
                same = np.flatnonzero(n_known == n_warm)
                some = fresh[same]
                for back in range(n_warm, 0, -1):
                    self._network.step(rows[at[same], -back].astype(np.float32), some)
                fresh[same] = some
            states[at], begun_at[at, 0] = fresh, n_rows[at]
        goes_on = ~begins & (n_rows - begun_at[:, 0] <= self._held_rows)
        on = np.flatnonzero(goes_on)
        if len(on) == len(n_rows):
            self._network.step(rows[:, -1].astype(np.float32), states)
        elif len(on):
            some = states[on]
            self._network.step(rows[on, -1].astype(np.float32), some)
            states[on] = some
        self._states.array[tick.slots], self._begun_at.array[tick.slots] = states, begun_at
        newest = rows[:, -1].copy()
        expected = self._network.newest(states).astype(np.float64)
        expected[~(goes_on | begins)] = np.nan
        window = (newest - expected) ** 2
        return TickWindows(newest, expected, window, window, window[:, :0])

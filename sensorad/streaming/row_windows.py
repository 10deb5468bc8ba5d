"""Rows without one-step errors under the fused scheme, and rows under the plain schemes."""

from __future__ import annotations

from math import log, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import SensorErrors
from sensorad.scoring.fused import WEIGHTS, FusedScheme
from sensorad.scoring.schemes import Scheme
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.row_blame import divided, share
from sensorad.streaming.row_tails import RowWindow, row_tail
from sensorad.streaming.ticks import TickRows, TickScores, TickWindows

__all__ = ["PlainRows", "WindowReader", "WindowRows"]


class WindowReader(Protocol):
    """Errors of one window at a time.

    Attributes
    ----------
    length
        Rows from which on it knows anything.
    depth, n_times, rings
        Rows and times that it looks at, and what it remembers.
    expected, window, linear_window : (C,)
        Of the window just read: newest row, mean square errors, those of the linear part (``window`` itself where there
        is no other).
    tail
        Where ``expected`` and ``window`` stand side by side, before the measured values.
    """

    length: int
    depth: int
    n_times: int
    rings: dict[str, Ring | Table]
    expected: NDArray[np.float64]
    window: NDArray[np.float64]
    linear_window: NDArray[np.float64]
    tail: NDArray[np.float64]

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""

    def project(self, cells: NDArray[np.float64]) -> None:
        """Must come before `read`."""

    def read(
        self,
        cells: NDArray[np.float64],
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> bool:
        """Whether anything is known of the newest row, the ``n``-th of its segment.

        ``cells`` (depth C,) are the last rows; ``present`` (L, C) and ``newest`` (C,) are None where all cells are
        there.
        """

    def tick(self, tick: TickRows) -> TickWindows:
        """What is known of several machines whose windows are whole."""


class WindowRows:
    """The fused scheme for a network alone, which predicts no step."""

    def __init__(self, reader: WindowReader, scheme: FusedScheme) -> None:
        self._reader = reader
        self.depth, self.n_times, self.rings, self.tail = reader.depth, reader.n_times, reader.rings, reader.tail
        self.warm = reader.length
        self._window = RowWindow(scheme.window)
        self._scheme, self._inverse = scheme, 1.0 / scheme.window.size
        self._noise = float((scheme.window.noise**2 / scheme.window.size).sum())
        self._row_tail = row_tail(scheme.tails["row"])
        weights = [WEIGHTS[name] for name in ("total", "few")]
        self._w_total, self._w_few = (weight / sum(weights) for weight in weights)

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows
        self._reader.attach(machines)

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row; NaN where it has too little past."""
        reader, cells = self._reader, self._rows.windows[slot, place]
        reader.project(cells)
        if not reader.read(cells, slot, place, n, present, newest):
            return nan
        by_total, by_few = self._window.read(reader.window)
        self._newest = newest
        return self._w_total * by_total + self._w_few * by_few

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, whose windows are whole and have no missing cell."""
        read, scheme = self._reader.tick(tick), self._scheme
        found = scheme.window.evidence(read.window)
        score = self._w_total * found["total"] + self._w_few * found["few"]
        error = read.newest - read.expected
        surprise = scheme.tails["row"].evidence(np.log((error * error) @ self._inverse + self._noise))
        return TickScores(score, surprise, read.expected, lambda rows: divided(self._window.amount(read.window[rows])))

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow."""
        return self.tail.copy(), self._rows.row(slot, place).copy(), self._newest

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the newest row's own error."""
        tail, row, newest = reasons
        error = row - tail[: len(row)]
        if newest is not None:
            error[~newest] = 0.0
        return self._row_tail(log(float((error * error).dot(self._inverse)) + self._noise))

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares."""
        n_sensors = len(self._inverse)
        shares: NDArray[np.float64] = share(self._window.amount(reasons[0][n_sensors : 2 * n_sensors]))
        return shares


class PlainRows:
    """Schemes that look at the errors of one row only, by their own formula."""

    def __init__(self, reader: WindowReader, scheme: Scheme) -> None:
        self._reader, self._scheme = reader, scheme
        self.depth, self.n_times, self.rings, self.tail = reader.depth, reader.n_times, reader.rings, reader.tail
        self.warm = reader.length

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows
        self._reader.attach(machines)

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row; NaN where it has too little past."""
        reader, cells = self._reader, self._rows.windows[slot, place]
        reader.project(cells)
        if not reader.read(cells, slot, place, n, present, newest):
            return nan
        error = cells[-len(reader.expected) :] - reader.expected
        if newest is not None:
            error[~newest] = nan
        found = self._scheme.evidence(
            SensorErrors(
                reader.window[None].copy(),
                error[None],
                reader.expected[None].astype(np.float32),
                np.full((1, len(error)), nan),
                reader.linear_window[None].copy(),
            )
        )
        self._found = found.blame[0], float(found.surprise[0])
        return float(found.score[0])

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, whose windows are whole and have no missing cell."""
        read = self._reader.tick(tick)
        error = read.newest - read.expected
        unknown = np.full(error.shape, nan)
        found = self._scheme.evidence(
            SensorErrors(read.window, error, read.expected.astype(np.float32), unknown, read.linear)
        )
        return TickScores(found.score, found.surprise, read.expected, lambda rows: found.blame[rows])

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow."""
        return self.tail.copy(), *self._found

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the newest row's own error."""
        surprise: float = reasons[2]
        return surprise

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares."""
        shares: NDArray[np.float64] = reasons[1]
        return shares

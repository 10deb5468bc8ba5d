"""Errors where a classifier has a say: how unsure it is of a window, beside or in place of a linear part.

Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.data import TimeGrid
from sensorad.data.scaling import KNEE
from sensorad.error_models.errors import AskedRows, SensorErrors
from sensorad.error_models.whole_windows import GridReading, windows_at
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = ["ByTime", "ClassErrors", "Doubt", "TimeSides", "WindowDoubt"]

SCORING_WINDOWS = 512
"""Windows read at once."""


class Doubt(NamedTuple):
    """What a classifier says of N windows.

    Attributes
    ----------
    score : (N,) float64
        How unsure it is, above or below what is usual; higher is more anomalous.
    parts : (N, L, C) float64, optional
        How far each cell has to do with it, not negative.
    """

    score: NDArray[np.float64]
    parts: NDArray[np.float64] | None = None


class WindowDoubt(Protocol):
    """A classifier as scoring sees it."""

    def doubt(self, windows: NDArray[np.float32], ends: NDArray[np.int64], *, has_parts: bool = False) -> Doubt:
        """Of windows (N, L, C) that end at the times ``ends`` (N,) in ns; with the parts of the cells on request."""


@dataclass(frozen=True, slots=True)
class TimeSides:
    """Time cut into blocks that belong to one of two sides, in the order 0 1 1 0 1 0 0 1 (Thue and Morse).

    Machines run side by side, and all take part in either side; so do operating modes, since no rhythm of a plant
    follows that order. Sides that simply took turns would each see one half of a plant that does so as well.

    Attributes
    ----------
    borders : (B - 1,) int64
        Where blocks begin, the first left out, in ns; rising.

    Examples
    --------
    >>> sides = TimeSides.of([np.arange(80), np.arange(40, 80)], n_blocks=4)
    >>> sides.borders.tolist(), sides.side(np.array([0, 29, 31, 50, 79])).tolist()
    ([30, 50, 65], [0, 0, 1, 1, 0])
    """

    borders: NDArray[np.int64]

    @classmethod
    def of(cls, times: list[NDArray[np.int64]], n_blocks: int) -> TimeSides:
        """Blocks with the same number of rows of logs with these ``times``."""
        ordered = np.sort(np.concatenate(times))
        places = np.linspace(0, len(ordered), n_blocks + 1).astype(int)[1:-1]
        return cls(np.unique(ordered[places]))

    def side(self, time: NDArray[np.int64]) -> NDArray[np.int64]:
        """(T,) 0 or 1."""
        block = np.searchsorted(self.borders, time, side="right")
        return np.bitwise_count(block).astype(np.int64) % 2


@dataclass(frozen=True, slots=True)
class ByTime:
    """The classifier that has not seen a window: each side is read by the one that was trained on the other.

    Attributes
    ----------
    sides
        Which window is on which.
    readers
        For windows that end on side 0, and on side 1.
    """

    sides: TimeSides
    readers: tuple[WindowDoubt, WindowDoubt]

    def doubt(self, windows: NDArray[np.float32], ends: NDArray[np.int64], *, has_parts: bool = False) -> Doubt:
        """As `WindowDoubt` has it."""
        side = self.sides.side(ends)
        score = np.empty(len(windows))
        parts = np.empty(windows.shape) if has_parts else None
        for number, reader in enumerate(self.readers):
            own = np.flatnonzero(side == number)
            if len(own):
                found = reader.doubt(windows[own], ends[own], has_parts=has_parts)
                score[own] = found.score
                if parts is not None and found.parts is not None:
                    parts[own] = found.parts
        return Doubt(score, parts)


@dataclass(frozen=True, slots=True)
class ClassErrors(GridReading):
    """How unsure a classifier is of windows, as a channel beside the errors of a linear part.

    With a grid the classifier reads the windows that end on the first row of a slot of absolute time, and its word
    holds for the rows that follow. A row without such a window, as at the beginning of a segment, is read itself.

    Without a linear part the window errors are the classifier's own: its doubt, bent to be positive, shared out among
    the sensors by what their cells have to do with it. To these comes the mean square of what lies more than 5
    deviations from a sensor's centre, since a classifier is the surer the further away from all it has seen a window is
    (Hein et al. 2019). It expects no value: in place of one stands the centre of each sensor, and the newest errors
    have the size of the window's.

    Attributes
    ----------
    reader
        The classifier.
    length
        Rows per window.
    pca, autoregression
        The linear part; None for a classifier alone.
    grid
        Where it reads; None: every window.
    read_every
        Rows that a slot usually has; a reading holds for twice as many at most.
    """

    reader: WindowDoubt
    length: int
    pca: WindowPCA | None
    autoregression: RidgeAutoregression | None
    grid: TimeGrid | None = None
    read_every: int = 1

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""
        linear = self.linear_part
        if linear is None:
            return self._alone(asked)
        channel = np.full((len(asked.at), 1), np.nan)
        is_whole = asked.has_window(self.length)
        reading = asked.at if self.grid is None else self.readings(self.grid, asked)
        reading = np.where(reading >= 0, reading, asked.at)[is_whole]
        ends, which = np.unique(reading, return_inverse=True)
        score = np.empty(len(ends))
        for part, windows, _ in windows_at(asked.rows, asked.usable, ends, self.length, SCORING_WINDOWS):
            score[part] = self.reader.doubt(windows, asked.time[ends[part]]).score
        channel[is_whole, 0] = score[which]
        return replace(linear.errors_at(asked), channels=channel)

    def _alone(self, asked: AskedRows) -> SensorErrors:
        rows, usable, at = asked.rows, asked.usable, asked.at
        window, newest = np.full(asked.shape, np.nan), np.full(asked.shape, np.nan)
        channel, expected = np.full((len(at), 1), np.nan), np.full(asked.shape, np.nan, np.float32)
        whole = np.flatnonzero(asked.has_window(self.length))
        for part, windows, known in windows_at(rows, usable, at[whole], self.length, SCORING_WINDOWS):
            some = whole[part]
            found = self.reader.doubt(windows, asked.time[at[some]], has_parts=True)
            amount = np.logaddexp(0.0, found.score)[:, None] * _shares(found.parts)  # (n, C)
            amount += (np.maximum(np.abs(windows) - KNEE, 0.0, dtype=np.float64) ** 2).mean(axis=1)
            channel[some, 0], expected[some] = found.score, 0.0
            window[some] = amount if known is None else np.where(known.any(axis=1), amount, np.nan)
            newest[some] = np.where(usable[at[some]], np.copysign(np.sqrt(amount), rows[at[some]]), np.nan)
        return SensorErrors(window, newest, expected, np.full(asked.shape, np.nan), window, channels=channel)


def _shares(parts: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """(N, C) shares of sensors that sum to 1, from those of cells (N, L, C); filled cells are read as any other."""
    if parts is None:
        raise TypeError("the classifier gave no parts of cells")
    amount = parts.sum(axis=1)  # (N, C)
    total = amount.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0.0, amount / np.where(total > 0.0, total, 1.0), 1.0 / amount.shape[1]))

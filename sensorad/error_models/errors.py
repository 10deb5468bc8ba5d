"""Errors of a model on consecutive rows: the common ground of all scoring schemes.

Rows of one segment go in; for every row come the error of the window that ends there, the error of the newest row
alone, and the error of the one-step prediction. Nothing looks ahead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.window_batches import by_sensor, projection_errors, step_errors
from sensorad.models.linear import RidgeAutoregression, WindowPCA

__all__ = [
    "TINY",
    "AskedRows",
    "BesideLinear",
    "ErrorModel",
    "LinearErrors",
    "PredictionErrors",
    "SensorErrors",
    "StackedErrorModel",
    "StackedErrors",
    "in_place",
]


TINY = 1e-4
"""Error in deviations that stands for none in logarithms."""


@dataclass(frozen=True, slots=True)
class SensorErrors:
    """Errors of T consecutive rows of one segment, in deviations; NaN where a row has too little past.

    Attributes
    ----------
    window : (T, C) float64
        Mean square error of each sensor over its present cells in the window that ends at the row.
    newest : (T, C) float64
        Signed error of the newest row in its window; NaN in missing cells.
    expected : (T, C) float32
        Reconstruction of the newest row.
    step : (T, C) float64
        Signed error of the one-step prediction; 0 in missing cells. All NaN without an autoregression.
    linear : (T, C) float64
        Like ``window``, of the linear part alone: the same array where the model is nothing but its linear part, or
        has none.
    members : (T, M, C) float64, optional
        Like ``window``, of each member of an ensemble.
    channels : (T, E) float64, optional
        What else a model measures of the window, no matter of which sensor; higher is more anomalous.
    cross : (T, C) float64, optional
        Mean square error lately of sensors as all others tell them, NaN where not judged: evidence of its own.
    """

    window: NDArray[np.float64]
    newest: NDArray[np.float64]
    expected: NDArray[np.float32]
    step: NDArray[np.float64]
    linear: NDArray[np.float64]
    members: NDArray[np.float64] | None = field(default=None, kw_only=True)
    channels: NDArray[np.float64] | None = field(default=None, kw_only=True)
    cross: NDArray[np.float64] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.window)

    def take(self, rows: Any) -> SensorErrors:
        """The chosen rows of every part."""
        return replace(self, **{name: part[rows] for name, part in self.parts().items()})

    def parts(self) -> dict[str, NDArray[Any]]:
        """All arrays that there are, by name."""
        found = {part.name: getattr(self, part.name) for part in fields(SensorErrors)}
        return {name: part for name, part in found.items() if part is not None}


@dataclass(frozen=True, slots=True)
class PredictionErrors(SensorErrors):
    """Errors that know where their steps come from.

    Attributes
    ----------
    autoregression
        The model of ``step``: from it follows which other errors a fault of a sensor brings about.
    """

    autoregression: RidgeAutoregression


@dataclass(frozen=True, slots=True)
class AskedRows:
    """Segments one after another, and the rows among them whose errors are asked for.

    Attributes
    ----------
    rows : (S, C) float32
        Filled deviations.
    usable : (S, C) bool
        False where a cell was filled.
    time : (S,) int64
        In ns; rising within a segment.
    at : (n,) int64
        Places of the rows that are asked for, rising.
    age : (n,) int64
        Rows of its segment before each of them.
    """

    rows: NDArray[np.float32]
    usable: NDArray[np.bool_]
    time: NDArray[np.int64]
    at: NDArray[np.int64]
    age: NDArray[np.int64]

    @classmethod
    def every(cls, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> Self:
        """All rows of one segment.

        Examples
        --------
        >>> AskedRows.every(np.zeros((3, 2), np.float32), np.ones((3, 2), bool), np.arange(3)).age.tolist()
        [0, 1, 2]
        """
        row = np.arange(len(rows))
        return cls(rows, usable, time, row, row)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, C) of their errors."""
        return len(self.at), self.rows.shape[1]

    @property
    def ages(self) -> NDArray[np.int64]:
        """(S,) rows of its segment before each row, asked for or not.

        A row belongs to the segment of the next row asked for. One that lies before it gets a negative number, and what
        comes after the last of them is never looked at.

        Examples
        --------
        >>> rows = np.zeros((7, 1), np.float32)
        >>> AskedRows(rows, rows == 0, np.arange(7), np.array([2, 3, 6]), np.array([2, 3, 1])).ages.tolist()
        [0, 1, 2, 3, -1, 0, 1]
        """
        row = np.arange(len(self.rows))
        if not len(self.at):
            return row
        following = np.minimum(np.searchsorted(self.at, row), len(self.at) - 1)
        found: NDArray[np.int64] = row - (self.at - self.age)[following]
        return found

    def has_window(self, length: int) -> NDArray[np.bool_]:
        """(n,) whether a window of so many rows of its segment ends in the row."""
        found: NDArray[np.bool_] = self.age >= length - 1
        return found


class ErrorModel(Protocol):
    """What a kind of model must offer to be scored."""

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""

    def errors(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        """Errors of filled rows (T, C) of one segment with their times (T,) in ns; rising.

        ``usable`` (T, C) is False where a cell was filled.
        """


class StackedErrorModel(ErrorModel, Protocol):
    """A model that takes several segments at once."""

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """Errors of the rows that are asked for."""


class StackedErrors(ABC):
    """A `StackedErrorModel` to whom one segment is a stack like any other."""

    __slots__ = ()

    @abstractmethod
    def errors_at(self, asked: AskedRows) -> SensorErrors:
        """As `StackedErrorModel` has it."""

    def errors(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        """As `ErrorModel` has it."""
        return self.errors_at(AskedRows.every(rows, usable, time))


class BesideLinear(StackedErrors):
    """A model that may stand beside a linear part.

    Attributes
    ----------
    pca, autoregression
        The linear part; None for a model alone.
    """

    __slots__ = ()

    pca: WindowPCA | None
    autoregression: RidgeAutoregression | None

    @property
    def linear_part(self) -> LinearErrors | None:
        """The linear part by itself."""
        if self.pca is None or self.autoregression is None:
            return None
        return LinearErrors(self.pca, self.autoregression)


@dataclass(frozen=True, slots=True)
class LinearErrors(StackedErrors):
    """Errors of window-PCA and of the ridge autoregression."""

    pca: WindowPCA
    autoregression: RidgeAutoregression

    @property
    def context_rows(self) -> int:
        return max(self.pca.length - 1, self.autoregression.lags)

    def errors_at(self, asked: AskedRows) -> PredictionErrors:
        """As `StackedErrorModel` has it."""
        values, usable, at = by_sensor(asked.rows), asked.usable, asked.at
        has_window = asked.has_window(self.pca.length)
        parts = projection_errors(values, usable, self.pca, at[has_window])
        window, newest, expected = (in_place(part, has_window) for part in parts)
        has_step = asked.age >= self.autoregression.lags
        step = in_place(step_errors(values, usable, self.autoregression, at[has_step]), has_step)
        return PredictionErrors(window, newest, expected, step, window, self.autoregression)


def in_place(values: NDArray[Any], has_value: NDArray[np.bool_]) -> NDArray[Any]:
    """``values`` (n, C) in the rows (T,) that have one, NaN in the others."""
    if len(values) == len(has_value):
        return values
    whole = np.full((values.shape[1], len(has_value)), np.nan, values.dtype)
    whole[:, has_value] = values.T
    return whole.T

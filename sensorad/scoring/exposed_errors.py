"""Any model with a head of exposure beside it: the same errors, and one channel more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.errors import SensorErrors, StackedErrorModel, StackedErrors
from sensorad.scoring.fault_head import FaultHead

__all__ = ["ExposedErrors"]


@dataclass(frozen=True, slots=True)
class ExposedErrors(StackedErrors):
    """Errors of ``base``, and how faulty the last rows look to ``head`` as its last channel.

    Attributes
    ----------
    base
        The model beside which the head was trained.
    head
    """

    base: StackedErrorModel
    head: FaultHead

    @property
    def autoregression(self) -> RidgeAutoregression | None:
        """That of ``base``."""
        found: RidgeAutoregression | None = getattr(self.base, "autoregression", None)
        return found

    @property
    def context_rows(self) -> int:
        """Rows before a row that its errors depend on."""
        return max(self.base.context_rows, self.head.features.context_rows)

    def errors_at(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        time: NDArray[np.int64],
        at: NDArray[np.int64],
        age: NDArray[np.int64],
    ) -> SensorErrors:
        """As `StackedErrorModel` has it; the channel is NaN where a row has no whole window behind it."""
        found = self.base.errors_at(rows, usable, time, at, age)
        logit = self.head.logit(rows, usable, _ages(len(rows), at, age), at, found.window)
        logit = np.where(age >= self.head.features.length - 1, logit, np.nan)[:, None]
        channels = logit if found.channels is None else np.concatenate([found.channels, logit], axis=1)
        return replace(found, channels=channels)


def _ages(n_rows: int, at: NDArray[np.int64], age: NDArray[np.int64]) -> NDArray[np.int64]:
    """(S,) rows of its segment before each row, from those of the rows ``at``, rising.

    A row belongs to the segment of the next row asked for. One that lies before it gets a negative number, and what
    comes after the last of them is never looked at.

    Examples
    --------
    >>> _ages(7, np.array([2, 3, 6]), np.array([2, 3, 1])).tolist()
    [0, 1, 2, 3, -1, 0, 1]
    """
    row = np.arange(n_rows)
    if not len(at):
        return row
    following = np.minimum(np.searchsorted(at, row), len(at) - 1)
    ages: NDArray[np.int64] = row - (at - age)[following]
    return ages

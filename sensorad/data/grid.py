"""A grid of absolute time, by which all who score the same rows agree on where things happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

__all__ = ["TimeGrid", "held_from"]


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Slots of equal length, counted from 1970: the first row of a machine in a slot is known from its time alone.

    Attributes
    ----------
    slot_ns
        Length of a slot in nanoseconds.

    Examples
    --------
    >>> grid = TimeGrid.of_rows(3, step_seconds=1.0)
    >>> grid.begins(np.array([4, 5, 6, 7, 8, 9, 40]) * 10**9).tolist()
    [True, False, True, False, False, True, True]
    """

    slot_ns: int

    def __post_init__(self) -> None:
        if self.slot_ns < 1:
            raise UsageError(f"slots must be at least 1 ns long, got {self.slot_ns}")

    @classmethod
    def of_rows(cls, n_rows: int, step_seconds: float) -> Self:
        """Slots as long as ``n_rows`` usual steps."""
        return cls(max(1, round(n_rows * step_seconds * 1e9)))

    def begins(self, time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(T,) True in the first row of each slot; ``time`` in ns, rising. Of the first row nobody can tell: True."""
        slot = time // self.slot_ns
        first: NDArray[np.bool_] = np.diff(slot, prepend=slot[:1] - 1) != 0
        return first


def held_from(begins: NDArray[np.bool_], most_rows: int) -> NDArray[np.int64]:
    """(T,) for each row the newest row at or before it that ``begins``; -1 where that is more than ``most_rows`` ago.

    Examples
    --------
    >>> held_from(np.array([False, True, False, False, False]), most_rows=2).tolist()
    [-1, 1, 1, 1, -1]
    """
    row = np.arange(len(begins))
    newest = np.maximum.accumulate(np.where(begins, row, -1))
    return np.where((newest >= 0) & (row - newest <= most_rows), newest, -1)

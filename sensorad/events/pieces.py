"""What a block of rows adds to events: pieces of one event, or bounds into the rows of one machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Piece", "Runs"]

_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one block adds to one event.

    Attributes
    ----------
    group : int
        Machine. It has at most one open event at a time, so this names the event too.
    is_new : bool
        The event opens here; otherwise the machine's open event goes on.
    rows : (n,) int64
        Rows of the block that belong to the event, in time order; may be empty where an event only closes.
    position, number : (n,) int64
        Their positions on the machine's row grid, and their counts among the machine's rows.
    n_above : int
        Rows of the event above the threshold so far, those of earlier blocks included.
    closed_at : int
        Row of the block by which the event is known to be over; -1 = still open.
    """

    group: int
    is_new: bool
    rows: NDArray[np.int64]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    n_above: int
    closed_at: int

    @classmethod
    def of_row(cls, group: int, row: int, position: int, number: int, n_above: int, *, is_new: bool) -> Piece:
        """One row that joins an event."""
        return cls(group, is_new, np.array([row]), np.array([position]), np.array([number]), n_above, closed_at=-1)

    @classmethod
    def end(cls, group: int, n_above: int, closed_at: int) -> Piece:
        """No row: the open event closes."""
        return cls(group, False, _NO_ROWS, _NO_ROWS, _NO_ROWS, n_above, closed_at)


@dataclass(frozen=True, slots=True)
class Runs:
    """What one block adds to the events of one machine: `Piece`s as bounds into the rows that belong to events.

    Attributes
    ----------
    group : int
        Machine.
    goes_on : bool
        The first piece continues the machine's open event.
    rows, position, number : (n,) int64
        As in `Piece`, for all pieces together; rows of no piece may lie between them.
    low, high, n_above, closed_at : list of int, one for each piece
        Piece i has the places ``low[i]:high[i]``; the others as in `Piece`.
    """

    group: int
    goes_on: bool
    rows: NDArray[np.int64]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    low: list[int]
    high: list[int]
    n_above: list[int]
    closed_at: list[int]

    def pieces(self) -> list[Piece]:
        """The pieces one by one."""
        return [
            Piece(
                group=self.group,
                is_new=i > 0 or not self.goes_on,
                rows=self.rows[low:high],
                position=self.position[low:high],
                number=self.number[low:high],
                n_above=self.n_above[i],
                closed_at=self.closed_at[i],
            )
            for i, (low, high) in enumerate(zip(self.low, self.high, strict=True))
        ]

"""Runs of bad cells, column by column, followed from block to block; memory holds one open run for each column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEVER", "HoldingRuns", "Place", "RowPlaces", "Strand", "ToldRuns", "place_of"]

NEVER = np.iinfo(np.int64).max
"""Limit of a column that is not judged, and start of a run where there is none."""

Place = tuple[int, int, int]
"""Time in ns, position on the machine's row grid, and number among the machine's rows, of one row."""


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """Where the rows of a block lie: ``time`` and ``position`` (T,), and the ``number`` of the first.

    Attributes
    ----------
    starts : (T,) bool
        True where a gap in time precedes the row; every run ends there.
    """

    time: NDArray[np.int64]
    position: NDArray[np.int64]
    number: int
    starts: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)

    def part(self, begin: int, end: int) -> RowPlaces:
        """Rows ``begin`` to before ``end``."""
        part = slice(begin, end)
        return RowPlaces(self.time[part], self.position[part], self.number + begin, self.starts[part].copy())

    def at(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Time, position and number of the given rows, (R,) -> (R, 3)."""
        return np.stack([self.time[rows], self.position[rows], self.number + rows], axis=1)


@dataclass(frozen=True, slots=True)
class Strand:
    """What one block adds to the runs of one column that are long enough to be told and close enough to be one.

    Attributes
    ----------
    column : int
    first, last : Place
        First row of the first run, which may lie before this block, and last row of the last run.
    rows : slice
        From the first to the last row of it in this block.
    n_cells, n_runs : int
        Cells and runs that were not told by an earlier block.
    longest : int
        Cells of the longest run, all of it.
    value : float
        The value that the longest run keeps; NaN where runs are not of equal values.
    """

    column: int
    first: Place
    last: Place
    rows: slice
    n_cells: int
    n_runs: int
    longest: int
    value: float = np.nan


class HoldingRuns:
    """Follows runs of rows in which something holds, in each of C columns.

    Parameters
    ----------
    limits : (C,) int64
        Rows from which on a run is told; `NEVER` for columns that are not judged.
    merge_gap
        Told runs with at most so many positions between them make one strand.

    Examples
    --------
    >>> runs = HoldingRuns(np.array([3]), merge_gap=0)
    >>> def places(n, number):
    ...     row = np.arange(number, number + n)
    ...     return RowPlaces(row * 10**9, row, number, np.zeros(n, bool))
    >>> runs.follow(np.array([[False], [True], [True]]), places(3, 0))  # two rows so far
    []
    >>> [strand] = runs.follow(np.array([[True], [False]]), places(2, 3))
    >>> strand.first, strand.last, strand.n_cells
    ((1000000000, 1, 1), (3000000000, 3, 3), 3)
    """

    def __init__(self, limits: NDArray[np.int64], merge_gap: int) -> None:
        self.limits = limits
        self.merge_gap = merge_gap
        self.bind(np.zeros(len(limits), np.int64), np.zeros((len(limits), 3), np.int64))

    def bind(self, n_cells: NDArray[np.int64], first: NDArray[np.int64]) -> None:
        """Work on these arrays from now on: rows of each open run (C,), place of its first row (C, 3)."""
        self._n_cells, self._first = n_cells, first

    def since(self, column: int) -> int:
        """Position of the first row of the run that is open in a column; `NEVER` = there is none."""
        return int(self._first[column, 1]) if self._n_cells[column] else NEVER

    def follow(self, holds: NDArray[np.bool_] | None, rows: RowPlaces) -> list[Strand]:
        """Told runs in the next rows; ``holds`` is (T, C), None = nowhere. At least one row."""
        n_before = self._n_cells.copy()
        self._n_cells[:] = 0
        columns = np.zeros(0, np.intp) if holds is None else np.flatnonzero(holds.any(axis=0))
        if holds is None or len(columns) == 0:
            return []
        inside = np.ascontiguousarray(holds[:, columns].T)  # (c, T)
        opens, closes = inside.copy(), inside.copy()
        opens[:, 1:] &= ~inside[:, :-1] | rows.starts[1:]
        closes[:, :-1] &= ~inside[:, 1:] | rows.starts[1:]
        which, head = np.nonzero(opens)  # (R,) column by column, each from top to bottom
        tail = np.nonzero(closes)[1]
        column = columns[which]
        is_carried = (head == 0) & (n_before[column] > 0) & ~rows.starts[0]
        carried = np.where(is_carried, n_before[column], 0)
        n_cells = tail - head + 1 + carried
        first = rows.at(head)  # (R, 3)
        first[is_carried] = self._first[column[is_carried]]
        is_open = tail == len(rows) - 1
        self._n_cells[column[is_open]] = n_cells[is_open]
        self._first[column[is_open]] = first[is_open]

        told = np.flatnonzero(n_cells >= self.limits[column])
        n_told = np.where(carried >= self.limits[column], carried, 0)
        found = ToldRuns(
            column[told], first[told], rows.at(tail[told]), head[told], tail[told], n_cells[told], n_told[told]
        )
        return found.strands(self.merge_gap)

    def follow_row(self, columns: NDArray[np.intp] | None, place: Place, is_start: bool) -> list[Strand]:
        """`follow` for one row, at a tenth of the cost; ``columns`` are those in which it holds, None = nowhere."""
        n_cells = self._n_cells
        if columns is None or len(columns) == 0:
            n_cells[:] = 0
            return []
        before = n_cells[columns]
        if is_start:
            before[:] = 0
        n_cells[:] = 0
        n_cells[columns] = before + 1
        self._first[columns[before == 0]] = place
        told = (before + 1 >= self.limits[columns]).nonzero()[0]
        return [self._strand(int(columns[i]), int(before[i]), place) for i in told]

    def _strand(self, column: int, n_before: int, place: Place) -> Strand:
        n_told = n_before if n_before >= self.limits[column] else 0
        return Strand(
            column=column,
            first=place_of(self._first[column]),
            last=place,
            rows=slice(0, 1),
            n_cells=n_before + 1 - n_told,
            n_runs=int(n_told == 0),
            longest=n_before + 1,
        )


@dataclass(frozen=True, slots=True)
class ToldRuns:
    """Told runs of one block, column by column and each column from top to bottom; arrays (R,), places (R, 3)."""

    column: NDArray[np.intp]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    head: NDArray[np.intp]
    tail: NDArray[np.intp]
    n_cells: NDArray[np.int64]
    n_told: NDArray[np.int64]
    value: NDArray[np.float32] | None = None

    def strands(self, merge_gap: int) -> list[Strand]:
        """Runs of one column with at most ``merge_gap`` positions between them, joined."""
        if len(self.column) == 0:
            return []
        # Joined here and not only later, so that a hopeless block makes no list of all its cells.
        pause = self.first[1:, 1] - self.last[:-1, 1] - 1
        is_new = np.append(True, (self.column[1:] != self.column[:-1]) | (pause > merge_gap))
        heads = np.flatnonzero(is_new)
        tails = np.append(heads[1:], len(is_new)) - 1
        n_new = np.add.reduceat(self.n_cells - self.n_told, heads)
        n_runs = np.add.reduceat(self.n_told == 0, heads, dtype=np.int64)
        longest = np.maximum.reduceat(self.n_cells, heads)
        strands = []
        for i, (a, b) in enumerate(zip(heads.tolist(), tails.tolist(), strict=True)):
            value = np.nan
            if self.value is not None:
                value = float(self.value[a + int(np.argmax(self.n_cells[a : b + 1]))])
            strands.append(
                Strand(
                    column=int(self.column[a]),
                    first=place_of(self.first[a]),
                    last=place_of(self.last[b]),
                    rows=slice(int(self.head[a]), int(self.tail[b]) + 1),
                    n_cells=int(n_new[i]),
                    n_runs=int(n_runs[i]),
                    longest=int(longest[i]),
                    value=value,
                )
            )
        return strands


def place_of(row: NDArray[np.int64]) -> Place:
    """A row of `RowPlaces.at` as plain numbers."""
    time, position, number = row.tolist()
    return time, position, number

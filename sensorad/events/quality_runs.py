"""Runs of bad cells, column by column, followed from block to block; memory holds one open run for each column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEVER", "EqualRuns", "HoldingRuns", "Place", "RowPlaces", "Strand", "place_of"]

NEVER = np.iinfo(np.int64).max
"""Limit of a column that is not judged, and start of a run where there is none."""

SHORT_BLOCK = 64
"""Blocks shorter than so many of the shortest runs are cheaper to look through than to sample."""

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
        self._n_cells = np.zeros(len(limits), np.int64)
        self._first = np.zeros((len(limits), 3), np.int64)

    @property
    def is_open(self) -> bool:
        return bool(self._n_cells.any())

    def since(self, column: int) -> int:
        """Position of the first row of the run that is open in a column; `NEVER` = there is none."""
        return int(self._first[column, 1]) if self._n_cells[column] else NEVER

    def follow(self, holds: NDArray[np.bool_] | None, rows: RowPlaces) -> list[Strand]:
        """Told runs in the next rows; ``holds`` is (T, C), None = nowhere. At least one row."""
        n_before, self._n_cells = self._n_cells, np.zeros(len(self.limits), np.int64)
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
        found = _Told(
            column[told], first[told], rows.at(tail[told]), head[told], tail[told], n_cells[told], n_told[told]
        )
        return found.strands(self.merge_gap)


class EqualRuns:
    """Follows runs of equal values in each of C columns; a missing cell neither ends a run nor counts.

    A run starts and ends on a row that has its value. Parameters as in `HoldingRuns`.

    Examples
    --------
    >>> runs = EqualRuns(np.array([3]), merge_gap=0)
    >>> row = np.arange(5)
    >>> places = RowPlaces(row * 10**9, row, 0, np.zeros(5, bool))
    >>> [strand] = runs.follow(np.array([[1], [7], [7], [7], [2]], np.float32), None, places)
    >>> strand.first[2], strand.last[2], strand.value
    (1, 3, 7.0)
    """

    def __init__(self, limits: NDArray[np.int64], merge_gap: int) -> None:
        self.limits = limits
        self.merge_gap = merge_gap
        self._least = int(limits.min(initial=NEVER))
        self._value = np.full(len(limits), np.nan, np.float32)  # NaN = the segment has shown no value yet
        self._n_cells = np.zeros(len(limits), np.int64)
        self._first = np.zeros((len(limits), 3), np.int64)
        self._last = np.zeros((len(limits), 3), np.int64)

    def since(self, column: int) -> int:
        """Position of the first row of the run that is open in a column; `NEVER` = there is none."""
        return int(self._first[column, 1]) if self._n_cells[column] else NEVER

    def follow(self, values: NDArray[np.float32], usable: NDArray[np.bool_] | None, rows: RowPlaces) -> list[Strand]:
        """Told runs in the next rows; ``values`` (T, C), ``usable`` (T, C) or None = all. At least one row."""
        if self._least == NEVER:
            return []
        strands: list[Strand] = []
        whole = np.arange(values.shape[1])
        if usable is not None:
            is_whole = usable.all(axis=0)
            broken, whole = whole[~is_whole], whole[is_whole]
            if len(broken):
                strands += self._follow(broken, values[:, broken], usable[:, broken], rows)
        stride = self._least // 2
        edge = 2 * stride
        if stride > 0 and len(rows) > SHORT_BLOCK * edge and len(whole):
            # A run of 2 k rows holds two neighbours of each k-th row. A column in which no such two are equal has no
            # run to tell, all its runs are shorter than ``edge``, and only those at both ends touch other blocks.
            is_restless = ~(values[stride::stride] == values[:-stride:stride]).any(axis=0)[whole]  # (c,)
            restless, whole = whole[is_restless], whole[~is_restless]
            if len(restless):
                strands += self._follow(restless, values[:edge, restless], None, rows.part(0, edge))
                last = rows.part(len(rows) - edge, len(rows))
                last.starts[:1] = True  # the rows between are left out, so nothing goes on here
                strands += self._follow(restless, values[-edge:, restless], None, last)
        return strands + (self._follow(whole, values[:, whole], None, rows) if len(whole) else [])

    def _follow(
        self,
        columns: NDArray[np.intp],
        values: NDArray[np.float32],
        usable: NDArray[np.bool_] | None,
        rows: RowPlaces,
    ) -> list[Strand]:
        n_columns, n_rows = len(columns), len(rows)
        table = np.ascontiguousarray(values.T)  # (c, T)
        newest = None
        if usable is not None:
            usable = np.ascontiguousarray(usable.T)
            table, newest = _filled(table, usable, rows.starts, self._value[columns])

        is_head = np.empty(table.shape, bool)
        np.not_equal(table[:, 1:], table[:, :-1], out=is_head[:, 1:])
        is_head |= rows.starts
        goes_on = (table[:, 0] == self._value[columns]) & ~rows.starts[0]  # (c,) NaN is equal to nothing
        is_head[:, 0] = True
        # Runs of all columns in one line, column after column: (R,)
        line = np.flatnonzero(is_head)
        n_line = n_columns * n_rows
        if usable is None:
            n_cells = np.diff(line, append=n_line)
        else:
            n_cells = np.add.reduceat(usable.ravel(), line, dtype=np.int64)
        firsts = np.searchsorted(line, np.arange(n_columns) * n_rows)  # (c,) each column's first run
        lasts = np.append(firsts[1:], len(line)) - 1
        n_before = np.where(goes_on, self._n_cells[columns], 0)
        n_cells[firsts] += n_before

        told = np.flatnonzero(n_cells >= self._least)
        told = told[n_cells[told] >= self.limits[columns[line[told] // n_rows]]]
        is_needed = np.zeros(len(line), bool)
        is_needed[told] = is_needed[lasts] = True
        needed = np.flatnonzero(is_needed)  # (Q,) told runs, and the run of each column that stays open
        which, head = line[needed] // n_rows, line[needed] % n_rows
        tail = np.append(line, n_line)[needed + 1] - 1 - which * n_rows
        if newest is not None:
            tail = newest[which, tail]  # the last row that has a value; -1 = none in this block
        is_carried = (head == 0) & goes_on[which]
        first, last = rows.at(head), rows.at(np.maximum(tail, 0))
        first[is_carried] = self._first[columns[which[is_carried]]]
        last[tail < 0] = self._last[columns[which[tail < 0]]]
        n_needed, value = n_cells[needed], table[which, head]
        n_told = np.where(is_carried & (n_before[which] >= self.limits[columns[which]]), n_before[which], 0)

        stays = np.searchsorted(needed, lasts)
        self._n_cells[columns], self._value[columns] = n_needed[stays], table[:, -1]
        self._first[columns], self._last[columns] = first[stays], last[stays]
        if len(told) == 0:
            return []
        picked = np.searchsorted(needed, told)
        found = _Told(
            columns[which[picked]],
            first[picked],
            last[picked],
            head[picked],
            np.maximum(tail[picked], 0),
            n_needed[picked],
            n_told[picked],
            value[picked],
        )
        return found.strands(self.merge_gap)


@dataclass(frozen=True, slots=True)
class _Told:
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


def _filled(
    table: NDArray[np.float32],
    usable: NDArray[np.bool_],
    starts: NDArray[np.bool_],
    before: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Values (c, T) with the newest usable one of the segment in missing cells, NaN where there is none yet.

    The second array holds the row that each value comes from, -1 = ``before`` (c,), from before the block.
    """
    row = np.arange(table.shape[1])
    newest = np.maximum.accumulate(np.where(usable, row, -1), axis=1)  # (c, T)
    filled = np.take_along_axis(table, np.maximum(newest, 0), axis=1)
    filled = np.where(newest < 0, before[:, None], filled)
    start = np.maximum.accumulate(np.where(starts, row, -1))  # (T,)
    filled[newest < start] = np.nan
    return filled, newest


def place_of(row: NDArray[np.int64]) -> Place:
    """A row of `RowPlaces.at` as plain numbers."""
    time, position, number = row.tolist()
    return time, position, number

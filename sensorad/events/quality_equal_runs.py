"""Runs of equal values, column by column, followed from block to block; memory holds one open run for each column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_runs import NEVER, Place, RowPlaces, Strand, ToldRuns, place_of

__all__ = ["EqualRuns"]

SHORT_BLOCK = 64
"""Blocks shorter than so many of the shortest runs are cheaper to look through than to sample."""


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
        n = len(limits)
        places = np.zeros((2, n, 3), np.int64)
        self.bind(np.full(n, np.nan, np.float32), np.zeros(n, np.int64), places[0], places[1])

    def bind(
        self,
        value: NDArray[np.float32],
        n_cells: NDArray[np.int64],
        first: NDArray[np.int64],
        last: NDArray[np.int64],
    ) -> None:
        """Work on these arrays from now on: value and cells of each open run (C,), places of both ends (C, 3).

        A value of NaN says that the segment has shown none yet.
        """
        self._value, self._n_cells, self._first, self._last = value, n_cells, first, last

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

    def follow_row(
        self, values: NDArray[np.float32], usable: NDArray[np.bool_] | None, place: Place, is_start: bool
    ) -> list[Strand]:
        """`follow` for one row, at a tenth of the cost; ``values`` (C,), ``usable`` (C,) or None = all."""
        if self._least == NEVER:
            return []
        n_cells = self._n_cells
        if is_start:
            self._value[:] = np.nan
            n_cells[:] = 0
        is_same = values == self._value  # NaN is equal to nothing
        if usable is None:
            n_cells *= is_same
            n_cells += 1
            self._first[~is_same] = place
            self._last[:] = place
            self._value[:] = values
            told = (n_cells >= self.limits).nonzero()[0]
        else:
            n_cells[usable] = n_cells[usable] * is_same[usable] + 1
            self._first[usable & ~is_same] = place
            self._last[usable] = place
            self._value[usable] = values[usable]
            told = (usable & (n_cells >= self.limits)).nonzero()[0]
        return [self._strand(int(column), place) for column in told]

    def _strand(self, column: int, place: Place) -> Strand:
        n_cells = int(self._n_cells[column])
        n_told = n_cells - 1 if n_cells - 1 >= self.limits[column] else 0
        return Strand(
            column=column,
            first=place_of(self._first[column]),
            last=place,
            rows=slice(0, 1),
            n_cells=n_cells - n_told,
            n_runs=int(n_told == 0),
            longest=n_cells,
            value=float(self._value[column]),
        )

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
        found = ToldRuns(
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

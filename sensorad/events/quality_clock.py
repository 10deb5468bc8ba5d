"""The clock of one machine: which rows are in order, where they lie, and what is wrong with their times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_drafts import WHOLE_ROW, ClockFaults, Draft
from sensorad.events.quality_limits import SEGMENT_STEPS
from sensorad.events.quality_runs import Place, RowPlaces, place_of
from sensorad.events.quality_stack import QualityStack
from sensorad.events.rule import EventRule
from sensorad.types import REASONS, STATUSES, RowBlock

__all__ = ["ClockWatch"]

DUPLICATE, LATE = STATUSES.index("duplicate"), STATUSES.index("late")
OUT_OF_ORDER, FAR_FUTURE, RATE = (REASONS.index(reason) for reason in ("out_of_order", "far_future", "rate"))
LONG_AGO = np.iinfo(np.int64).min
KINDS = GAP, OUT_OF_PLACE, CONFLICT, OTHER_RATE = range(4)


class ClockWatch:
    """Sorts out the rows that are in order, and finds gaps, rows out of place and changed sampling rates.

    A row out of place has no place of its own: it is noted at the newest row in order before it.
    """

    def __init__(self, rule: EventRule, gap_steps: float, stack: QualityStack, machine: int) -> None:
        self._rule = rule
        self._gap_steps = gap_steps
        self._stack = stack
        self._machine = machine

    @property
    def newest(self) -> Place | None:
        """The newest row in order; None = there was none."""
        stack, m = self._stack, self._machine
        number = int(stack.number[m])
        return None if number < 0 else (int(stack.time[m]), int(stack.position[m]), number)

    def _move_to(self, row: Place, cells: NDArray[np.float32]) -> None:
        stack, m = self._stack, self._machine
        stack.time[m], stack.position[m], stack.number[m] = row
        stack.cells[m] = cells

    def follow(
        self, rows: RowBlock, status: NDArray[np.uint8] | None, reason: NDArray[np.uint8] | None
    ) -> tuple[RowBlock, RowPlaces, list[Draft]]:
        """The rows that are in order, their places, and what is wrong with the clock; at least one row."""
        before, cells_before = self.newest, self._stack.cells[self._machine].copy()
        kept = self._kept(rows, status, reason)
        in_order = rows if kept is None else rows.take(kept)
        marks: list[NDArray[np.int64]] = []
        places = self._placed(in_order, marks)
        if len(places):
            if reason is not None and (odd := (reason if kept is None else reason[kept]) == RATE).any():
                marks.append(_marks(OTHER_RATE, places.at(np.flatnonzero(odd))))
            newest = np.array([len(places) - 1])
            self._move_to(place_of(places.at(newest)[0]), _shown(in_order, newest)[0])
        if kept is None:
            return in_order, places, _drafts(marks, self._rule.merge_gap_rows)

        dropped = np.delete(np.arange(len(rows)), kept)  # (D,)
        after = np.searchsorted(kept, dropped) - 1  # (D,) row of in_order that each follows; -1 = one before the block
        if before is None:  # a row that follows none cannot be out of order, whatever the scores say
            dropped, after = dropped[after >= 0], after[after >= 0]
        is_here = after >= 0
        at = np.zeros((len(dropped), 3), np.int64)
        at[~is_here] = before or 0
        at[is_here] = places.at(after[is_here])
        is_equal = rows.time[dropped] == at[:, 0]
        is_late = ~is_equal if status is None else ~is_equal & (status[dropped] != DUPLICATE)
        marks.append(_marks(OUT_OF_PLACE, at[is_late]))
        if is_equal.any():
            cells = _shown(rows, dropped[is_equal])  # (E, C)
            first = np.empty_like(cells)
            first[~is_here[is_equal]] = cells_before
            first[is_here[is_equal]] = _shown(in_order, after[is_equal & is_here])
            is_same = ((cells == first) | (np.isnan(cells) & np.isnan(first))).all(axis=1)
            marks.append(_marks(CONFLICT, at[is_equal][~is_same]))
        return in_order, places, _drafts(marks, self._rule.merge_gap_rows)

    def follow_row(
        self, time: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None, status: int, reason: int
    ) -> tuple[Place | None, bool, Draft | None]:
        """`follow` for one row: its place if in order, whether a gap precedes it, what is wrong with the clock."""
        before = self.newest
        cells = values if flaw is None else np.where(flaw == 0, values, np.float32(np.nan))
        is_called_out = status in (DUPLICATE, LATE) or reason in (OUT_OF_ORDER, FAR_FUTURE)
        if before is None:
            if is_called_out:
                return None, False, None
            place = time, 0, 0
            self._move_to(place, cells)
            return place, False, _draft(place, place, ClockFaults(n_rate=1)) if reason == RATE else None
        if is_called_out or time <= before[0]:
            found = None
            if time != before[0]:
                found = None if status == DUPLICATE else ClockFaults(n_late=1)
            elif not np.array_equal(cells, self._stack.cells[self._machine], equal_nan=True):
                found = ClockFaults(n_conflicts=1)
            return None, False, None if found is None else _draft(before, before, found)
        step_seconds = self._rule.step_seconds
        steps = 0.0 if step_seconds is None else (time - before[0]) / (step_seconds * 1e9)
        place = time, before[1] + max(1, round(steps)), before[2] + 1
        self._move_to(place, cells)
        found = None
        if steps > self._gap_steps:
            found = ClockFaults(n_gaps=1, longest_gap=time - before[0], n_rate=int(reason == RATE))
        elif reason == RATE:
            found = ClockFaults(n_rate=1)
        first = before if found is not None and found.n_gaps else place
        return place, steps > SEGMENT_STEPS, None if found is None else _draft(first, place, found)

    def _kept(
        self, rows: RowBlock, status: NDArray[np.uint8] | None, reason: NDArray[np.uint8] | None
    ) -> NDArray[np.intp] | None:
        """Rows with a new time that the scores do not call out of place; None = all of them."""
        before = self.newest
        newest = LONG_AGO if before is None else before[0]
        is_dropped = np.zeros(len(rows), bool)
        if status is not None and reason is not None:
            is_dropped = (status == DUPLICATE) | (status == LATE) | (reason == OUT_OF_ORDER) | (reason == FAR_FUTURE)
        if rows.time[0] > newest and (rows.time[1:] > rows.time[:-1]).all() and not is_dropped.any():
            return None
        # Order is judged by the newest row so far: one late row does not make the next ones new.
        time = np.append(newest, np.where(is_dropped, LONG_AGO, rows.time))
        return np.flatnonzero(~is_dropped & (rows.time > np.maximum.accumulate(time)[:-1]))

    def _placed(self, rows: RowBlock, marks: list[NDArray[np.int64]]) -> RowPlaces:
        """Places of rows in order; gaps before them go into ``marks``."""
        starts = np.zeros(len(rows), bool)
        before = self.newest
        if len(rows) == 0:
            return RowPlaces(rows.time, rows.time, 0, starts)
        time, position, number = (int(rows.time[0]), -1, -1) if before is None else before
        if self._rule.step_seconds is None:
            return RowPlaces(rows.time, position + 1 + np.arange(len(rows)), number + 1, starts)
        steps = np.diff(rows.time, prepend=time) / (self._rule.step_seconds * 1e9)  # (T,)
        # A missing row takes a position too, as in `RowClock`.
        places = RowPlaces(
            rows.time, position + np.cumsum(np.maximum(np.rint(steps).astype(np.int64), 1)), number + 1, starts
        )
        np.greater(steps, SEGMENT_STEPS, out=starts)
        gaps = np.flatnonzero(steps > self._gap_steps)
        if len(gaps):
            first = places.at(np.maximum(gaps - 1, 0))
            if gaps[0] == 0 and before is not None:
                first[0] = before
            marks.append(_marks(GAP, first, places.at(gaps)))
        return places


def _draft(first: Place, last: Place, faults: ClockFaults) -> Draft:
    return Draft("clock", WHOLE_ROW, first, last, clock=faults)


def _shown(rows: RowBlock, which: NDArray[np.intp]) -> NDArray[np.float32]:
    """Cells of the given rows, NaN where flawed: a missing 0 is not a 0; (R, C)."""
    return np.where(rows.flaw[which] == 0, rows.values[which], np.float32(np.nan))


def _marks(kind: int, first: NDArray[np.int64], last: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """(M, 7) kind, place of the first row, place of the last row."""
    return np.column_stack([np.full(len(first), kind), first, first if last is None else last])


def _drafts(marks: list[NDArray[np.int64]], merge_gap: int) -> list[Draft]:
    """One draft for all marks of a block with at most ``merge_gap`` positions between them."""
    table = np.concatenate(marks) if marks else np.zeros((0, 7), np.int64)
    if len(table) == 0:
        return []
    table = table[np.lexsort((table[:, 2], table[:, 6]))]  # by the last row, longer marks first
    kind, first, last = table[:, 0], table[:, 1:4], table[:, 4:7]
    heads = np.flatnonzero(np.append(True, first[1:, 1] - last[:-1, 1] - 1 > merge_gap))
    tails = np.append(heads[1:], len(table)) - 1
    counts = np.add.reduceat(kind[:, None] == KINDS, heads, axis=0, dtype=np.int64)  # (H, 4)
    gap = np.maximum.reduceat(np.where(kind == GAP, last[:, 0] - first[:, 0], 0), heads)
    return [
        _draft(
            place_of(first[head]),
            place_of(last[tail]),
            ClockFaults(
                n_gaps=int(n[GAP]),
                longest_gap=int(longest),
                n_late=int(n[OUT_OF_PLACE]),
                n_conflicts=int(n[CONFLICT]),
                n_rate=int(n[OTHER_RATE]),
            ),
        )
        for head, tail, n, longest in zip(heads, tails, counts, gap, strict=True)
    ]

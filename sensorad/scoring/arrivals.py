"""Which rows of a block are new, and in what order they are scored: machine by machine, in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError
from sensorad.scoring.segment_memory import NEVER, SegmentMemory
from sensorad.scoring.stack import Parts
from sensorad.types import REASONS, STATUSES, RowBlock, ScoreBlock

__all__ = ["Arrivals", "mark_repeated"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The rows of a block by machine.

    Attributes
    ----------
    rows : (n,) intp or slice
        Positions in the block, one machine after another.
    slots, first, length : (m,) int64
        Of each machine: its slot in the memory, where its rows start among ``rows``, and how many they are.
    """

    rows: NDArray[np.intp] | slice
    slots: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, block: RowBlock, memory: SegmentMemory) -> Arrivals:
        """All rows of a block that is not empty."""
        group = block.group
        if (group == group[0]).all():
            slots = memory.slots([block.group_names[group[0]]])
            return cls(slice(0, len(block)), slots, np.zeros(1, np.int64), np.array([len(block)]))
        rows = np.argsort(group, kind="stable")
        sorted_group = group[rows]
        first = np.flatnonzero(np.diff(sorted_group, prepend=-1))
        slots = memory.slots([block.group_names[code] for code in sorted_group[first]])
        return cls(rows, slots, first, np.diff(first, append=len(block)))

    def kept(self, is_kept: NDArray[np.bool_], n_rows: int) -> Arrivals:
        """Without the other rows, and without machines that have no others; ``n_rows`` of the block."""
        positions = np.arange(n_rows)[self.rows] if isinstance(self.rows, slice) else self.rows
        length = np.add.reduceat(is_kept.astype(np.int64), self.first)
        has_some = length > 0
        length = length[has_some]
        return Arrivals(positions[is_kept], self.slots[has_some], np.cumsum(length) - length, length)

    def parts(self, starts: NDArray[np.bool_], memory: SegmentMemory) -> Parts:
        """Pieces of segments; ``starts`` (n,) is True in rows that start one."""
        begins = starts.copy()
        begins[self.first] = True
        first = np.flatnonzero(begins)
        length = np.diff(first, append=len(begins))
        machine = np.searchsorted(self.first, first, side="right") - 1
        is_continued = (self.first[machine] == first) & ~starts[first]
        is_continued &= memory.newest[self.slots[machine]] != NEVER
        return Parts(self.slots[machine], first, length, is_continued)

    def blind_rows_before(
        self, is_blind: NDArray[np.bool_], starts: NDArray[np.bool_], carried: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(n,) consecutive blind rows of the segment directly before each row.

        ``carried`` (m,) of them precede the first row of each machine.
        """
        row = np.arange(len(is_blind))
        is_first = np.zeros(len(is_blind), np.bool_)
        is_first[self.first] = True
        # The newest row that saw enough, or the one before the machine's first: the rows since then are blind.
        seeing = np.maximum.accumulate(np.where(is_blind, np.where(is_first, row - 1, -1), row))
        shifted = np.concatenate([[-1], seeing[:-1]])
        first = np.repeat(self.first, self.length)
        shifted = np.maximum(shifted, first - 1)
        before: NDArray[np.int64] = row - 1 - shifted
        before += np.where(shifted < first, np.repeat(carried, self.length), 0)
        newest_start = np.maximum.accumulate(np.where(starts, row, -1))
        return np.where(newest_start < first, before, np.minimum(before, row - newest_start))


def mark_repeated(
    block: RowBlock,
    arrivals: Arrivals,
    memory: SegmentMemory,
    result: ScoreBlock,
    counts: dict[str, int],
    on_conflict: str,
) -> Arrivals:
    """The rows with a new time; late and doubled ones get their status here.

    Raises
    ------
    TimeError
        Rows share their time but differ, where ``on_conflict`` is "error".
    """
    time = block.time[arrivals.rows]
    step = np.empty_like(time)
    step[1:] = time[1:] - time[:-1]
    step[arrivals.first] = time[arrivals.first] - memory.newest[arrivals.slots]
    if (step > 0).all():
        return arrivals
    is_new = np.ones(len(time), np.bool_)
    bad = np.unique(np.searchsorted(arrivals.first, np.flatnonzero(step <= 0), side="right") - 1)
    for machine in bad.tolist():
        first = int(arrivals.first[machine])
        part = slice(first, first + int(arrivals.length[machine]))
        rows = np.arange(len(block))[part] if isinstance(arrivals.rows, slice) else arrivals.rows[part]
        is_new[part] = _mark(block, rows, int(arrivals.slots[machine]), memory, result, counts, on_conflict)
    return arrivals.kept(is_new, len(block))


def _mark(
    block: RowBlock,
    rows: NDArray[np.intp],
    slot: int,
    memory: SegmentMemory,
    result: ScoreBlock,
    counts: dict[str, int],
    on_conflict: str,
) -> NDArray[np.bool_]:
    """(t,) which of a machine's rows have a new time."""
    time = block.time[rows]
    before_time = int(memory.newest[slot])
    # Steps count from the newest row so far: a late row does not turn the clock back.
    step = time - np.maximum.accumulate(np.concatenate([[before_time], time[:-1]]))
    if (step < 0).any():
        result.status[rows[step < 0]] = STATUSES.index("late")
        result.reason[rows[step < 0]] = REASONS.index("out_of_order")
    is_equal = step == 0
    if is_equal.any():
        cells = np.where(block.flaw[rows] == 0, block.values[rows], np.nan)  # (t, C): a missing 0 is not a 0
        newest = np.maximum.accumulate(np.where(step > 0, np.arange(len(rows)), -1))  # -1 = before this block
        first = np.where(newest[:, None] < 0, memory.cells[slot], cells[newest])  # (t, C)
        same = ((cells == first) | (np.isnan(cells) & np.isnan(first))).all(axis=1)
        conflicts = is_equal & ~same
        if conflicts.any() and on_conflict == "error":
            row = block.index[rows[conflicts][0]]
            raise TimeError(
                f"{int(conflicts.sum())} rows share their time with the row before but hold other values",
                where=f"first at row {row}",
                hint="repair the log, or keep one of each with --duplicates first or last",
            )
        counts["equal"] += int((is_equal & same).sum())
        counts["conflicts"] += int(conflicts.sum())
        result.status[rows[is_equal]] = STATUSES.index("duplicate")
        result.reason[rows[is_equal]] = REASONS.index("same_time")
    is_new: NDArray[np.bool_] = step > 0
    return is_new

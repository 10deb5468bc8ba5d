"""`SortedLog`: rows that never go back in time within a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError, UsageError
from sensorad.logs.order_watch import OrderWatch
from sensorad.logs.reading import BLOCK_ROWS, SensorLog
from sensorad.types import RowBlock, SensorSchema

__all__ = ["KeptRow", "SortedLog"]

KeptRow = Literal["first", "last"]


class SortedLog:
    """A log whose rows come in time order within each group, with ``index`` still counting input rows.

    A first pass looks at times and groups only. A log in order then streams straight through; any other is
    loaded as a whole and sorted stably by time. Duplicates stay: whoever reads takes the first of them for the row.

    Parameters
    ----------
    log
        The log as it comes.
    strict
        Refuse unsorted rows instead of sorting them; also on if the log itself is strict.
    keep
        Which of several rows of one group and time comes first, "first" or "last"; with the latter a log that has such
        rows is loaded as a whole too.

    Attributes
    ----------
    n_unsorted : int
        Rows that came after a later row of their group, and, where the last is kept, after another of their time.
    notes : list of str
        Those of the log and one about the sorting.

    Raises
    ------
    TimeError
        In strict mode, with the first row out of order.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.to_datetime(["2024-05-01 00:01", "2024-05-01 00:00"], utc=True)
    >>> log = SortedLog(SensorLog(pd.DataFrame({"time": times, "TI-101": [71.2, 71.0]})))
    >>> log.n_unsorted, next(log.blocks()).index.tolist()
    (1, [1, 0])
    """

    def __init__(self, log: SensorLog, strict: bool = False, keep: KeptRow = "first") -> None:
        if keep not in get_args(KeptRow):
            raise UsageError(f"keep is {' or '.join(map(repr, get_args(KeptRow)))}, got {keep!r}")
        self.log = log
        self.strict = strict or log.strict
        self.keep = keep
        self.n_unsorted = self._count_unsorted()

    @property
    def schema(self) -> SensorSchema:
        return self.log.schema

    @property
    def notes(self) -> list[str]:
        if not self.n_unsorted:
            return list(self.log.notes)
        what = "rows out of time order: sorted"
        if self.keep == "last":
            what = "rows out of time order, or of the same time as one before: sorted, the last of one time first"
        return [*self.log.notes, f"{self.n_unsorted} {what}"]

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Blocks of at most ``rows`` rows in time order; each call starts again."""
        return self._sorted_blocks(rows) if self.n_unsorted else self.log.blocks(rows)

    def _count_unsorted(self) -> int:
        watch = OrderWatch()
        n_unsorted = 0
        for block in self.log.key_blocks():
            late, repeated = watch.late_and_repeated_rows(block.time, block.group)
            n_unsorted += int(late.sum())
            if self.keep == "last":
                n_unsorted += int(repeated.sum())
            if late.any() and self.strict:
                row = int(np.flatnonzero(late)[0])
                when = np.datetime64(int(block.time[row]), "ns")
                raise TimeError(
                    f"time {when}Z goes back",
                    where=f"row {block.index[row]}",
                    hint="sort the log by time, or leave out --strict",
                )
        return n_unsorted

    def _sorted_blocks(self, rows: int) -> Iterator[RowBlock]:
        whole = _joined(list(self.log.blocks(rows)))
        order = np.argsort(whole.time, kind="stable")
        if self.keep == "last":
            order = _last_first(order, whole)
        for start in range(0, len(order), rows):
            yield whole.take(order[start : start + rows])


def _last_first(order: NDArray[np.intp], block: RowBlock) -> NDArray[np.intp]:
    """Positions ``order`` (T,) with the last row of each group and time moved before the others of it."""
    place = np.lexsort((block.time[order], block.group[order]))  # rows of one group and time side by side
    found = order[place]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(block.time[found]) != 0) | (np.diff(block.group[found]) != 0)
    first = np.flatnonzero(is_first)
    moved = np.roll(found, 1)
    moved[first] = found[np.append(first[1:], len(found)) - 1]
    result = np.empty_like(order)
    result[place] = moved
    return result


def _joined(blocks: Sequence[RowBlock]) -> RowBlock:
    last = blocks[-1]  # the last block knows all names
    return RowBlock(
        index=np.concatenate([block.index for block in blocks]),
        time=np.concatenate([block.time for block in blocks]),
        values=np.concatenate([block.values for block in blocks]),
        flaw=np.concatenate([block.flaw for block in blocks]),
        group=np.concatenate([block.group for block in blocks]),
        group_names=last.group_names,
        mode=None if last.mode is None else np.concatenate([b.mode for b in blocks if b.mode is not None]),
        mode_names=last.mode_names,
        label=None if last.label is None else np.concatenate([b.label for b in blocks if b.label is not None]),
    )

"""`SortedLog`: rows that never go back in time within a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sensorad.errors import TimeError
from sensorad.logs.order_watch import OrderWatch
from sensorad.logs.reading import BLOCK_ROWS, SensorLog
from sensorad.types import RowBlock, SensorSchema

__all__ = ["SortedLog"]


class SortedLog:
    """A log whose rows come in time order within each group, with ``index`` still counting input rows.

    A first pass looks at times and groups only. A log in order then streams straight through; any other is
    loaded as a whole and sorted stably by time. Duplicates stay: they are not judged here.

    Parameters
    ----------
    log
        The log as it comes.
    strict
        Refuse unsorted rows instead of sorting them; also on if the log itself is strict.

    Attributes
    ----------
    n_unsorted : int
        Rows that came after a later row of their group.
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

    def __init__(self, log: SensorLog, strict: bool = False) -> None:
        self.log = log
        self.strict = strict or log.strict
        self.n_unsorted = self._count_unsorted()

    @property
    def schema(self) -> SensorSchema:
        return self.log.schema

    @property
    def notes(self) -> list[str]:
        if not self.n_unsorted:
            return list(self.log.notes)
        return [*self.log.notes, f"{self.n_unsorted} rows out of time order: sorted"]

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Blocks of at most ``rows`` rows in time order; each call starts again."""
        return self._sorted_blocks(rows) if self.n_unsorted else self.log.blocks(rows)

    def _count_unsorted(self) -> int:
        watch = OrderWatch()
        n_unsorted = 0
        for block in self.log.key_blocks():
            late = watch.late_rows(block.time, block.group)
            n_unsorted += int(late.sum())
            if n_unsorted and self.strict:
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
        for start in range(0, len(order), rows):
            yield whole.take(order[start : start + rows])


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

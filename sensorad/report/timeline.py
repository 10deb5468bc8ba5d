"""The score over time, small enough to draw: lowest and highest score per time bucket, nothing lost between.

Every alarm survives the reduction, because a bucket keeps its highest score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import UsageError
from sensorad.report.buckets import TimeBuckets
from sensorad.types import REASONS, STATUSES, ScoreBlock

__all__ = ["Timeline", "TimelineSampler", "drawn_score"]

_TOTAL_FACTOR = 8
"""All groups together hold at most this many times the buckets of one group: 16,000 buckets are 0.6 MB of report."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Scores of one group in ``B`` time buckets, in time order.

    Attributes
    ----------
    group : str
        Machine id; "" in a log without groups.
    start, end : (B,) int64
        Times of the first and last row in the bucket, nanoseconds since 1970 in UTC.
    low, high : (B,) float64
        Lowest and highest score; NaN where no row of the bucket has one.
    n_rows, n_unscored : (B,) int64
        Rows in the bucket, and how many of them have no score.
    width : int
        Width of a bucket in nanoseconds.
    """

    group: str
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_rows: NDArray[np.int64]
    n_unscored: NDArray[np.int64]
    width: int

    def __len__(self) -> int:
        return len(self.start)


class TimelineSampler:
    """Collects a `Timeline` for each group from blocks of scores, in memory independent of their number.

    The same rows give the same result in any order and any chunking.

    Parameters
    ----------
    n_buckets
        Most buckets for one group.
    line
        The alarm line, where operating modes have lines of their own: scores are then drawn on the scale of
        ``line.threshold``, so that one line fits all.

    Examples
    --------
    >>> from sensorad.types import RowBlock
    >>> n = 10_000
    >>> rows = RowBlock(np.arange(n), np.arange(n) * 60_000_000_000, np.zeros((n, 1), np.float32),
    ...                 np.zeros((n, 1), np.uint8), np.zeros(n, np.int32))
    >>> scores = ScoreBlock.empty_for(rows)
    >>> scores.score[7_777] = 3.5
    >>> sampler = TimelineSampler(n_buckets=100)
    >>> sampler.add(scores)
    >>> (line,) = sampler.result()
    >>> len(line) <= 100, np.nanmax(line.high).item(), line.n_rows.sum().item()
    (True, 3.5, 10000)
    >>> sampler.status_counts["unscorable"]
    10000
    """

    def __init__(self, n_buckets: int = 2000, line: AlarmLine | None = None) -> None:
        if n_buckets < 1:
            raise UsageError(f"a timeline needs at least one bucket, got n_buckets={n_buckets}")
        self._buckets = TimeBuckets(
            {
                "start": np.minimum,
                "end": np.maximum,
                "low": np.fmin,
                "high": np.fmax,
                "n_rows": np.add,
                "n_unscored": np.add,
            },
            per_group=n_buckets,
            total=_TOTAL_FACTOR * n_buckets,
        )
        self._line = line
        self._group_names: Sequence[str] = ("",)
        self._n_status = np.zeros(len(STATUSES), np.int64)
        self._n_reason = np.zeros(len(REASONS), np.int64)

    def add(self, block: ScoreBlock) -> None:
        """Take one block in; blocks may overlap in time and come in any order."""
        self._group_names = max(self._group_names, block.group_names, key=len)
        self._n_status += np.bincount(block.status, minlength=len(STATUSES))
        self._n_reason += np.bincount(block.reason, minlength=len(REASONS))
        score = drawn_score(block, self._line)
        self._buckets.add(
            block.time,
            block.group,
            {
                "start": block.time,
                "end": block.time,
                "low": score,
                "high": score,
                "n_rows": np.ones(len(block), np.int64),
                "n_unscored": np.isnan(score),
            },
        )

    @property
    def status_counts(self) -> dict[str, int]:
        """Rows by status, every status named; the sum is the number of rows seen."""
        return dict(zip(STATUSES, self._n_status.tolist(), strict=True))

    @property
    def reason_counts(self) -> dict[str, int]:
        """Rows by reason, without the rows that need none."""
        return dict(zip(REASONS[1:], self._n_reason[1:].tolist(), strict=True))

    def result(self) -> tuple[Timeline, ...]:
        """One timeline for each group that has rows, in the order in which the groups were met."""
        lines = []
        for group in np.unique(self._buckets.group).tolist():
            of_group = self._buckets.group == group
            columns = {name: column[of_group] for name, column in self._buckets.columns.items()}
            lines.append(Timeline(group=self._group_names[group], width=self._buckets.width, **columns))
        return tuple(lines)


def drawn_score(block: ScoreBlock, line: AlarmLine | None) -> NDArray[np.float64]:
    """(T,) scores on the scale of ``line.threshold``; as they are without a line."""
    return block.score if line is None else line.comparable(block.score, block.mode, block.mode_names)

"""Block maxima: one height per machine and stretch of time, so that heights are close to independent."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.thresholds.base import CalibrationScores

__all__ = ["BlockMaxima", "block_maxima", "default_block_seconds"]

LEAST_SECONDS = 3600.0
LEAST_STEPS = 120
"""Four windows of the default 30 rows. For a score that remembers a window and an average of span 30, neighbouring
maxima have a rank correlation of 0.50 at 30 rows a block, 0.17 at 120 and 0.06 at 240, which takes twice the data."""

LEAST_SHARE = 0.5
"""Share of its possible rows that a block needs: the maximum of fewer rows is too low to stand beside the others."""

_MINUTES_PER_DAY = 1440
_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BlockMaxima:
    """Highest score of each machine in each block of time, ordered by start and then machine.

    Attributes
    ----------
    height : (B,) float64
        Highest score.
    start : (B,) int64
        Begin of the block in nanoseconds since 1970 in UTC, a multiple of the block length.
    group : (B,) int32
        Machine.
    block_seconds : float
        Length of a block.
    """

    height: NDArray[np.float64]
    start: NDArray[np.int64]
    group: NDArray[np.int32]
    block_seconds: float

    def __len__(self) -> int:
        return len(self.height)


def block_maxima(scores: CalibrationScores, block_seconds: float) -> BlockMaxima:
    """Highest score per machine and block of a time grid that is anchored at 1970, whatever row a log begins with.

    The maximum over blocks longer than the memory of the score turns dependent rows into nearly independent
    heights (Coles 2001, section 5.2). A block counts only if at least half of the rows that it can hold have a
    score. Rows labelled as faults count like any other: give ``scores.normal()`` where they should not.

    Parameters
    ----------
    scores
        Rows of any number of machines, in any order.
    block_seconds
        Length of a block, at least one step.

    Raises
    ------
    UsageError
        A block shorter than the time between two rows.

    Examples
    --------
    >>> time = np.arange(6) * 60 * 10**9
    >>> scores = CalibrationScores(time, np.array([1.0, 5.0, 2.0, 3.0, np.nan, 4.0]), np.zeros(6, np.int32), 60.0)
    >>> maxima = block_maxima(scores, block_seconds=120.0)
    >>> maxima.height.tolist(), (maxima.start // 10**9).tolist()
    ([5.0, 3.0, 4.0], [0, 120, 240])
    """
    if not isfinite(block_seconds) or block_seconds < scores.step_seconds:
        raise UsageError(
            f"a block must be at least as long as the time between two rows, {scores.step_seconds:g} s, "
            f"got {block_seconds!r} s"
        )
    block_ns = max(1, round(block_seconds * _NS_PER_SECOND))
    rows = np.flatnonzero(~np.isnan(scores.score))  # (n,)
    number = scores.time[rows] // block_ns
    order = np.lexsort((scores.group[rows], number))
    number, group, score = number[order], scores.group[rows][order], scores.score[rows][order]
    is_first = np.append(True, (np.diff(number) != 0) | (np.diff(group) != 0))[: len(rows)]
    first = np.flatnonzero(is_first)  # (B',) blocks with any score
    n_scored = np.diff(np.append(first, len(rows)))
    kept = n_scored >= LEAST_SHARE * block_seconds / scores.step_seconds
    height = np.maximum.reduceat(score, first) if len(first) else np.zeros(0)
    return BlockMaxima(
        height=height[kept].astype(np.float64, copy=False),
        start=(number[first] * block_ns)[kept],
        group=group[first][kept].astype(np.int32, copy=False),
        block_seconds=float(block_seconds),
    )


def default_block_seconds(scores: CalibrationScores) -> float:
    """At least an hour and 120 steps, rounded up to whole minutes that divide a day; beyond a day, 120 steps.

    A divisor of the day lets every block of one number begin at the same time of day, so that a daily cycle
    makes blocks differ in the same way on each day, before and after calibration.

    Examples
    --------
    >>> def seconds(step):
    ...     return default_block_seconds(CalibrationScores(np.zeros(0, int), np.zeros(0), np.zeros(0, int), step))
    >>> seconds(1.0), seconds(60.0), seconds(300.0), seconds(3600.0)
    (3600.0, 7200.0, 43200.0, 432000.0)
    """
    least = max(LEAST_SECONDS, LEAST_STEPS * scores.step_seconds)
    for minutes in range(ceil(least / 60.0), _MINUTES_PER_DAY + 1):
        if _MINUTES_PER_DAY % minutes == 0:
            return minutes * 60.0
    return least

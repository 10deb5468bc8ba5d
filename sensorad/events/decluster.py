"""Cluster peaks: one height per burst of high scores, so that heights are close to independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.events.rule import EventRule
from sensorad.events.spans import event_spans

__all__ = ["cluster_peaks"]


def cluster_peaks(
    time: NDArray[np.int64],
    score: NDArray[np.float64],
    group: NDArray[np.int32],
    low_level: float,
    merge_gap_rows: int,
    step_seconds: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Peak height, time and row of every cluster of scores above ``low_level``, in row order.

    Runs declustering (Coles 2001, section 5.3.2): rows above the level that are at most ``merge_gap_rows``
    rows of the same machine apart belong to one cluster; the event tracker does it, without hysteresis.

    Parameters
    ----------
    time, score, group
        Arrays (T,); score NaN where there is none.
    low_level
        Level above which clusters are formed, positive.
    step_seconds
        As in `EventRule`.

    Returns
    -------
    heights, times, rows : (E,) float64, (E,) int64, (E,) int64

    Examples
    --------
    >>> score = np.array([0.1, 3.0, 0.1, 0.1, 0.1, 2.5, 4.0])
    >>> heights, times, rows = cluster_peaks(np.arange(7), score, np.zeros(7, np.int32), 2.0, merge_gap_rows=2)
    >>> heights.tolist(), rows.tolist()
    ([3.0, 4.0], [1, 6])
    """
    rule = EventRule(merge_gap_rows=merge_gap_rows, release=1.0, step_seconds=step_seconds)
    peak = event_spans(time, score, group, low_level, rule).peak
    return score[peak], time[peak], peak

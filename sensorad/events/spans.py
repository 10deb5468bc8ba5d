"""Where events lie in arrays of scores: the tracker's answer for a whole log, without blame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.events.pieces import Runs
from sensorad.events.rule import EventRule
from sensorad.events.tracker import EventTracker

__all__ = ["EventSpans", "event_spans"]


@dataclass(frozen=True, slots=True)
class EventSpans:
    """Events as row numbers into the arrays they were found in, sorted by first row.

    Attributes
    ----------
    start, end, peak : (E,) int64
        First, last and highest row (the first of equals).
    group : (E,) int64
        Machine.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    peak: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)


def event_spans(
    time: NDArray[np.int64],
    score: NDArray[np.float64],
    group: NDArray[np.int32],
    threshold: float,
    rule: EventRule,
) -> EventSpans:
    """Events that `EventBuilder` finds in the same rows; arrays (T,), score NaN where there is none.

    Examples
    --------
    >>> score = np.array([0.1, 3.0, 0.1, 0.1, 0.1, 2.5, 4.0])
    >>> time, group = np.arange(7) * 10**9, np.zeros(7, np.int32)
    >>> spans = event_spans(time, score, group, threshold=2.0, rule=EventRule(merge_gap_rows=2))
    >>> spans.start.tolist(), spans.end.tolist(), spans.peak.tolist()
    ([1, 5], [1, 6], [1, 6])
    """
    found = [_spans(runs, score, rule.min_rows) for runs in EventTracker(threshold, rule).runs(time, score, group)]
    table = np.concatenate([np.zeros((4, 0), np.int64), *found], axis=1)  # (4, E)
    return EventSpans(*table[:, np.argsort(table[0])])


def _spans(runs: Runs, score: NDArray[np.float64], min_rows: int) -> NDArray[np.int64]:
    """First, last and highest row and the machine, (4, e), of one machine's events that are long enough."""
    is_long = np.array(runs.n_above, np.int64) >= min_rows
    low, high = np.array(runs.low, np.int64)[is_long], np.array(runs.high, np.int64)[is_long]
    if len(low) == 0:
        return np.zeros((4, 0), np.int64)
    n_rows = high - low
    heads = np.cumsum(n_rows) - n_rows  # (e,) where each event begins among the rows of all
    rows = runs.rows[np.arange(n_rows.sum()) + np.repeat(low - heads, n_rows)]  # (n,)
    height = np.maximum.reduceat(score[rows], heads)
    highest = np.flatnonzero(score[rows] == np.repeat(height, n_rows))
    peak = rows[highest[np.searchsorted(highest, heads)]]  # the first of equals
    return np.stack([runs.rows[low], runs.rows[high - 1], peak, np.full(len(low), runs.group)])

"""Where events lie in arrays of scores: the tracker's answer for a whole log, without blame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    pieces = EventTracker(threshold, rule).update(time, score, group)
    found = [
        (int(piece.rows[0]), int(piece.rows[-1]), int(piece.rows[np.argmax(score[piece.rows])]), piece.group)
        for piece in pieces
        if piece.n_above >= rule.min_rows
    ]
    table = np.array(sorted(found), np.int64).reshape(-1, 4)  # (E, 4)
    return EventSpans(*(np.ascontiguousarray(column) for column in table.T))

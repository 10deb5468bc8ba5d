"""The number of events at every threshold at once, without trying thresholds one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.events.clock import RowClock
from sensorad.events.rule import EventRule

__all__ = ["EventCurve", "event_curve"]


@dataclass(frozen=True, slots=True)
class EventCurve:
    """Events as a function of the threshold, from ``floor`` upwards, as if ``min_rows`` were 1 and nothing refractory.

    Otherwise the counts are upper bounds: ``min_rows`` drops events, a refractory time drops them or cuts off their
    beginnings, and neither makes two of one. `event_spans` has the exact count.

    Attributes
    ----------
    low, high : (n,) float64, each sorted by itself
        Some row opens an event exactly while low <= threshold < high.
    floor : float
        Lowest threshold that the curve answers for.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    floor: float

    def count(self, threshold: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number of events at each threshold, shape as given; `UsageError` below ``floor``."""
        if np.min(threshold, initial=np.inf) < self.floor:
            raise UsageError(
                f"the curve was made for thresholds of {self.floor:g} and above, got {np.min(threshold):g}"
            )
        opened = np.searchsorted(self.low, threshold, side="right")
        shut = np.searchsorted(self.high, threshold, side="right")
        return np.asarray(opened - shut, np.int64)

    def level(self, n_events: int) -> float:
        """Lowest threshold from which upwards there are never more than ``n_events`` events, at least ``floor``.

        The count may rise with the threshold, where an event falls apart; a threshold that owes its low count
        to such a dip would promise too much, hence "from which upwards".
        """
        steps = np.unique(np.append(self.low, self.high))
        too_many = np.flatnonzero(self.count(steps) > n_events)
        return self.floor if len(too_many) == 0 else float(steps[too_many[-1] + 1])


def event_curve(
    time: NDArray[np.int64],
    score: NDArray[np.float64],
    group: NDArray[np.int32],
    rule: EventRule,
    floor: float,
) -> EventCurve:
    """The curve of the events that `event_spans` finds at thresholds >= ``floor``, in O(T log T).

    ``min_rows`` and ``refractory_rows`` of the rule are left out (see `EventCurve`).

    At a threshold t, a row belongs to an event if its score s is above t, or if the row before belongs and
    s >= release t. So it belongs for all t below ``reach = max(s, min(reach of the row before, s / release))``,
    and it opens an event if t < s while every row within the merge gap before it has reach <= t.

    Parameters
    ----------
    time, score, group
        Arrays (T,); score NaN where there is none.
    floor
        Positive; rows below ``release * floor`` cannot matter and are dropped at the start.

    Examples
    --------
    >>> score = np.array([0.1, 3.0, 0.1, 0.1, 0.1, 2.5, 4.0])
    >>> curve = event_curve(np.arange(7), score, np.zeros(7, np.int32), EventRule(merge_gap_rows=2), floor=1.0)
    >>> curve.count(np.array([1.0, 2.7, 3.5])).tolist()
    [2, 2, 1]
    >>> curve.level(1)
    3.0
    """
    gap = rule.merge_gap_rows
    empty = np.zeros(0)
    if len(score) == 0:
        return EventCurve(empty, empty, floor)
    placed = RowClock(rule.step_seconds).advance(time, group)
    if placed.order is not None:
        score = score[placed.order]
    is_warm = score >= rule.release * floor
    warm = np.flatnonzero(is_warm)
    if len(warm) == 0:
        return EventCurve(empty, empty, floor)
    n_cold = np.cumsum(score < rule.release * floor)[warm]  # (n,)
    # One axis for all machines, with more than a merge gap between them.
    spans = placed.position[placed.starts[1:] - 1] + gap + 2
    shift = np.cumsum(np.append(0, spans[:-1]))
    axis = (placed.position + np.repeat(shift, np.diff(placed.starts)))[warm]  # (n,)
    score = score[warm]

    reach = _reach(score, score / rule.release, np.append(False, (np.diff(axis) <= gap + 1) & (np.diff(n_cold) == 0)))
    first = np.searchsorted(axis, axis - gap - 1)
    low = np.maximum(_range_max(reach, first), floor)
    is_opening = low < score
    return EventCurve(np.sort(low[is_opening]), np.sort(score[is_opening]), floor)


def _reach(score: NDArray[np.float64], cap: NDArray[np.float64], is_linked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """max(score, min(reach of the row before, cap)) along linked rows, all arrays (n,)."""
    reach = score.copy()
    active = np.flatnonzero(is_linked)
    while len(active):  # each pass carries reaches one row further, only from rows that changed
        carried = np.minimum(reach[active - 1], cap[active])
        is_higher = carried > reach[active]
        changed = active[is_higher]
        reach[changed] = carried[is_higher]
        after = changed[changed < len(score) - 1] + 1
        active = after[is_linked[after]]
    return reach


def _range_max(values: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Maximum of values[first[i]:i] for every i, -inf where that is empty; arrays (n,).

    Spans of doubling length (Bender & Farach-Colton 2000, sparse table), one length at a time.
    """
    n = len(values)
    width = np.arange(n) - first
    result = np.full(n, -np.inf)
    table = values
    span = 1
    while span <= int(width.max()):
        rows = np.flatnonzero((width >= span) & (width < 2 * span))
        result[rows] = np.maximum(table[first[rows]], table[rows - span])
        table = np.maximum(table[: max(len(table) - span, 0)], table[span:])
        span *= 2
    return result

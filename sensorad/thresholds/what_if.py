"""What if the line were elsewhere: alarm events a day, and faults found, at every height at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds.base import CalibrationScores, checked_scores
from sensorad.thresholds.counting import dispersion, rate_interval
from sensorad.thresholds.labelled import fault_heights

__all__ = ["WhatIf", "what_if"]

LOWEST_QUANTILE = 0.95
"""The table begins here: a line below 5 % of the normal rows is no alarm line."""

BEYOND = 1.25
"""It ends so far above the highest score."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Alarm lines and what each would have meant.

    Attributes
    ----------
    threshold : (n,) float64
        Ascending.
    n_events : (n,) int64
        Alarm events on the normal rows, as the event builder counts them.
    per_day, low, high : (n,) float64
        Per machine-day, with the interval at ``confidence``.
    n_found : (n,) int64 or None
        Labelled faults with a row above the line, or one that still remembers the fault; None without labels.
    n_faults : int
    days, confidence : float
    """

    threshold: NDArray[np.float64]
    n_events: NDArray[np.int64]
    per_day: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_found: NDArray[np.int64] | None
    n_faults: int
    days: float
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def what_if(
    scores: CalibrationScores, rule: EventRule, line: float | None = None, n: int = 40, confidence: float = 0.9
) -> WhatIf:
    """Count events at ``n`` lines between the 95 % quantile of the normal scores and beyond the highest one.

    Ten million rows take seconds, because the counts come from one sorted curve and not from one pass for each line
    (`event_curve`); only for rules with a minimum length or a refractory time is the builder asked at every line.

    Parameters
    ----------
    scores
        On the scale of one alarm line (`CalibrationScores.comparable`).
    line
        A line that must be among those shown, such as the one in force.

    Raises
    ------
    DataError
        No scores, constant scores, or none that is positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = CalibrationScores(
    ...     np.arange(50_000) * 60 * 10**9, rng.exponential(size=50_000), np.zeros(50_000, np.int32), 60.0)
    >>> table = what_if(scores, EventRule(), line=8.0, n=20)
    >>> place = table.threshold.tolist().index(8.0)
    >>> bool(table.per_day[place - 1] >= table.per_day[place]), table.n_found is None
    (True, True)
    """
    if n < 2:
        raise UsageError(f"a table of lines needs at least 2 of them, got {n}")
    normal = checked_scores(scores, "what-if")
    finite = normal.finite
    highest = float(np.nanmax(scores.score, where=np.isfinite(scores.score), initial=-np.inf)) * BEYOND
    positive = finite[finite > 0]
    if len(positive) == 0:
        raise DataError("no normal score is positive, so there is no alarm line to look at")
    lowest = max(float(np.quantile(finite, LOWEST_QUANTILE)), float(positive.min()))
    if line is not None:
        lowest, highest = min(lowest, line), max(highest, line * BEYOND)
    threshold = np.unique(np.append(np.geomspace(lowest, highest, n), [] if line is None else [line]))
    n_events = _counts(normal, rule, threshold)
    found = dispersion(normal, rule, lowest)
    spread = 1.0 if found is None else found.value
    bounds = np.array([rate_interval(int(count), normal.days, confidence, spread) for count in n_events])
    heights = None if scores.fault is None else fault_heights(scores, rule.min_rows)
    return WhatIf(
        threshold=threshold,
        n_events=n_events,
        per_day=n_events / normal.days,
        low=bounds[:, 0],
        high=bounds[:, 1],
        n_found=None if heights is None else (heights[:, None] > threshold).sum(axis=0),
        n_faults=0 if heights is None else len(heights),
        days=normal.days,
        confidence=confidence,
    )


def _counts(scores: CalibrationScores, rule: EventRule, threshold: NDArray[np.float64]) -> NDArray[np.int64]:
    if rule.min_rows > 1 or rule.refractory_rows > 0:
        columns = scores.time, scores.score, scores.group
        return np.array([len(event_spans(*columns, float(line), rule)) for line in threshold], np.int64)
    return event_curve(scores.time, scores.score, scores.group, rule, float(threshold[0])).count(threshold)

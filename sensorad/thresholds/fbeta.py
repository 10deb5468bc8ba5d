"""Best F-beta: the line that serves the labelled faults best, held back by the alarm budget where labels are few."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventCurve, EventRule, event_curve, event_spans
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.budget import MOST_ALARM_ROWS, Budget, BudgetThreshold
from sensorad.thresholds.counting import expected_rate
from sensorad.thresholds.labelled import fault_heights

__all__ = ["FBetaThreshold"]

DEFAULT_BUDGET = Budget(1.0, "day")

PRIOR_FAULTS = 1
"""The budget line weighs as much as so many labelled faults.

Simulated: 3 score processes, 3 strengths of faults, budgets of 1/day and 1/week, beta 0.5, 1 and 2, new data with as
many faults as are labelled or five times as many. Mean F-beta on new data for n = 2, 5, 20 labelled faults: 0.51, 0.61,
0.73 without shrinkage; 0.50, 0.62, 0.73 with 1; 0.43, 0.59, 0.73 with 10; 0.41, 0.54, 0.70 at the budget line.
"""

MOST_BUILT = 100
"""Lines that are tried one by one where the event curve does not hold."""

SAME = 1e-12
"""F-values closer than this are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class FBetaThreshold:
    """Line with the best F-beta = (1 + b^2) P R / (b^2 P + R) on labelled faults (Malhotra et al. 2016, section 2.2).

    By event, a fault is found where the line lies below as many of its rows as an event needs, those that still
    remember it included. False events are those that the event builder finds on the normal rows; P = found / (found +
    false), R = found / labelled. By row, P and R count rows, and those that remember a fault count as neither. Of
    equally good lines the highest is taken. By event, no line with more than 5 % of the normal rows above it is looked
    at: there a single alarm without end would pass for one false event.

    With n labelled faults the best line is moved towards the budget line,
    log tau = w log tau_F + (1 - w) log tau_budget with w = n / (n + 1), because it fits these few faults better than
    those to come; and it stays at or above the budget line, unless told otherwise.

    Parameters
    ----------
    beta
        Weight of recall against precision; below 1 false alarms weigh more.
    unit
        "event" or "row".
    budget
        Acceptable false alarms; None = by the labels alone, without a promise, with any amount of normal data.
    confidence
        Of the budget, and of the stated interval.
    is_budget_kept
        False lets the line fall below the budget line, which then only draws it.

    Raises
    ------
    TooLittleDataError
        No labelled fault with a score, or too little normal data for the budget.
    DataError
        Scores that are constant, infinite or never positive, or no fault above the bulk of the normal rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score, fault = rng.exponential(size=14 * 1440), np.full(14 * 1440, -1, np.int32)
    >>> for number, row in enumerate(range(700, 14 * 1440, 1440)):
    ...     score[row : row + 20] += 20.0
    ...     fault[row : row + 20] = number
    >>> scores = CalibrationScores(np.arange(14 * 1440) * 60 * 10**9, score, np.zeros(14 * 1440, np.int32), 60.0, fault)
    >>> result = FBetaThreshold().fit(scores, EventRule())
    >>> result.parameters["n_found"], result.parameters["tau_budget"] < result.threshold, result.is_promised
    (14, True, True)
    """

    beta: float = 0.5
    unit: Literal["event", "row"] = "event"
    budget: Budget | None = DEFAULT_BUDGET
    confidence: float = 0.9
    is_budget_kept: bool = True
    name: ClassVar[str] = "fbeta"

    def __post_init__(self) -> None:
        if not isfinite(self.beta) or self.beta <= 0:
            raise UsageError(f"beta must be positive, got {self.beta!r}", hint="0.5 is usual, 1 weighs both alike")
        if self.unit not in ("event", "row"):
            raise UsageError(f"F-beta counts by 'event' or by 'row', got {self.unit!r}")
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must lie between 0 and 1, got {self.confidence!r}")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line for events under ``rule``, from ``scores.fault`` and the normal rows."""
        normal = checked_scores(scores, self.name)
        heights = self._heights(scores, rule)
        promise = self._promise(scores, rule)
        counts = self._counts(scores, normal, heights, rule)
        best = self._best_line(counts)

        weight = 1.0
        threshold = best
        if promise is not None:
            weight = len(heights) / (len(heights) + PRIOR_FAULTS)
            if best != promise.threshold:  # rounding must not part equal lines
                threshold = exp(weight * log(best) + (1.0 - weight) * log(promise.threshold))
            if self.is_budget_kept:
                threshold = max(threshold, promise.threshold)
        n_hits, n_false = counts.at(np.array([threshold]))
        n_alarms = int(n_hits[0] + n_false[0])
        spread = 1.0 if promise is None else float(promise.parameters["dispersion"])
        rate = expected_rate(normal, rule, threshold, self.confidence, spread)
        return ThresholdResult(
            threshold=threshold,
            method=self.name,
            parameters={
                "beta": self.beta,
                "unit": self.unit,
                "n_faults": len(heights),
                "n_found": int((heights > threshold).sum()),
                "precision": int(n_hits[0]) / n_alarms if n_alarms else None,
                "recall": int(n_hits[0]) / counts.n_hits_most,
                "f_beta": float(_f_beta(n_hits, n_false, counts.n_hits_most, self.beta)[0]),
                "tau_F": best,
                "tau_budget": None if promise is None else promise.threshold,
                "weight": weight,
                "is_budget_kept": promise is not None and self.is_budget_kept,
                "is_decided_by_budget": promise is not None and threshold == promise.threshold != best,
                **_of_budget(promise),
            },
            expected_events_per_day=rate.per_day,
            interval=rate.interval,
            confidence=self.confidence,
            calibration_days=normal.days,
            n_rows=normal.n_scored,
            assumptions=_assumptions(promise, len(heights)),
            is_promised=promise is not None and threshold >= promise.threshold,
        )

    def _heights(self, scores: CalibrationScores, rule: EventRule) -> NDArray[np.float64]:
        """Heights of the faults that have a score, (n,)."""
        where = f"threshold method {self.name}"
        heights = fault_heights(scores, rule.min_rows)
        if len(heights) == 0:
            raise TooLittleDataError(
                f"no labelled fault among {len(scores.score):,} calibration rows, F-{self.beta:g} needs at least 1",
                where=where,
                hint="label faults with 'sensorad label EVENTS ID fault' or in a table with columns start and end, or "
                "choose a method that needs no labels, such as budget",
            )
        faulty = heights if self.unit == "event" or scores.fault is None else scores.score[scores.fault >= 0]
        if np.isnan(faulty).all():
            raise TooLittleDataError(
                f"none of the {len(heights):,} labelled faults has a row with a score",
                where=where,
                hint="check times and machines of the labels, and that the log around them is scored",
            )
        if np.isposinf(heights).any():
            raise DataError("scores must be finite, got infinity", where=where)
        if not (scores.score > 0).any():
            raise DataError("no calibration score is positive, so there can be no line", where=where)
        return heights[~np.isnan(heights)]

    def _promise(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult | None:
        if self.budget is None:
            return None
        try:
            return BudgetThreshold(self.budget, self.confidence).fit(scores, rule)
        except TooLittleDataError as refusal:
            raise TooLittleDataError(
                refusal.what,
                where=f"threshold method {self.name}",
                hint=f"{refusal.hint}; or let the labels alone place the line, without a budget (budget=None)",
            ) from refusal

    def _counts(
        self, scores: CalibrationScores, normal: CalibrationScores, heights: NDArray[np.float64], rule: EventRule
    ) -> _Counts:
        return _ByRow.of(scores) if self.unit == "row" else _ByEvent.of(normal, heights, rule)

    def _best_line(self, counts: _Counts) -> float:
        lines = counts.lines()
        n_hits, n_false = counts.at(lines)
        value = _f_beta(n_hits, n_false, counts.n_hits_most, self.beta)
        best = float(value.max(initial=0.0))
        if best == 0.0:
            raise DataError(
                "no labelled fault scores above the bulk of the normal rows, so the labels say nothing about the line",
                where=f"threshold method {self.name}",
                hint="check times and machines of the labels, or choose a method that needs no labels, such as budget",
            )
        return float(lines[np.flatnonzero(value >= best - SAME)[-1]])


class _Counts(Protocol):
    """What a line finds, and what it raises for nothing."""

    @property
    def n_hits_most(self) -> int:
        """Faults or faulty rows that there are."""

    def lines(self) -> NDArray[np.float64]:
        """Positive lines, ascending, (n,): one for each way to divide the scores."""

    def at(self, lines: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hits and false alarms at each line, (n,) and (n,)."""


@dataclass(frozen=True, slots=True)
class _ByRow:
    """Scores of faulty and of normal rows, each sorted."""

    faulty: NDArray[np.float64]
    normal: NDArray[np.float64]

    @classmethod
    def of(cls, scores: CalibrationScores) -> _ByRow:
        is_faulty = np.zeros(len(scores.score), bool) if scores.fault is None else scores.fault >= 0
        faulty = scores.score[is_faulty]
        return cls(np.sort(faulty[np.isfinite(faulty)]), np.sort(scores.normal().finite))

    @property
    def n_hits_most(self) -> int:
        return len(self.faulty)

    def lines(self) -> NDArray[np.float64]:
        score = np.concatenate([self.faulty, self.normal])
        return _positive(score)

    def at(self, lines: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _n_above(self.faulty, lines), _n_above(self.normal, lines)


@dataclass(frozen=True, slots=True)
class _ByEvent:
    """Heights of the faults, sorted, and the false events of all lines from a floor upwards."""

    heights: NDArray[np.float64]
    curve: EventCurve
    scores: CalibrationScores
    rule: EventRule

    @classmethod
    def of(cls, normal: CalibrationScores, heights: NDArray[np.float64], rule: EventRule) -> _ByEvent:
        floor = float(np.quantile(normal.finite, 1.0 - MOST_ALARM_ROWS))
        if floor <= 0:
            floor = float(np.append(_positive(np.concatenate([heights, normal.finite])), 1.0)[0])
        curve = event_curve(normal.time, normal.score, normal.group, rule, floor)
        return cls(np.sort(heights), curve, normal, rule)

    @property
    def n_hits_most(self) -> int:
        return len(self.heights)

    @property
    def _is_curve_exact(self) -> bool:
        return self.rule.min_rows == 1 and self.rule.refractory_rows == 0

    def lines(self) -> NDArray[np.float64]:
        changes = (self.curve.low, self.curve.high)
        if not self._is_curve_exact:  # the builder may count otherwise at any score, and where one ends a run
            changes = (self.scores.finite, self.scores.finite / self.rule.release)
        steps = np.concatenate([[self.curve.floor], *changes, self.heights])
        steps = np.unique(steps[steps >= self.curve.floor])
        if self._is_curve_exact or len(steps) <= MOST_BUILT:
            return steps
        # The line right below a fault finds it with the least false events; the others are dense where lines matter.
        below = np.searchsorted(steps, self.heights[self.heights > self.curve.floor]) - 1
        from_top = len(steps) - np.geomspace(1, len(steps), MOST_BUILT // 2).astype(np.int64)
        return np.asarray(steps[np.unique(np.append(_thinned(below, MOST_BUILT // 2), from_top))], np.float64)

    def at(self, lines: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._is_curve_exact:
            false = self.curve.count(np.maximum(lines, self.curve.floor))
        else:
            columns = self.scores.time, self.scores.score, self.scores.group
            false = np.array([len(event_spans(*columns, float(line), self.rule)) for line in lines], np.int64)
        return _n_above(self.heights, lines), false


def _f_beta(
    n_hits: NDArray[np.int64], n_false: NDArray[np.int64], n_hits_most: int, beta: float
) -> NDArray[np.float64]:
    """(1 + b^2) P R / (b^2 P + R) without the fractions P and R, which are undefined where nothing alarms."""
    return np.asarray((1.0 + beta**2) * n_hits / (beta**2 * n_hits_most + n_hits + n_false), np.float64)


def _n_above(ordered: NDArray[np.float64], lines: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(len(ordered) - np.searchsorted(ordered, lines, side="right"), np.int64)


def _positive(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The positive scores, each once and ascending, after a line below them all; empty where there are none."""
    positive = np.unique(score[score > 0])
    return np.append(np.nextafter(positive[:1], 0.0), positive)


def _thinned(places: NDArray[np.int64], n_most: int) -> NDArray[np.int64]:
    return places[:: -(-len(places) // n_most)] if len(places) else places


def _of_budget(promise: ThresholdResult | None) -> dict[str, Any]:
    names = ("budget", "per", "events_per_machine_day", "n_machines", "dispersion")
    return {} if promise is None else {name: promise.parameters[name] for name in names}


def _assumptions(promise: ThresholdResult | None, n_faults: int) -> tuple[str, ...]:
    stated = (
        "every fault in the calibration data is labelled, and nothing else is",
        f"faults to come are like the {n_faults:,} labelled here",
    )
    if promise is not None:
        return (*promise.assumptions, *stated)
    return (
        "normal operation stays as in the calibration data",
        "the scores come from rows that the weights were not fitted on",
        "false alarms come independently of each other (for the interval only)",
        *stated,
    )

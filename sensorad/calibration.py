"""The calibration of a detector: error statistics, threshold and event rule; re-fitted without touching a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError, DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule
from sensorad.monitoring import CalibrationBaseline
from sensorad.scoring import Scheme, scheme_class
from sensorad.thresholds import (
    Budget,
    BudgetThreshold,
    CalibrationScores,
    PerModeThreshold,
    QuantileThreshold,
    ReturnPeriods,
    ThresholdMethod,
    ThresholdResult,
    threshold_class,
)
from sensorad.thresholds.counting import rate_interval

__all__ = ["Calibration", "choose_threshold", "threshold_method"]

DEFAULT_BUDGET = "1/day"
DEFAULT_CONFIDENCE = 0.9
NO_BUDGET = "none"
"""Method "fbeta" without a budget: the labels alone place the line."""

FALLBACK_QUANTILES = (0.999, 0.995, 0.99)
"""Tried in this order where normal rows are too few to promise a budget."""

MARGIN = 0.1
"""Distance of the line from normal scores that are all alike, relative to them."""

ROUNDING = 0.01
"""Scores of rows that are alike differ by less, relative to them: the last digit of an error can move its rank."""

HISTOGRAM_POINTS = 2001
"""Quantiles of the calibration scores that are kept for figures."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns errors into alarms.

    Attributes
    ----------
    scheme
        Scoring scheme with its error statistics.
    threshold : ThresholdResult
        The alarm line and what it means.
    rule : EventRule
        How scores above the line make events.
    normal_quantiles : (Q,) float64
        Quantiles of the normal scores behind the threshold, for figures.
    returns : ReturnPeriods or None
        How rarely normal operation reaches a score; None where no event tells.
    baseline : CalibrationBaseline or None
        What later scores are held against, to notice that the calibration has become stale.

    Scores in all of these are on the scale of the line of rows without a mode of their own (`AlarmLine.comparable`).
    """

    scheme: Scheme
    threshold: ThresholdResult
    rule: EventRule
    normal_quantiles: NDArray[np.float64]
    returns: ReturnPeriods | None = None
    baseline: CalibrationBaseline | None = None

    @classmethod
    def fit(cls, scheme: Scheme, scores: CalibrationScores, rule: EventRule, method: ThresholdMethod) -> Calibration:
        """Fit ``method`` on scores, for each operating mode where they know modes; raises what the method raises."""
        return cls.around(scheme, PerModeThreshold(method).fit(scores, rule), scores, rule)

    @classmethod
    def around(
        cls, scheme: Scheme, threshold: ThresholdResult, scores: CalibrationScores, rule: EventRule
    ) -> Calibration:
        """The calibration that belongs to a line: what else the scores tell."""
        normal = scores.normal().comparable(threshold.line)
        n_events = round(threshold.expected_events_per_day * threshold.calibration_days)
        spread = float(threshold.parameters.get("dispersion", 1.0))
        return cls(
            scheme,
            threshold,
            rule,
            _quantiles(normal),
            returns=_returns(normal, rule),
            baseline=CalibrationBaseline.fit(normal, threshold.threshold, n_events, spread),
        )

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON object and arrays for an artefact."""
        settings = {
            "score": self.scheme.name,
            "threshold": self.threshold.to_json(),
            "rule": self.rule.to_json(),
        }
        arrays = {**self.scheme.to_arrays(), "normal_quantiles": self.normal_quantiles}
        for part in (self.returns, self.baseline):
            arrays |= {} if part is None else part.to_arrays()
        return settings, arrays

    @classmethod
    def from_parts(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Calibration:
        """The calibration of `to_parts`.

        Raises
        ------
        ArtefactError
            Something is missing or has another form.
        """
        try:
            return cls(
                scheme=scheme_class(settings["score"]).from_arrays(arrays),
                threshold=ThresholdResult.from_json(settings["threshold"]),
                rule=EventRule.from_json(settings["rule"]),
                normal_quantiles=arrays["normal_quantiles"],
                returns=ReturnPeriods.from_arrays(arrays) if _has(arrays, "returns.") else None,
                baseline=CalibrationBaseline.from_arrays(arrays) if _has(arrays, "baseline.") else None,
            )
        except (KeyError, TypeError, ValueError, UsageError) as err:
            raise ArtefactError(f"the calibration is incomplete: {err}", hint="calibrate the detector again") from err


def threshold_method(
    method: str | ThresholdMethod, *, budget: str | None = None, confidence: float | None = None, **options: Any
) -> ThresholdMethod:
    """A method by its name, or as it is; a budget written as text becomes a `Budget`.

    Raises
    ------
    UsageError
        No such method, or it has no such option.

    Examples
    --------
    >>> threshold_method("budget", budget="2/week").budget
    Budget(count=2.0, unit='week', per='machine')
    """
    if not isinstance(method, str):
        if budget is not None or confidence is not None or options:
            raise UsageError("a ready threshold method was given, and settings beside it", hint="put them into it")
        return method
    make = threshold_class(method)
    defaults = {field.name: field.default for field in fields(cast(Any, make))}
    known = set(defaults)
    if budget == NO_BUDGET and method == "fbeta":
        options = {"budget": None} | options
    elif "budget" in known and (budget is not None or defaults["budget"] is MISSING):
        options = {"budget": Budget.parse(budget or DEFAULT_BUDGET)} | options
    elif budget is not None:
        raise UsageError(f"method {method!r} has no budget", hint="leave --budget out or use --method budget")
    if confidence is not None:
        options["confidence"] = confidence
    unknown = sorted(set(options) - known)
    if unknown:
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise UsageError(f"method {method!r} has no option {', '.join(unknown)}", hint=has)
    return make(**options)


def choose_threshold(
    scheme: Scheme, scores: CalibrationScores, rule: EventRule, method: ThresholdMethod | None
) -> tuple[Calibration, str]:
    """Calibrate with ``method``, or by default promise one event a day where the data allows it.

    Returns
    -------
    The calibration, and a sentence where the default had to give up its promise (else "").

    Raises
    ------
    TooLittleDataError
        ``method`` was given and refuses, or not even a quantile can be told.
    """
    if method is not None:
        return Calibration.fit(scheme, scores, rule, method), ""
    finite = scores.score[np.isfinite(scores.score)]
    if len(finite) and _are_alike(finite):
        return _above_constant(scheme, scores, rule, float(finite.max()))
    try:
        wished = BudgetThreshold(Budget.parse(DEFAULT_BUDGET), DEFAULT_CONFIDENCE)
        return Calibration.fit(scheme, scores, rule, wished), ""
    except TooLittleDataError as refusal:
        for q in FALLBACK_QUANTILES:
            if scores.n_scored * (1.0 - q) >= 5.0 or q == FALLBACK_QUANTILES[-1]:
                calibration = Calibration.fit(scheme, scores, rule, QuantileThreshold(q))
                return calibration, (
                    f"no promise on false alarms: {refusal.what}; the line is the {q:g} quantile of the normal scores"
                )
        raise


def _above_constant(
    scheme: Scheme, scores: CalibrationScores, rule: EventRule, level: float
) -> tuple[Calibration, str]:
    """A line above scores that are all alike, as those of a log that never moved are."""
    threshold = level + MARGIN * max(1.0, abs(level))
    result = ThresholdResult(
        threshold=threshold,
        method="constant",
        parameters={"level": level},
        expected_events_per_day=0.0,
        interval=rate_interval(0, scores.days, DEFAULT_CONFIDENCE),
        confidence=DEFAULT_CONFIDENCE,
        calibration_days=scores.days,
        n_rows=scores.n_scored,
        assumptions=("the log never moved, so any movement counts",),
        is_extrapolated=True,
    )
    note = (
        f"no promise on false alarms: all {scores.n_scored:,} normal scores are alike, so any movement raises an alarm"
    )
    return Calibration(scheme, result, rule, _quantiles(scores)), note


def _are_alike(scores: NDArray[np.float64]) -> bool:
    """Nothing but rounding tells the scores apart: there are next to no different ones, and these are close together.

    Scores of a log that moves hardly ever repeat, however small they are.
    """
    spread = float(np.ptp(scores))
    return spread <= ROUNDING * max(1.0, float(np.abs(scores).max())) and len(np.unique(scores)) <= len(scores) / 50 + 1


def _returns(normal: CalibrationScores, rule: EventRule) -> ReturnPeriods | None:
    try:
        return ReturnPeriods.fit(normal, rule)
    except DataError:  # too few events, or scores all alike: then severity is all that can be said
        return None


def _has(arrays: Mapping[str, NDArray[Any]], prefix: str) -> bool:
    """Whether the part was there when the calibration was made: earlier versions knew none of them."""
    return any(name.startswith(prefix) for name in arrays)


def _quantiles(scores: CalibrationScores) -> NDArray[np.float64]:
    finite = scores.score[np.isfinite(scores.score)]
    return np.quantile(finite, np.linspace(0.0, 1.0, min(HISTOGRAM_POINTS, max(2, len(finite)))))

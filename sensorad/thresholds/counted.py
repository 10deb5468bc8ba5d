"""Results of methods that place a line by the rows or blocks alone: the events are counted afterwards."""

from __future__ import annotations

from typing import Any

from sensorad.errors import DataError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdResult
from sensorad.thresholds.counting import expected_rate

__all__ = ["counted_result"]

CONFIDENCE = 0.9
"""Confidence of the stated interval of the event rate."""


def counted_result(
    scores: CalibrationScores,
    rule: EventRule,
    threshold: float,
    method: str,
    parameters: dict[str, Any],
    assumptions: tuple[str, ...] = (),
) -> ThresholdResult:
    """The line with the events that it gives on ``scores`` under ``rule``, and with what all such lines rest on.

    A line above every calibration row counts as extrapolated: no row of the data supports it.

    Parameters
    ----------
    scores
        The normal scores of `checked_scores`.
    assumptions
        What the method takes for granted beyond the rest.

    Raises
    ------
    DataError
        A line that is not positive, or no score that is.

    Examples
    --------
    >>> import numpy as np
    >>> scores = CalibrationScores(np.arange(1440) * 60 * 10**9, np.arange(1440.0), np.zeros(1440, np.int32), 60.0)
    >>> result = counted_result(scores, EventRule(), 1400.0, "example", {"level": 1400})
    >>> result.expected_events_per_day, result.is_extrapolated
    (1.0, False)
    """
    if threshold <= 0:
        raise DataError(
            f"the line would be {threshold:.4g}, but a threshold must be positive",
            where=f"threshold method {method}",
            hint="scores must be scaled to be positive where they alarm",
        )
    highest = float(scores.finite.max())
    if highest <= 0:  # a formula such as mean + 3 sd can lie above zero all the same
        raise DataError(
            "no calibration score is positive, so severity = score / threshold has no meaning",
            where=f"threshold method {method}",
        )
    rate = expected_rate(scores, rule, threshold, CONFIDENCE)
    return ThresholdResult(
        threshold=threshold,
        method=method,
        parameters=parameters,
        expected_events_per_day=rate.per_day,
        interval=rate.interval,
        confidence=CONFIDENCE,
        calibration_days=scores.days,
        n_rows=scores.n_scored,
        assumptions=(
            "normal operation stays as in the calibration data, which hold no faults",
            "the scores come from rows that the weights were not fitted on",
            "false alarms come independently of each other (for the interval only)",
            *assumptions,
        ),
        is_extrapolated=threshold > highest,
    )

"""Counts of events as Poisson evidence: rate intervals, dispersion, and how many events a budget allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.events import EventRule, cluster_peaks, event_spans
from sensorad.thresholds.base import SECONDS_PER_DAY, CalibrationScores

__all__ = ["Dispersion", "EventRate", "allowed_events", "dispersion", "expected_rate", "needed_events", "rate_interval"]

MIN_BLOCKS = 10
"""Stretches of time that a dispersion estimate needs; with fewer its scatter is larger than what it corrects."""


@dataclass(frozen=True, slots=True)
class EventRate:
    """Events counted on calibration scores, with the interval of their rate per machine-day."""

    n_events: int
    per_day: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Variance over mean of event counts, at least 1: 1 is Poisson, 2 means bursts with half the information.

    ``is_certain``: Poisson counts would scatter this much in less than one case in ten.
    """

    value: float
    is_certain: bool


def expected_rate(
    scores: CalibrationScores, rule: EventRule, threshold: float, confidence: float, dispersion: float = 1.0
) -> EventRate:
    """Events that the builder finds above ``threshold``, per machine-day."""
    n_events = len(event_spans(scores.time, scores.score, scores.group, threshold, rule))
    return EventRate(n_events, n_events / scores.days, rate_interval(n_events, scores.days, confidence, dispersion))


def rate_interval(n_events: int, days: float, confidence: float, dispersion: float = 1.0) -> tuple[float, float]:
    """Two-sided interval of a Poisson rate per day (Garwood 1936), widened for clustered counts.

    ``n_events`` clustered events carry the information of ``n_events / dispersion`` independent ones
    (quasi-Poisson), so the exact interval is taken for those and scaled back.

    Examples
    --------
    >>> low, high = rate_interval(10, days=10.0, confidence=0.95)
    >>> round(low, 3), round(high, 3)
    (0.48, 1.839)
    """
    from scipy.special import gammaincinv

    tail = (1.0 - confidence) / 2.0
    n = n_events / dispersion
    low = float(gammaincinv(n, tail)) if n > 0 else 0.0
    high = float(gammaincinv(n + 1.0, 1.0 - tail))
    return low * dispersion / days, high * dispersion / days


def needed_events(confidence: float) -> float:
    """Events that must be allowed in the calibration time before any line can be promised: 2.303 at 90 %.

    With k = 0 the line is the highest peak, and the chance that the true count is above this is 1 - confidence.

    Examples
    --------
    >>> round(needed_events(0.9), 3), round(needed_events(0.95), 3)
    (2.303, 2.996)
    """
    return float(-np.log1p(-confidence))


def allowed_events(n_budget: float, confidence: float) -> int:
    """Largest k with GammaQuantile(confidence; shape k + 1) <= ``n_budget``, or -1 where there is none.

    If events are Poisson and the line is the (k + 1)-th largest peak, the expected count in the calibration time
    follows Gamma(k + 1, 1) whatever the distribution of the scores: the probability integral transform makes
    the peaks points of a unit Poisson process. So the true rate is within the budget with ``confidence``.

    Examples
    --------
    >>> [allowed_events(n, 0.9) for n in (2.0, 2.4, 14.0)]
    [-1, 0, 8]
    """
    from scipy.special import gammaincinv

    # A Gamma quantile above the median exceeds its shape - 1/3; below, k may pass n_budget by a few roots.
    k_most = int(n_budget + 4.0 * np.sqrt(n_budget)) + 4
    quantiles = gammaincinv(np.arange(1, k_most + 2), confidence)
    return int(np.searchsorted(quantiles, n_budget, side="right")) - 1


def dispersion(scores: CalibrationScores, rule: EventRule, level: float) -> Dispersion | None:
    """How cluster peaks above ``level`` scatter over stretches of observed time; None = too few stretches.

    A stretch is one observed machine-day, or a tenth of the data where that is shorter, so that gaps in the log
    do not pass for quiet days.
    """
    from scipy.special import gammaincc

    row, n_blocks = _time_blocks(scores)
    if n_blocks < MIN_BLOCKS:
        return None
    _, _, peak = cluster_peaks(scores.time, scores.score, scores.group, level, rule.merge_gap_rows, rule.step_seconds)
    block = row[peak]
    counts = np.bincount(block[block >= 0], minlength=n_blocks)
    if counts.sum() == 0:
        return Dispersion(1.0, is_certain=False)
    ratio = float(counts.var(ddof=1) / counts.mean())
    freedom = n_blocks - 1  # (n - 1) ratio is chi-square for Poisson counts (Fisher 1950, index of dispersion test)
    return Dispersion(max(1.0, ratio), is_certain=bool(gammaincc(freedom / 2, freedom * ratio / 2) < 0.1))


def _time_blocks(scores: CalibrationScores) -> tuple[NDArray[np.int64], int]:
    """Stretch of observed time that each row lies in, (T,), -1 in a machine's incomplete last one; and their number."""
    is_scored = np.isfinite(scores.score)
    rows_per_day = SECONDS_PER_DAY / scores.step_seconds
    length = max(1, int(min(rows_per_day, int(is_scored.sum()) / MIN_BLOCKS)))
    block = np.full(len(scores.score), -1, np.int64)
    n_blocks = 0
    for machine in np.unique(scores.group[is_scored]):
        rows = np.flatnonzero(is_scored & (scores.group == machine))
        n_full = len(rows) // length
        block[rows[: n_full * length]] = n_blocks + np.arange(n_full * length) // length
        n_blocks += n_full
    return block, n_blocks

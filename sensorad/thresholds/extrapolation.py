"""How rare events are that the calibration data are too short to show: tails of event heights with their doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError
from sensorad.events import EventRule, event_curve
from sensorad.thresholds.base import CalibrationScores, ThresholdResult
from sensorad.thresholds.counting import dispersion, expected_rate
from sensorad.thresholds.pareto import fit_pareto, likeliest_scale

__all__ = ["UncertainTail", "event_heights", "extrapolated_budget", "top_peaks"]

BODY_QUANTILE = 0.95
"""Events are looked at above this quantile of the scores: below, they grow into one another."""

LEAST_PEAKS = 20
"""Fewer event heights than this above the level of a tail are no ground for one."""

MOST_PEAKS = 100
"""Heights that make a tail at most: more would be body, and let it say how the tail goes on."""

LARGEST_SHAPE = 0.5
"""Of the tail; the least is 0, so that it never ends: a few rows cannot prove that nothing lies beyond."""

FURTHEST = 30.0
"""Longest step beyond the data: a line may stand in for at most so many times the days that are there."""


def event_heights(scores: CalibrationScores, rule: EventRule, quantile: float = BODY_QUANTILE) -> NDArray[np.float64]:
    """Heights (E,) of the normal events, highest first: at every threshold, as many are above it as there are events.

    Where the count of `event_curve` dips on the way down, because events grow together, it is held: the number of
    heights above a threshold is the largest count at that threshold or any higher one. So no level has to be
    chosen at which clusters are formed, as for `cluster_peaks`, which at a low level bridges what are separate events
    at the line.

    Parameters
    ----------
    scores
        Normal scores.
    quantile
        Of the scores, above which events are looked at.

    Raises
    ------
    DataError
        No score is positive.

    Examples
    --------
    >>> score = np.zeros(1000)
    >>> score[[100, 101, 500, 900]] = [3.0, 4.0, 2.0, 5.0]
    >>> scores = CalibrationScores(np.arange(1000) * 10**9, score, np.zeros(1000, np.int32), 1.0)
    >>> event_heights(scores, EventRule()).tolist()
    [5.0, 4.0, 2.0]
    """
    finite = scores.finite
    floor = float(np.quantile(finite, quantile))
    if floor <= 0:
        positive = finite[finite > 0]
        if len(positive) == 0:
            raise DataError("no calibration score is positive, so no event has a height")
        floor = float(positive.min()) / 2
    curve = event_curve(scores.time, scores.score, scores.group, rule, floor)
    steps = np.unique(np.append(curve.low, curve.high))
    held = np.maximum.accumulate(curve.count(steps)[::-1])[::-1]
    return np.repeat(steps[1:], -np.diff(held))[::-1]


def top_peaks(heights: NDArray[np.float64], where: str) -> tuple[float, NDArray[np.float64]]:
    """Level and excesses (K,) of the tail of ``heights`` (E,), highest first: their upper third, 20 to 100 of them.

    Raises
    ------
    TooLittleDataError
        Fewer than 20 heights above any other.
    """
    below = heights[heights < heights[LEAST_PEAKS - 1]] if len(heights) > LEAST_PEAKS else heights[:0]
    if len(below) == 0:
        raise TooLittleDataError(
            f"a tail needs more than {LEAST_PEAKS} separate normal events of different heights above the "
            f"{BODY_QUANTILE:.0%} quantile of the scores, got {len(heights)}",
            where=where,
            hint=f"give about {max(1.1, 1.1 * (LEAST_PEAKS + 1) / max(len(heights), 1)):.2g} times as much normal data",
        )
    n_wanted = min(MOST_PEAKS, max(LEAST_PEAKS, len(heights) // 3), len(heights) - 1)
    level = float(min(heights[n_wanted], below[0]))
    return level, heights[heights > level] - level


@dataclass(frozen=True, slots=True)
class UncertainTail:
    """Generalised Pareto tails that excesses may come from, on a grid of shapes and scales, with their weights.

    The weight of a tail is its likelihood times what was thought of its shape before: a fit alone forgets that
    20 to 100 excesses leave the shape open, and far beyond them that is what matters. Averaged over the weights, the
    chance to exceed x is that of the next excess (posterior predictive: Coles 2001, section 9.1).

    Attributes
    ----------
    shapes : (S,) float64
        From 0 to 0.5.
    scales : (G,) float64
        In the unit of the excesses.
    weights : (S, G) float64
        Sum to 1.

    Examples
    --------
    >>> tail = UncertainTail.fit(np.random.default_rng(0).exponential(size=100))
    >>> [round(float(p), 3) for p in tail.expected_survival(np.array([0.0, 1.0, 10.0]))]
    [1.0, 0.419, 0.002]
    """

    shapes: NDArray[np.float64]
    scales: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, excess: NDArray[np.float64], dispersion: float = 1.0, preference: float = 0.0) -> UncertainTail:
        """Learn from positive excesses (n,).

        Parameters
        ----------
        dispersion
            Excesses that say as much as one independent one: their likelihood is taken to 1 / dispersion.
        preference
            Shapes weigh (1 - shape / 0.5)^preference beforehand: 0 prefers none, which is cautious, as most normal
            scores have lighter tails than the middle of the range.
        """
        unit = float(excess.mean())
        x = excess / unit
        shapes = np.linspace(0.0, LARGEST_SHAPE, 26)
        width = 5.0 * np.sqrt(2.0 * (1.0 + LARGEST_SHAPE) * dispersion / len(x))
        lowest = likeliest_scale(x, LARGEST_SHAPE)
        scales = np.geomspace(lowest * np.exp(-width), np.exp(width), 81)
        reach = x[:, None] / scales  # (n, G)
        log_likelihood = np.array(
            [-_decay(shape, reach).sum(0) - shape * _decay(shape, reach).sum(0) for shape in shapes]
        )
        log_likelihood -= len(x) * np.log(scales)  # (S, G)
        weights = np.exp((log_likelihood - log_likelihood.max()) / dispersion)
        weights *= (1.0 - shapes / (LARGEST_SHAPE + shapes[1]))[:, None] ** preference
        return cls(shapes, scales * unit, weights / weights.sum())

    def survival(self, x: float) -> NDArray[np.float64]:
        """P(excess > x) under each tail, (S, G)."""
        survival: NDArray[np.float64] = np.exp(-np.array([_decay(shape, x / self.scales) for shape in self.shapes]))
        return survival

    def expected_survival(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(next excess > x), the average over tails, (P,)."""
        return np.array([float((self.weights * self.survival(value)).sum()) for value in x])


def extrapolated_budget(
    scores: CalibrationScores,
    rule: EventRule,
    per_day: float,
    confidence: float,
    needed_days: float,
    method: str,
    parameters: dict[str, Any],
) -> ThresholdResult:
    """The line above which a tail of event heights has no more than ``per_day`` events, with ``confidence``.

    Both the number of peaks above the tail's level (Gamma, over the days observed) and the tail (`UncertainTail`, no
    shape preferred) are uncertain; the line is the lowest at which the rate is within the budget in ``confidence``
    of what they leave possible. Bursts count as in the budget: n peaks say as much as n / dispersion. Events of any
    length are counted, so with ``min_rows`` above 1 the line is higher than it need be.

    Of simulated calibrations of 2 and 3 days of minutes, 94 % or more kept a budget of 1 a week (independent,
    autoregressive, heavy-tailed and bursty scores), at a mean rate between 0.01 and 0.45 of it.

    Parameters
    ----------
    scores
        The normal scores of `checked_scores`.
    per_day
        Events allowed per machine-day.
    needed_days
        Machine-days with which the budget could be promised.
    method, parameters
        Name and settings for the result.

    Raises
    ------
    TooLittleDataError
        20 event heights or fewer, or ``needed_days`` of more than 30 times the data.
    """
    where = f"threshold method {method}"
    if needed_days > FURTHEST * scores.days:
        raise TooLittleDataError(
            f"{scores.days * 24:.4g} machine-hours of normal scores are available, and a line is extrapolated at most "
            f"{FURTHEST:g}-fold: {needed_days / FURTHEST * 24:.4g} are needed at least, {needed_days * 24:.4g} for a "
            "line that is promised",
            where=where,
            hint="add normal data, or choose a larger budget",
        )
    level, excess = top_peaks(event_heights(scores, rule), where)
    found = dispersion(scores, rule, level)
    spread = 1.0 if found is None else found.value
    tail = UncertainTail.fit(excess, spread)
    threshold = level + _reach_of_limit(tail, len(excess), scores.days, spread, per_day, confidence)
    likeliest = fit_pareto(excess, confidence)
    by_tail = len(excess) / scores.days * float(tail.expected_survival(np.array([threshold - level]))[0])
    rate = expected_rate(scores, rule, threshold, confidence, spread)
    return ThresholdResult(
        threshold=threshold,
        method=method,
        parameters={
            **parameters,
            "dispersion": spread,
            "needed_days": needed_days,
            "level_score": level,
            "n_peaks": len(excess),
            "shape": likeliest.shape,
            "shape_interval": list(likeliest.shape_interval),
            "scale": likeliest.scale,
            "scale_interval": list(likeliest.scale_interval),
            "fitted_by": likeliest.fitted_by,
            "events_per_machine_day_by_tail": by_tail,
        },
        expected_events_per_day=rate.per_day,
        interval=rate.interval,
        confidence=confidence,
        calibration_days=scores.days,
        n_rows=scores.n_scored,
        assumptions=(
            "normal operation stays as in the calibration data, which hold no faults",
            "the scores come from rows that the weights were not fitted on",
            f"{scores.days:.3g} machine-days are too few to promise the budget, which takes {needed_days:.3g}: the "
            f"line rests on the shape of a tail through the {len(excess)} highest normal events",
            "heights of events go on beyond what was seen as a generalised Pareto tail with a shape between 0 and "
            f"{LARGEST_SHAPE:g}; if so, the budget is kept with about {confidence:.0%} confidence",
        ),
        is_extrapolated=True,
        is_promised=False,
    )


def _reach_of_limit(
    tail: UncertainTail, n_peaks: int, days: float, spread: float, per_day: float, confidence: float
) -> float:
    """Lowest excess above which the rate is at most ``per_day`` with ``confidence``."""
    from scipy.special import gammainc

    def confidence_at(x: float) -> float:
        # The rate of peaks follows Gamma(n / spread) spread / days; the share of it above x must fit the budget.
        most = per_day / np.maximum(tail.survival(x), 1e-300)
        return float((tail.weights * gammainc(n_peaks / spread, most * days / spread)).sum())

    low, high = 0.0, float(tail.scales[-1])
    while confidence_at(high) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if confidence_at(middle) < confidence else (low, middle)
    return high


def _decay(shape: float, reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log survival at ``reach`` scales above the level."""
    return reach if shape == 0.0 else np.log1p(shape * reach) / shape

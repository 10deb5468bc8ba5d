"""False-alarm budget in the mean: "N alarm events a day, on average", from less than half the data of a promise."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, nextafter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventCurve, EventRule, event_curve
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.budget import MOST_ALARM_ROWS, Budget, budget_assumptions, count_events, lowered_line
from sensorad.thresholds.counting import dispersion, expected_rate

__all__ = ["BudgetMeanThreshold"]

ROUNDING = 1e-9
"""Seven days at one event a week are one event, not 0.9999999999999999."""


@dataclass(frozen=True, slots=True)
class BudgetMeanThreshold:
    """Line whose true false-alarm rate is the budget on average over calibrations: about every second one exceeds it.

    If clustered exceedances are Poisson and the line is the j-th largest peak of M machine-days, the expected
    number of events in M machine-days follows Gamma(j, 1) whatever the distribution of the scores (see
    `allowed_events`), and has the mean j. So j = N M makes the mean rate N. Between two peaks the line is
    interpolated on the logarithm of the score with the weight that makes the mean exact for a power-law tail.

    False alarms in bursts of D equal peaks would make the mean count j + (D - 1) / 2, since the j-th peak lies
    somewhere inside a burst; where daily counts show bursts beyond chance, j is smaller by that much.

    Against the textbook alternative, the ceil((B M + 1) (1 - N / B))-th smallest of the maxima of B blocks a day, the
    mean rate of events is nearer to N: 0.92-1.07 N against 0.74-1.98 N over nine score processes, since a block
    with two events counts once there and an event across two blocks twice.

    Parameters
    ----------
    budget
        What is acceptable on average.
    confidence
        Of the stated interval of the rate, in (0, 1).

    Raises
    ------
    TooLittleDataError
        Fewer machine-days than 1 / N, or than (1 + (D - 1) / 2) / N where bursts are beyond chance; the message says
        how many hours are missing.
    DataError
        Scores that are constant, infinite or never positive.

    Examples
    --------
    >>> score = np.random.default_rng(0).exponential(size=4 * 1440)
    >>> scores = CalibrationScores(np.arange(score.size) * 60 * 10**9, score, np.zeros(score.size, np.int32), 60.0)
    >>> result = BudgetMeanThreshold(Budget.parse("1/day")).fit(scores, EventRule())
    >>> bool(result.threshold == np.sort(score)[-4]), result.expected_events_per_day
    (True, 0.75)
    >>> round(result.parameters["probability_above_budget"], 2)
    0.43
    """

    budget: Budget
    confidence: float = 0.9
    name: ClassVar[str] = "budget-mean"

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must lie between 0 and 1, got {self.confidence!r}", hint="0.9 is usual")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The line for events under ``rule``."""
        from scipy.special import gammaincc, gammaincinv

        scores = checked_scores(scores, self.name)
        finite = scores.finite
        n_machines = scores.n_machines
        per_day = self.budget.per_machine_day(n_machines)
        n_budget = per_day * scores.days
        self._refuse_too_little(scores, per_day, 1.0)

        floor_level = _positive_median(finite, self.name)
        curve = event_curve(scores.time, scores.score, scores.group, rule, floor_level)
        # Twice as many peaks as the line will leave: enough counts to see bursts, close enough to be theirs.
        found = dispersion(scores, rule, curve.level(2 * floor(n_budget) + 8))
        spread = 1.0 if found is None else found.value
        n_peaks = n_budget
        if found is not None and found.is_certain:
            self._refuse_too_little(scores, per_day, spread)
            n_peaks -= (spread - 1.0) / 2.0

        lowest = float(np.quantile(finite, 1.0 - MOST_ALARM_ROWS))
        place = _Place(scores, finite, rule, curve, max(floor_level, lowest))
        threshold = max(place.at(n_peaks), lowest)
        is_at_floor = threshold == lowest
        rate = expected_rate(scores, rule, threshold, self.confidence, spread)
        shape = n_budget / spread  # the true count is close to spread * Gamma(shape), with mean n_budget
        tail = (1.0 - self.confidence) / 2.0
        low, high = (float(gammaincinv(shape, q)) * spread / scores.days for q in (tail, 1.0 - tail))
        return ThresholdResult(
            threshold=threshold,
            method=self.name,
            parameters={
                "budget": str(self.budget),
                "per": self.budget.per,
                "events_per_machine_day": per_day,
                "n_machines": n_machines,
                "n_peaks": n_peaks,
                "dispersion": spread,
                "probability_above_budget": None if is_at_floor else float(gammaincc(shape, shape)),
                "true_rate_interval": None if is_at_floor else [low, high],
            },
            expected_events_per_day=rate.per_day,
            interval=rate.interval,
            confidence=self.confidence,
            calibration_days=scores.days,
            n_rows=len(finite),
            assumptions=(*budget_assumptions(found, is_at_floor=is_at_floor), _on_average(is_at_floor)),
        )

    def _refuse_too_little(self, scores: CalibrationScores, per_day: float, spread: float) -> None:
        factor = 1.0 + (spread - 1.0) / 2.0
        needed = factor / per_day
        if scores.days >= needed * (1.0 - ROUNDING):
            return
        have_hours, need_hours = scores.days * 24, needed * 24
        bursts = f"; false alarms come in bursts here, which multiplies the need by {factor:.2g}" if spread > 1 else ""
        raise TooLittleDataError(
            f"a budget of {self.budget} on average needs {need_hours:.4g} machine-hours of normal scores, "
            f"{have_hours:.4g} are available{bursts}",
            where=f"threshold method {self.name}",
            hint=f"add {need_hours - have_hours:.3g} hours of normal data, or choose a larger budget or another method",
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the line goes that leaves a given number of peaks above or at it."""

    scores: CalibrationScores
    finite: NDArray[np.float64]
    rule: EventRule
    curve: EventCurve
    lowest: float

    def at(self, n_peaks: float) -> float:
        """The level of peak number ``n_peaks`` >= 1 from the top, between two peaks where it is fractional.

        For the j-th and (j + 1)-th peak the expected counts are G_1 <= G_2 with G_1 / G_2 ~ Beta(j, 1) independent
        of G_2 ~ Gamma(j + 1, 1); where the logarithm of the rate is linear in the scale of the levels, the mean of
        G_1^(1-w) G_2^w is (j + 1) j / (j + 1 - w), which is j + f for w = f (j + 1) / (j + f).
        """
        j = max(1, floor(n_peaks + ROUNDING))
        high = self._level(j - 1)
        f = n_peaks - j
        if f <= ROUNDING:
            return high
        low = self._level(j)
        w = f * (j + 1) / (j + f)
        between = float(np.clip(high ** (1.0 - w) * low**w, min(low, high), high))
        # With min_rows > 1 or a refractory time, counts between the two levels need not lie between their counts.
        return between if count_events(self.scores, self.rule, between) <= j else high

    def _level(self, k: int) -> float:
        """Lowest line with at most k events; the builder has the last word over the curve."""
        level = self.curve.level(k)
        if self.rule.min_rows > 1 or count_events(self.scores, self.rule, level) < k:
            level = lowered_line(self.scores, self.finite, self.rule, level, self.lowest, k)
        while count_events(self.scores, self.rule, level) > k:
            level = nextafter(level, np.inf)
        return level


def _positive_median(finite: NDArray[np.float64], method: str) -> float:
    """A level well below any line, from which events are counted."""
    median = float(np.median(finite))
    if median > 0:
        return median
    if finite.max() <= 0:
        raise DataError(
            "no calibration score is positive, so severity = score / threshold has no meaning",
            where=f"threshold method {method}",
        )
    return float(finite[finite > 0].min())


def _on_average(is_at_floor: bool) -> str:
    if is_at_floor:
        return "the budget holds on average over calibrations and need not in each"
    return "the budget holds on average over calibrations, not in each: about every second one exceeds it"

"""Return periods: how long normal operation takes, on average, to reach a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError, UsageError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, checked_scores
from sensorad.thresholds.extrapolation import UncertainTail, event_heights, top_peaks

__all__ = ["ReturnPeriods", "describe_days"]

FURTHEST = 100.0
"""Longest answer, in calibration lengths; whatever is rarer is said to be at least that rare."""

COUNTED = 3
"""Events from which on the count is the answer; the highest few are left to the tail, which is steadier."""

PREFERENCE = 1.0
"""For shapes near 0, see `UncertainTail.fit`. Chosen on independent, autoregressive, heavy-tailed and bursty scores so
that the errors lie on both sides: at the length of the calibration, events come 0.6 to 1.8 times as often as said after
7 days of minutes and 0.8 to 1.3 times after 30."""

BODY_POINTS = 300
TAIL_POINTS = 120

_UNITS = (("minute", 1 / 1440, 90 / 1440), ("hour", 1 / 24, 1.5), ("day", 1.0, 60.0), ("month", 30.4375, 730.5))


@dataclass(frozen=True, slots=True, eq=False)
class ReturnPeriods:
    """Expected events per machine-day as a function of their height, for normal operation under one event rule.

    Up to the third highest event of the calibration the rate is counted: j events reach the j-th highest, and if
    events are Poisson, the rate above it is j per calibration length on average (Coles 2001, section 7.3). Beyond,
    it falls as a generalised Pareto tail through the upper third of the heights, with a shape between 0 and 0.5 and
    averaged over its uncertainty, so that it never ends because of a few rows. Events are counted as if ``min_rows``
    were 1 and none were refractory; with other rules the rates are upper bounds.

    Attributes
    ----------
    levels : (P,) float64
        Event heights, ascending; the first is the lowest height that is told apart.
    rates : (P,) float64
        Events per machine-day that reach each level, falling; between levels their logarithm is a straight line.
    n_days
        Machine-days of calibration.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n_rows = 30 * 1440
    >>> scores = CalibrationScores(np.arange(n_rows) * 60 * 10**9, rng.exponential(size=n_rows),
    ...                            np.zeros(n_rows, np.int32), step_seconds=60.0)
    >>> returns = ReturnPeriods.fit(scores, EventRule())
    >>> f"once in {describe_days(float(returns.days(10.0)))} on normal data"  # exp(10) minutes are 15.3 days
    'once in 13 days on normal data'
    >>> returns.is_extrapolated(np.array([10.0, 12.0])).tolist(), float(returns.days(1000.0))
    ([False, True], 3000.0)
    """

    levels: NDArray[np.float64]
    rates: NDArray[np.float64]
    n_days: float

    @classmethod
    def fit(cls, scores: CalibrationScores, rule: EventRule) -> ReturnPeriods:
        """Learn from the normal rows of ``scores``, in seconds for ten million.

        Raises
        ------
        TooLittleDataError
            20 events or fewer above the 95 % quantile of the scores.
        DataError
            Scores that are infinite, constant or never positive.
        """
        scores = checked_scores(scores, "return period")
        heights = event_heights(scores, rule)
        level, excess = top_peaks(heights, "return period")
        tail = UncertainTail.fit(excess, preference=PREFERENCE)

        highest_first, first = np.unique(-heights, return_index=True)
        levels = -highest_first[::-1]
        counts = np.append(first[1:], len(heights))[::-1]  # events that reach each level
        is_counted = levels <= heights[COUNTED - 1]
        kept = _thinned(counts[is_counted])
        levels, counts = levels[is_counted][kept], counts[is_counted][kept]

        # The tail goes on from the last counted level, down to the rarest answer that is given.
        rarest = 1.0 / (FURTHEST * scores.days)
        start = float(levels[-1]) - level
        at_start = float(tail.expected_survival(np.array([start]))[0])
        least = rarest / (counts[-1] / scores.days) * at_start
        unit = float(excess.mean())
        end = start + unit
        while tail.expected_survival(np.array([end]))[0] > least:
            end = start + 2 * (end - start)
        # Steps grow with the height: the rate falls exponentially at first, like a power later on.
        reach = start + unit * np.expm1(np.linspace(0.0, np.log1p((end - start) / unit), TAIL_POINTS + 1)[1:])
        rates = counts[-1] / scores.days * tail.expected_survival(reach) / at_start
        n_kept = int(np.searchsorted(-rates, -rarest)) + 1
        return cls(
            levels=np.append(levels, level + reach[:n_kept]),
            rates=np.append(counts / scores.days, np.maximum(rates[:n_kept], rarest)),
            n_days=scores.days,
        )

    def rate(self, level: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Expected events per machine-day that reach ``level``, shape as given; below all levels that of the lowest."""
        return np.asarray(np.exp(np.interp(level, self.levels, np.log(self.rates))))

    def days(self, score: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Machine-days in which normal operation has one event of this height, at most 100 calibration lengths."""
        return np.where(np.asarray(score) >= self.levels[-1], self.longest_days, 1.0 / self.rate(score))

    def days_of(self, score: float) -> float:
        """`days` of a single score."""
        return float(self.days(score))

    @property
    def longest_days(self) -> float:
        """The answer for everything that is rarer still."""
        return FURTHEST * self.n_days

    def is_extrapolated(self, score: NDArray[np.floating] | float) -> NDArray[np.bool_]:
        """Whether `days` goes beyond the calibration, which then cannot show it."""
        return np.asarray(self.days(score) > self.n_days)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReturnPeriods):
            return NotImplemented
        ours, theirs = self.to_arrays(), other.to_arrays()
        return all(np.array_equal(ours[name], theirs[name]) for name in ours)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact."""
        return {"returns.levels": self.levels, "returns.rates": self.rates, "returns.days": np.array([self.n_days])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> ReturnPeriods:
        """The return periods of `to_arrays`; `ArtefactError` where they cannot be some."""
        levels, rates, days = (arrays[f"returns.{name}"] for name in ("levels", "rates", "days"))
        is_sound = levels.ndim == 1 and levels.shape == rates.shape and len(levels) > 0 and days.shape == (1,)
        if not (is_sound and (np.diff(levels) > 0).all() and (np.diff(rates) <= 0).all() and rates[-1] > 0 < days[0]):
            raise ArtefactError(
                "levels must rise while rates fall, all of them positive",
                where="returns.levels, returns.rates",
                hint="calibrate the detector again",
            )
        return cls(levels, rates, float(days[0]))


def describe_days(days: float, longest: float = inf) -> str:
    """A time in the unit in which it is easiest to picture, or "more than ``longest``" from there on.

    Examples
    --------
    >>> [describe_days(days) for days in (0.2, 11.3, 97.4, 1600.0)]
    ['4.8 hours', '11 days', '3.2 months', '4.4 years']
    >>> describe_days(1600.0, longest=1461.0)
    'more than 4 years'
    """
    if not days >= 0:
        raise UsageError(f"a time must not be negative, got {days!r} days")
    if days >= longest:
        return f"more than {describe_days(longest)}"
    if days < 1 / 1440:
        return "less than a minute"
    name, length = next(((unit, size) for unit, size, limit in _UNITS if days < limit), ("year", 365.25))
    number = f"{days / length:.1f}".removesuffix(".0") if days / length < 9.95 else f"{days / length:.0f}"
    return f"{number} {name}{'' if number == '1' else 's'}"


def _thinned(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of at most `BODY_POINTS` of falling ``counts`` (P,), the first and the last among them, evenly in log."""
    if len(counts) <= BODY_POINTS:
        return np.arange(len(counts))
    wanted = np.geomspace(counts[0], counts[-1], BODY_POINTS)
    places = np.searchsorted(-counts, -wanted)
    return np.unique(np.clip(places, 0, len(counts) - 1))

"""False-alarm budget: "at most N alarm events a day", kept with a stated confidence or refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, nextafter
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.counting import Dispersion, allowed_events, dispersion, expected_rate, needed_events
from sensorad.thresholds.extrapolation import extrapolated_budget

__all__ = ["Budget", "BudgetThreshold", "budget_assumptions", "count_events", "lowered_line"]

MOST_ALARM_ROWS = 0.05
"""Largest share of normal rows above the line, whatever the budget."""

_UNIT_DAYS = {"day": 1.0, "week": 7.0, "month": 30.0}


@dataclass(frozen=True, slots=True)
class Budget:
    """How many alarm events are acceptable on normal operation.

    Parameters
    ----------
    count
        Events per ``unit``.
    unit
        "day", "week" or "month" (30 days).
    per
        "machine": each machine may use the budget, so it is counted per machine-day. "log": all machines of
        the log together share it.

    Examples
    --------
    >>> Budget.parse("2/week").per_day == 2 / 7
    True
    >>> str(Budget.parse("0.5/day"))
    '0.5/day'
    """

    count: float
    unit: Literal["day", "week", "month"] = "day"
    per: Literal["machine", "log"] = "machine"

    def __post_init__(self) -> None:
        if not isfinite(self.count) or self.count <= 0:
            raise UsageError(
                f"a budget must allow more than 0 events, got {self.count!r}",
                hint="no finite calibration can promise none at all; try '1/month'",
            )
        if self.unit not in _UNIT_DAYS:
            raise UsageError(f"a budget is per day, week or month, got {self.unit!r}")
        if self.per not in ("machine", "log"):
            raise UsageError(f"a budget is per 'machine' or per 'log', got {self.per!r}")

    @property
    def per_day(self) -> float:
        """Events a day."""
        return self.count / _UNIT_DAYS[self.unit]

    def per_machine_day(self, n_machines: int) -> float:
        """Events a day that each of so many machines may have."""
        return self.per_day / (n_machines if self.per == "log" else 1)

    def __str__(self) -> str:
        return f"{self.count:g}/{self.unit}"

    @classmethod
    def parse(cls, text: str, per: Literal["machine", "log"] = "machine") -> Budget:
        """A budget from "2/week", "0.5/day" or "3/month"."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*/\s*(day|week|month)\s*", text, flags=re.ASCII)
        if match is None:
            raise UsageError(
                f"a budget looks like '2/week', got {text!r}", hint="a number, '/', then day, week or month"
            )
        unit: Literal["day", "week", "month"] = match[2]  # type: ignore[assignment]
        return cls(float(match[1]), unit, per)


@dataclass(frozen=True, slots=True)
class BudgetThreshold:
    """Lowest line whose true false-alarm rate is within the budget in ``confidence`` of calibrations.

    The line is placed so that the calibration scores have k events above it, and never more at any higher line;
    k is the largest count that still proves the budget: GammaQuantile(confidence; k + 1) <= N M / D, with
    N events allowed per machine-day, M machine-days and D the dispersion of daily counts, where it is beyond chance.
    However generous the budget, the line leaves no more than `MOST_ALARM_ROWS` of the normal rows above it: on hourly
    rows, one event a day could otherwise be a single alarm without end.

    Parameters
    ----------
    budget
        What is acceptable.
    confidence
        Share of calibrations that keep the promise, in (0, 1).
    is_extrapolated_if_short
        With fewer machine-days than the promise needs, place the line by the tail of event heights instead of
        refusing: see `extrapolated_budget`. Such a result is marked as extrapolated and promises nothing.

    Raises
    ------
    TooLittleDataError
        Fewer machine-days than 2.303 / N (at 90 %), or than 2.303 D / N where bursts are beyond chance; the message
        says how many hours are missing. If extrapolated: 20 events or fewer, or less than a thirtieth of those days.
    DataError
        Scores that are constant, infinite or never positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> minutes = 14 * 1440
    >>> scores = CalibrationScores(np.arange(minutes) * 60 * 10**9, rng.exponential(size=minutes),
    ...                       np.zeros(minutes, np.int32), step_seconds=60.0)
    >>> result = BudgetThreshold(Budget.parse("1/day")).fit(scores, EventRule())
    >>> result.is_promised, result.expected_events_per_day < 1
    (True, True)
    """

    budget: Budget
    confidence: float = 0.9
    is_extrapolated_if_short: bool = False
    name: ClassVar[str] = "budget"

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must lie between 0 and 1, got {self.confidence!r}")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line for events under ``rule``."""
        scores = checked_scores(scores, self.name)
        finite = scores.finite
        n_machines = scores.n_machines
        per_day = self.budget.per_machine_day(n_machines)
        n_budget = per_day * scores.days
        parameters: dict[str, Any] = {
            "budget": str(self.budget),
            "per": self.budget.per,
            "events_per_machine_day": per_day,
            "n_machines": n_machines,
        }
        if self._is_short(scores, per_day, 1.0):
            return self._extrapolated(scores, rule, per_day, 1.0, parameters)

        floor = float(np.median(finite))
        if floor <= 0:
            if finite.max() <= 0:
                raise DataError("no calibration score is positive, so severity = score / threshold has no meaning")
            floor = float(finite[finite > 0].min())
        curve = event_curve(scores.time, scores.score, scores.group, rule, floor)
        # More and lower peaks than the line will leave over: enough counts to see bursts, close enough to be theirs.
        found = dispersion(scores, rule, curve.level(4 * allowed_events(n_budget, self.confidence) + 8))
        # Chance scatter must not turn away data that are enough, nor raise the line: taken for bursts it left the rate
        # at 0.46 to 0.65 of the budget, where 0.50 to 0.66 keep the promise as well (bench_thresholds.py).
        spread = found.value if found is not None and found.is_certain else 1.0
        if self._is_short(scores, per_day, spread):
            return self._extrapolated(scores, rule, per_day, spread, parameters)
        k = max(0, allowed_events(n_budget / spread, self.confidence))

        threshold = curve.level(k)
        if rule.min_rows > 1 or rule.refractory_rows > rule.merge_gap_rows:
            threshold = lowered_line(scores, finite, rule, threshold, floor, k)
        lowest = float(np.quantile(finite, 1.0 - MOST_ALARM_ROWS))
        threshold = max(threshold, lowest)
        while count_events(scores, rule, threshold) > k:  # the builder has the last word over rounding in the curve
            threshold = nextafter(threshold, np.inf)
        rate = expected_rate(scores, rule, threshold, self.confidence, spread)
        return ThresholdResult(
            threshold=threshold,
            method=self.name,
            parameters={**parameters, "n_allowed": k, "dispersion": spread},
            expected_events_per_day=rate.per_day,
            interval=rate.interval,
            confidence=self.confidence,
            calibration_days=scores.days,
            n_rows=len(finite),
            assumptions=budget_assumptions(found, is_at_floor=threshold == lowest),
            is_promised=True,
        )

    def _is_short(self, scores: CalibrationScores, per_day: float, spread: float) -> bool:
        """Whether the data cannot prove the budget; `TooLittleDataError` unless that may be extrapolated."""
        needed = needed_events(self.confidence) * spread / per_day
        if scores.days >= needed:
            return False
        if self.is_extrapolated_if_short:
            return True
        have_hours, need_hours = scores.days * 24, needed * 24
        bursts = f"; false alarms come in bursts here, which multiplies the need by {spread:.2g}" if spread > 1 else ""
        raise TooLittleDataError(
            f"a budget of {self.budget} at {self.confidence:.0%} confidence needs {need_hours:.4g} machine-hours of "
            f"normal scores, {have_hours:.4g} are available{bursts}",
            where=f"threshold method {self.name}",
            hint=f"add {need_hours - have_hours:.3g} hours of normal data, or choose a larger budget, a lower "
            "confidence or another method",
        )

    def _extrapolated(
        self, scores: CalibrationScores, rule: EventRule, per_day: float, spread: float, parameters: dict[str, Any]
    ) -> ThresholdResult:
        needed_days = needed_events(self.confidence) * spread / per_day
        return extrapolated_budget(scores, rule, per_day, self.confidence, needed_days, self.name, parameters)


def count_events(scores: CalibrationScores, rule: EventRule, threshold: float) -> int:
    return len(event_spans(scores.time, scores.score, scores.group, threshold, rule))


def lowered_line(
    scores: CalibrationScores, finite: NDArray[np.float64], rule: EventRule, threshold: float, floor: float, k: int
) -> float:
    """The lowest line with at most k events, on a grid downwards from ``threshold``.

    The curve counts events of any length, so its line is too high by now, never too low. Steps are 1 % of the
    rows above the line, or one row; going down ends at the first line with too many events.
    """
    candidates = np.unique(finite[(finite >= floor) & (finite < threshold)])[::-1]
    n_above = int((finite >= threshold).sum())
    place = 0
    while place < len(candidates) and count_events(scores, rule, float(candidates[place])) <= k:
        threshold = float(candidates[place])
        place += max(1, (n_above + place) // 100)
    return threshold


def budget_assumptions(found: Dispersion | None, *, is_at_floor: bool) -> tuple[str, ...]:
    stated = [
        "normal operation stays as in the calibration data, which hold no faults",
        "the scores come from rows that the weights were not fitted on",
    ]
    if found is None:
        stated.append("false alarms come independently (too few days to measure bursts)")
    elif found.is_certain:
        stated.append(f"false alarms come in bursts as they do here (dispersion {found.value:.2g}, allowed for)")
    if is_at_floor:
        stated.append(
            f"the budget would allow a lower line, but {MOST_ALARM_ROWS:.0%} of the normal rows above it is the most"
        )
    return tuple(stated)

"""Whether a calibration still describes normal, since when not, and why, in words and in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sensorad.monitoring.baseline import CalibrationBaseline
from sensorad.monitoring.martingale import EvidencePath
from sensorad.monitoring.weekly import WeekCount, bad_run, explained_events, lasting_excess

__all__ = ["StaleVerdict", "judged"]

LEAST_PERIODS, LEAST_DAYS = 3, 7.0
"""The martingale needs three periods to say anything, the counts a week; a verdict before both is none."""


@dataclass(frozen=True, slots=True)
class StaleVerdict:
    """What the scores so far say about the calibration behind them.

    Attributes
    ----------
    is_stale : bool
        The calibration no longer describes normal.
    since : int or None
        When that began, nanoseconds since 1970 in UTC: the earliest of the dates behind the reasons.
    reasons : tuple of str
        Why, in words; empty where it is not stale.
    weeks : tuple of WeekCount
        Alarm events by week.
    evidence : (float, float)
        log10 of the martingale of block maxima now, and the highest that it was; 2 is the alarm.
    n_blocks : int
        Blocks without an alarm that were compared with the calibration.
    is_early : bool
        Too few scores for any verdict.
    days_observed, n_events, upper
        Machine-days of scores, alarm events in them, and how many the calibration explains (99 %).

    Examples
    --------
    >>> StaleVerdict(False, None, (), (), (-0.4, 0.0), 816, False, 34.0, 3, 7).statement()
    'this calibration describes the scores so far (34 days, 3 alarm events, at most 7 expected)'
    """

    is_stale: bool
    since: int | None
    reasons: tuple[str, ...]
    weeks: tuple[WeekCount, ...]
    evidence: tuple[float, float]
    n_blocks: int
    is_early: bool
    days_observed: float
    n_events: int
    upper: int

    def statement(self) -> str:
        """The verdict in plain words."""
        if self.is_stale and self.since is not None:
            return (
                f"this calibration no longer describes normal: since {_day(self.since)}, {' and '.join(self.reasons)}"
            )
        seen = f"{_span(self.days_observed)}, {_number(self.n_events, 'alarm event')}, at most {self.upper} expected"
        if self.n_events > self.upper:
            return f"this calibration is in doubt, but a burst of alarm events does not prove it wrong ({seen})"
        if self.is_early:
            return f"too early to say whether this calibration describes the scores ({seen})"
        return f"this calibration describes the scores so far ({seen})"

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain values for JSON; times in UTC."""
        return {
            "is_stale": self.is_stale,
            "since": None if self.since is None else _instant(self.since),
            "statement": self.statement(),
            "reasons": list(self.reasons),
            "weeks": [_week_json(week) for week in self.weeks],
            "evidence_log10": self.evidence[0],
            "peak_evidence_log10": self.evidence[1],
            "n_blocks": self.n_blocks,
            "is_early": self.is_early,
            "days_observed": self.days_observed,
            "n_events": self.n_events,
            "upper": self.upper,
        }


def judged(
    baseline: CalibrationBaseline, weeks: Sequence[WeekCount], path: EvidencePath, n_blocks: int, first_time: int
) -> StaleVerdict:
    """The verdict from alarm weeks and evidence of a log that begins at ``first_time``; either may condemn."""
    since: list[int] = []
    reasons: list[str] = []
    run = bad_run(weeks)
    if run is not None:
        since.append(max(first_time, run[0].start))
        reasons.append(_week_reason(run))
    excess = lasting_excess(baseline, weeks)
    if run is None and excess is not None:
        week, n_events, upper, n_weeks = excess
        since.append(max(first_time, week.start))
        reasons.append(
            f"alarm events have been more frequent than it explains ({n_events} in {n_weeks} weeks, "
            f"at most {upper} expected)"
        )
    crossing, change = path.crossing, path.change
    if crossing is not None and change is not None:
        period_ns = round(baseline.block_seconds * 1e9) * baseline.period_blocks
        since.append(max(first_time, int(path.period[change]) * period_ns))
        way = "higher" if path.lean[crossing] > 0 else "lower"
        reasons.append(
            f"the scores without an alarm have been {way} than in the calibration "
            f"(evidence 100 : 1 reached on {_day(int(path.period[crossing]) * period_ns)})"
        )
    days_observed = sum(week.days_observed for week in weeks)
    return StaleVerdict(
        is_stale=bool(reasons),
        since=min(since) if since else None,
        reasons=tuple(reasons),
        weeks=tuple(weeks),
        evidence=(float(path.log10[-1]), max(0.0, float(path.log10.max()))) if len(path.log10) else (0.0, 0.0),
        n_blocks=n_blocks,
        is_early=not reasons and days_observed < LEAST_DAYS and len(path.log10) < LEAST_PERIODS,
        days_observed=days_observed,
        n_events=sum(week.n_events for week in weeks),
        upper=explained_events(baseline, days_observed),
    )


def _week_reason(run: tuple[WeekCount, WeekCount]) -> str:
    first, second = run
    if first.is_standing and second.is_standing:
        return (
            f"the score has stood above the alarm line for {first.share_above:.0%} and {second.share_above:.0%} of the "
            "time in two weeks in a row"
        )
    return (
        f"alarm events came more often than it explains ({first.n_events} and {second.n_events} in two weeks in a row, "
        f"at most {first.upper} and {second.upper} expected)"
    )


def _week_json(week: WeekCount) -> dict[str, Any]:
    return {
        "start": _instant(week.start),
        "n_events": week.n_events,
        "n_counted": week.n_counted,
        "days_observed": week.days_observed,
        "upper": week.upper,
        "share_above": week.share_above,
        "is_over": week.is_over,
        "is_beyond": week.is_beyond,
    }


def _day(time: int) -> str:
    return str(np.datetime64(time, "ns").astype("datetime64[D]"))


def _instant(time: int) -> str:
    return f"{np.datetime64(time, 'ns').astype('datetime64[s]')}Z"


def _span(days: float) -> str:
    for length, unit in ((1.0, "day"), (1 / 24, "hour"), (1 / 1440, "minute")):
        if days >= length:
            return _number(float(f"{days / length:.3g}"), unit)
    return _number(float(f"{days * 86_400:.3g}"), "second")


def _number(number: float, unit: str) -> str:
    return f"{number:,g} {unit}{'' if number == 1 else 's'}"

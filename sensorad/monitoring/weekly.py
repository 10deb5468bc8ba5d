"""Weekly alarm counts against what the calibration explains, and the two rules that make them a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from sensorad.monitoring.baseline import CalibrationBaseline

__all__ = ["DAY_NS", "DayCount", "WeekCount", "bad_run", "explained_events", "lasting_excess", "week_counts"]

DAY_NS = 86_400_000_000_000
LEVEL = 0.99
"""A week's count is above the band in 1 % of weeks. One such week is a fault; two in a row are none (0.0 - 1.5 % of
years with a true calibration, by its number of events). A tripled rate shows after 4 weeks with 49 calibration events
in 60 days, and with 8 in a fortnight in half of the cases within four months: so few leave the rate itself open."""

TOTAL_LEVEL = 0.998
FIRST_LOOK = 4
"""The total is looked at after 4, 8, 16, ... weeks, each time at 0.2 %, for rates too low to fill a week: with 8 events
in 60 days, a tripled rate is found in 17 weeks in 65 % of cases instead of 41 %, false flags rise by 0.3 % a year."""

RISE = 1.44
"""Reference value of a Poisson CUSUM for a doubled rate, in expected counts: 1 / log 2 (Lucas 1985)."""

STANDING_SHARE, STANDING_DAYS = 0.25, 0.7
"""An alarm stands on a day with a quarter of the rows above the line, and in a week with 70 % of such days: a fault of
seven days cannot fill two weeks in a row, a calibration that is wholly off the mark does, perhaps as a single event."""

LEAST_DAYS = 1.0
"""A week with less than a machine-day of scores neither makes nor breaks a run."""


@dataclass(slots=True)
class DayCount:
    """What one UTC day held, over all machines: rows with a score, those above the line, and events that began."""

    n_scored: int = 0
    n_above: int = 0
    n_events: int = 0


@dataclass(frozen=True, slots=True)
class WeekCount:
    """Alarm events of one week of a log against what the calibration explains.

    Attributes
    ----------
    start : int
        First midnight of the week, nanoseconds since 1970 in UTC; weeks are counted from the log's first day.
    n_events : int
        Alarm events that began in the week.
    days_observed : float
        Machine-days of scored rows.
    upper : int
        Largest count that the calibration explains, in 99 % of weeks observed as long.
    n_counted : int
        Events that count: no day counts for more than the calibration explains on a day, so that a burst does not
        pass for a bad week.
    share_above : float
        Share of the scored rows that are above the line.
    is_standing : bool
        The score stood above the line on most days.
    is_over : bool
        The week is complete, or the log ended in it; a week in progress is not judged.
    """

    start: int
    n_events: int
    days_observed: float
    upper: int
    n_counted: int
    share_above: float
    is_standing: bool
    is_over: bool

    @property
    def is_beyond(self) -> bool:
        """The calibration does not explain this week."""
        return self.is_over and (self.n_counted > self.upper or self.is_standing)


def explained_events(baseline: CalibrationBaseline, days: float, level: float = LEVEL) -> int:
    """Largest number of events in ``days`` machine-days that the calibration explains, at ``level``.

    The rate is only known from the calibration's n events in M machine-days. A line laid on the (n + 1)-th peak
    leaves a rate of Gamma(n + 1) / M whatever the scores, and a line that was given leaves less, so the count of new
    events is negative binomial; clustered events carry the weight of n / dispersion, and their variance is
    ``dispersion`` times larger.

    Examples
    --------
    >>> import numpy as np
    >>> from sensorad.monitoring.dependence import Dependence
    >>> calibration = CalibrationBaseline(1.0, 8, 14.0, 1.0, 3600.0, 24, np.zeros(0), np.zeros(0), Dependence())
    >>> [explained_events(calibration, days) for days in (0.0, 1.0, 7.0)]
    [0, 3, 12]
    """
    from scipy.special import nbdtrik  # as scipy.stats.nbinom.ppf, without loading scipy.stats

    spread = baseline.dispersion
    shape = baseline.n_events / spread + 1.0
    mean = spread * shape * days / baseline.days
    if mean <= 0.0:
        return 0
    size = mean / (spread - 1.0 + mean / shape)
    return max(0, ceil(float(nbdtrik(level, size, size / (size + mean))) - 1e-9))


def week_counts(
    baseline: CalibrationBaseline, days: Mapping[int, DayCount], first_day: int, end: float, step_seconds: float
) -> tuple[WeekCount, ...]:
    """Weeks from ``first_day`` on that have rows or events, in order; a week is over once ``end`` (ns) reached its end.

    ``days`` are counts by day number since 1970.
    """
    weeks: dict[int, list[DayCount]] = {}
    for day in sorted(days):
        weeks.setdefault((day - first_day) // 7, []).append(days[day])
    return tuple(_week(baseline, (first_day + 7 * week) * DAY_NS, weeks[week], end, step_seconds) for week in weeks)


def bad_run(weeks: Sequence[WeekCount]) -> tuple[WeekCount, WeekCount] | None:
    """The first two weeks in a row that the calibration does not explain; weeks hardly observed are passed over."""
    before: WeekCount | None = None
    for week in weeks:
        if week.days_observed < LEAST_DAYS:
            continue
        if before is not None and before.is_beyond and week.is_beyond:
            return before, week
        before = week
    return None


def lasting_excess(baseline: CalibrationBaseline, weeks: Sequence[WeekCount]) -> tuple[WeekCount, int, int, int] | None:
    """Where all weeks together have more events than the calibration explains: since when, events, band, weeks.

    The week is the one from which on a CUSUM rises (Page 1954).
    """
    judged = [week for week in weeks if week.is_over and week.days_observed >= LEAST_DAYS]
    per_day = (baseline.n_events + baseline.dispersion) / baseline.days
    n_weeks = FIRST_LOOK
    while n_weeks <= len(judged):
        seen = judged[:n_weeks]
        n_counted = sum(week.n_counted for week in seen)
        upper = explained_events(baseline, sum(week.days_observed for week in seen), TOTAL_LEVEL)
        if n_counted > upper:
            drifts = [week.n_counted - RISE * per_day * week.days_observed for week in seen]
            before = [0.0, *accumulate(drifts)][:-1]  # the CUSUM before each week
            return seen[before.index(min(before))], n_counted, upper, n_weeks
        n_weeks *= 2
    return None


def _week(
    baseline: CalibrationBaseline, start: int, days: Sequence[DayCount], end: float, step_seconds: float
) -> WeekCount:
    n_scored = sum(day.n_scored for day in days)
    observed = [day for day in days if day.n_scored]
    n_standing = sum(day.n_above > STANDING_SHARE * day.n_scored for day in observed)
    row_days = step_seconds / 86_400.0
    return WeekCount(
        start=start,
        n_events=sum(day.n_events for day in days),
        days_observed=n_scored * row_days,
        upper=explained_events(baseline, n_scored * row_days),
        n_counted=sum(
            min(day.n_events, explained_events(baseline, day.n_scored * row_days)) for day in days if day.n_events
        ),
        share_above=sum(day.n_above for day in days) / n_scored if n_scored else 0.0,
        is_standing=n_standing > STANDING_DAYS * len(observed) if observed else False,
        is_over=end >= start + 7 * DAY_NS,
    )

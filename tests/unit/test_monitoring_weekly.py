"""Weekly alarm counts: the band, partly observed weeks, bursts, and the rules that make weeks a verdict."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sensorad.monitoring.baseline import CalibrationBaseline
from sensorad.monitoring.dependence import Dependence
from sensorad.monitoring.weekly import (
    DAY_NS,
    DayCount,
    WeekCount,
    bad_run,
    explained_events,
    lasting_excess,
    week_counts,
)

ROWS = 288
STEP = 300.0


def _baseline(n_events: int = 8, days: float = 14.0, dispersion: float = 1.0) -> CalibrationBaseline:
    return CalibrationBaseline(5.0, n_events, days, dispersion, 3600.0, 24, np.zeros(0), np.zeros(0), Dependence())


def _weeks(events: list[int], baseline: CalibrationBaseline | None = None, n_rows: int = ROWS) -> tuple[WeekCount, ...]:
    """Complete weeks from events on each day."""
    days = {100 + i: DayCount(n_rows, 0, n) for i, n in enumerate(events)}
    return week_counts(baseline or _baseline(), days, 100, (100 + len(events)) * DAY_NS, STEP)


@pytest.mark.parametrize("n_events", [0, 1, 8, 40])
@pytest.mark.parametrize("days", [0.2, 1.0, 7.0, 100.0])
def test_the_band_is_the_negative_binomial_one(n_events: int, days: float) -> None:
    """Events at an unknown rate of Gamma(n + 1) / 14 days."""
    p = 14.0 / (14.0 + days)
    assert explained_events(_baseline(n_events), days) == stats.nbinom.ppf(0.99, n_events + 1, p)


def test_the_band_holds_what_it_says_for_a_line_on_a_peak() -> None:
    rng = np.random.default_rng(0)
    rate = rng.gamma(8 + 1, size=20_000) / 14
    above = rng.poisson(7 * rate) > explained_events(_baseline(8), 7.0)
    assert 0.004 < above.mean() < 0.0105


def test_bursts_widen_the_band() -> None:
    rng = np.random.default_rng(0)
    spread = 3.0
    rate = rng.gamma(30 / spread + 1, size=20_000) * spread / 60
    counts = rng.negative_binomial(7 * rate / (spread - 1), 1 / spread)  # variance 3 times the mean
    wide, narrow = (explained_events(_baseline(30, 60.0, d), 7.0) for d in (spread, 1.0))
    assert (counts > wide).mean() <= 0.012
    assert (counts > narrow).mean() > 0.03
    assert explained_events(_baseline(30, 60.0, spread), 0.0) == 0


def test_weeks_start_with_the_first_day_and_partial_ones_count_by_exposure() -> None:
    days = {103: DayCount(ROWS, 0, 1), 106: DayCount(ROWS // 2, 9, 0), 110: DayCount(ROWS, 0, 2)}
    first, second = week_counts(_baseline(), days, 103, 111 * DAY_NS, STEP)
    assert (first.start, second.start) == (103 * DAY_NS, 110 * DAY_NS)
    assert (first.n_events, first.days_observed, second.n_events, second.days_observed) == (1, 1.5, 2, 1.0)
    assert (first.upper, second.upper) == (explained_events(_baseline(), 1.5), explained_events(_baseline(), 1.0))
    assert first.share_above == pytest.approx(9 / (1.5 * ROWS))
    assert (first.is_over, second.is_over) == (True, False)


def test_two_weeks_in_a_row_condemn_and_one_does_not() -> None:
    quiet, loud = [1, 0, 1, 0, 1, 0, 1], [2] * 7  # 14 > 12
    assert bad_run(_weeks(loud + quiet + loud + quiet)) is None
    run = bad_run(_weeks(quiet + loud + loud))
    assert run is not None
    assert run[0].start == 107 * DAY_NS


def test_a_week_in_progress_is_not_judged() -> None:
    days = {100 + i: DayCount(ROWS, 0, 3) for i in range(13)}
    weeks = week_counts(_baseline(), days, 100, 113 * DAY_NS, STEP)
    assert [week.is_beyond for week in weeks] == [True, False]
    assert bad_run(weeks) is None


def test_a_burst_counts_as_one_bad_day() -> None:
    """A fault of three days across a week's end, with forty events, is no bad week at all."""
    weeks = _weeks([1, 0, 1, 0, 1, 15, 15, 10, 0, 1, 0, 1, 0, 1])
    assert [week.n_events for week in weeks] == [33, 13]
    assert [week.n_counted for week in weeks] == [3 + 2 * 3, 3 + 3]
    assert not any(week.is_beyond for week in weeks)


def test_hardly_observed_weeks_neither_make_nor_break_a_run() -> None:
    hour = {day: DayCount(ROWS, 0, 2) for day in (*range(100, 107), *range(114, 121))}
    hour[108] = DayCount(12, 0, 0)
    weeks = week_counts(_baseline(), hour, 100, 121 * DAY_NS, STEP)
    assert len(weeks) == 3
    run = bad_run(weeks)
    assert run is not None
    assert (run[0].start, run[1].start) == (100 * DAY_NS, 114 * DAY_NS)
    hour[108] = DayCount(ROWS * 2, 0, 0)
    assert bad_run(week_counts(_baseline(), hour, 100, 121 * DAY_NS, STEP)) is None


def test_an_alarm_that_never_ends_is_not_one_event() -> None:
    def weeks(n_standing: int) -> tuple[WeekCount, ...]:
        days = {100 + i: DayCount(ROWS, ROWS // 2 if i < n_standing else 0, 0) for i in range(14)}
        return week_counts(_baseline(), days, 100, 114 * DAY_NS, STEP)

    assert bad_run(weeks(14)) is not None
    assert bad_run(weeks(9)) is None  # a fault of a week and more
    assert weeks(14)[0].share_above == 0.5


def test_a_rate_too_low_for_weeks_shows_in_the_total() -> None:
    calibration = _baseline(8, 60.0)  # one a week; a week explains 4
    tripled = [1, 0, 1, 0, 1, 0, 0]
    quiet = [1, 0, 0, 0, 0, 0, 0]
    assert bad_run(_weeks(tripled * 16, calibration)) is None
    assert lasting_excess(calibration, _weeks(quiet * 64, calibration)) is None
    found = lasting_excess(calibration, _weeks(quiet * 4 + tripled * 28, calibration))
    assert found is not None
    week, n_events, upper, n_weeks = found
    assert week.start == (100 + 28) * DAY_NS
    assert n_events > upper
    assert n_weeks in (16, 32)


def test_false_flags_of_the_two_rules_over_a_year() -> None:
    """True calibrations of 8 events: 0.8 % in 20,000 years; here few enough to run quickly."""
    rng = np.random.default_rng(0)
    n_flags = 0
    for _ in range(150):
        rate = rng.gamma(9) / 14
        weeks = _weeks(rng.poisson(rate, 364).tolist())
        n_flags += bad_run(weeks) is not None or lasting_excess(_baseline(), weeks) is not None
    assert n_flags <= 5

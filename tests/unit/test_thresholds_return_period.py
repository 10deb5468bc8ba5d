"""Return periods: what they say about calibration data, and that fresh normal data agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from sensorad.errors import ArtefactError, DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import CalibrationScores
from sensorad.thresholds.return_period import ReturnPeriods, describe_days

DAY = 1440  # rows of one minute
RULE = EventRule()


def _scores(score: np.ndarray, n_machines: int = 1) -> CalibrationScores:
    each = len(score) // n_machines
    time = np.tile(np.arange(each, dtype=np.int64) * 60 * 10**9, n_machines)
    return CalibrationScores(time, score, np.repeat(np.arange(n_machines), each).astype(np.int32), 60.0)


def _count(scores: CalibrationScores, line: float) -> int:
    return len(event_spans(scores.time, scores.score, scores.group, line, RULE))


def _smooth(rng: np.random.Generator, n_rows: int, memory: float = 0.9) -> np.ndarray:
    noise = rng.standard_normal(n_rows + 500)
    return np.exp(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise)[500:])


def _bursts(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    score = rng.exponential(size=n_rows)
    for start in rng.integers(0, n_rows, size=rng.poisson(n_rows / 4000)):
        rows = slice(int(start), int(start + rng.integers(10, 60)))
        score[rows] += rng.exponential(3.0) * rng.random(len(score[rows]))
    return score


PROCESSES = {
    "independent": lambda rng, n: rng.exponential(size=n),
    "heavy tail": lambda rng, n: np.abs(rng.standard_t(3, size=n)),
    "smooth": _smooth,
    "bursts": _bursts,
}


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_fresh_events_come_as_often_as_said(process):
    draw, n_days = PROCESSES[process], 14
    rng = np.random.default_rng(20250301)
    fresh = _scores(draw(rng, 1000 * DAY))
    grid = np.quantile(fresh.score, 1 - np.geomspace(0.02, 1e-7, 4000))
    ratios = []
    for _ in range(20):
        returns = ReturnPeriods.fit(_scores(draw(rng, n_days * DAY)), RULE)
        days = returns.days(grid)
        wanted = np.array([0.1, 0.3, 1.0]) * n_days
        lines = grid[np.searchsorted(days, wanted)]
        ratios.append([_count(fresh, float(line)) / 1000 * R for line, R in zip(lines, wanted, strict=True)])
    mean = np.mean(ratios, axis=0)
    assert np.all((mean > 0.5) & (mean < 2.0)), mean


def test_inside_the_calibration_it_counts():
    scores = _scores(_smooth(np.random.default_rng(0), 30 * DAY))
    returns = ReturnPeriods.fit(scores, RULE)
    for line in np.quantile(scores.score, [0.99, 0.995, 0.998, 0.9995]):
        assert float(returns.rate(line)) * 30 == pytest.approx(_count(scores, float(line)), abs=1, rel=0.02)
    third = returns.levels[np.flatnonzero(returns.rates >= 3 / 30)[-1]]
    assert float(returns.rate(third)) * 30 == pytest.approx(3)
    assert _count(scores, float(third)) == 2  # the third highest event peaks there


def test_the_answer_never_falls_and_ends_at_a_hundred_calibrations():
    scores = _scores(_smooth(np.random.default_rng(1), 20 * DAY))
    returns = ReturnPeriods.fit(scores, RULE)
    at = np.append(np.linspace(0.0, 2 * scores.score.max(), 5000), 1e9)
    days = returns.days(at)
    assert np.all(np.diff(days) >= 0)
    assert days[-1] == 100 * returns.n_days == 2000
    assert days[0] == pytest.approx(1 / returns.rates[0])
    assert np.max(np.diff(np.log(returns.rates))) <= 0
    flags = returns.is_extrapolated(at)
    assert flags.tolist() == (days > 20).tolist()
    assert not flags[0]
    assert flags[-1]
    assert returns.days(5.0).shape == ()
    assert np.isnan(returns.days(np.nan))


def test_a_hard_end_of_the_scores_does_not_make_the_tail_end():
    score = np.random.default_rng(0).uniform(1.0, 2.0, size=30 * DAY)
    returns = ReturnPeriods.fit(_scores(score), RULE)
    days = returns.days(np.array([2.0, 2.001, 2.002]))
    assert np.all(np.diff(days) > 0)
    assert days[-1] < 100 * 30


def test_one_outlier_does_not_make_all_else_ordinary():
    score = np.random.default_rng(0).exponential(size=30 * DAY)
    plain = ReturnPeriods.fit(_scores(score), RULE)
    score[1000] = 100.0
    outlier = ReturnPeriods.fit(_scores(score), RULE)
    at = np.array([6.0, 8.0, 10.0, 12.0])
    ratio = outlier.days(at) / plain.days(at)
    assert np.all((ratio > 0.2) & (ratio <= 1.05))
    assert np.all(outlier.days(at[:2]) == pytest.approx(plain.days(at[:2]), rel=0.05))


def test_rates_are_per_machine():
    rng = np.random.default_rng(0)
    one = ReturnPeriods.fit(_scores(rng.exponential(size=40 * DAY)), RULE)
    four = ReturnPeriods.fit(_scores(rng.exponential(size=40 * DAY), n_machines=4), RULE)
    assert four.n_days == one.n_days == 40
    assert float(four.rate(7.0)) == pytest.approx(float(one.rate(7.0)), rel=0.4)


def test_faulty_rows_and_rows_without_a_score_do_not_count():
    score = np.random.default_rng(0).exponential(size=30 * DAY)
    fault = np.full(len(score), -1, np.int32)
    score[5 * DAY : 6 * DAY] += 30.0
    fault[5 * DAY : 6 * DAY] = 0
    plain = _scores(score)
    labelled = CalibrationScores(plain.time, score, plain.group, 60.0, fault=fault)
    holed = _scores(np.where(fault >= 0, np.nan, score))
    assert ReturnPeriods.fit(labelled, RULE) == ReturnPeriods.fit(holed, RULE)
    assert ReturnPeriods.fit(labelled, RULE).n_days == pytest.approx(29)
    assert ReturnPeriods.fit(labelled, RULE) != ReturnPeriods.fit(plain, RULE)


def test_a_change_of_unit_moves_the_levels_along():
    score = _smooth(np.random.default_rng(3), 20 * DAY)
    one, eight = (ReturnPeriods.fit(_scores(k * score), RULE) for k in (1.0, 8.0))
    np.testing.assert_allclose(eight.levels, 8 * one.levels, rtol=1e-9)
    np.testing.assert_allclose(eight.rates, one.rates, rtol=1e-9)


def test_it_is_small_and_survives_storage():
    rng = np.random.default_rng(0)
    returns = ReturnPeriods.fit(_scores(rng.exponential(size=400 * DAY)), RULE)
    arrays = returns.to_arrays()
    assert all(name.startswith("returns.") and array.dtype == np.float64 for name, array in arrays.items())
    assert len(returns.levels) <= 500
    again = ReturnPeriods.from_arrays({name: array.copy() for name, array in arrays.items()})
    assert again == returns
    assert again != "something else"
    at = np.linspace(0.0, 40.0, 999)
    np.testing.assert_array_equal(again.days(at), returns.days(at))


@pytest.mark.parametrize(
    "change",
    [
        {"returns.rates": np.array([1.0, 2.0])},
        {"returns.levels": np.array([2.0, 1.0])},
        {"returns.rates": np.array([1.0])},
        {"returns.rates": np.array([1.0, 0.0])},
        {"returns.days": np.array([0.0])},
        {"returns.days": np.array([1.0, 2.0])},
        {"returns.levels": np.zeros(0), "returns.rates": np.zeros(0)},
    ],
)
def test_arrays_that_make_no_sense_are_refused(change):
    sound = {
        "returns.levels": np.array([1.0, 2.0]),
        "returns.rates": np.array([1.0, 0.5]),
        "returns.days": np.array([9.0]),
    }
    assert float(ReturnPeriods.from_arrays(sound).days(1.0)) == 1.0
    with pytest.raises(ArtefactError, match="calibrate the detector again"):
        ReturnPeriods.from_arrays({**sound, **change})


def test_refusals():
    rng = np.random.default_rng(0)
    with pytest.raises(TooLittleDataError, match=r"more than 20 separate.*got \d.*times as much"):
        ReturnPeriods.fit(_scores(_smooth(rng, DAY)), RULE)
    with pytest.raises(TooLittleDataError, match="none of the 100"):
        ReturnPeriods.fit(_scores(np.full(100, np.nan)), RULE)
    with pytest.raises(DataError, match="positive"):
        ReturnPeriods.fit(_scores(-1 - rng.exponential(size=10 * DAY)), RULE)


def test_scores_with_ties():
    rng = np.random.default_rng(0)
    for score in (np.round(rng.exponential(size=30 * DAY)), np.minimum(rng.exponential(size=30 * DAY), 6.0)):
        returns = ReturnPeriods.fit(_scores(score), RULE)
        top = float(score.max())
        assert float(returns.rate(top)) * 30 == pytest.approx(_count(_scores(score), np.nextafter(top, 0)), abs=2)
        assert float(returns.days(3 * top)) > 10 * float(returns.days(top))
    mostly_zero = np.maximum(rng.exponential(size=30 * DAY) - 6.0, 0.0)
    returns = ReturnPeriods.fit(_scores(mostly_zero), RULE)
    assert float(returns.rate(1.0)) * 30 == pytest.approx(_count(_scores(mostly_zero), 1.0), abs=3)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.0, "less than a minute"),
        (1 / 1440, "1 minute"),
        (0.05, "72 minutes"),
        (5 / 24, "5 hours"),
        (1.0, "24 hours"),
        (1.5, "1.5 days"),
        (9.94, "9.9 days"),
        (9.97, "10 days"),
        (11.3, "11 days"),
        (97.4, "3.2 months"),
        (731.0, "2 years"),
        (36_525.0, "100 years"),
    ],
)
def test_days_in_words(days, text):
    assert describe_days(days) == text
    assert describe_days(days, longest=4 * 365.25) == (text if days < 1461 else "more than 4 years")


def test_no_words_for_impossible_times():
    for days in (-1.0, np.nan):
        with pytest.raises(UsageError, match="time"):
            describe_days(days)

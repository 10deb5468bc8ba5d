"""The false-alarm budget on average: placement, refusals, bursts, and that the mean rate is the budget."""

from __future__ import annotations

import json

import numpy as np
import pytest
from minute_scores import DAY, minute_scores, smooth_scores
from scipy import stats

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds.base import CalibrationScores
from sensorad.thresholds.budget import Budget, BudgetThreshold
from sensorad.thresholds.budget_mean import BudgetMeanThreshold


def _shocks(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Every two days on average, six equal peaks an hour apart."""
    score = rng.exponential(size=n_rows)
    for start in np.flatnonzero(rng.random(n_rows) < 1 / (2 * DAY)):
        at = start + np.arange(0, 360, 60)
        score[at[at < n_rows]] = 8.0 + rng.exponential(4.0)
    return score


def _count(scores: CalibrationScores, threshold: float, rule: EventRule) -> int:
    return len(event_spans(scores.time, scores.score, scores.group, threshold, rule))


def _naive_level(scores: CalibrationScores, rule: EventRule, k: int) -> float:
    """Down from the top through every score: the last line before there were ever more than k events."""
    level = np.inf
    for line in np.unique(scores.score)[::-1]:
        if _count(scores, float(line), rule) > k:
            break
        level = float(line)
    return level


@pytest.mark.parametrize("seed", range(4))
def test_the_line_is_the_peak_of_the_budget(seed: int) -> None:
    rule = EventRule(merge_gap_rows=7, release=1.0)
    scores = minute_scores(smooth_scores(np.random.default_rng(seed), 6 * DAY))
    result = BudgetMeanThreshold(Budget.parse("2/day")).fit(scores, rule)
    assert result.parameters["n_peaks"] == 12
    assert result.threshold == _naive_level(scores, rule, 11)
    assert _count(scores, result.threshold, rule) == 11
    assert _count(scores, float(np.nextafter(result.threshold, 0)), rule) > 11
    assert not result.is_promised


@pytest.mark.parametrize("seed", range(1, 5))  # seed 0 scatters like bursts
def test_fractions_lie_between_two_peaks(seed: int) -> None:
    rule = EventRule(merge_gap_rows=7, release=1.0)
    scores = minute_scores(np.random.default_rng(seed).exponential(size=9 * DAY // 2))
    result = BudgetMeanThreshold(Budget.parse("1/day")).fit(scores, rule)
    assert result.parameters["n_peaks"] == pytest.approx(4.5)
    high, low = _naive_level(scores, rule, 3), _naive_level(scores, rule, 4)
    w = 0.5 * 5 / 4.5
    assert result.threshold == pytest.approx(high ** (1 - w) * low**w, rel=1e-12)
    assert low < result.threshold < high


@pytest.mark.parametrize("seed", range(3))
def test_short_events_are_not_counted(seed: int) -> None:
    rule = EventRule(merge_gap_rows=7, min_rows=3)
    scores = minute_scores(smooth_scores(np.random.default_rng(seed), 6 * DAY))
    result = BudgetMeanThreshold(Budget.parse("2/day")).fit(scores, rule)
    expected = _naive_level(scores, rule, 11)
    n_more = int(np.sum((scores.score >= expected) & (scores.score < result.threshold)))
    assert n_more <= max(1, 0.02 * np.sum(scores.score >= expected))
    assert _count(scores, result.threshold, rule) <= 11
    every = BudgetMeanThreshold(Budget.parse("2/day")).fit(scores, EventRule(merge_gap_rows=7))
    assert result.threshold < every.threshold


@pytest.mark.parametrize("process", [smooth_scores, _shocks])
def test_a_refractory_time_lowers_the_line(process) -> None:
    rng = np.random.default_rng(3)
    method, rule = BudgetMeanThreshold(Budget.parse("1/day")), EventRule(refractory_rows=720)
    fresh, rates = minute_scores(process(rng, 500 * DAY)), []
    for _ in range(30):
        scores = minute_scores(process(rng, 14 * DAY))
        every, spaced = method.fit(scores, EventRule()), method.fit(scores, rule)
        assert spaced.threshold <= every.threshold
        assert round(spaced.expected_events_per_day * 14) == _count(scores, spaced.threshold, rule) <= 13
        rates.append(_count(fresh, spaced.threshold, rule) / 500)
    assert 0.7 <= np.mean(rates) <= 1.1


def test_the_result_says_what_it_is_worth() -> None:
    scores = minute_scores(np.random.default_rng(0).exponential(size=9 * DAY))
    result = BudgetMeanThreshold(Budget.parse("1/day")).fit(scores, EventRule())
    assert result.parameters["dispersion"] == 1.0
    assert result.parameters["probability_above_budget"] == pytest.approx(stats.gamma.sf(9, 9))
    low, high = result.parameters["true_rate_interval"]
    assert (low, high) == pytest.approx((stats.gamma.ppf(0.05, 9) / 9, stats.gamma.ppf(0.95, 9) / 9))
    assert result.expected_events_per_day == pytest.approx(8 / 9)
    assert any("on average over calibrations, not in each" in text for text in result.assumptions)
    assert "promises nothing" in result.statement()
    assert type(result).from_json(json.loads(json.dumps(result.to_json()))) == result


def test_too_little_data_says_how_many_hours_are_missing() -> None:
    scores = minute_scores(smooth_scores(np.random.default_rng(0), 7 * DAY))
    result = BudgetMeanThreshold(Budget.parse("1/week")).fit(scores, EventRule())
    assert result.threshold == scores.score.max()
    with pytest.raises(TooLittleDataError, match=r"1/week on average needs 168 machine-hours.*144 are.*add 24 hours"):
        BudgetMeanThreshold(Budget.parse("1/week")).fit(minute_scores(scores.score[:-DAY]), EventRule())


def test_it_needs_less_data_and_draws_a_lower_line_than_the_promise() -> None:
    scores = minute_scores(np.random.default_rng(0).exponential(size=14 * DAY))
    mean, promise = (m(Budget.parse("1/day")).fit(scores, EventRule()) for m in (BudgetMeanThreshold, BudgetThreshold))
    assert mean.threshold < promise.threshold
    few = minute_scores(scores.score[: 2 * DAY])
    BudgetMeanThreshold(Budget.parse("1/day")).fit(few, EventRule())
    with pytest.raises(TooLittleDataError):
        BudgetThreshold(Budget.parse("1/day")).fit(few, EventRule())


def test_bursts_raise_the_line_and_the_need() -> None:
    score = np.random.default_rng(0).exponential(size=28 * DAY)
    bursty = score.copy()
    for day in (5, 19):
        bursty[day * DAY + np.arange(0, DAY, 60)] += 12.0
    method = BudgetMeanThreshold(Budget.parse("1/day"))
    plain, raised = method.fit(minute_scores(score), EventRule()), method.fit(minute_scores(bursty), EventRule())
    spread = raised.parameters["dispersion"]
    assert spread > 5
    assert raised.parameters["n_peaks"] == pytest.approx(28 - (spread - 1) / 2)
    assert raised.parameters["n_peaks"] < plain.parameters["n_peaks"] == 28
    low, high = raised.parameters["true_rate_interval"]
    assert low < plain.parameters["true_rate_interval"][0]
    assert high > plain.parameters["true_rate_interval"][1]
    weekly = BudgetMeanThreshold(Budget.parse("1/week"))  # four events: less than half of a burst
    weekly.fit(minute_scores(score), EventRule())
    with pytest.raises(TooLittleDataError, match=r"bursts here, which multiplies the need by \d"):
        weekly.fit(minute_scores(bursty), EventRule())


def test_generous_budgets_leave_few_rows_above_the_line() -> None:
    score = np.random.default_rng(0).exponential(size=2 * DAY)
    result = BudgetMeanThreshold(Budget.parse("5000/day")).fit(minute_scores(score), EventRule())
    assert result.threshold == np.quantile(score, 0.95)
    assert any("the budget would allow" in text for text in result.assumptions)
    assert result.parameters["probability_above_budget"] is None
    assert result.parameters["true_rate_interval"] is None


def test_scores_that_are_mostly_zero() -> None:
    score = np.maximum(np.random.default_rng(0).exponential(size=14 * DAY) - 5.0, 0.0)
    result = BudgetMeanThreshold(Budget.parse("1/day")).fit(minute_scores(score), EventRule())
    assert result.threshold > 0
    assert result.expected_events_per_day <= 1
    with pytest.raises(DataError, match="no calibration score is positive"):
        BudgetMeanThreshold(Budget.parse("1/day")).fit(minute_scores(-1.0 - score), EventRule())


def test_a_budget_for_the_log_is_shared_by_its_machines() -> None:
    scores = minute_scores(np.random.default_rng(0).exponential(size=60 * DAY), n_machines=4)
    each = BudgetMeanThreshold(Budget.parse("1/day")).fit(scores, EventRule())
    shared = BudgetMeanThreshold(Budget.parse("1/day", per="log")).fit(scores, EventRule())
    quarter = BudgetMeanThreshold(Budget.parse("0.25/day")).fit(scores, EventRule())
    assert shared.threshold == quarter.threshold > each.threshold
    assert shared.parameters["events_per_machine_day"] == 0.25
    few = minute_scores(np.random.default_rng(0).exponential(size=8 * DAY), n_machines=4)
    with pytest.raises(TooLittleDataError, match="672 machine-hours"):
        BudgetMeanThreshold(Budget.parse("1/week", per="log")).fit(few, EventRule())


@pytest.mark.parametrize("confidence", [0.0, 1.0, 90])
def test_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        BudgetMeanThreshold(Budget(1.0), confidence)


def test_smaller_budgets_never_lower_the_line() -> None:
    scores = minute_scores(smooth_scores(np.random.default_rng(5), 30 * DAY))
    lines = [BudgetMeanThreshold(Budget(n)).fit(scores, EventRule()).threshold for n in (5.0, 1.7, 1.0, 0.31, 0.3)]
    assert lines == sorted(lines)
    assert lines[0] < lines[-1]


PROCESSES = {
    "independent": lambda rng, n: rng.exponential(size=n),
    "heavy tail": lambda rng, n: np.abs(rng.standard_t(3, size=n)),
    "smooth": smooth_scores,
    "very smooth": lambda rng, n: smooth_scores(rng, n, memory=0.99),
    "bursts": _shocks,
}


@pytest.mark.parametrize("process", sorted(PROCESSES))
@pytest.mark.parametrize(("budget", "n_days", "n_calibrations"), [("1/day", 14, 150), ("1/week", 60, 100)])
def test_the_mean_rate_is_the_budget(process: str, budget: str, n_days: int, n_calibrations: int) -> None:
    draw, rule = PROCESSES[process], EventRule()
    rng = np.random.default_rng(20240229)
    fresh = minute_scores(draw(rng, 3000 * DAY))
    truth = event_curve(fresh.time, fresh.score, fresh.group, rule, float(np.quantile(fresh.score, 0.95)))
    method = BudgetMeanThreshold(Budget.parse(budget))
    results = [method.fit(minute_scores(draw(rng, n_days * DAY)), rule) for _ in range(n_calibrations)]
    rates = truth.count(np.array([r.threshold for r in results])) / 3000 / Budget.parse(budget).per_day
    assert 0.8 <= rates.mean() <= 1.1
    assert 0.25 <= np.mean(rates > 1.0) <= 0.7

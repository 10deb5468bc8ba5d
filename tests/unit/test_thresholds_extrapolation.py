"""Tails of event heights, and the budget line that rests on one where data are short."""

from __future__ import annotations

import json

import numpy as np
import pytest
from minute_scores import DAY, minute_scores, smooth_scores
from scipy import stats

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds import Budget, BudgetThreshold, ThresholdResult
from sensorad.thresholds.extrapolation import UncertainTail, event_heights, top_peaks

RULE = EventRule()
WEEKLY = BudgetThreshold(Budget.parse("1/week"), is_extrapolated_if_short=True)


@pytest.mark.parametrize("rule", [EventRule(merge_gap_rows=7), EventRule(merge_gap_rows=3, release=1.0)])
def test_as_many_heights_are_above_a_line_as_there_were_events_at_most(rule):
    scores = minute_scores(smooth_scores(np.random.default_rng(0), 2000), n_machines=2)
    heights = event_heights(scores, rule)
    assert np.all(np.diff(heights) <= 0)
    floor = np.quantile(scores.score, 0.95)
    lines = np.unique(np.concatenate([scores.score, scores.score / rule.release, [floor]]))
    most = 0
    for line in lines[lines >= floor][::-1]:
        most = max(most, len(event_spans(scores.time, scores.score, scores.group, float(line), rule)))
        assert int(np.sum(heights > line)) == most
    assert len(heights) == most > 20


def test_the_tail_is_the_upper_third_of_heights():
    heights = np.arange(1000.0, 0.0, -1.0)
    for n, n_tail in ((21, 20), (40, 20), (90, 30), (299, 99), (1000, 100)):
        level, excess = top_peaks(heights[:n], "here")
        assert level == heights[n_tail]
        np.testing.assert_array_equal(excess, heights[:n_tail] - level)
    level, excess = top_peaks(np.append(np.full(50, 7.0), np.arange(6.0, 0.0, -0.5)), "here")
    assert (level, len(excess)) == (6.0, 50)
    for few in (heights[:20], np.full(50, 7.0), heights[:0]):
        with pytest.raises(TooLittleDataError, match=rf"got {len(few)} \(here\).*normal data"):
            top_peaks(few, "here")


@pytest.mark.parametrize(("dispersion", "preference"), [(1.0, 0.0), (2.5, 0.0), (1.0, 2.0)])
def test_weights_by_a_double_loop(dispersion, preference):
    excess = np.random.default_rng(0).exponential(3.0, size=25)
    tail = UncertainTail.fit(excess, dispersion, preference)
    weights = np.zeros((len(tail.shapes), len(tail.scales)))
    for i, shape in enumerate(tail.shapes):
        for j, scale in enumerate(tail.scales):
            likelihood = stats.genpareto.logpdf(excess, shape, 0, scale).sum()
            weights[i, j] = np.exp(likelihood / dispersion) * (1 - shape / 0.52) ** preference
    np.testing.assert_allclose(tail.weights, weights / weights.sum(), atol=1e-12)
    survival = sum(
        tail.weights[i, j] * stats.genpareto.sf([0.0, 4.0, 40.0], shape, 0, scale)
        for i, shape in enumerate(tail.shapes)
        for j, scale in enumerate(tail.scales)
    )
    np.testing.assert_allclose(tail.expected_survival(np.array([0.0, 4.0, 40.0])), survival, rtol=1e-9)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("shape", [0.0, 0.5, 0.9, -0.9])
def test_the_grid_holds_all_the_weight(n, shape):
    excess = stats.genpareto.rvs(shape, size=n, random_state=np.random.default_rng(1))
    tail = UncertainTail.fit(excess)
    by_scale = tail.weights.sum(axis=0)
    assert by_scale[[0, -1]].max() < 1e-6
    assert (by_scale > 0.001).sum() > 8  # and resolves it


def test_doubt_makes_far_events_likelier_than_the_best_fit_says():
    excess = np.random.default_rng(0).exponential(size=40)
    few, many = UncertainTail.fit(excess), UncertainTail.fit(np.tile(excess, 50))
    best = few.weights.max(axis=1).argmax()
    at = np.array([15.0])
    assert few.expected_survival(at)[0] > 2 * many.expected_survival(at)[0]
    assert best < 10
    assert UncertainTail.fit(excess, dispersion=3.0).expected_survival(at) > few.expected_survival(at)
    assert UncertainTail.fit(excess, preference=2.0).expected_survival(at) < few.expected_survival(at)


def test_short_data_are_refused_unless_asked():
    scores = minute_scores(np.random.default_rng(0).exponential(size=3 * DAY))
    assert not BudgetThreshold(Budget.parse("1/week")).is_extrapolated_if_short
    with pytest.raises(TooLittleDataError, match="machine-hours"):
        BudgetThreshold(Budget.parse("1/week")).fit(scores, RULE)


def test_enough_data_give_the_same_line_with_and_without():
    scores = minute_scores(smooth_scores(np.random.default_rng(0), 30 * DAY))
    assert WEEKLY.fit(scores, RULE) == BudgetThreshold(Budget.parse("1/week")).fit(scores, RULE)
    assert WEEKLY.fit(scores, RULE).is_promised


def test_the_result_says_what_it_is():
    scores = minute_scores(np.random.default_rng(0).exponential(size=3 * DAY))
    result = WEEKLY.fit(scores, RULE)
    assert result.is_extrapolated
    assert not result.is_promised
    found = result.parameters
    assert found["budget"] == "1/week"
    assert found["shape_interval"][0] < found["shape"] < found["shape_interval"][1]
    assert found["scale_interval"][0] < found["scale"] < found["scale_interval"][1]
    assert found["n_peaks"] >= 20
    assert found["level_score"] < result.threshold
    assert found["events_per_machine_day_by_tail"] < 1 / 7
    assert found["needed_days"] == pytest.approx(2.303 * 7, rel=1e-3)
    words = result.statement()
    for text in ("too few to promise", "which takes 16.1", "promises nothing", "extrapolated", "generalised Pareto"):
        assert text in words
    assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert WEEKLY.fit(minute_scores(8 * scores.score), RULE).threshold == pytest.approx(8 * result.threshold, rel=1e-9)


def test_less_budget_data_or_doubt_raise_the_line():
    score = np.random.default_rng(0).exponential(size=5 * DAY)
    lines = [
        BudgetThreshold(Budget.parse(text), confidence, is_extrapolated_if_short=True).fit(minute_scores(score), RULE)
        for text, confidence in (("2/week", 0.8), ("1/week", 0.8), ("1/week", 0.9), ("1/month", 0.9))
    ]
    assert all(result.is_extrapolated for result in lines)
    assert [r.threshold for r in lines] == sorted({r.threshold for r in lines})
    four = BudgetThreshold(Budget.parse("1/week", per="log"), is_extrapolated_if_short=True)
    assert four.fit(minute_scores(score, n_machines=4), RULE).parameters["events_per_machine_day"] == pytest.approx(
        1 / 28
    )


def test_the_line_by_simulating_the_doubt():
    scores = minute_scores(np.random.default_rng(2).exponential(size=4 * DAY))
    result = WEEKLY.fit(scores, RULE)
    level, excess = top_peaks(event_heights(scores, RULE), "here")
    spread = result.parameters["dispersion"]
    tail = UncertainTail.fit(excess, spread)
    rng = np.random.default_rng(0)
    cells = rng.choice(tail.weights.size, size=20_000, p=tail.weights.ravel())
    shape, scale = tail.shapes[cells // len(tail.scales)], tail.scales[cells % len(tail.scales)]
    rate = rng.gamma(len(excess) / spread, spread / 4, size=20_000)
    rate *= stats.genpareto.sf(result.threshold - level, shape, 0, scale)
    assert np.mean(rate <= 1 / 7) == pytest.approx(0.9, abs=0.01)


def test_bursts_that_ask_for_more_data_are_extrapolated_too():
    bursty = np.random.default_rng(0).exponential(size=28 * DAY)
    for day in (5, 19):
        bursty[day * DAY + np.arange(0, DAY, 40)] += 12.0
    method = BudgetThreshold(Budget.parse("1/day"), is_extrapolated_if_short=True)
    result = method.fit(minute_scores(bursty), RULE)
    assert result.is_extrapolated
    assert result.parameters["needed_days"] > 28
    assert result.parameters["dispersion"] > 2


def test_there_are_limits():
    rng = np.random.default_rng(0)
    monthly = BudgetThreshold(Budget.parse("1/month"), is_extrapolated_if_short=True)
    with pytest.raises(TooLittleDataError, match=r"48 machine-hours.*30-fold: 55\.26 are needed at least, 1658"):
        monthly.fit(minute_scores(rng.exponential(size=2 * DAY)), RULE)
    with pytest.raises(TooLittleDataError, match=r"more than 20 separate.*got \d"):
        WEEKLY.fit(minute_scores(smooth_scores(rng, 2 * DAY, memory=0.99)), RULE)
    with pytest.raises(DataError, match="positive"):
        WEEKLY.fit(minute_scores(-1 - rng.exponential(size=3 * DAY)), RULE)
    with pytest.raises(UsageError, match="between 0 and 1"):
        BudgetThreshold(Budget(1.0), 1.5, is_extrapolated_if_short=True)


PROCESSES = {
    "independent": lambda rng, n: rng.exponential(size=n),
    "heavy tail": lambda rng, n: np.abs(rng.standard_t(3, size=n)),
    "smooth": smooth_scores,
}


@pytest.mark.parametrize("process", sorted(PROCESSES))
def test_three_days_keep_a_weekly_budget_in_nine_of_ten_calibrations(process):
    draw = PROCESSES[process]
    rng = np.random.default_rng(20240229)
    fresh = minute_scores(draw(rng, 2000 * DAY))
    truth = event_curve(fresh.time, fresh.score, fresh.group, RULE, float(np.quantile(fresh.score, 0.95)))
    lines = [WEEKLY.fit(minute_scores(draw(rng, 3 * DAY)), RULE).threshold for _ in range(80)]
    weekly = 7 * truth.count(np.array(lines)) / 2000
    assert np.mean(weekly <= 1.0) >= 0.85
    assert np.mean(np.array(lines) < fresh.score.max()) > 0.5  # cautious, yet not out of reach
    assert weekly.mean() > 0.005

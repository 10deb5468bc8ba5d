"""Normal scores, results, counting and the quantile method."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from naive_events import make_block
from scipy import stats

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import (
    THRESHOLDS,
    Budget,
    BudgetMeanThreshold,
    BudgetThreshold,
    CalibrationScores,
    ConformalThreshold,
    FBetaThreshold,
    MadThreshold,
    PeaksOverThreshold,
    QuantileThreshold,
    SigmaThreshold,
    ThresholdResult,
    threshold_class,
)
from sensorad.thresholds.counting import allowed_events, dispersion, expected_rate, needed_events, rate_interval
from sensorad.types import STATUSES

RULE = EventRule(merge_gap_rows=5)


def _scores(score: np.ndarray, n_machines: int = 1, step_seconds: float = 60.0) -> CalibrationScores:
    """Machines one after another, each with its own clock from 0."""
    each = len(score) // n_machines
    time = np.tile(np.arange(each) * round(step_seconds * 1e9), n_machines).astype(np.int64)
    return CalibrationScores(time, score, np.repeat(np.arange(n_machines), each).astype(np.int32), step_seconds)


def _normal(n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, size=n_rows)


DAILY = Budget.parse("1/day")
METHODS = {
    "budget": BudgetThreshold(DAILY),
    "budget-mean": BudgetMeanThreshold(DAILY),
    "conformal": ConformalThreshold(alpha=0.05),
    "mad": MadThreshold(k=4.0),
    "pot": PeaksOverThreshold(risk=1e-3),
    "quantile": QuantileThreshold(0.99),
    "sigma": SigmaThreshold(k=3.0),
}
TESTED_ELSEWHERE = {"fbeta": FBetaThreshold}
"""It learns from labels, which these tests do not give."""


def test_days_are_observed_machine_days():
    score = _normal(2880)
    score[:720] = np.nan
    assert _scores(score, n_machines=2).days == 1.5
    assert _scores(score, n_machines=2).n_machines == 2
    score[:1440] = np.nan
    assert _scores(score, n_machines=2).n_machines == 1


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError, match="one length"):
        CalibrationScores(np.arange(3), np.zeros(2), np.zeros(3, np.int32), 1.0)
    with pytest.raises(DataError, match="positive"):
        CalibrationScores(np.arange(2), np.zeros(2), np.zeros(2, np.int32), 0.0)


def test_blocks_come_in_without_duplicate_and_late_rows():
    status = [STATUSES.index(name) for name in ("scored", "duplicate", "late", "warmup")]
    blocks = [make_block([1.0, 2.0, 3.0, np.nan], status=status), make_block([4.0], start=4)]
    scores = CalibrationScores.from_blocks(blocks, 1.0)
    np.testing.assert_array_equal(scores.score, [1.0, np.nan, 4.0])
    np.testing.assert_array_equal(scores.time, [0, 3 * 10**9, 4 * 10**9])
    assert CalibrationScores.from_blocks([], 1.0).n_scored == 0


def test_every_registered_method_is_tested_here_and_keeps_its_name():
    assert {*METHODS, *TESTED_ELSEWHERE} == set(THRESHOLDS)
    for name, method in METHODS.items():
        assert type(method) is threshold_class(name)
        assert method.name == name
    with pytest.raises(UsageError, match="did you mean 'quantile'"):
        threshold_class("quantil")


@pytest.mark.parametrize("name", sorted(METHODS))
class TestEveryMethod:
    def test_result_counts_with_the_event_builder_and_survives_json(self, name):
        scores = _scores(_normal(14 * 1440))
        result = METHODS[name].fit(scores, RULE)
        n_events = len(event_spans(scores.time, scores.score, scores.group, result.threshold, RULE))
        assert result.expected_events_per_day == n_events / 14
        assert result.interval[0] < result.expected_events_per_day < result.interval[1]
        assert (result.method, result.n_rows, result.calibration_days) == (name, 14 * 1440, 14.0)
        assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result

    def test_rows_without_score_are_ignored(self, name):
        score = _normal(14 * 1440)
        padded = np.concatenate([np.full(99, np.nan), score, np.full(500, np.nan)])
        plain = METHODS[name].fit(_scores(score), RULE)
        assert METHODS[name].fit(_scores(padded), RULE) == plain

    def test_scaling_the_scores_scales_the_line(self, name):
        score = _normal(14 * 1440)
        plain = METHODS[name].fit(_scores(score), RULE)
        for factor in (0.01, 7.3):
            scaled = METHODS[name].fit(_scores(score * factor), RULE)
            assert scaled.threshold == pytest.approx(
                plain.threshold * factor, rel=1e-8
            )  # a fitted tail ends its search within that
            assert scaled.expected_events_per_day == plain.expected_events_per_day

    def test_numbering_and_interleaving_of_machines_do_not_matter(self, name):
        scores = _scores(_normal(14 * 1440), n_machines=4)
        order = np.argsort(scores.time, kind="stable")
        mixed = CalibrationScores(scores.time[order], scores.score[order], 9 - scores.group[order], 60.0)
        assert METHODS[name].fit(mixed, RULE).threshold == METHODS[name].fit(scores, RULE).threshold

    def test_scores_that_cannot_carry_a_line_are_refused(self, name):
        n_rows = 14 * 1440
        with pytest.raises(TooLittleDataError, match="none of the"):
            METHODS[name].fit(_scores(np.full(n_rows, np.nan)), RULE)
        with pytest.raises(TooLittleDataError, match="none of the 0"):
            METHODS[name].fit(_scores(np.zeros(0)), RULE)
        with pytest.raises(DataError, match="equal 2"):
            METHODS[name].fit(_scores(np.full(n_rows, 2.0)), RULE)
        with pytest.raises(DataError, match="infinity"):
            METHODS[name].fit(_scores(np.append(_normal(n_rows - 1), np.inf)), RULE)
        with pytest.raises(DataError, match="positive"):
            METHODS[name].fit(_scores(-_normal(n_rows) - 1.0), RULE)


def test_quantile_by_sorting():
    score = _normal(5001)
    ordered = sorted(score.tolist())
    for q in (0.9, 0.99, 0.998):
        threshold = QuantileThreshold(q).fit(_scores(score), RULE).threshold
        assert threshold == pytest.approx(
            ordered[round(q * 5000)], rel=1e-12
        )  # a fitted tail ends its search within that
        assert np.mean(score > threshold) == pytest.approx(1 - q, abs=1 / 5000)


def test_quantile_ignores_the_order_of_rows():
    score = _normal(3000)
    shuffled = np.random.default_rng(1).permutation(score)
    assert QuantileThreshold().fit(_scores(shuffled), RULE).threshold == pytest.approx(
        QuantileThreshold().fit(_scores(score), RULE).threshold, rel=1e-12
    )


def test_quantile_needs_rows_beyond_it():
    with pytest.raises(TooLittleDataError, match=r"0.99 quantile needs at least 100 scored rows, got 99.*add 1 rows"):
        QuantileThreshold(0.99).fit(_scores(_normal(99)), RULE)
    assert not QuantileThreshold(0.99).fit(_scores(_normal(100)), RULE).is_promised
    for q in (0.0, 1.0, math.nan):
        with pytest.raises(UsageError, match="q must lie"):
            QuantileThreshold(q)


def test_statements_say_rate_data_and_promise_in_plain_words():
    scores = _scores(_normal(14 * 1440))
    quantile = METHODS["quantile"].fit(scores, RULE).statement()
    assert "14 machine-days" in quantile
    assert "promises nothing" in quantile
    assert "alarm events a day" in quantile
    budget = METHODS["budget"].fit(scores, RULE).statement()
    assert "no more than 1 alarm event a day per machine, with 90% confidence" in budget


def test_unknown_result_fields_are_refused():
    values = METHODS["quantile"].fit(_scores(_normal(200)), RULE).to_json()
    with pytest.raises(UsageError, match="surprise"):
        ThresholdResult.from_json({**values, "surprise": 1})


@pytest.mark.parametrize("n_events", [0, 1, 7, 200])
def test_rate_interval_is_garwoods(n_events):
    low, high = rate_interval(n_events, days=3.0, confidence=0.9)
    assert low == pytest.approx(stats.chi2.ppf(0.05, 2 * n_events) / 6 if n_events else 0.0)
    assert high == pytest.approx(stats.chi2.ppf(0.95, 2 * n_events + 2) / 6)
    # Defined by its tails: at either end, what was seen is just still plausible.
    assert stats.poisson.cdf(n_events, high * 3) == pytest.approx(0.05)
    if n_events:
        assert stats.poisson.sf(n_events - 1, low * 3) == pytest.approx(0.05)
    wide = rate_interval(n_events, 3.0, 0.9, dispersion=2.0)
    assert wide[0] <= low
    assert wide[1] > high


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_allowed_events_by_search(confidence):
    for n_budget in (0.1, 0.7, 2.31, 3.0, 10.0, 77.7):
        k = -1
        while stats.gamma.ppf(confidence, k + 2) <= n_budget:
            k += 1
        assert allowed_events(n_budget, confidence) == k
    needed = needed_events(confidence)
    assert allowed_events(needed * 1.0001, confidence) == 0
    assert allowed_events(needed * 0.9999, confidence) == -1


def test_expected_rate_counts_events_not_rows():
    score = np.full(2880, 0.1)
    score[100:110] = 3.0
    score[2000] = 3.0
    rate = expected_rate(_scores(score), RULE, 1.0, 0.9)
    assert (rate.n_events, rate.per_day) == (2, 1.0)


def test_dispersion_by_loop_over_observed_days():
    rng = np.random.default_rng(0)
    score = rng.gamma(2.0, size=2 * 20 * 1440)
    score[rng.random(len(score)) < 0.2] = np.nan
    scores = _scores(score, n_machines=2)
    counts = []
    for machine in range(2):
        rows = np.flatnonzero((scores.group == machine) & ~np.isnan(score))
        for day in range(len(rows) // 1440):
            inside = set(rows[day * 1440 : (day + 1) * 1440].tolist())
            spans = event_spans(scores.time, score, scores.group, 9.0, EventRule(merge_gap_rows=5, release=1.0))
            counts.append(sum(int(peak) in inside for peak in spans.peak))
    found = dispersion(scores, RULE, 9.0)
    assert found is not None
    assert len(counts) > 20
    assert found.value == pytest.approx(max(1.0, np.var(counts, ddof=1) / np.mean(counts)))
    assert not found.is_certain


def test_dispersion_sees_bad_days_and_knows_when_it_cannot_say():
    score = np.full(20 * 1440, 0.1)
    for day in (3, 11):
        score[day * 1440 + np.arange(0, 1440, 60)] = 5.0
    found = dispersion(_scores(score), RULE, 1.0)
    assert found is not None
    assert found.value > 10
    assert found.is_certain
    quiet = dispersion(_scores(np.full(20 * 1440, 0.1)), RULE, 1.0)
    assert quiet is not None
    assert (quiet.value, quiet.is_certain) == (1.0, False)
    assert dispersion(_scores(score[:9]), RULE, 1.0) is None

"""Median plus k robust standard deviations: the formula, robustness, and the refusal where there is no spread."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds.base import CalibrationScores
from sensorad.thresholds.mad import MadThreshold
from sensorad.thresholds.sigma import SigmaThreshold

RULE = EventRule(merge_gap_rows=5)


def _scores(score: np.ndarray) -> CalibrationScores:
    return CalibrationScores(np.arange(len(score)) * 60 * 10**9, score, np.zeros(len(score), np.int32), 60.0)


def _naive_median(values: list[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


@pytest.mark.parametrize("n_rows", [1000, 1001])
@pytest.mark.parametrize("k", [2.0, 6.0])
def test_the_formula_with_sorted_lists(n_rows: int, k: float) -> None:
    score = np.random.default_rng(n_rows).gamma(2.0, size=n_rows)
    holed = np.append(score, np.nan)
    median = _naive_median(score.tolist())
    mad = _naive_median([abs(x - median) for x in score.tolist()])
    result = MadThreshold(k).fit(_scores(holed), RULE)
    assert result.threshold == pytest.approx(median + k * 1.4826 * mad, rel=1e-12)
    assert result.parameters == {"k": k, "median": pytest.approx(median), "mad": pytest.approx(mad)}


def test_it_is_the_standard_deviation_for_gaussian_scores() -> None:
    scores = _scores(np.random.default_rng(0).normal(20.0, 2.0, size=200_000))
    robust, plain = MadThreshold(3.0).fit(scores, RULE), SigmaThreshold(3.0).fit(scores, RULE)
    assert robust.threshold == pytest.approx(plain.threshold, rel=0.002)


def test_unlabelled_faults_hardly_move_it() -> None:
    score = np.random.default_rng(0).exponential(size=5000)
    faulty = score.copy()
    faulty[1000:1250] = 1e6
    line, moved = (MadThreshold().fit(_scores(x), RULE).threshold for x in (score, faulty))
    assert line < moved < 1.1 * line
    assert SigmaThreshold().fit(_scores(faulty), RULE).threshold > 1e5


def test_the_result_counts_its_events() -> None:
    scores = _scores(np.random.default_rng(1).exponential(size=3 * 1440))
    result = MadThreshold().fit(scores, RULE)
    n_events = len(event_spans(scores.time, scores.score, scores.group, result.threshold, RULE))
    assert n_events > 5
    assert result.expected_events_per_day == pytest.approx(n_events / 3)
    assert not result.is_promised


def test_no_spread_is_refused() -> None:
    score = np.maximum(np.random.default_rng(0).exponential(size=2000) - 2.0, 0.0)
    with pytest.raises(DataError, match=r"median absolute deviation of the scores is 0.*2,000 rows score 0"):
        MadThreshold().fit(_scores(score), RULE)


def test_a_hundred_rows_are_needed() -> None:
    score = np.random.default_rng(0).exponential(size=100)
    MadThreshold().fit(_scores(score), RULE)
    with pytest.raises(TooLittleDataError, match=r"at least 100 scored rows, got 99.*mad"):
        MadThreshold().fit(_scores(score[1:]), RULE)


@pytest.mark.parametrize("k", [0.0, -6.0, math.nan, math.inf])
def test_k_is_a_positive_number(k: float) -> None:
    with pytest.raises(UsageError, match="k must be a positive number of robust"):
        MadThreshold(k)

"""Mean plus k standard deviations: the formula, the rows that it needs, and that it promises nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds.base import CalibrationScores
from sensorad.thresholds.sigma import LEAST_ROWS, SigmaThreshold

RULE = EventRule(merge_gap_rows=5)


def _scores(score: np.ndarray) -> CalibrationScores:
    return CalibrationScores(np.arange(len(score)) * 60 * 10**9, score, np.zeros(len(score), np.int32), 60.0)


@pytest.mark.parametrize("k", [0.5, 3.0, 4.5])
def test_the_formula_with_plain_sums(k: float) -> None:
    score = np.random.default_rng(0).gamma(2.0, size=4000)
    holed = score.copy()
    holed[::7] = np.nan
    rows = [x for x in holed.tolist() if x == x]
    mean = sum(rows) / len(rows)
    sd = math.sqrt(sum((x - mean) ** 2 for x in rows) / (len(rows) - 1))
    result = SigmaThreshold(k).fit(_scores(holed), RULE)
    assert result.threshold == pytest.approx(mean + k * sd, rel=1e-12)
    assert result.parameters == {"k": k, "mean": pytest.approx(mean), "sd": pytest.approx(sd)}


def test_the_result_counts_its_events_and_promises_nothing() -> None:
    scores = _scores(np.random.default_rng(1).exponential(size=3 * 1440))
    result = SigmaThreshold().fit(scores, RULE)
    n_events = len(event_spans(scores.time, scores.score, scores.group, result.threshold, RULE))
    assert n_events > 20
    assert result.expected_events_per_day == pytest.approx(n_events / 3)
    assert result.interval[0] < n_events / 3 < result.interval[1]
    assert not result.is_promised
    assert not result.is_extrapolated
    assert "promises nothing" in result.statement()


def test_a_line_above_all_rows_is_extrapolated() -> None:
    result = SigmaThreshold(k=8.0).fit(_scores(np.random.default_rng(1).normal(10.0, 1.0, size=1440)), RULE)
    assert result.is_extrapolated
    assert result.expected_events_per_day == 0
    assert result.interval[1] > 0


def test_a_hundred_rows_are_needed() -> None:
    score = np.random.default_rng(0).exponential(size=LEAST_ROWS)
    SigmaThreshold().fit(_scores(score), RULE)
    with pytest.raises(TooLittleDataError, match=r"at least 100 scored rows, got 99.*sigma.*add 1 rows"):
        SigmaThreshold().fit(_scores(score[1:]), RULE)


def test_a_line_below_zero_is_refused() -> None:
    with pytest.raises(DataError, match="must be positive"):
        SigmaThreshold().fit(_scores(np.random.default_rng(0).normal(-10.0, 1.0, size=500)), RULE)
    below = -1.0 - np.random.default_rng(0).exponential(size=5000)
    assert below.mean() + 3 * below.std() > 0
    with pytest.raises(DataError, match="no calibration score is positive"):
        SigmaThreshold().fit(_scores(below), RULE)


@pytest.mark.parametrize("k", [0.0, -1.0, math.nan, math.inf])
def test_k_is_a_positive_number(k: float) -> None:
    with pytest.raises(UsageError, match="k must be a positive number of standard deviations"):
        SigmaThreshold(k)


def test_faulty_rows_do_not_raise_the_line() -> None:
    score = np.random.default_rng(0).exponential(size=2000)
    plain = SigmaThreshold().fit(_scores(score), RULE)
    longer = np.append(score, np.full(200, 50.0))
    fault = np.append(np.full(2000, -1), np.zeros(200)).astype(np.int32)
    labelled = CalibrationScores(np.arange(2200) * 60 * 10**9, longer, np.zeros(2200, np.int32), 60.0, fault=fault)
    assert SigmaThreshold().fit(labelled, RULE).threshold == plain.threshold

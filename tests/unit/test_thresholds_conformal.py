"""Conformal p-values and the line that they draw: exact where blocks are exchangeable, refused where too few."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds.base import CalibrationScores
from sensorad.thresholds.blocks import block_maxima
from sensorad.thresholds.conformal import ConformalThreshold, conformal_p_values

DAY = 1440
RULE = EventRule(merge_gap_rows=5)


def _scores(score: np.ndarray) -> CalibrationScores:
    return CalibrationScores(np.arange(len(score)) * 60 * 10**9, score, np.zeros(len(score), np.int32), 60.0)


def _naive_p(calibration: np.ndarray, height: float) -> float:
    return (1 + sum(x >= height for x in calibration.tolist())) / (len(calibration) + 1)


@pytest.mark.parametrize("seed", range(3))
def test_p_values_by_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    calibration, heights = rng.integers(0, 12, 50).astype(float), rng.integers(-2, 15, (6, 5)).astype(float)
    p = conformal_p_values(calibration, heights)
    assert p.shape == (6, 5)
    np.testing.assert_allclose(p.ravel(), [_naive_p(calibration, h) for h in heights.ravel().tolist()], rtol=1e-15)


def test_p_values_with_ties_are_never_too_small() -> None:
    """P(p <= a) <= a at every a that a p-value can take, although most heights are equal."""
    rng = np.random.default_rng(0)
    n, trials = 19, 20_000
    heights = rng.poisson(0.7, (trials, n + 1)).astype(float)
    p = np.array([conformal_p_values(row[:n], row[n:])[0] for row in heights])
    for a in np.arange(1, n + 2) / (n + 1):
        assert np.mean(p <= a + 1e-12) <= a + 4 * np.sqrt(a * (1 - a) / trials)


@pytest.mark.parametrize("kind", ["continuous", "tied"])
def test_p_values_with_random_ties_are_uniform(kind: str) -> None:
    rng = np.random.default_rng(1)
    n, trials = 19, 8000
    draw = {"continuous": rng.standard_cauchy, "tied": lambda size: rng.poisson(0.7, size).astype(float)}[kind]
    heights = draw((trials, n + 1))
    p = np.array([conformal_p_values(row[:n], row[n:], rng)[0] for row in heights])
    assert p.min() > 0
    assert p.max() <= 1
    assert stats.kstest(p, "uniform").pvalue > 0.01
    plain = np.array([conformal_p_values(row[:n], row[n:])[0] for row in heights])
    assert np.all(p <= plain)
    if kind == "tied":  # the same test tells them apart
        assert stats.kstest(plain, "uniform").pvalue < 1e-6


def test_p_values_of_nothing() -> None:
    assert np.isnan(conformal_p_values(np.arange(5.0), np.array([np.nan, 1.0]))).tolist() == [True, False]
    assert np.isnan(conformal_p_values(np.arange(5.0), np.array([np.nan]), np.random.default_rng(0))).all()
    with pytest.raises(TooLittleDataError, match="at least 1 calibration height"):
        conformal_p_values(np.zeros(0), np.ones(3))
    with pytest.raises(DataError, match="NaN"):
        conformal_p_values(np.array([1.0, np.nan]), np.ones(3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alpha", [0.01, 0.07, 0.1, 0.29])
def test_the_line_is_the_lowest_that_keeps_alpha(seed: int, alpha: float) -> None:
    scores = _scores(np.random.default_rng(seed).exponential(size=99 * 60))
    result = ConformalThreshold(alpha, block_seconds=3600.0).fit(scores, RULE)
    heights = block_maxima(scores, 3600.0).height
    assert len(heights) == 99
    line = result.threshold
    assert _naive_p(heights, np.nextafter(line, np.inf)) <= alpha + 1e-12
    assert _naive_p(heights, line) > alpha + 1e-12
    assert np.sum(heights >= line) == round(alpha * 100)


def test_the_result_explains_itself() -> None:
    scores = _scores(np.random.default_rng(0).exponential(size=14 * DAY))
    result = ConformalThreshold(0.05).fit(scores, RULE)
    assert result.parameters["n_blocks"] == 14 * 12
    assert result.parameters["block_seconds"] == 7200
    assert result.parameters["alarm_blocks_per_day"] == pytest.approx(0.05 * 12)
    assert result.parameters["smallest_p_value"] == pytest.approx(1 / 169)
    assert any("exchangeable" in text for text in result.assumptions)
    assert not result.is_promised
    n_events = len(event_spans(scores.time, scores.score, scores.group, result.threshold, RULE))
    assert result.expected_events_per_day == pytest.approx(n_events / 14)


def test_too_few_blocks_say_how_much_is_missing() -> None:
    scores = _scores(np.random.default_rng(0).exponential(size=4 * DAY))
    # 1 / 0.01 - 1 = 99 blocks of 2 h; 48 are there.
    with pytest.raises(TooLittleDataError, match=r"99 blocks of 2 h.*48 are available.*add 4\.25 machine-days"):
        ConformalThreshold(0.01).fit(scores, RULE)
    with pytest.raises(TooLittleDataError, match=r"99 blocks of 1 h.*96 are available.*add 3 machine-hours"):
        ConformalThreshold(0.01, 3600.0).fit(scores, RULE)
    enough = _scores(np.random.default_rng(0).exponential(size=99 * 60))
    result = ConformalThreshold(0.01, 3600.0).fit(enough, RULE)
    assert result.threshold == enough.score.max()
    assert not result.is_extrapolated


def test_settings_are_checked() -> None:
    for alpha in (0.0, 1.0, np.nan):
        with pytest.raises(UsageError, match="between 0 and 1"):
            ConformalThreshold(alpha)
    for seconds in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UsageError, match="must be positive"):
            ConformalThreshold(0.01, seconds)
    with pytest.raises(UsageError, match="time between two rows"):
        ConformalThreshold(0.01, 30.0).fit(_scores(np.random.default_rng(0).exponential(size=DAY)), RULE)


def test_scores_that_are_mostly_zero_are_refused() -> None:
    score = np.zeros(14 * DAY)
    score[5] = 3.0
    with pytest.raises(DataError, match="must be positive"):
        ConformalThreshold(0.05).fit(_scores(score), RULE)


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_a_share_of_alpha_of_fresh_blocks_alarms(memory: float) -> None:
    rng = np.random.default_rng(3)

    def draw(n_days: int) -> CalibrationScores:
        noise = rng.standard_normal(n_days * DAY + 500)
        return _scores(np.exp(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise)[500:]))

    fresh = block_maxima(draw(800), 7200.0).height
    method = ConformalThreshold(0.05)
    shares = [np.mean(fresh > method.fit(draw(10), RULE).threshold) for _ in range(150)]
    # floor(0.05 * 121) / 121 = 0.0496; its spread over calibrations is about 0.02.
    assert np.mean(shares) == pytest.approx(6 / 121, abs=0.006)

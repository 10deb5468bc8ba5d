"""Generalised Pareto tails against scipy, and the fallback where the likelihood has no maximum."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import stats

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.thresholds.pareto import ParetoTail, fit_pareto, likeliest_scale


def _draw(shape: float, n: int, seed: int, scale: float = 3.0) -> np.ndarray:
    return stats.genpareto.rvs(shape, scale=scale, size=n, random_state=np.random.default_rng(seed))


@pytest.mark.parametrize("n", [200, 1000, 5000])
@pytest.mark.parametrize("shape", [-0.2, -0.05, 0.0, 0.1, 0.3, 0.5])
def test_scipy_finds_the_same_tail_and_none_likelier(shape, n):
    for seed in range(5):
        excess = _draw(shape, n, seed)
        tail = fit_pareto(excess)
        theirs, _, scale = stats.genpareto.fit(excess, floc=0)
        assert tail.fitted_by == "likelihood"
        assert tail.log_likelihood == pytest.approx(
            stats.genpareto.logpdf(excess, tail.shape, 0, tail.scale).sum(), rel=1e-9
        )
        assert tail.log_likelihood >= stats.genpareto.logpdf(excess, theirs, 0, scale).sum() - 1e-7
        for p in (0.1, 0.01, 0.001):
            assert tail.upper_quantile(p) == pytest.approx(stats.genpareto.isf(p, theirs, 0, scale), rel=0.01)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 1e-9, 0.3])
def test_survival_and_quantiles_are_those_of_scipy(shape):
    tail = ParetoTail(shape, 2.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0, 0.0), 10, "likelihood", 0.0, 0.9)
    x = np.array([-1.0, 0.0, 0.3, 2.0, 4.9, 5.1, 100.0])
    np.testing.assert_allclose(tail.survival(x), stats.genpareto.sf(x, shape, 0, 2.0), rtol=1e-6, atol=1e-300)
    for p in (1.0, 0.5, 1e-3, 1e-12):
        assert tail.upper_quantile(p) == pytest.approx(stats.genpareto.isf(p, shape, 0, 2.0), rel=1e-6)
    assert tail.quantile(0.9) == pytest.approx(tail.upper_quantile(0.1))
    for p in (0.0, 1.5, np.nan):
        with pytest.raises(UsageError, match="probability"):
            tail.upper_quantile(p)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(300):
        tail = fit_pareto(_draw(0.2, 300, seed), confidence=0.9)
        reach, truth = tail.upper_quantile(1e-3), stats.genpareto.isf(1e-3, 0.2, 0, 3.0)
        half = stats.norm.ppf(0.95) * tail.relative_error(1e-3)
        held.append(
            (
                tail.shape_interval[0] < 0.2 < tail.shape_interval[1],
                tail.scale_interval[0] < 3.0 < tail.scale_interval[1],
                abs(np.log(reach / truth)) < half,
            )
        )
    share = np.mean(held, axis=0)
    assert np.all((share > 0.83) & (share < 0.96)), share


@pytest.mark.parametrize("shape", [-0.3, 1e-8, 0.4])
def test_the_error_of_a_quantile_by_finite_differences(shape):
    covariance = np.array([[0.04, -0.03], [-0.03, 0.05]])
    tail = ParetoTail(shape, 2.0, (0.0, 0.0), (0.0, 0.0), (0.04, -0.03, 0.05), 10, "likelihood", 0.0, 0.9)
    p, step = 1e-3, 1e-5

    def log_quantile(shape: float, p: float) -> float:
        return float(np.log(np.expm1(-shape * np.log(p)) / shape))

    by_shape = (log_quantile(shape + step, p) - log_quantile(shape - step, p)) / (2 * step)
    by_share = (log_quantile(shape, p * np.exp(step)) - log_quantile(shape, p * np.exp(-step))) / (2 * step)
    slope = np.array([by_shape, 1.0])
    expected = np.sqrt(slope @ covariance @ slope + (0.1 * by_share) ** 2)
    assert tail.relative_error(p, share_error=0.1) == pytest.approx(expected, rel=1e-3)
    assert tail.relative_error(1.0, share_error=0.1) == 0.0


def test_order_and_unit_change_nothing():
    excess = _draw(0.2, 500, 0)
    tail = fit_pareto(excess)
    assert fit_pareto(excess[::-1]) == tail
    scaled = fit_pareto(8.0 * excess)
    assert (scaled.shape, scaled.scale) == (tail.shape, 8.0 * tail.scale)
    assert scaled.log_likelihood == pytest.approx(tail.log_likelihood - 500 * np.log(8.0))


def _naive_moments(excess: np.ndarray) -> tuple[float, float]:
    """Hosking & Wallis 1987, with their k = -shape."""
    n = len(excess)
    mean = weighted = 0.0
    for i, x in enumerate(sorted(excess), start=1):
        mean += x / n
        weighted += x * (1 - (i - 0.35) / n) / n
    k = mean / (mean - 2 * weighted) - 2
    return -k, 2 * mean * weighted / (mean - 2 * weighted)


def test_tails_without_a_mean_are_fitted_by_moments():
    excess = _draw(1.6, 400, 1)
    tail = fit_pareto(excess)
    assert tail.fitted_by == "moments"
    assert (tail.shape, tail.scale) == pytest.approx(_naive_moments(excess), rel=1e-9)
    assert tail.shape < 1
    assert tail.shape_interval[0] < tail.shape < tail.shape_interval[1]
    assert tail.scale_interval[0] < tail.scale < tail.scale_interval[1]
    assert fit_pareto(excess) == tail
    assert fit_pareto(excess, generator=np.random.default_rng(1)).shape_interval != tail.shape_interval


@pytest.mark.parametrize("n", [15, 200, 5000])
def test_tails_with_a_hard_end_keep_all_excesses_possible(n):
    excess = np.random.default_rng(n).uniform(0.5, 1.0, size=n)
    tail = fit_pareto(excess)
    assert tail.fitted_by == "moments"
    assert tail.shape == -0.5
    assert -tail.scale / tail.shape > excess.max()
    assert np.isfinite(tail.log_likelihood)


def test_the_bootstrap_is_as_wide_as_the_scatter_of_the_moments():
    fits = [fit_pareto(_draw(1.1, 300, seed)) for seed in range(60)]
    fits = [tail for tail in fits if tail.fitted_by == "moments"]
    scatter = np.std([tail.shape for tail in fits])
    stated = np.median([np.sqrt(tail.covariance[0]) for tail in fits])
    assert len(fits) > 30
    assert 0.5 < stated / scatter < 3


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5])
def test_the_likeliest_scale_of_a_given_shape(shape):
    excess = _draw(0.3, 400, 3)
    _, _, scale = stats.genpareto.fit(excess, f0=shape, floc=0)
    assert likeliest_scale(excess, shape) == pytest.approx(scale, rel=1e-3)


def test_json():
    tail = fit_pareto(_draw(0.2, 100, 0))
    assert ParetoTail.from_json(json.loads(json.dumps(tail.to_json()))) == tail
    with pytest.raises(UsageError, match="surprise"):
        ParetoTail.from_json({**tail.to_json(), "surprise": 1})


def test_refusals():
    with pytest.raises(TooLittleDataError, match="10 excesses, got 9"):
        fit_pareto(np.arange(1.0, 10.0))
    with pytest.raises(DataError, match="all 30 excesses equal 2"):
        fit_pareto(np.full(30, 2.0))
    for bad in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(DataError, match="positive and finite"):
            fit_pareto(np.append(np.arange(1.0, 30.0), bad))
    with pytest.raises(UsageError, match="confidence"):
        fit_pareto(np.arange(1.0, 30.0), confidence=90)


def test_ten_thousand_excesses_in_50_ms():
    excess = _draw(0.1, 10_000, 0)
    took = []
    for _ in range(5):
        start = time.perf_counter()
        fit_pareto(excess)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05

"""Tail probabilities against counting, and beyond what can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sensorad.errors import TooLittleDataError
from sensorad.scoring.tails import LARGEST_SHAPE, TAIL_QUANTILE, TailModel


def _share_at_least(values: np.ndarray, x: float) -> float:
    return float((values >= x).mean())


@settings(max_examples=30)
@given(st.integers(0, 99), st.sampled_from(["normal", "gamma", "uniform"]))
def test_the_body_is_what_one_counts(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = {"normal": rng.normal, "gamma": lambda size: rng.gamma(2.0, size=size), "uniform": rng.random}[kind](
        size=3000
    )
    tail = TailModel.fit(values)
    for q in (0.01, 0.2, 0.5, 0.8, 0.94):
        x = float(np.quantile(values, q))
        assert 10 ** -tail.evidence(np.array([x]))[0] == pytest.approx(_share_at_least(values, x), abs=2e-3)


@pytest.mark.parametrize("n_levels", [2, 3, 7, 40])
def test_values_that_tie_count_as_at_least_as_large(n_levels: int) -> None:
    """Coarse data: the most frequent top value is not surprising because nothing lies above it."""
    values = np.random.default_rng(0).integers(0, n_levels, 4000).astype(float)
    tail = TailModel.fit(values)
    for level in range(n_levels):
        share = _share_at_least(values, level)
        assert 10 ** -tail.evidence(np.array([float(level)]))[0] == pytest.approx(max(share, 0.0), abs=0.03)
    beyond = tail.evidence(np.array([n_levels - 1 + 0.5, n_levels + 10.0]))
    assert beyond[0] > -np.log10(_share_at_least(values, n_levels - 1))
    assert beyond[1] > beyond[0]


def test_a_constant_is_no_surprise_and_anything_above_it_is() -> None:
    tail = TailModel.fit(np.full(500, 3.0))
    below, same, above, far = tail.evidence(np.array([2.0, 3.0, 3.1, 30.0]))
    assert below == 0.0
    assert same == pytest.approx(0.0, abs=1e-12)
    assert 2.0 < above < far < np.inf


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=20, max_size=300),
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=30),
)
def test_evidence_is_finite_positive_and_never_falls(values: list[float], asked: list[float]) -> None:
    tail = TailModel.fit(np.array(values))
    x = np.sort(np.array([*asked, *values]))
    found = tail.evidence(x)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= -1e-12).all()


def test_beyond_the_data_the_tail_goes_on_as_it_began() -> None:
    rng = np.random.default_rng(1)
    light = TailModel.fit(rng.exponential(size=50_000))
    x = np.array([3.0, 6.0, 12.0, 24.0])
    np.testing.assert_allclose(light.evidence(x), x / np.log(10.0), rtol=0.12)
    heavy = TailModel.fit(stats.pareto(b=4.0).rvs(50_000, random_state=2))
    x = np.array([2.0, 4.0, 8.0])
    np.testing.assert_allclose(heavy.evidence(x), 4.0 * np.log10(x), rtol=0.12)


def test_the_fitted_tail_is_as_likely_as_the_one_of_scipy() -> None:
    values = stats.genpareto(c=0.2, scale=2.0).rvs(20_000, random_state=3)
    tail = TailModel.fit(values)
    excess = values[values > tail.level] - tail.level
    shape, _, scale = stats.genpareto.fit(excess, floc=0.0)
    own = stats.genpareto.logpdf(excess, tail.shape, scale=tail.scale).mean()
    assert own == pytest.approx(stats.genpareto.logpdf(excess, shape, scale=scale).mean(), abs=1e-3)
    assert tail.tail_share == pytest.approx(1.0 - TAIL_QUANTILE, abs=1e-3)


def test_a_few_odd_rows_do_not_make_everything_ordinary() -> None:
    values = np.random.default_rng(4).exponential(size=2000)
    values[:20] = 1e6
    tail = TailModel.fit(values)
    assert 0.0 <= tail.shape <= LARGEST_SHAPE
    assert tail.evidence(np.array([1e8]))[0] > 4.0


def test_nan_is_left_out_and_stays_nan() -> None:
    values = np.random.default_rng(5).normal(size=500)
    holed = np.concatenate([values, np.full(100, np.nan)])
    one, other = TailModel.fit(values), TailModel.fit(holed)
    x = np.array([0.0, np.nan, 5.0])
    np.testing.assert_array_equal(one.evidence(x), other.evidence(x))
    assert np.isnan(one.evidence(x)[1])


def test_too_few_values_are_refused_with_their_number() -> None:
    with pytest.raises(TooLittleDataError, match=r"20 .*got 19"):
        TailModel.fit(np.concatenate([np.arange(19.0), [np.nan]]))
    TailModel.fit(np.arange(20.0))


def test_arrays_bring_it_back() -> None:
    tail = TailModel.fit(np.random.default_rng(6).normal(size=300))
    again = TailModel.from_arrays(tail.to_arrays("x"), "x")
    x = np.linspace(-5, 20, 100)
    np.testing.assert_array_equal(again.evidence(x), tail.evidence(x))


def _by_interpolation(tail: TailModel, x: np.ndarray) -> np.ndarray:
    """The same through the general search of NumPy."""
    above = np.interp(-x, -tail.quantiles[::-1], np.linspace(0.0, 1.0, len(tail.quantiles)))
    body = -np.log10(np.maximum(above, tail.tail_share))
    reach = np.maximum(x - tail.level, 0.0) / tail.scale
    decay = np.log1p(tail.shape * reach) / tail.shape if tail.shape > 0 else reach
    beyond = -np.log10(tail.tail_share) + decay / np.log(10.0)
    return np.where(np.isnan(x), np.nan, np.where(x > tail.level, beyond, body))


@pytest.mark.parametrize("kind", ["normal", "heavy", "outlier", "two levels", "many ties", "constant", "tiny", "huge"])
def test_the_table_leads_to_the_same_bits_as_a_search(kind: str) -> None:
    rng = np.random.default_rng(7)
    normal = rng.normal(size=5000)
    values = {
        "normal": normal,
        "heavy": rng.standard_t(2, size=5000),
        "outlier": np.concatenate([normal, [-1e9]]),
        "two levels": rng.integers(0, 2, 500).astype(float),
        "many ties": normal.round(1),
        "constant": np.full(100, -3.0),
        "tiny": 1.0 + normal * 1e-15,
        "huge": normal * 1e150,
    }[kind]
    tail = TailModel.fit(values)
    knots = tail.quantiles
    x = np.concatenate([values, knots, np.nextafter(knots, np.inf), np.nextafter(knots, -np.inf), normal, [np.nan]])
    np.testing.assert_array_equal(tail.evidence(x), _by_interpolation(tail, x))
    assert np.isfinite(tail.evidence(np.array([-np.inf]))).all()
    assert tail.evidence(np.array([np.inf]))[0] == np.inf

"""The period of a series against a direct autocorrelation."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad.errors import DataError
from sensorad.metrics import series_period


def naive_period(x: np.ndarray) -> int:
    """The rule, lag by lag."""
    x = x[:20_000] - np.mean(x[:20_000])
    variance = sum(value * value for value in x.tolist())
    if variance == 0:
        return 125
    curve = [np.dot(x[: len(x) - lag], x[lag:]) / variance for lag in range(min(401, len(x)))]
    best = None
    for lag in range(4, len(curve) - 1):  # lags 0 to 2 are skipped, and the first left has no left neighbour
        is_peak = curve[lag - 1] < curve[lag] > curve[lag + 1]
        if is_peak and (best is None or curve[lag] > curve[best]):
            best = lag
    if best is None or not 3 <= best - 3 <= 300:
        return 125
    return best


@pytest.mark.parametrize("seed", range(12))
def test_same_as_lag_by_lag(seed):
    rng = np.random.default_rng(seed)
    n_rows = int(rng.integers(30, 3000))
    period = rng.uniform(3, 350)
    wave = np.sin(2 * np.pi * np.arange(n_rows) / period) + 0.3 * np.cos(np.arange(n_rows) * rng.uniform(0, 3))
    x = wave + rng.uniform(0, 1) * rng.standard_normal(n_rows)
    assert series_period(x) == naive_period(x)


@pytest.mark.parametrize("period", [7, 24, 125, 250, 300])
def test_finds_the_period_of_a_wave(period):
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.arange(6000) / period) + 0.01 * rng.standard_normal(6000)
    assert abs(series_period(wave) - period) <= 1


def test_only_the_first_20000_rows_count():
    rng = np.random.default_rng(0)
    head = np.sin(2 * np.pi * np.arange(20_000) / 50)
    assert series_period(np.append(head, 1000 * rng.standard_normal(5000))) == series_period(head) == 50


@pytest.mark.parametrize(
    "x",
    [
        np.ones(500),
        np.full(500, 0.1),  # its mean is not exactly 0.1
        np.arange(500.0),  # no local maximum
        np.array([1.0]),
        np.array([1.0, 2.0, 1.0]),
        np.sin(2 * np.pi * np.arange(5000) / 370),  # too long
        np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 3)[:9],  # too few lags
    ],
)
def test_no_sensible_period_is_125(x):
    assert series_period(x) == 125


def test_a_maximum_at_lag_5_is_outside_and_not_replaced_by_the_next():
    # Lag 5 has index 2 after the three skipped lags, below the benchmark's limit.
    assert series_period(np.tile([3.0, 0.0, 0.0, 0.0, 0.0], 200)) == 125
    assert series_period(np.tile([3.0, 0.0, 0.0, 0.0, 0.0, 0.0], 200)) == 6


def test_series_that_have_no_period_by_type_are_refused():
    with pytest.raises(DataError, match="one sensor"):
        series_period(np.zeros((10, 2)))
    with pytest.raises(DataError, match="one sensor"):
        series_period([])
    with pytest.raises(DataError, match="finite"):
        series_period([1.0, np.nan, 2.0])

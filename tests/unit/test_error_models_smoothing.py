"""Smoothing with a finite memory against explicit sums."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.error_models.smoothing import memory_rows, smooth


def _by_sums(values: np.ndarray, span: int) -> np.ndarray:
    decay = 1.0 - 2.0 / (span + 1.0)
    result = np.full(len(values), np.nan)
    for t in range(len(values)):
        if np.isnan(values[t]):
            continue
        total = weights = 0.0
        for back in range(memory_rows(span)):
            if t - back >= 0 and not np.isnan(values[t - back]):
                total += decay**back * values[t - back]
                weights += decay**back
        result[t] = total / weights
    return result


numbers = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=60)


@given(numbers, st.integers(1, 12))
def test_it_is_a_weighted_mean_of_the_rows_so_far(values: list[float], span: int) -> None:
    column = np.array(values)
    np.testing.assert_allclose(smooth(column, span), _by_sums(column, span), rtol=1e-9, atol=1e-6)


def test_columns_are_smoothed_one_by_one() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    values[[3, 9, 10], [0, 1, 2]] = np.nan
    together = smooth(values, 4)
    for c in range(3):
        np.testing.assert_array_equal(together[:, c], smooth(values[:, c], 4))


@pytest.mark.parametrize("span", [1, 2, 5, 30])
def test_the_past_is_forgotten_exactly(span: int) -> None:
    values = np.random.default_rng(0).normal(size=300)
    spoilt = values.copy()
    spoilt[50] = 1e12
    one, other = smooth(values, span), smooth(spoilt, span)
    memory = memory_rows(span)
    np.testing.assert_array_equal(one[:50], other[:50])
    np.testing.assert_array_equal(one[50 + memory :], other[50 + memory :])
    if span > 1:
        assert (one[50 : 50 + memory] != other[50 : 50 + memory]).all()


def test_a_constant_stays_what_it_is() -> None:
    np.testing.assert_allclose(smooth(np.full(50, 7.0), 10), 7.0, rtol=1e-14)


def test_the_weight_beyond_the_memory_is_as_small_as_stated() -> None:
    for span in (5, 30):
        assert (1.0 - 2.0 / (span + 1.0)) ** memory_rows(span) < 0.0026


@given(numbers, st.integers(1, 12), st.sets(st.integers(1, 59), max_size=5))
def test_stretches_side_by_side_do_not_mix(values: list[float], span: int, places: set[int]) -> None:
    column = np.array(values)
    bounds = [0, *sorted(place for place in places if place < len(values)), len(values)]
    lengths = np.diff(bounds)
    age = np.concatenate([np.arange(length) for length in lengths])
    apart = np.concatenate([smooth(column[a:b], span) for a, b in pairwise(bounds)])
    np.testing.assert_array_equal(smooth(column, span, age), apart)
    both = smooth(np.stack([column, column[::-1]], axis=1), span, age)
    np.testing.assert_array_equal(both[:, 0], apart)

"""Gaps and sampling rates against loops; windows against slices."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.data import Timing, window_view
from sensorad.data.timing import GAP_STEPS

SECOND = 10**9


def _times(seconds: list[float]) -> np.ndarray:
    return (np.cumsum(seconds) * SECOND).astype(np.int64)


def test_the_usual_step_is_the_median_over_all_machines() -> None:
    timing = Timing.fit([_times([1.0] * 10), _times([1.0, 1.0, 500.0, 2.0, 0.0, 0.0])])
    assert timing.step_seconds == 1.0
    assert timing.mean_step_seconds == pytest.approx((10 + 2) / 11)
    assert timing.gap_seconds == GAP_STEPS * timing.step_seconds


def test_a_log_without_steps_has_a_step_of_a_second() -> None:
    assert Timing.fit([]) == Timing.fit([np.array([5])]) == Timing(1.0, 1.0)


steps = st.sampled_from([0.2, 1.0, GAP_STEPS - 0.1, GAP_STEPS, GAP_STEPS + 0.1, 40.0])


@given(st.lists(steps, min_size=1, max_size=30), st.booleans())
def test_a_gap_is_more_than_a_few_steps(seconds: list[float], has_before: bool) -> None:
    timing = Timing(1.0, 1.0)
    time = _times(seconds)
    before = int(time[0] - seconds[0] * SECOND) if has_before else None
    starts = timing.segment_starts(time, before)
    for row, step in enumerate(seconds):
        previous = before if row == 0 else time[row - 1]
        expected = previous is not None and (time[row] - previous) / SECOND > GAP_STEPS * 1.0
        assert starts[row] == expected, step


@given(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=30), st.integers(2, 10))
def test_the_change_of_rate_is_that_of_a_loop(seconds: list[float], length: int) -> None:
    timing = Timing(1.0, 1.25)
    time = _times(seconds)
    change = timing.rate_change(time, length)
    for row in range(len(time)):
        steps = np.diff(time[max(0, row - length + 1) : row + 1]) / SECOND
        expected = 1.0
        if len(steps) >= min(length - 1, 5):
            ratio = steps.mean() / 1.25
            expected = max(ratio, 1.0 / ratio)
        assert change[row] == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 12), st.integers(1, 3), st.integers(1, 8))
def test_windows_are_slices(n_rows: int, n_sensors: int, length: int) -> None:
    rows = np.arange(n_rows * n_sensors, dtype=np.float32).reshape(n_rows, n_sensors)
    windows = window_view(rows, length)
    assert windows.shape == (max(0, n_rows - length + 1), length, n_sensors)
    for n, window in enumerate(windows):
        np.testing.assert_array_equal(window, rows[n : n + length])
    assert len(windows) == 0 or np.shares_memory(windows, rows)


@given(st.lists(st.floats(0.1, 20.0), min_size=2, max_size=40), st.sets(st.integers(1, 39), max_size=4))
def test_rates_of_segments_side_by_side_are_those_of_each(steps: list[float], places: set[int]) -> None:
    timing, time = Timing(1.0, 1.1), _times(steps)
    bounds = [0, *sorted(place for place in places if place < len(time)), len(time)]
    age = np.concatenate([np.arange(b - a) for a, b in pairwise(bounds)])
    apart = np.concatenate([timing.rate_change(time[a:b], 8) for a, b in pairwise(bounds)])
    np.testing.assert_array_equal(timing.rate_change(time, 8, age), apart)

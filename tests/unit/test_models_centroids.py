"""Typical windows: the nearest of them against double loops, whatever stands beside a window, and their fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.data import window_view
from sensorad.errors import ArtefactError, UsageError
from sensorad.models import centroids as subject
from sensorad.models.centroids import ShapeConfig, WindowCentroids

LENGTH, C = 6, 3


def _rows(n_rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 4 + np.arange(C))
    return (wave + 0.1 * rng.normal(size=(n_rows, C))).astype(np.float32)


def _slow_nearest(model: WindowCentroids, windows: np.ndarray) -> list[int]:
    """One window, one centroid, one cell at a time."""
    found = []
    for window in windows:
        distances = []
        for centroid in model.centroids:
            total = 0.0
            for row in range(window.shape[0]):
                for sensor in range(window.shape[1]):
                    total += (float(window[row, sensor]) - float(centroid[row, sensor])) ** 2
            distances.append(total)
        found.append(distances.index(min(distances)))
    return found


def test_the_nearest_is_the_one_that_loops_find() -> None:
    model = WindowCentroids.fit([_rows(300)], LENGTH, ShapeConfig(centroids=12), seed=0)
    windows = np.concatenate([window_view(_rows(60, seed=1), LENGTH), np.full((1, LENGTH, C), 9.0, np.float32)])
    assert model.nearest(windows).tolist() == _slow_nearest(model, windows)
    np.testing.assert_array_equal(model.reconstruct(windows), model.centroids[_slow_nearest(model, windows)])


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 40))
def test_what_stands_beside_a_window_changes_no_bit(seed: int, size: int) -> None:
    """Also where centroids are as good as equal: copies, and copies that differ by one float32 step."""
    rng = np.random.default_rng(seed)
    few = rng.normal(size=(5, LENGTH, C)).astype(np.float32)
    model = WindowCentroids(np.concatenate([np.nextafter(few, np.float32(9.0)), few, few, -few]))
    windows = np.concatenate([rng.normal(size=(40, LENGTH, C)), np.zeros((1, LENGTH, C)), few]).astype(np.float32)
    whole = model.nearest(windows)
    for first in range(0, len(windows), size):
        np.testing.assert_array_equal(model.nearest(windows[first : first + size]), whole[first : first + size])
    assert not np.isin(whole, np.arange(10, 15)).any(), "of equals it is the first"
    assert whole[-5:].tolist() == [5, 6, 7, 8, 9]


def test_a_fit_draws_from_its_own_seed_alone() -> None:
    rows = [_rows(400), _rows(3), _rows(90, seed=2)]
    config = ShapeConfig(centroids=20)
    before = np.random.get_state(legacy=True)[1].tobytes()  # noqa: NPY002
    first = WindowCentroids.fit(rows, LENGTH, config, seed=1)
    assert np.random.get_state(legacy=True)[1].tobytes() == before  # noqa: NPY002
    again, other = (WindowCentroids.fit(rows, LENGTH, config, seed) for seed in (1, 2))
    assert first.centroids.shape == (20, LENGTH, C)
    assert first.centroids.dtype == np.float32
    assert first.length == LENGTH
    np.testing.assert_array_equal(first.centroids, again.centroids)
    assert not np.array_equal(first.centroids, other.centroids)


def test_a_long_log_is_learned_from_in_larger_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(1000)
    taken = subject._sample([rows, rows[:2]], LENGTH, 300)
    assert len(taken) == 249
    np.testing.assert_array_equal(taken, window_view(rows, LENGTH)[::4])
    monkeypatch.setattr(subject, "MOST_CELLS", 50 * LENGTH * C)
    assert len(subject._sample([rows], LENGTH, 300)) <= 50


def test_few_windows_have_few_centroids_and_equal_ones_are_no_trouble() -> None:
    assert len(WindowCentroids.fit([_rows(LENGTH + 8)], LENGTH, ShapeConfig(), seed=0).centroids) == 2
    still = WindowCentroids.fit([np.ones((90, C), np.float32)], LENGTH, ShapeConfig(centroids=8), seed=0)
    np.testing.assert_array_equal(still.reconstruct(np.ones((1, LENGTH, C), np.float32)), np.ones((1, LENGTH, C)))


def test_arrays_that_are_no_centroids_are_refused() -> None:
    good = np.zeros((4, LENGTH, C), np.float32)
    assert WindowCentroids.from_arrays({"centroids": good}, LENGTH, C).length == LENGTH
    for wrong in (good[:, 1:], good[..., 1:], good[0], good[:0], good.astype(np.float64), good + np.nan, np.float32(1)):
        with pytest.raises(ArtefactError):
            WindowCentroids.from_arrays({"centroids": np.asarray(wrong)}, LENGTH, C)
    for arrays in ({}, {"centroids": good, "spare": good}):
        with pytest.raises(ArtefactError):
            WindowCentroids.from_arrays(arrays, LENGTH, C)


def test_settings_are_checked() -> None:
    assert ShapeConfig.from_json(ShapeConfig(centroids=7).to_json()) == ShapeConfig(centroids=7)
    for wrong in ({"centroids": 0}, {"centroids": 1.5}, {"sample": 0}, {"width": 8}):
        with pytest.raises(UsageError):
            ShapeConfig.from_json(wrong)

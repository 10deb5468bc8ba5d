"""The baselines of the benchmark against slow, obvious twins, and the rules that they all keep."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.covariance import ledoit_wolf

from sensorad_datasets import BenchmarkSeries
from sensorad_datasets.bench.baselines import BASELINES, Autoregression, NearestWindow, RowPCA, WindowPCA
from sensorad_datasets.bench.methods import BaselineRunner
from sensorad_datasets.bench.stretches import Stretch, ZScore, stretches_of
from sensorad_datasets.series import log_table, row_times

N_SENSORS = 3
LOOKS_BACK = {"window-pca": 29, "nearest-window": 29, "autoregression": 10}


def normal(n_rows: int, seed: int = 0) -> Stretch:
    """Three sensors that move together, with a slow swing."""
    generator = np.random.default_rng(seed)
    swing = np.sin(np.arange(n_rows) / 9.0)[:, None] * [1.0, 0.8, -0.5]
    return Stretch(np.arange(n_rows), swing + 0.2 * generator.normal(size=(n_rows, N_SENSORS)))


def naive_axes(rows: np.ndarray) -> np.ndarray:
    """The leading right singular vectors that hold 90 % of the variance."""
    _, sizes, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    n_axes = 1
    while (sizes[:n_axes] ** 2).sum() < 0.9 * (sizes**2).sum():
        n_axes += 1
    return axes[:n_axes].T


def windows_of(stretch: Stretch) -> np.ndarray:
    return np.array([stretch.values[end - 30 : end].T.ravel() for end in range(30, len(stretch.rows) + 1)])


def test_row_pca_is_the_distance_from_the_subspace() -> None:
    train, test = normal(200), normal(40, seed=1)
    baseline = RowPCA(0)
    baseline.fit([train])
    scores, blame = baseline.score(test)
    axes = naive_axes(train.values)
    for row, score, shares in zip(test.values, scores, blame, strict=True):
        centred = row - train.values.mean(axis=0)
        rest = centred - axes @ (axes.T @ centred)
        np.testing.assert_allclose(shares, rest**2, atol=1e-9)
        np.testing.assert_allclose(score, rest @ rest, atol=1e-9)


def test_window_pca_is_pca_of_all_windows_of_all_stretches() -> None:
    train, test = [normal(150), normal(90, seed=2)], normal(50, seed=1)
    baseline = WindowPCA(0)
    baseline.fit(train)
    scores, blame = baseline.score(test)
    windows = np.concatenate([windows_of(stretch) for stretch in train])
    axes, mean = naive_axes(windows), windows.mean(axis=0)
    assert np.isnan(scores[:29]).all()
    for end in range(30, 51):
        centred = test.values[end - 30 : end].T.ravel() - mean
        rest = (centred - axes @ (axes.T @ centred)).reshape(N_SENSORS, 30)
        np.testing.assert_allclose(scores[end - 1], (rest**2).sum(), rtol=1e-3)
        np.testing.assert_allclose(blame[end - 1], (rest**2).sum(axis=1), rtol=1e-3)


def test_nearest_window_is_the_smallest_distance() -> None:
    train, test = [normal(100), normal(60, seed=2)], normal(45, seed=1)
    baseline = NearestWindow(0)
    baseline.fit(train)
    scores, _ = baseline.score(test)
    references = [window for stretch in train for window in windows_of(stretch)]
    for end, window in zip(range(30, 46), windows_of(test), strict=True):
        nearest = min(float(np.linalg.norm(window - reference)) for reference in references)
        assert scores[end - 1] == pytest.approx(nearest, rel=1e-3)


def test_nearest_window_remembers_at_most_2000_windows_spread_over_the_log() -> None:
    train = normal(5000)
    baseline = NearestWindow(0)
    baseline.fit([train])
    windows = windows_of(train).astype(np.float32)
    assert baseline._references.shape == (2000, 90)
    assert (baseline._references[[0, -1]] == windows[[0, -1]]).all()


def test_autoregression_is_ridge_and_ledoit_wolf() -> None:
    train, test = normal(200), normal(30, seed=1)
    baseline = Autoregression(0)
    baseline.fit([train])
    scores, blame = baseline.score(test)

    def inputs(values: np.ndarray, row: int) -> np.ndarray:
        return np.concatenate([*(values[row - lag] for lag in range(1, 11)), [1.0]])

    known = np.array([inputs(train.values, row) for row in range(10, 200)])
    penalty = np.diag([1.0] * 30 + [0.0])
    weights = np.linalg.inv(known.T @ known + penalty) @ known.T @ train.values[10:]
    covariance, _ = ledoit_wolf(train.values[10:] - known @ weights, assume_centered=True)
    precision = np.linalg.inv(covariance)
    assert np.isnan(scores[:10]).all()
    for row in range(10, 30):
        error = test.values[row] - inputs(test.values, row) @ weights
        squared = error @ precision @ error
        assert scores[row] == pytest.approx(np.sqrt(squared))
        for sensor in range(N_SENSORS):
            others = [place for place in range(N_SENSORS) if place != sensor]
            without = error[others] @ np.linalg.inv(covariance[np.ix_(others, others)]) @ error[others]
            assert blame[row, sensor] == pytest.approx(squared - without)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_no_score_depends_on_later_rows(name: str) -> None:
    train, test = normal(300), normal(60, seed=1)
    baseline = BASELINES[name](0)
    baseline.fit([train])
    whole, _ = baseline.score(test)
    again = BASELINES[name](0)
    again.fit([train])
    start, _ = again.score(Stretch(test.rows[:45], test.values[:45]))
    np.testing.assert_allclose(start, whole[:45], rtol=1e-4)
    n_unscored = LOOKS_BACK.get(name, 0)
    assert np.isnan(whole).tolist() == [row < n_unscored for row in range(60)]


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_stretch_shorter_than_a_window_has_no_score_and_is_no_error(name: str) -> None:
    baseline = BASELINES[name](0)
    baseline.fit([normal(300), normal(5)])
    scores, _ = baseline.score(normal(5, seed=1))
    assert np.isnan(scores).all() == (name in LOOKS_BACK)


@pytest.mark.parametrize("name", ["max-z", "pca", "window-pca", "nearest-window", "autoregression"])
def test_a_broken_correlation_or_a_jump_stands_out(name: str) -> None:
    test = normal(200, seed=1)
    test.values[150:160, 2] += 6.0
    baseline = BASELINES[name](0)
    baseline.fit([normal(600)])
    scores, blame = baseline.score(test)
    assert 150 <= int(np.nanargmax(scores)) < 190
    if blame is not None:
        assert np.argmax(np.nansum(blame[150:160], axis=0)) == 2


def test_random_draws_by_its_seed() -> None:
    first, again, other = (BASELINES["random"](seed).score(normal(50))[0] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).all()


def test_z_scores_use_training_statistics_and_compress_extremes() -> None:
    train = np.array([[0.0, 5.0], [2.0, 5.0], [np.nan, 5.0]])
    scaler = ZScore.fit([Stretch(np.arange(3), train)])
    z = scaler.transform(np.array([[1.0, 5.0], [6.0, 5.0], [101.0, np.nan], [np.inf, 6.5]]))
    assert z[:2].tolist() == [[0.0, 0.0], [5.0, 0.0]]
    assert z[2].tolist() == [pytest.approx(5 + 5 * np.log(20)), 0.0]
    assert z[3].tolist() == [0.0, pytest.approx(5.0)]  # a constant sensor counts in 0.3 of the usual scale


def series_of(times: np.ndarray, groups: list[str] | None) -> BenchmarkSeries:
    values = np.arange(len(times), dtype=np.float32)
    log = log_table(pa.table({"a": values}), ("a",), times, groups=None if groups is None else ("box", groups))
    return BenchmarkSeries(
        "made", "up", log, log, np.zeros(len(times), bool), ("a",), 1.0, group_column=None if groups is None else "box"
    )


def test_stretches_end_at_gaps_and_machines() -> None:
    times = row_times(8, 1.0)
    times[5:] += 10 * 10**9
    one = series_of(times, None)
    assert [stretch.rows.tolist() for stretch in stretches_of(one.test, one)] == [[0, 1, 2, 3, 4], [5, 6, 7]]
    two = series_of(row_times(6, 1.0), list("ababab"))
    found = stretches_of(two.test, two)
    assert [stretch.rows.tolist() for stretch in found] == [[0, 2, 4], [1, 3, 5]]
    assert found[1].values.ravel().tolist() == [1.0, 3.0, 5.0]


def test_no_window_spans_a_gap() -> None:
    times = row_times(100, 1.0)
    times[60:] += 3600 * 10**9
    series = series_of(times, None)
    runner = BaselineRunner(WindowPCA(0))
    runner.fit(series)
    scores = runner.score(series).score
    assert np.flatnonzero(np.isnan(scores)).tolist() == [*range(29), *range(60, 89)]

"""Batches of the linear part against loops, for windows in any order, and bits that do not depend on neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.error_models import window_batches as module
from sensorad.error_models.window_batches import by_sensor, projection_errors, step_errors
from sensorad.models import RidgeAutoregression, WindowPCA

LENGTH, LAGS, N_SENSORS = 7, 3, 4


def _rows(n_rows: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(n_rows, N_SENSORS)), axis=0).astype(np.float32)


def _pca() -> WindowPCA:
    return WindowPCA.fit([_rows(500, 100)], LENGTH, 0.9)


def _regression() -> RidgeAutoregression:
    return RidgeAutoregression.fit([_rows(500, 100)], LAGS, 1.0)


def _ends(kind: str, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Consecutive, scattered one by one, or runs with gaps."""
    every = np.arange(LENGTH - 1, n_rows)
    if kind == "all":
        return every
    if kind == "scattered":
        return np.sort(rng.choice(every, len(every) // 4, replace=False))
    return every[(every // 40) % 2 == 0]


@settings(max_examples=20)
@given(st.sampled_from(["all", "scattered", "runs"]), st.integers(0, 99), st.floats(0, 0.4))
def test_windows_are_those_of_a_loop(kind: str, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    rows, pca = _rows(300, seed), _pca()
    usable = rng.random(rows.shape) >= share
    ends = _ends(kind, len(rows), rng)
    window, newest, expected = projection_errors(by_sensor(rows), usable, pca, ends)
    components = pca.components.astype(np.float64)
    for n, end in enumerate(ends):
        at = slice(end - LENGTH + 1, end + 1)
        actual = rows[at].astype(np.float64)
        rebuilt = (components @ (components.T @ actual.reshape(-1))).reshape(actual.shape)
        np.testing.assert_allclose(expected[n], rebuilt[-1], rtol=1e-5, atol=1e-5)
        for c in range(N_SENSORS):
            squares = np.square(actual - rebuilt)[usable[at, c], c]
            own = actual[-1, c] - rebuilt[-1, c] if usable[end, c] else np.nan
            assert newest[n, c] == pytest.approx(own, rel=1e-9, abs=1e-12, nan_ok=True)
            assert window[n, c] == pytest.approx(np.mean(squares) if len(squares) else np.nan, rel=1e-9, nan_ok=True)


@settings(max_examples=20)
@given(st.sampled_from(["all", "scattered", "runs"]), st.integers(0, 99))
def test_steps_are_those_of_a_loop(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, model = _rows(300, seed), _regression()
    usable = rng.random(rows.shape) >= 0.1
    ends = _ends(kind, len(rows), rng)
    step = step_errors(by_sensor(rows), usable, model, ends)
    for n, end in enumerate(ends):
        past = np.concatenate([*(rows[end - back] for back in range(1, LAGS + 1)), np.ones(1, np.float32)])
        predicted = past.astype(np.float64) @ model.weights.astype(np.float64)
        np.testing.assert_allclose(step[n], np.where(usable[end], rows[end] - predicted, 0.0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["all", "scattered", "runs"])
def test_a_row_gets_the_same_bits_whatever_stands_beside_it(kind: str) -> None:
    rng = np.random.default_rng(0)
    rows, pca, model = _rows(2000, 0), _pca(), _regression()
    usable = np.ones(rows.shape, bool)
    ends = _ends(kind, len(rows), rng)
    values = by_sensor(rows)
    whole = (*projection_errors(values, usable, pca, ends), step_errors(values, usable, model, ends))
    for part in (slice(0, 1), slice(3, 40), slice(100, None), slice(7, None, 3)):
        again = projection_errors(values, usable, pca, ends[part])
        for one, other in zip((*again, step_errors(values, usable, model, ends[part])), whole, strict=True):
            np.testing.assert_array_equal(one, other[part])


def test_values_of_other_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, pca = _rows(500, 0), _pca()
    usable = np.random.default_rng(1).random(rows.shape) > 0.01
    ends = np.arange(LENGTH - 1, 500)
    whole = projection_errors(by_sensor(rows), usable, pca, ends)
    monkeypatch.setattr(module, "LARGEST_BATCH", 48)
    for one, other in zip(projection_errors(by_sensor(rows), usable, pca, ends), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_windows_give_no_errors() -> None:
    none = np.zeros(0, np.int64)
    rows = by_sensor(_rows(3, 0))
    usable = np.ones((3, N_SENSORS), bool)
    assert [part.shape for part in projection_errors(rows, usable, _pca(), none)] == [(0, N_SENSORS)] * 3
    assert step_errors(rows, usable, _regression(), none).shape == (0, N_SENSORS)

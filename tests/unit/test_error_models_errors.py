"""Errors of windows and of one-step predictions against double loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.models import RidgeAutoregression, WindowPCA


def _rows(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(n_rows, n_sensors)), axis=0).astype(np.float32)


def _half(windows: np.ndarray) -> np.ndarray:
    """A reconstruction that differs from cell to cell and needs the whole window."""
    return 0.5 * windows + 0.1 * windows.mean(axis=1, keepdims=True)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99), st.floats(0, 0.6))
def test_window_errors_of_a_network_are_those_of_a_double_loop(
    n_rows: int, n_sensors: int, length: int, seed: int, share: float
) -> None:
    rows = _rows(n_rows, n_sensors, seed)
    usable = np.random.default_rng(seed + 1).random(rows.shape) >= share
    errors = NetworkErrors(_half, 1.0, length, None, None).errors(rows, usable, np.arange(n_rows))
    window, newest, expected = errors.window, errors.newest, errors.expected
    for t in range(n_rows):
        for c in range(n_sensors):
            if t < length - 1:
                assert np.isnan(window[t, c])
                assert np.isnan(newest[t, c])
                assert np.isnan(expected[t, c])
                continue
            at = range(t - length + 1, t + 1)
            rebuilt = _half(rows[None, at.start : at.stop])[0, :, c]
            squares = [(rows[i, c] - rebuilt[n]) ** 2 for n, i in enumerate(at) if usable[i, c]]
            assert window[t, c] == pytest.approx(np.mean(squares) if squares else np.nan, rel=1e-5, nan_ok=True)
            own = rows[t, c] - rebuilt[-1] if usable[t, c] else np.nan
            assert newest[t, c] == pytest.approx(own, rel=1e-5, abs=1e-6, nan_ok=True)
            assert expected[t, c] == pytest.approx(rebuilt[-1], rel=1e-5)


def test_a_missing_cell_changes_no_bit_of_windows_without_it() -> None:
    rows = _rows(200, 5)
    pca = WindowPCA.fit([rows], length=20, variance=0.9)
    model = LinearErrors(pca, RidgeAutoregression.fit([rows], lags=3, penalty=1.0))

    def found(usable: np.ndarray) -> tuple[np.ndarray, ...]:
        errors = model.errors(rows, usable, np.arange(len(rows)))
        return errors.window, errors.newest, errors.expected

    usable = np.ones(rows.shape, bool)
    whole = found(usable)
    usable[150, 2] = False
    holed = found(usable)
    for one, other in zip(whole, holed, strict=True):
        np.testing.assert_array_equal(one[:150], other[:150])
        np.testing.assert_array_equal(one[170:], other[170:])
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(whole[0][:, others], holed[0][:, others])
    assert (whole[0][150:170, 2] != holed[0][150:170, 2]).all()


@given(st.integers(1, 25), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_one_step_errors_are_those_of_a_loop(n_rows: int, n_sensors: int, lags: int, seed: int) -> None:
    rows = _rows(n_rows, n_sensors, seed)
    rng = np.random.default_rng(seed)
    usable = rng.random(rows.shape) > 0.2
    weights = rng.normal(size=(lags * n_sensors + 1, n_sensors)).astype(np.float32)
    pca = WindowPCA(np.zeros((n_sensors, 0), np.float32), 1)
    model = LinearErrors(pca, RidgeAutoregression(weights, lags))
    step = model.errors(rows, usable, np.arange(n_rows)).step
    assert np.isnan(step[:lags]).all()
    for t in range(lags, n_rows):
        past = np.concatenate([rows[t - back] for back in range(1, lags + 1)] + [np.ones(1)])
        error = np.where(usable[t], rows[t] - past @ weights, 0.0)
        np.testing.assert_allclose(step[t], error, rtol=1e-5, atol=1e-4)


def test_linear_errors_depend_on_the_rows_that_they_state() -> None:
    rows = _rows(120, 3)
    for length, lags in ((10, 4), (4, 10)):
        model = LinearErrors(WindowPCA.fit([rows], length, 0.9), RidgeAutoregression.fit([rows], lags, 1.0))
        assert model.context_rows == max(length - 1, lags)
        usable, time = np.ones(rows.shape, bool), np.arange(len(rows))
        whole = model.errors(rows, usable, time)
        last = slice(60 - model.context_rows, 61)
        part = model.errors(rows[last], usable[last], time[last])
        for name in ("window", "newest", "expected", "step"):
            np.testing.assert_allclose(getattr(part, name)[-1], getattr(whole, name)[60], rtol=1e-5, atol=1e-9)
        last = slice(61 - model.context_rows, 61)
        short = model.errors(rows[last], usable[last], time[last])
        assert np.isnan(short.window[-1]).all() or np.isnan(short.step[-1]).all()


def test_errors_can_be_taken_apart() -> None:
    rows = _rows(30, 2)
    model = LinearErrors(WindowPCA.fit([rows], 5, 0.9), RidgeAutoregression.fit([rows], 2, 1.0))
    errors = model.errors(rows, np.ones(rows.shape, bool), np.arange(len(rows)))
    some = errors.take(slice(10, 12))
    assert isinstance(some, SensorErrors)
    assert (len(errors), len(some)) == (30, 2)
    np.testing.assert_array_equal(some.step, errors.step[10:12])

"""Mahalanobis distances and blame against explicit algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from sensorad.errors import TooLittleDataError
from sensorad.scoring.covariance import ErrorCovariance


def _errors(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, n_sensors)) @ rng.normal(size=(n_sensors, n_sensors)) + rng.normal(size=n_sensors)


def test_it_is_the_inverse_of_the_ledoit_wolf_estimate() -> None:
    errors = _errors(300, 5)
    model = ErrorCovariance.fit(errors, noise=np.zeros(5))
    published = LedoitWolf().fit(errors)
    np.testing.assert_allclose(model.mean, errors.mean(axis=0))
    np.testing.assert_allclose(model.precision, np.linalg.inv(published.covariance_), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.distance(errors[:20]), published.mahalanobis(errors[:20]), rtol=1e-8)


def test_noise_and_shrinkage_are_added_to_the_variances() -> None:
    errors = _errors(300, 3)
    noise = np.array([0.0, 1.0, 2.0])
    model = ErrorCovariance.fit(errors, noise, is_centred=True, extra_shrinkage=0.1)
    covariance = LedoitWolf(assume_centered=True).fit(errors).covariance_
    covariance = covariance + np.diag(noise**2) + 0.1 * np.trace(covariance) / 3 * np.eye(3)
    np.testing.assert_array_equal(model.mean, 0.0)
    np.testing.assert_allclose(model.precision, np.linalg.inv(covariance), rtol=1e-8)


@given(st.integers(2, 6), st.integers(0, 99))
def test_blame_is_by_how_much_the_distance_falls_without_the_sensor(n_sensors: int, seed: int) -> None:
    model = ErrorCovariance.fit(_errors(200, n_sensors, seed), noise=np.full(n_sensors, 0.01))
    covariance = np.linalg.inv(model.precision)
    rows = _errors(5, n_sensors, seed + 1)
    whole, blame = model.distance(rows), model.blame(rows)
    for c in range(n_sensors):
        others = np.delete(np.arange(n_sensors), c)
        delta = (rows - model.mean)[:, others]
        smaller = np.linalg.inv(covariance[np.ix_(others, others)])
        for t in range(len(rows)):
            assert blame[t, c] == pytest.approx(whole[t] - delta[t] @ smaller @ delta[t], rel=1e-6, abs=1e-7)


def test_a_missing_cell_counts_as_the_mean() -> None:
    model = ErrorCovariance.fit(_errors(200, 3), noise=np.zeros(3))
    row = np.array([[1.0, np.nan, -2.0]])
    filled = np.array([[1.0, model.mean[1], -2.0]])
    np.testing.assert_allclose(model.distance(row), model.distance(filled))
    assert np.isfinite(model.blame(row)).all()


def test_rows_with_nan_teach_nothing_and_two_rows_are_the_least() -> None:
    errors = _errors(100, 3)
    holed = np.concatenate([errors, [[np.nan, 1e9, 0.0]]])
    np.testing.assert_array_equal(
        ErrorCovariance.fit(holed, np.zeros(3)).precision, ErrorCovariance.fit(errors, np.zeros(3)).precision
    )
    with pytest.raises(TooLittleDataError, match="got 1"):
        ErrorCovariance.fit(np.array([[1.0, 2.0], [np.nan, 0.0]]), np.zeros(2))


def test_one_sensor_and_an_error_free_sensor_have_finite_weights() -> None:
    one = ErrorCovariance.fit(_errors(50, 1), np.zeros(1))
    assert np.isfinite(one.distance(np.array([[3.0]]))).all()
    errors = _errors(50, 2)
    errors[:, 1] = 0.0
    model = ErrorCovariance.fit(errors, np.array([1e-3, 1e-3]))
    assert np.isfinite(model.precision).all()
    assert model.blame(np.array([[0.0, 1.0]])).argmax() == 1


def test_arrays_bring_it_back() -> None:
    model = ErrorCovariance.fit(_errors(50, 3), np.zeros(3))
    again = ErrorCovariance.from_arrays(model.to_arrays("x"), "x")
    np.testing.assert_array_equal(again.mean, model.mean)
    np.testing.assert_array_equal(again.precision, model.precision)

"""Ridge autoregression against the normal equations written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sensorad.models import RidgeAutoregression
from sensorad.models.linear import BATCH_WINDOWS


def _rows(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros((n_rows, n_sensors))
    for t in range(1, n_rows):
        rows[t] = 0.9 * rows[t - 1] @ np.roll(np.eye(n_sensors), 1, axis=1) + rng.normal(size=n_sensors) + 0.2
    return rows.astype(np.float32)


def _past_and_next(segments: list[np.ndarray], lags: int) -> tuple[np.ndarray, np.ndarray]:
    past, following = [], []
    for rows in segments:
        for t in range(lags, len(rows)):
            past.append(np.concatenate([rows[t - back] for back in range(1, lags + 1)] + [np.ones(1)]))
            following.append(rows[t])
    return np.array(past, np.float64), np.array(following, np.float64)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_it_is_the_ridge_regression_on_the_past(penalty: float) -> None:
    segments = [_rows(200, 3, 1), _rows(50, 3, 2), _rows(2, 3, 3)]
    model = RidgeAutoregression.fit(segments, lags=4, penalty=penalty)
    past, following = _past_and_next(segments, 4)
    direct = np.linalg.solve(past.T @ past + penalty * np.eye(13), past.T @ following)
    np.testing.assert_allclose(model.weights, direct, rtol=1e-4, atol=1e-6)
    ridge = Ridge(alpha=penalty, fit_intercept=False).fit(past, following)
    np.testing.assert_allclose(model.weights, ridge.coef_.T, rtol=1e-4, atol=1e-6)


def test_long_segments_are_read_in_pieces_without_losing_a_row() -> None:
    rows = _rows(2 * BATCH_WINDOWS + 17, 2)
    model = RidgeAutoregression.fit([rows], lags=3, penalty=1.0)
    past, following = _past_and_next([rows], 3)
    direct = np.linalg.solve(past.T @ past + np.eye(7), past.T @ following)
    np.testing.assert_allclose(model.weights, direct, rtol=1e-4, atol=1e-6)


def test_predictions_come_from_the_rows_before_only() -> None:
    rows = _rows(60, 2)
    model = RidgeAutoregression.fit([rows], lags=3, penalty=1.0)
    predicted = model.predict(rows)
    assert predicted.shape == (57, 2)
    changed = rows.copy()
    changed[30:] += 100.0
    np.testing.assert_array_equal(model.predict(changed)[:28], predicted[:28])
    np.testing.assert_array_equal(
        predicted[10], np.concatenate([rows[12], rows[11], rows[10], np.ones(1)]).astype(np.float64) @ model.weights
    )


def test_too_few_rows_predict_nothing() -> None:
    model = RidgeAutoregression.fit([_rows(60, 2)], lags=3, penalty=1.0)
    assert model.predict(_rows(3, 2)).shape == (0, 2)
    assert model.predict(_rows(4, 2)).shape == (1, 2)


def test_arrays_bring_it_back() -> None:
    model = RidgeAutoregression.fit([_rows(60, 2)], lags=3, penalty=1.0)
    again = RidgeAutoregression.from_arrays(model.to_arrays(), 3)
    np.testing.assert_array_equal(again.weights, model.weights)

"""Small engines of every kind for the tests of the row scorer: fitted in milliseconds, networks with first weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sensorad.data import GaussianImputer, SensorScaler, TimeGrid, Timing
from sensorad.error_models import ErrorModel, LinearErrors, SensorErrors
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.models.lstm_config import LSTMConfig
from sensorad.scoring import ScoringEngine, scheme_class
from sensorad.types import SensorSchema

MINUTE = 60 * 10**9
SHAPES = {"usual": (4, 6, 3), "many lags": (3, 4, 9), "two": (2, 6, 3), "wide": (23, 5, 2), "one": (1, 8, 3)}
"""Sensors, window, lags."""

MODELS = (
    "linear",
    "another model",
    "silent network",
    "network on the grid",
    "network",
    "network alone",
    "carried network",
)


@dataclass(frozen=True)
class AnotherModel:
    """A model that the row scorer has never heard of."""

    inner: LinearErrors

    @property
    def context_rows(self) -> int:
        return self.inner.context_rows

    def errors(self, rows: np.ndarray, usable: np.ndarray, time: np.ndarray) -> SensorErrors:
        return self.inner.errors(rows, usable, time)


@cache
def _fitted(shape: str, model: str, score: str) -> ScoringEngine:
    n_sensors, length, lags = SHAPES[shape]
    rng = np.random.default_rng(0)
    t = np.arange(600)[:, None]
    wave = np.sin(t / 4.0 + rng.uniform(0, 6, n_sensors)) + 0.2 * rng.normal(size=(600, n_sensors))
    values = (wave * (1.0 + np.arange(n_sensors)) + 10.0).astype(np.float32)
    usable = np.ones(values.shape, bool)
    scaler = SensorScaler.fit(values, usable, SensorSchema(()))
    rows = scaler.transform(values)
    linear = LinearErrors(WindowPCA.fit([rows], length, 0.9), RidgeAutoregression.fit([rows], lags, 1.0))
    errors = _model(model, linear, n_sensors, length)
    time = np.arange(600) * MINUTE
    scheme = scheme_class(score).fit([errors.errors(rows, usable, time)], scaler.noise)
    imputer = GaussianImputer.fit([rows], [usable])
    return ScoringEngine(scaler, imputer, Timing.fit([time]), errors, scheme, length)


def _model(kind: str, linear: LinearErrors, n_sensors: int, length: int) -> ErrorModel:
    if kind == "linear":
        return linear
    if kind == "another model":
        return AnotherModel(linear)
    rng = np.random.default_rng(1)
    config = LSTMConfig(width=5, code=2)
    shapes = config.shapes(n_sensors)
    arrays = {name: (0.5 * rng.normal(size=size)).astype(np.float32) for name, size in shapes.items()}
    network = NumpyLSTM.from_arrays(arrays, config)
    pca, autoregression = linear.pca, linear.autoregression
    if kind == "silent network":
        return NetworkErrors(network, 0.0, length, pca, autoregression)
    if kind == "network on the grid":
        return NetworkErrors(network, 0.8, length, pca, autoregression, TimeGrid.of_rows(3, 60.0), 3)
    if kind == "network":
        return NetworkErrors(network, 0.8, length, pca, autoregression)
    if kind == "network alone":
        return NetworkErrors(network, 1.0, length, None, None)
    return CarriedErrors(network, length, TimeGrid.of_rows(20, 60.0))


def engine_of(shape: str = "usual", model: str = "linear", score: str = "fused", **changes: object) -> ScoringEngine:
    """A fresh engine."""
    return replace(
        _fitted(shape, model, score), counts=dict.fromkeys(("gaps", "restarts", "equal", "conflicts"), 0), **changes
    )

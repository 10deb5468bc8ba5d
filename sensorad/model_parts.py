"""A model as an artefact sees it: settings and arrays, out and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec, check_arrays
from sensorad.config import DetectorConfig
from sensorad.data import GaussianImputer, SensorScaler
from sensorad.errors import ArtefactError
from sensorad.models import RidgeAutoregression, WindowPCA, model_kind
from sensorad.scoring import ErrorModel, LinearErrors

__all__ = ["ModelParts", "model_arrays", "model_from_arrays"]


_Built = tuple[SensorScaler, GaussianImputer, ErrorModel]


class ModelParts:
    """Scaler, imputer and model of a detector; those of a saved one are put together when they are first asked for.

    So whoever needs the weights as such, or no model at all, does not wait for one to be built (nor for torch).
    """

    def __init__(self, scaler: SensorScaler, imputer: GaussianImputer, model: ErrorModel) -> None:
        self.arrays: Mapping[str, NDArray[Any]] = model_arrays(scaler, imputer, model)
        self._build: Callable[[], _Built] = lambda: (scaler, imputer, model)

    @classmethod
    def from_arrays(cls, config: DetectorConfig, n_sensors: int, arrays: Mapping[str, NDArray[Any]]) -> ModelParts:
        """The parts that ``arrays`` hold; what they hold is checked when it is put together."""
        parts = cls.__new__(cls)
        parts.arrays = arrays
        parts._build = cache(lambda: model_from_arrays(config, n_sensors, arrays))
        return parts

    def built(self) -> _Built:
        """All three; raises `ArtefactError` where the arrays are not those of the settings."""
        return self._build()

    @property
    def scaler(self) -> SensorScaler:
        return self.built()[0]

    @property
    def imputer(self) -> GaussianImputer:
        return self.built()[1]

    @property
    def model(self) -> ErrorModel:
        return self.built()[2]


def model_arrays(scaler: SensorScaler, imputer: GaussianImputer, model: ErrorModel) -> dict[str, NDArray[Any]]:
    """All weights by name; ``linear.*`` only where there is a linear part."""
    arrays: dict[str, NDArray[Any]] = {**scaler.to_arrays(), **imputer.to_arrays()}
    if isinstance(model, LinearErrors):
        return arrays | model.pca.to_arrays() | model.autoregression.to_arrays()
    from sensorad.scoring.network import NetworkErrors, network_arrays

    if not isinstance(model, NetworkErrors):
        raise TypeError(f"no arrays known for {type(model).__name__}")
    if model.pca is not None and model.autoregression is not None:
        arrays |= model.pca.to_arrays() | model.autoregression.to_arrays()
    return arrays | network_arrays(model)


def model_from_arrays(
    config: DetectorConfig, n_sensors: int, arrays: Mapping[str, NDArray[Any]]
) -> tuple[SensorScaler, GaussianImputer, ErrorModel]:
    """The parts of `model_arrays`.

    Raises
    ------
    ArtefactError
        Names, shapes or dtypes are not those that ``config`` implies.
    """
    is_network = model_kind(config.model).build is not None
    known = {name: array for name, array in arrays.items() if not (is_network and name.startswith("network."))}
    n_used = int(np.sum(arrays["scaler.is_used"] > 0.5)) if "scaler.is_used" in arrays else 0
    check_arrays(known, _expected(config, n_sensors, n_used))
    if n_used == 0:
        raise ArtefactError("no sensor enters the model", where="scaler.is_used", hint="fit the detector again")
    scaler = SensorScaler.from_arrays(known)
    if not (scaler.scale > 0).all():
        raise ArtefactError("scales must be positive", where="scaler.scale", hint="fit the detector again")
    pca = autoregression = None
    if config.has_linear_part:
        pca = WindowPCA.from_arrays(known, config.length)
        autoregression = RidgeAutoregression.from_arrays(known, config.lags)
    imputer = GaussianImputer.from_arrays(known)
    if model_kind(config.model).build is None:
        if pca is None or autoregression is None:
            raise ArtefactError("the linear model lacks its linear part", hint="fit the detector again")
        return scaler, imputer, LinearErrors(pca, autoregression)
    from sensorad.scoring.network import load_network

    model = load_network(
        config.model, n_used, config.length, config.network, arrays, pca, autoregression, config.device
    )
    return scaler, imputer, model


def _expected(config: DetectorConfig, n_sensors: int, n_used: int) -> dict[str, ArraySpec]:
    """Every array besides the network's own weights."""
    names = ("centre", "scale", "is_used", "is_constant", "noise")
    specs = {f"scaler.{name}": ArraySpec((n_sensors,), "float64") for name in names}
    specs["imputer.covariance"] = ArraySpec((2 * n_used, 2 * n_used), "float64")
    if config.has_linear_part:
        specs["pca.components"] = ArraySpec((config.length * n_used, None), "float32")
        specs["autoregression.weights"] = ArraySpec((config.lags * n_used + 1, n_used), "float32")
    if model_kind(config.model).build is not None:
        specs["gate"] = ArraySpec((1,), "float32")
    return specs

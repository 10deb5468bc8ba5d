"""A model as an artefact sees it: settings and arrays, out and back, for whatever is to run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec, check_arrays, weights_hash
from sensorad.config import DetectorConfig
from sensorad.data import GaussianImputer, SensorScaler
from sensorad.errors import ArtefactError, UsageError
from sensorad.models import RidgeAutoregression, WindowPCA, model_kind
from sensorad.scoring import ErrorModel, LinearErrors
from sensorad.scoring.carried_errors import CarriedErrors
from sensorad.scoring.network_errors import NetworkErrors, StoredNetwork, WindowNetwork
from sensorad.scoring.numpy_lstm import NumpyLSTM

if TYPE_CHECKING:
    from sensorad.scoring.torch_windows import Precision

__all__ = ["ModelParts", "model_arrays"]

_Built = tuple[SensorScaler, GaussianImputer, ErrorModel]
_Linear = tuple[WindowPCA | None, RidgeAutoregression | None]


class ModelParts:
    """Scaler, imputer and model of a detector, put together when they are first asked for.

    So whoever needs the weights as such, or no model at all, does not wait for one to be built (nor for torch).

    Parameters
    ----------
    config
        With the window length settled.
    n_sensors
        Of the schema.
    arrays
        All weights by name; they are checked when something is put together from them.
    step_seconds
        Usual time between rows.
    """

    def __init__(
        self, config: DetectorConfig, n_sensors: int, arrays: Mapping[str, NDArray[Any]], step_seconds: float
    ) -> None:
        self.config = config
        self.n_sensors = n_sensors
        self.arrays = arrays
        self.step_seconds = step_seconds
        self._models: dict[str, ErrorModel] = {}

    def built(self, network: str | os.PathLike[str] = "torch", precision: Precision = "float32") -> _Built:
        """All three.

        Parameters
        ----------
        network
            What runs a network: "torch", "numpy" (an LSTM, for one thread at a time: built anew each time), or the
            path of an ONNX file made of this detector. A carried state runs in NumPy in any case; a linear model has
            no network.
        precision
            Of the products in torch.

        Raises
        ------
        ArtefactError
            The arrays are not those of the settings, or the ONNX file belongs to another detector.
        UsageError
            This network cannot run so.
        """
        return self.scaler, self.imputer, self._model(network, precision)

    @property
    def scaler(self) -> SensorScaler:
        return self._frame[0]

    @property
    def imputer(self) -> GaussianImputer:
        return self._frame[1]

    @property
    def model(self) -> ErrorModel:
        return self._model("torch", "float32")

    @cached_property
    def _frame(self) -> tuple[SensorScaler, GaussianImputer, _Linear]:
        """Everything but the network."""
        known = {name: array for name, array in self.arrays.items() if not self._is_of_network(name)}
        n_used = self._n_used
        check_arrays(known, _expected(self.config, self.n_sensors, n_used))
        if n_used == 0:
            raise ArtefactError("no sensor enters the model", where="scaler.is_used", hint="fit the detector again")
        scaler = SensorScaler.from_arrays(known)
        if not (scaler.scale > 0).all():
            raise ArtefactError("scales must be positive", where="scaler.scale", hint="fit the detector again")
        linear: _Linear = (None, None)
        if self.config.has_linear_part:
            pca = WindowPCA.from_arrays(known, self.config.length)
            linear = pca, RidgeAutoregression.from_arrays(known, self.config.lags)
        return scaler, GaussianImputer.from_arrays(known), linear

    @property
    def _n_used(self) -> int:
        return int(np.sum(self.arrays["scaler.is_used"] > 0.5)) if "scaler.is_used" in self.arrays else 0

    def _is_of_network(self, name: str) -> bool:
        return model_kind(self.config.model).build is not None and name.startswith("network.")

    def _model(self, network: str | os.PathLike[str], precision: Precision) -> ErrorModel:
        pca, autoregression = self._frame[2]
        if model_kind(self.config.model).build is None:
            if pca is None or autoregression is None:
                raise ArtefactError("the linear model lacks its linear part", hint="fit the detector again")
            if network not in ("torch", "numpy") or precision != "float32":
                raise UsageError("a linear model has no network to run", hint="leave network and precision out")
            return self._models.setdefault("linear", LinearErrors(pca, autoregression))
        key = f"{os.fspath(network)} {precision}"
        if key in self._models:
            return self._models[key]
        runs = self._network(network, precision)
        gate = float(self.arrays["gate"][0])
        model = self.config.reading(self.step_seconds).errors(runs, gate, pca, autoregression)
        if not isinstance(runs, NumpyLSTM):
            self._models[key] = model
        return model

    def _network(self, network: str | os.PathLike[str], precision: Precision) -> WindowNetwork:
        config = self.config
        own = {name.removeprefix("network."): self.arrays[name] for name in self.arrays if self._is_of_network(name)}
        if precision != "float32" and (network != "torch" or config.encoding == "carried"):
            raise UsageError(f"{precision} needs torch", hint="leave the precision at float32")
        if network == "numpy" or config.encoding == "carried":
            if config.model != "lstm":
                raise UsageError(
                    f"there is no NumPy version of the {config.model}", hint="export it to ONNX and name the file"
                )
            return NumpyLSTM.from_arrays(own, config.network)
        if network != "torch":
            from sensorad.scoring.onnx_windows import OnnxWindows

            return OnnxWindows(network, weights_hash(self.arrays))
        from sensorad.scoring.network import torch_network

        return torch_network(config.model, self._n_used, config.length, config.network, own, config.device, precision)


def model_arrays(scaler: SensorScaler, imputer: GaussianImputer, model: ErrorModel) -> dict[str, NDArray[Any]]:
    """All weights by name; those of window-PCA and autoregression only where there is a linear part."""
    arrays: dict[str, NDArray[Any]] = {**scaler.to_arrays(), **imputer.to_arrays()}
    if isinstance(model, LinearErrors):
        return arrays | model.pca.to_arrays() | model.autoregression.to_arrays()
    if not isinstance(model, NetworkErrors | CarriedErrors) or not isinstance(model.network, StoredNetwork):
        raise TypeError(f"no arrays known for {type(model).__name__}")
    gate = 1.0
    if isinstance(model, NetworkErrors):
        gate = model.gate
        if model.pca is not None and model.autoregression is not None:
            arrays |= model.pca.to_arrays() | model.autoregression.to_arrays()
    arrays |= {f"network.{name}": array for name, array in model.network.to_arrays().items()}
    return arrays | {"gate": np.array([gate], np.float32)}


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

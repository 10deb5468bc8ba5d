"""A model as an artefact sees it: settings and arrays, out and back, for whatever is to run it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec, check_arrays, weights_hash
from sensorad.config import DetectorConfig
from sensorad.data import GaussianImputer, SensorScaler
from sensorad.error_models import ErrorModel
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.errors import ArtefactError, UsageError
from sensorad.families import Runtime, family_for
from sensorad.models import model_kind
from sensorad.models.autocovariance import AutoCovariance
from sensorad.pretrained import Pretrained

if TYPE_CHECKING:
    from sensorad.error_models.torch_windows import Precision

__all__ = ["ModelParts", "model_arrays"]

AUTOCOVARIANCE = "autocovariance"
"""Name of what is kept for detectors that start from this one."""

_Built = tuple[SensorScaler, GaussianImputer, ErrorModel]


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
    def _frame(self) -> tuple[SensorScaler, GaussianImputer]:
        """Everything but the model."""
        family = family_for(self.config)
        known = {name: array for name, array in self.arrays.items() if not family.own(name)}
        n_used = self._n_used
        specs = _frame_specs(self.n_sensors, n_used) | family.specs(self.config, n_used)
        check_arrays(known, specs | (_autocovariance_specs(n_used) if self.has_autocovariance else {}))
        if n_used == 0:
            raise ArtefactError("no sensor enters the model", where="scaler.is_used", hint="fit the detector again")
        scaler = SensorScaler.from_arrays(known)
        if not (scaler.scale > 0).all():
            raise ArtefactError("scales must be positive", where="scaler.scale", hint="fit the detector again")
        return scaler, GaussianImputer.from_arrays(known)

    @property
    def has_autocovariance(self) -> bool:
        """Whether others can start from this; detectors of earlier versions kept nothing for it."""
        return f"{AUTOCOVARIANCE}.lagged" in self.arrays

    def pretrained(self) -> Pretrained:
        """What another fit may start from.

        Raises
        ------
        UsageError
            The detector comes from an earlier version.
        """
        if not self.has_autocovariance:
            raise UsageError(
                "this detector was fitted by an earlier version and cannot be started from", hint="fit it again"
            )
        family = family_for(self.config)
        network = {name: array for name, array in self.arrays.items() if family.own(name)}
        return Pretrained(self.scaler, self.autocovariance, network)

    @property
    def autocovariance(self) -> AutoCovariance:
        """What was kept for detectors that start from this one."""
        return AutoCovariance.from_arrays(self.arrays, AUTOCOVARIANCE)

    @property
    def _n_used(self) -> int:
        return int(np.sum(self.arrays["scaler.is_used"] > 0.5)) if "scaler.is_used" in self.arrays else 0

    def _model(self, network: str | os.PathLike[str], precision: Precision) -> ErrorModel:
        _ = self._frame  # arrays are checked first
        runtime = Runtime(network, precision, self.step_seconds, partial(weights_hash, self.arrays))
        key = f"{os.fspath(network)} {precision}"
        if model_kind(self.config.model).family == "linear" and runtime.is_default:
            key = ""  # it makes no difference
        if key in self._models:
            return self._models[key]
        model = family_for(self.config).built(self.config, self._n_used, self.arrays, runtime)
        inner = getattr(model, "base", model)
        parts = (inner, *getattr(inner, "members", ()))
        if not any(isinstance(getattr(part, "network", None), NumpyLSTM) for part in parts):  # for one thread at a time
            self._models[key] = model
        return model


def model_arrays(
    config: DetectorConfig,
    scaler: SensorScaler,
    imputer: GaussianImputer,
    model: ErrorModel,
    known: AutoCovariance | None = None,
) -> dict[str, NDArray[Any]]:
    """All weights by name; ``known`` is kept for detectors that start from this one."""
    kept = {} if known is None else known.to_arrays(AUTOCOVARIANCE)
    return {**scaler.to_arrays(), **imputer.to_arrays(), **family_for(config).arrays(model), **kept}


def _autocovariance_specs(n_used: int) -> dict[str, ArraySpec]:
    return {
        f"{AUTOCOVARIANCE}.lagged": ArraySpec((None, n_used, n_used), "float32"),
        f"{AUTOCOVARIANCE}.spread": ArraySpec((n_used,), "float64"),
    }


def _frame_specs(n_sensors: int, n_used: int) -> dict[str, ArraySpec]:
    """Every array besides the model's own."""
    names = ("centre", "scale", "is_used", "is_constant", "noise")
    specs = {f"scaler.{name}": ArraySpec((n_sensors,), "float64") for name in names}
    return specs | {"imputer.covariance": ArraySpec((2 * n_used, 2 * n_used), "float64")}

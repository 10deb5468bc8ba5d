"""Networks that rebuild windows, on a linear part or alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.crossfit import Fold
from sensorad.error_models.network_errors import NetworkErrors, StoredNetwork, WindowNetwork
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.numpy_randnet import NumpyRandNet
from sensorad.errors import UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.families.linear import linear_arrays, linear_from_arrays, linear_part, linear_specs
from sensorad.families.objectives import training_objective
from sensorad.models import model_kind
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.error_models.network import NetworkPlan

__all__ = ["NetworkFamily", "network_of", "network_plan"]

DEFAULT_EPOCHS = 8
"""Longer training still lowers the loss, but what it then learns to rebuild is faults as well (docs/methods.md)."""

LEAST_TRAINING_WINDOWS = 2000
"""Training windows lie closer together where the log would give fewer than this many."""

PREFIX = "network."
"""Of the names of a network's own weights."""


class NetworkFamily:
    """One network for windows of one length."""

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`."""
        from sensorad.error_models.network import cross_trained

        fold_model, model, records = cross_trained(
            network_plan(config, rows),
            folds,
            rows.stretches,
            lambda fold: linear_part(fold, config, rows.prior),
            checkpoint=checkpoint,
            progress=lambda what, epoch, n_epochs: report(what, epoch / n_epochs),
            fingerprint=rows.fingerprint,
        )
        beside = "a linear part fitted on the others and " if config.has_linear_part else ""
        return Trained(fold_model, model, f"{beside}a network trained without its half of the log", records)

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        if not isinstance(model, NetworkErrors | CarriedErrors) or not isinstance(model.network, StoredNetwork):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        gate, linear = 1.0, dict[str, NDArray[Any]]()
        if isinstance(model, NetworkErrors):
            gate, linear = model.gate, linear_arrays(model.pca, model.autoregression)
        own = {f"{PREFIX}{name}": array for name, array in model.network.to_arrays().items()}
        return linear | own | {"gate": np.array([gate], np.float32)}

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        return linear_specs(config, n_used) | {"gate": ArraySpec((1,), "float32")}

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return name.startswith(PREFIX)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if self.own(name)}
        network = network_of(config, n_used, own, runtime)
        gate = float(arrays["gate"][0])
        return config.reading(runtime.step_seconds).errors(network, gate, *linear_from_arrays(config, arrays))


def network_plan(config: DetectorConfig, rows: NormalRows) -> NetworkPlan:
    """How the network of ``config`` is built and trained on these rows."""
    from sensorad.error_models.network import NetworkPlan
    from sensorad.training import TrainConfig

    widest = max(1, config.length // 4)
    stride = config.stride or int(np.clip(rows.n_rows // LEAST_TRAINING_WINDOWS, 1, widest))
    return NetworkPlan(
        kind=config.model,
        length=config.length,
        settings=dict(config.network),
        objective=training_objective(config, rows),
        training=TrainConfig(epochs=config.epochs or DEFAULT_EPOCHS, time_limit_seconds=config.time_limit_seconds),
        stride=stride,
        seed=config.random_state,
        reading=config.reading(rows.timing.step_seconds),
        device=config.device,
        is_trained=config.epochs != 0,
        start=_start(rows),
    )


def _start(rows: NormalRows) -> dict[str, NDArray[np.float32]]:
    """Weights of the network that the fit starts from, by their own names."""
    known = {} if rows.pretrained is None else rows.pretrained.network
    return {name.removeprefix(PREFIX): array for name, array in known.items()}


def network_of(config: DetectorConfig, n_used: int, own: Arrays, runtime: Runtime) -> WindowNetwork:
    """The network with its ``own`` weights, run as it is asked to."""
    if runtime.network != "torch" and model_kind(config.model).has_own_measure:
        raise UsageError(
            f"{config.model} is scored by a measure of its own, which torch alone computes",
            hint='leave the network at "torch"; an ONNX file of it rebuilds windows and does not score them',
        )
    if runtime.precision != "float32" and (runtime.network != "torch" or config.encoding == "carried"):
        raise UsageError(f"{runtime.precision} needs torch", hint="leave the precision at float32")
    if runtime.network == "numpy" or config.encoding == "carried":
        if config.model == "randnet":
            return NumpyRandNet.from_arrays(own, config.network, config.length * n_used)
        if config.model != "lstm":
            raise UsageError(
                f"there is no NumPy version of the {config.model}", hint="export it to ONNX and name the file"
            )
        return NumpyLSTM.from_arrays(own, config.network)
    if runtime.network != "torch":
        from sensorad.error_models.onnx_windows import OnnxWindows

        return OnnxWindows(runtime.network, runtime.weights())
    from sensorad.error_models.network import torch_network

    return torch_network(config.model, n_used, config.length, config.network, own, config.device, runtime.precision)

"""Detectors and networks as ONNX graphs, by torch's exporter. Imports torch.

The exporter traces what the networks compute, so a new network needs nothing here. The window is fixed and the
number of windows is free: with a free window one exporter freezes it unasked and another gives 30 rows for 50.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.data import SensorScaler
from sensorad.data.scaling import KNEE
from sensorad.error_models.network_errors import WindowNetwork
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.errors import UsageError
from sensorad.models.linear import WindowPCA

__all__ = ["DETECTOR_OUTPUTS", "NETWORK_OUTPUTS", "DetectorGraph", "module_of", "onnx_model"]

DETECTOR_OUTPUTS = ("expected", "reconstruction", "window_errors")
NETWORK_OUTPUTS = ("output",)

BATCH_NAME = "windows"
"""Name of the free axis."""

TRACED_WINDOWS = 3
"""Windows of the example that is traced: neither 1 nor any other size of the graph."""


class DetectorGraph(nn.Module):
    """Windows in the sensors' units -> what the detector expects; the numbers of scaler and model in float64.

    Parameters
    ----------
    scaler
        Its used sensors are the last axis of the input.
    pca
        The linear part, None where there is none.
    network
        Maps windows of what the linear part leaves to windows, None where there is none.
    gate
        Factor of the network's output.

    Examples
    --------
    >>> import numpy as np
    >>> from sensorad.types import SensorSchema
    >>> rows = np.random.default_rng(0).normal(50.0, 2.0, size=(500, 2)).astype(np.float32)
    >>> scaler = SensorScaler.fit(rows, np.ones(rows.shape, bool), SensorSchema(()))
    >>> pca = WindowPCA.fit([scaler.transform(rows)], length=5, variance=0.5)
    >>> expected, reconstruction, errors = DetectorGraph(scaler, pca, None, 1.0)(torch.from_numpy(rows[None, :5]))
    >>> expected.shape, reconstruction.shape, errors.shape
    (torch.Size([1, 2]), torch.Size([1, 5, 2]), torch.Size([1, 2]))
    """

    def __init__(self, scaler: SensorScaler, pca: WindowPCA | None, network: nn.Module | None, gate: float) -> None:
        super().__init__()
        used = scaler.used_positions
        self.register_buffer("centre", torch.from_numpy(scaler.centre[used]))
        self.register_buffer("scale", torch.from_numpy(scaler.scale[used]))
        self.register_buffer("components", None if pca is None else torch.tensor(pca.components).double())
        self.network = network
        self.gate = gate

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, L, C) float32 -> expected (N, C), reconstruction (N, L, C) in deviations, window errors (N, C)."""
        centre, scale = self.get_buffer("centre"), self.get_buffer("scale")
        windows = _compressed((values.double() - centre) / scale).float()  # (N, L, C): rows are float32
        rebuilt = torch.zeros_like(windows, dtype=torch.float64) if self.components is None else self._linear(windows)
        if self.network is not None:
            residual = (windows.double() - rebuilt).float()  # (N, L, C)
            rebuilt = rebuilt + self.gate * self.network(residual).double()
        # ONNX Runtime's LSTM turns NaN into numbers: what is not finite must come out whatever the network is.
        rebuilt = rebuilt + (values - values).double().sum((1, 2), keepdim=True)
        error = windows.double() - rebuilt
        errors = (error * error).mean(1)  # (N, C)
        return _expanded(rebuilt[:, -1]) * scale + centre, rebuilt, errors

    def _linear(self, windows: Tensor) -> Tensor:
        components = self.get_buffer("components")  # (L C, K)
        return (windows.double().flatten(1) @ components @ components.T).view_as(windows)


def module_of(network: WindowNetwork) -> nn.Module:
    """A copy of the torch module behind a network, on the CPU and in evaluation mode.

    A copy, because the exporter leaves traces in the module that it works on.
    """
    if not isinstance(network, TorchWindows):
        raise TypeError(f"a network run by {type(network).__name__} cannot be exported")
    return deepcopy(network.module).cpu().eval()


def onnx_model(module: nn.Module, window: tuple[int, int], input_name: str, outputs: Sequence[str], opset: int) -> Any:
    """The module as an `onnx.ModelProto` with one input (N, L, C) float32, N free.

    Raises
    ------
    UsageError
        This torch cannot export the module.
    """
    example = torch.zeros(TRACED_WINDOWS, *window)
    batch = torch.export.Dim(BATCH_NAME, min=1)
    try:
        with _quiet_exporter(), torch.no_grad():
            # strict: the other way of tracing takes len(x) for a number, and the number of windows would be frozen
            traced = torch.export.export(module.eval(), (example,), dynamic_shapes=({0: batch},), strict=True)
            program: Any = torch.onnx.export(
                traced,
                input_names=[input_name],
                output_names=list(outputs),
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever goes wrong inside the exporter
        raise UsageError(
            f"torch {torch.__version__} cannot export this model to opset {opset}: {str(error).splitlines()[0][:200]}",
            hint="leave --opset out; torch 2.13 is known to work",
        ) from error
    return _clean(program.model_proto)


def _compressed(deviations: Tensor) -> Tensor:
    """As `soft_compress`; NaN stays NaN."""
    far = KNEE * (1.0 + torch.log(deviations.abs() / KNEE))
    return torch.where(deviations > KNEE, far, torch.where(deviations < -KNEE, -far, deviations))


def _expanded(compressed: Tensor) -> Tensor:
    """As `soft_expand`; NaN stays NaN."""
    far = KNEE * torch.exp(compressed.abs() / KNEE - 1.0)
    return torch.where(compressed > KNEE, far, torch.where(compressed < -KNEE, -far, compressed))


def _clean(model: Any) -> Any:
    """The graph without the exporter's notes (among them paths of this machine), and its free axis by name."""
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_NAME
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep back what the exporter says of itself and what nobody can act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")  # "torchvision is not installed"
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", "The tensor attributes .* were assigned during export", UserWarning)
            yield
    finally:
        registration.setLevel(level)

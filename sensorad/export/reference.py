"""What a detector itself makes of a window, by the code that scores: exported files are held against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models import LinearErrors
from sensorad.error_models.centroid_errors import CentroidErrors
from sensorad.error_models.ensemble_errors import EnsembleErrors
from sensorad.error_models.exposed_errors import ExposedErrors
from sensorad.error_models.network_errors import NetworkErrors, WindowNetwork
from sensorad.errors import UsageError
from sensorad.models import WindowPCA
from sensorad.scoring import ScoringEngine

__all__ = ["Reference"]


class Reference:
    """The function from windows in the sensors' units to what an ONNX file gives.

    Attributes
    ----------
    pca, network
        The parts of the model; None where it lacks one.
    gate
        Factor of the network's output.
    """

    def __init__(self, engine: ScoringEngine) -> None:
        model = engine.model
        if isinstance(model, ExposedErrors):
            model = model.base  # a head says nothing of what is expected
        self.scaler = engine.scaler
        self.pca: WindowPCA | None
        self.network: WindowNetwork | None = None
        self.gate = 1.0
        if isinstance(model, LinearErrors):
            self.pca, self._rebuild = model.pca, model.pca.reconstruct
        elif isinstance(model, NetworkErrors):
            self.pca, self._rebuild = model.pca, model.rebuild
            self.network, self.gate = model.network, float(model.gate)
        elif isinstance(model, EnsembleErrors | CentroidErrors):
            raise UsageError(
                f"{'an ensemble' if isinstance(model, EnsembleErrors) else 'a shape model'} has no ONNX form",
                hint="export a single network, or the linear model",
            )
        else:
            raise UsageError(
                "a carried encoding is no function of one window, so there is nothing to export",
                hint="it runs in NumPy, without torch, as it is",
            )

    def outputs(self, windows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Expected rows, reconstructions and window errors, by the names of the outputs."""
        scaled = self._scaled(windows)
        rebuilt = self._rebuild(scaled)
        error = scaled - rebuilt
        return {
            "expected": self.scaler.inverse(rebuilt[:, -1]),
            "reconstruction": rebuilt,
            "window_errors": (error * error).mean(axis=1),
        }

    def residual(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, L, C) windows in the sensors' units -> what their linear part leaves for the network."""
        scaled = self._scaled(windows)
        return scaled if self.pca is None else (scaled - self.pca.reconstruct(scaled)).astype(np.float32)

    def deviations(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, C) values in the sensors' units -> (N, C) in deviations, not compressed."""
        used = self.scaler.used_positions
        deviations: NDArray[np.float64] = (values - self.scaler.centre[used]) / self.scaler.scale[used]
        return deviations

    def _scaled(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros((windows.shape[0] * windows.shape[1], len(self.scaler.is_used)), np.float32)
        rows[:, self.scaler.used_positions] = windows.reshape(len(rows), -1)
        return self.scaler.transform(rows).reshape(windows.shape)

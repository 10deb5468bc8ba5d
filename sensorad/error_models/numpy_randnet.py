"""The randomly connected autoencoder in NumPy alone: the weights of `sensorad.models.randnet`, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.models.checks import check_weights
from sensorad.models.randnet_config import LAYERS, RandNetConfig

__all__ = ["NumpyRandNet"]

MICRO_BATCH = 256
"""Windows in one product."""


class NumpyRandNet:
    """Rebuilds windows (N, L, C).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> config = RandNetConfig(width=8, code=2)
    >>> arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in config.shapes(90).items()}
    >>> NumpyRandNet.from_arrays(arrays, config, n_features=90)(np.ones((5, 30, 3), np.float32)).shape
    (5, 30, 3)
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self._arrays = {name: array.copy() for name, array in arrays.items()}
        self._layers = [
            (np.ascontiguousarray((arrays[f"{name}.weight"] * arrays[f"{name}.connected"]).T), arrays[f"{name}.bias"])
            for name in LAYERS
        ]

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], config: RandNetConfig | Mapping[str, Any], n_features: int
    ) -> Self:
        """The network with these weights, named as in torch, for windows of ``n_features`` = L C numbers.

        Raises
        ------
        ArtefactError
            Names, shapes, dtypes or values do not fit.
        UsageError
            ``config`` has unknown or impossible options.
        """
        settings = config if isinstance(config, RandNetConfig) else RandNetConfig.from_json(dict(config))
        check_weights(arrays, settings.shapes(n_features))
        return cls(arrays)

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The weights of `from_arrays`."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def __call__(self, residual: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, L, C) windows -> what the network rebuilds of them, same shape."""
        result = np.empty(residual.shape, np.float32)
        for first in range(0, len(residual), MICRO_BATCH):
            part = residual[first : first + MICRO_BATCH]
            flat = part.reshape(len(part), -1)  # (n, L C)
            for number, (weights, bias) in enumerate(self._layers):
                flat = flat @ weights
                flat += bias
                if number < len(LAYERS) - 1:
                    np.maximum(flat, 0.0, out=flat)
            result[first : first + MICRO_BATCH] = flat.reshape(part.shape)
        return result

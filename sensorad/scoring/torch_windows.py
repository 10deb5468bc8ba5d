"""Networks run by torch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sensorad.models.weights import state_arrays

__all__ = ["Precision", "TorchWindows"]

Precision = Literal["float32", "bfloat16"]

MICRO_BATCH = 256
"""Windows in one forward pass: their intermediate results still lie in the cache."""


@dataclass(frozen=True, slots=True)
class TorchWindows:
    """A torch module (N, L, C) -> (N, L, C) on arrays.

    Attributes
    ----------
    module
        In evaluation mode.
    device
        "cpu" or "cuda".
    precision
        Of the products; everything else is float32. With "bfloat16" outputs are right to three digits.

    Examples
    --------
    >>> TorchWindows(nn.Identity())(np.ones((2, 3, 4), np.float32)).shape
    (2, 3, 4)
    """

    module: nn.Module
    device: str = "cpu"
    precision: Precision = "float32"

    def __call__(self, residual: NDArray[np.float32]) -> NDArray[np.float32]:
        result = np.empty(residual.shape, np.float32)
        low = self.precision == "bfloat16"
        kind = self.device.partition(":")[0]
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16) if low else nullcontext():
            for first in range(0, len(residual), MICRO_BATCH):
                part = torch.from_numpy(np.require(residual[first : first + MICRO_BATCH], requirements=["C", "W"]))
                output = self.module(part.to(self.device))
                result[first : first + MICRO_BATCH] = output.float().cpu().numpy()
        return result

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name."""
        return state_arrays(self.module)

"""Networks run by torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.error_models.network_errors import ReadWindows
from sensorad.models.weights import state_arrays

__all__ = ["Precision", "ReadingModule", "TorchWindows"]

Precision = Literal["float32", "bfloat16"]

MICRO_BATCH = 256
"""Windows in one forward pass: their intermediate results still lie in the cache."""


@runtime_checkable
class ReadingModule(Protocol):
    """A module that says more of a window than how it rebuilds it.

    Attributes
    ----------
    n_channels
        E, 0 where it has none.
    """

    n_channels: int

    def read(self, x: Tensor, gate: float) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Windows (N, L, C) -> output (N, L, C), measure of each cell's error (N, L, C), channels (N, E).

        ``gate`` is the share of the output that counts, which the measure must respect.
        """


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
        for part, windows in self._parts(residual):
            result[part] = _array(self.module(windows))
        return result

    @property
    def n_channels(self) -> int:
        """Channels of the module."""
        return int(getattr(self.module, "n_channels", 0))

    def read(self, residual: NDArray[np.float32], gate: float) -> ReadWindows:
        """As `ReadingNetwork` has it: what a `ReadingModule` says, or the output alone of any other."""
        if not isinstance(self.module, ReadingModule):
            return ReadWindows(self(residual))
        result = np.empty(residual.shape, np.float32)
        squares: NDArray[np.float64] | None = None
        channels = np.empty((len(residual), self.n_channels)) if self.n_channels else None
        for part, windows in self._parts(residual):
            output, own, measured = self.module.read(windows, gate)
            result[part] = _array(output)
            if own is not None:
                squares = np.empty(residual.shape) if squares is None else squares
                squares[part] = _array(own)
            if channels is not None and measured is not None:
                channels[part] = _array(measured)
        return ReadWindows(result, squares, channels)

    def _parts(self, residual: NDArray[np.float32]) -> Iterator[tuple[slice, Tensor]]:
        """Some windows at a time, with the settings under which they are to be read."""
        low = self.precision == "bfloat16"
        kind = self.device.partition(":")[0]
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16) if low else nullcontext():
            for first in range(0, len(residual), MICRO_BATCH):
                part = slice(first, first + MICRO_BATCH)
                windows = torch.from_numpy(np.require(residual[part], requirements=["C", "W"]))
                yield part, windows.to(self.device)

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name."""
        return state_arrays(self.module)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array

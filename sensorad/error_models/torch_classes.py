"""Classifiers of windows run by torch, in double precision: a score depends on no other window of a batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.error_models.class_errors import Doubt
from sensorad.error_models.confidence import CONFIDENCES, TRANSFORM_CONFIDENCES
from sensorad.models.weights import state_arrays
from sensorad.models.window_classifier import WindowClassifier, transformed

__all__ = ["TorchClasses"]

MICRO_BATCH = 128
"""Windows in one forward pass."""


@dataclass(frozen=True, slots=True)
class TorchClasses:
    """A trained classifier and how its confidence is read.

    Attributes
    ----------
    module
        With its weights as they were trained.
    confidence
        Name in `CONFIDENCES`, or with transforms in `TRANSFORM_CONFIDENCES`.
    transforms
        Under which each window is shown; none for labels that come from outside.
    temperature
        Divides the logits.
    usual
        Score of a usual normal window, taken off all scores: so those of two networks can be compared.
    """

    module: WindowClassifier
    confidence: str
    transforms: tuple[str, ...] = ()
    temperature: float = 1.0
    usual: float = 0.0
    device: str = "cpu"
    _double: WindowClassifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact = copy.deepcopy(self.module).to(self.device, torch.float64).eval()
        object.__setattr__(self, "_double", exact.requires_grad_(False))

    def doubt(self, windows: NDArray[np.float32], ends: NDArray[np.int64], *, has_parts: bool = False) -> Doubt:
        """As `WindowDoubt` has it; the part of a cell is |gradient x value|."""
        score = np.empty(len(windows))
        parts = np.empty(windows.shape) if has_parts else None
        for some, x in self._batches(windows):
            with torch.inference_mode(not has_parts), torch.set_grad_enabled(has_parts):
                x.requires_grad_(has_parts)
                found = self._score(self._logits(x))  # (n,)
                if parts is not None:
                    [slope] = torch.autograd.grad(found.sum(), x)
                    parts[some] = (slope * x).abs().detach().cpu().numpy()
            score[some] = found.detach().cpu().numpy()
        return Doubt(score - self.usual, parts)

    def logits(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, L, C) -> (N, K), before the temperature; with transforms (N, K, K), by transform and class."""
        with torch.inference_mode():
            found = [self._logits(x).cpu().numpy() for _, x in self._batches(windows)]
        return np.concatenate(found)

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights by name."""
        return state_arrays(self.module)

    def _batches(self, windows: NDArray[np.float32]) -> Iterator[tuple[slice, Tensor]]:
        for first in range(0, len(windows), MICRO_BATCH):
            some = slice(first, first + MICRO_BATCH)
            yield some, torch.tensor(windows[some], dtype=torch.float64, device=self.device)

    def _logits(self, x: Tensor) -> Tensor:
        if not self.transforms:
            logits: Tensor = self._double(x)  # (n, K)
            return logits
        n_ways = len(self.transforms)
        shown: Tensor = self._double(transformed(x, self.transforms))  # (n K, K)
        return shown.view(len(x), n_ways, -1)  # (n, K, K)

    def _score(self, logits: Tensor) -> Tensor:
        known = TRANSFORM_CONFIDENCES if self.transforms else CONFIDENCES
        return known[self.confidence](logits / self.temperature)

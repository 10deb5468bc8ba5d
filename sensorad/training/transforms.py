"""Batches of windows augmented and mixed on their way into a network, all drawn from the trainer's generator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.augment.mixup import MixupConfig, mixup
from sensorad.augment.sensor import Augment
from sensorad.training.batches import Batch

__all__ = ["array_of", "augmented", "batch_draws", "mixed", "tensor_like"]

LARGEST_SEED = 2**62


def batch_draws(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator for one batch, from one number drawn of ``generator``: checkpoints need not know of it."""
    return np.random.default_rng(int(torch.randint(LARGEST_SEED, (), generator=generator)))


def augmented(batch: Batch, augment: Augment, draws: np.random.Generator) -> Batch:
    """The batch with windows (N, L, C) changed as ``augment`` says; the changed window is what shall be rebuilt.

    Examples
    --------
    >>> from sensorad.augment import augment_from_names
    >>> batch = augmented(Batch(torch.zeros(2, 9, 3)), augment_from_names(["jitter"], 1.0), np.random.default_rng(0))
    >>> batch.inputs.shape, bool((batch.inputs != 0).all())
    (torch.Size([2, 9, 3]), True)
    """
    usable = None if batch.mask is None else array_of(batch.mask)
    windows, kept = augment.apply(array_of(batch.inputs), draws, usable=usable)
    return replace(
        batch, inputs=tensor_like(windows, batch.inputs), mask=None if kept is None else tensor_like(kept, batch.inputs)
    )


def mixed(batch: Batch, config: MixupConfig, draws: np.random.Generator) -> Batch:
    """The batch with each window, and its target alike, mixed with another one of the same label, if there are labels.

    Examples
    --------
    >>> windows = torch.arange(4.0).view(4, 1, 1).repeat(1, 5, 1)
    >>> batch = mixed(Batch(windows), MixupConfig(alpha=1.0), np.random.default_rng(0))
    >>> bool((batch.inputs != windows).all()), float(batch.inputs.min()) >= 0.0
    (True, True)
    """
    found = mixup(
        array_of(batch.inputs),
        draws,
        config,
        targets=None if batch.targets is None else array_of(batch.targets),
        modes=None if batch.labels is None else array_of(batch.labels),
        usable=None if batch.mask is None else array_of(batch.mask),
    )
    return replace(
        batch,
        inputs=tensor_like(found.windows, batch.inputs),
        targets=None if found.targets is None else tensor_like(found.targets, batch.inputs),
        mask=None if found.usable is None else tensor_like(found.usable, batch.inputs),
    )


def array_of(tensor: Tensor) -> NDArray[Any]:
    """A view of a tensor on the CPU, a copy of any other."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def tensor_like(array: NDArray[Any], like: Tensor) -> Tensor:
    """On the device of ``like``."""
    return torch.from_numpy(array).to(like.device)

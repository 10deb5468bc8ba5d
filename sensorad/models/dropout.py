"""Dropout that draws from a generator of its own, so that training touches no global state and resumes exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError

__all__ = ["Dropout"]


class Dropout(nn.Module):
    """Sets each value to 0 with probability ``share`` in training and scales the rest by 1 / (1 - share).

    The trainer hands its generator to every module that has a ``generator`` attribute; in evaluation the
    module is the identity.

    Parameters
    ----------
    share
        Expected share of values set to 0, in [0, 1).

    Raises
    ------
    UsageError
        In training mode before a generator was given.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        if self.generator is None:
            raise UsageError("dropout in training needs a generator", hint="set module.generator, or call eval()")
        # Drawn where the generator lives: the same mask on every device.
        keep = torch.empty(x.shape, device=self.generator.device).bernoulli_(1.0 - self.share, generator=self.generator)
        return x * keep.to(x).div_(1.0 - self.share)

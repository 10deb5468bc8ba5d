"""Stochastic depth: whole residual branches that are skipped item by item, drawn from a generator of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from sensorad.errors import UsageError
from sensorad.models.dropout import Dropout

__all__ = ["DropPath", "rising_shares"]


class DropPath(Dropout):
    """Sets the whole residual branch of an item to 0 with probability ``share`` in training, and scales the others.

    Put where the branch ends, before it is added to what by-passes it. As every `Dropout` it is handed its generator by
    the trainer, and is the identity in evaluation. Source: Huang et al. 2016, deep networks with stochastic depth.

    Examples
    --------
    >>> path = DropPath(0.5).train()
    >>> path.generator = torch.Generator().manual_seed(0)
    >>> sorted(set(path(torch.ones(64, 3, 2, 2)).sum((1, 2, 3)).tolist()))
    [0.0, 24.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0.0:
            return x
        if self.generator is None:
            raise UsageError("drop-path in training needs a generator", hint="set module.generator, or call eval()")
        one_each = (len(x), *(1,) * (x.ndim - 1))
        # Drawn where the generator lives: the same paths on every device.
        keep = torch.empty(one_each, device=self.generator.device).bernoulli_(
            1.0 - self.share, generator=self.generator
        )
        return x * keep.to(x).div_(1.0 - self.share)


def rising_shares(share: float, n_branches: int) -> list[float]:
    """Shares that rise in equal steps from 0 at the first branch to ``share`` at the last.

    Early layers serve all later ones, so they are skipped least.

    Raises
    ------
    UsageError
        A share outside [0, 1).

    Examples
    --------
    >>> rising_shares(0.2, 3)
    [0.0, 0.1, 0.2]
    """
    if not 0.0 <= share < 1.0:
        raise UsageError(f"the drop-path share must be in [0, 1), got {share!r}", where="model configuration")
    return [share * at / max(1, n_branches - 1) for at in range(n_branches)]

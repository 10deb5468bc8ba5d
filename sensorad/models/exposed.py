"""The head of exposure: how much each of the numbers that describe a sensor's last rows tells of a fault.

It can do little on purpose. What separates the faults that it was shown from normal windows need not separate others:
on kinds that were left out, free weights are no better than none at all (tests/benchmarks/bench_exposure.py --parts
pulls). So one weight for each side of each number is learned, and it stays near 1 unless the faults insist.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sensorad.models.checks import at_least
from sensorad.models.exposed_config import LARGEST_NUMBERS

__all__ = ["FaultNetwork"]

FIRST_SLOPE, FIRST_BIAS = 2.0, -4.0


class FaultNetwork(nn.Module):
    """Logits (N, C) that a sensor is faulty, from standardised numbers (N, C, F); the same weights for all sensors.

    Parameters
    ----------
    n_features
        F.

    Examples
    --------
    >>> numbers = torch.tensor([[[0.0, 0, 0, 0]], [[0.0, -2, 0, 0]], [[1.0, -3, 0, 0]]])
    >>> calm, odd, odder = FaultNetwork(4)(numbers)[:, 0].tolist()
    >>> calm < odd < odder
    True
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        at_least(LARGEST_NUMBERS, n_features=n_features)
        self.log_weights = nn.Parameter(torch.zeros(2, n_features))  # above and below what is usual
        self.slope = nn.Parameter(torch.tensor(FIRST_SLOPE))
        self.bias = nn.Parameter(torch.tensor(FIRST_BIAS))

    def forward(self, numbers: Tensor) -> Tensor:
        """(N, C, F) -> (N, C)."""
        above, below = self.log_weights.exp()
        sizes = torch.relu(numbers) * above + torch.relu(-numbers) * below  # (N, C, F)
        oddness = sizes.topk(LARGEST_NUMBERS, dim=-1).values.mean(-1)  # (N, C)
        logits: Tensor = oddness * self.slope + self.bias
        return logits

    def departure(self) -> Tensor:
        """How far the weights have gone from 1: mean square of their logs."""
        return self.log_weights.square().mean()

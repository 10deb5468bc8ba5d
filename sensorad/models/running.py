"""What is usual for a network in training: running mean squares that its state keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["RunningSquares"]

HORIZON = 32
"""Batches that the mean looks back on: the last quarter of a short training, half an epoch of a long one."""


class RunningSquares(nn.Module):
    """Mean square of each of K columns over the latest batches, held above a floor; 1 before there was any.

    The plain mean of the first batches, then an exponential one. It lies in buffers, not in parameters: the optimum is
    known in closed form, and an optimiser that begins at 1 does not reach 0.01 within a short training.

    Parameters
    ----------
    n_columns
        K.
    floor
        Smallest value that is given out.

    Examples
    --------
    >>> usual = RunningSquares(2, floor=0.25)
    >>> usual.reset()
    >>> usual.update(torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
    >>> usual()
    tensor([5.0000, 0.2500])
    """

    mean: Tensor
    n_batches: Tensor

    def __init__(self, n_columns: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("mean", torch.empty(n_columns, device="meta"))
        self.register_buffer("n_batches", torch.empty((), device="meta"))

    def reset(self) -> None:
        """Give the buffers memory if they have none, and forget everything."""
        if self.mean.is_meta:
            self.to_empty(device="cpu")
        self.mean.fill_(1.0)
        self.n_batches.fill_(0.0)

    def forward(self) -> Tensor:
        """(K,) mean squares."""
        return self.mean.clamp(min=self.floor)

    def update(self, values: Tensor, weight: Tensor | None = None) -> None:
        """Take in values (..., K) and their weights (..., K), None = all alike; columns without weight stay."""
        with torch.no_grad():
            squares = values.float().square().flatten(0, -2)  # (n, K)
            if weight is None:
                found = squares.mean(0)
            else:
                amount = weight.float().flatten(0, -2)  # (n, K)
                total = amount.sum(0)
                found = torch.where(total > 0.0, (squares * amount).sum(0) / total.clamp(min=1e-6), self.mean)
            self.n_batches.add_(1.0).clamp_(max=HORIZON)
            self.mean.lerp_(found, 1.0 / self.n_batches)

"""What a network is asked to lower: squared differences, or a loss of its own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["OwnLoss", "rebuilding_loss", "weighted_square"]


@runtime_checkable
class OwnLoss(Protocol):
    """A network that is not trained by squared differences."""

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Scalar loss of rebuilding ``targets`` from ``inputs``, (N, L, C) each.

        ``weight`` (N, L, C) is that of each cell in means, None = all alike; ``progress`` the share of the training
        that is done, 1 where the loss is judged. All randomness comes from ``generator``.
        """


def rebuilding_loss(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    progress: float,
    generator: torch.Generator,
) -> Tensor:
    """The model's own loss where it has one, else the weighted mean square of model(inputs) - targets.

    Examples
    --------
    >>> x = torch.tensor([[[3.0], [9.0]]])
    >>> weight = torch.tensor([[[1.0], [0.0]]])
    >>> rebuilding_loss(nn.Threshold(10.0, 1.0), x, x, weight, 1.0, torch.Generator())
    tensor(4.)
    """
    if isinstance(model, OwnLoss):
        return model.fit_loss(inputs, targets, weight, progress, generator)
    return weighted_square(model(inputs), targets, weight)


def weighted_square(output: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of squared differences with the weights of the cells; 0 where all weights are."""
    # Squares and sums stay float32: under autocast the output may come in bfloat16.
    if weight is None:
        return functional.mse_loss(output.float(), targets)
    total: Tensor = ((output.float() - targets).square() * weight).sum()
    return total / weight.sum().clamp(min=1e-6)

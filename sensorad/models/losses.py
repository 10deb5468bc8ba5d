"""What a network is asked to lower: squared differences, or a loss of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError

__all__ = ["Comparison", "OwnLoss", "rebuilding_loss", "weighted_cross_entropy", "weighted_square"]

Comparison = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(output, targets, weight of each cell or None) -> scalar."""


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
    comparison: Comparison | None = None,
) -> Tensor:
    """The model's own loss where it has one, else the ``comparison`` of model(inputs) with targets.

    Without a comparison it is the weighted mean square of their difference.

    Examples
    --------
    >>> x = torch.tensor([[[3.0], [9.0]]])
    >>> weight = torch.tensor([[[1.0], [0.0]]])
    >>> rebuilding_loss(nn.Threshold(10.0, 1.0), x, x, weight, 1.0, torch.Generator())
    tensor(4.)
    """
    if isinstance(model, OwnLoss):
        return model.fit_loss(inputs, targets, weight, progress, generator)
    return (comparison or weighted_square)(model(inputs), targets, weight)


def weighted_square(output: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of squared differences with the weights of the cells; 0 where all weights are."""
    # Squares and sums stay float32: under autocast the output may come in bfloat16.
    if weight is None:
        return functional.mse_loss(output.float(), targets)
    total: Tensor = ((output.float() - targets).square() * weight).sum()
    return total / weight.sum().clamp(min=1e-6)


def weighted_cross_entropy(output: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
    """Mean binary cross-entropy, in nats, of probabilities and ``targets`` in [0, 1] with the weights of the cells.

    Logs are held above -100, so that an output of exactly 0 or 1 costs a finite amount; 0 where all weights are.

    Raises
    ------
    UsageError
        An output or a target outside [0, 1].

    Examples
    --------
    >>> weighted_cross_entropy(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))
    tensor(0.6931)
    """
    output, targets = output.float(), targets.float()
    for name, values in (("outputs", output), ("targets", targets)):
        low, high = torch.aminmax(values.detach())
        if float(low) < 0.0 or float(high) > 1.0:
            raise UsageError(
                f"{name} in [0, 1] expected, got {float(low):g} to {float(high):g}",
                where="cross-entropy of pixels",
                hint="scale images to [0, 1] and let the network end in a sigmoid",
            )
    # Not a product of logs of its own: the gradient of this one stays finite where an output has rounded to 0 or 1.
    with torch.autocast(output.device.type, enabled=False):
        each = functional.binary_cross_entropy(output, targets, reduction="mean" if weight is None else "none")
    if weight is None:
        return each
    total: Tensor = (each * weight).sum()
    return total / weight.sum().clamp(min=1e-6)

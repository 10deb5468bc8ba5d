"""A network on top of a linear model: reconstruction = linear(x) + gate * network(x - linear(x))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sensorad.models.losses import rebuilding_loss

__all__ = ["ResidualAutoencoder"]


class ResidualAutoencoder(nn.Module):
    """Adds to a fixed window-PCA what a network can tell about its residual.

    The projection is frozen; the network starts near zero, so training starts from the linear model and not below it.
    The gate, in [0, 1], is set after training to the share of the network's output that held-out rows confirm.

    Parameters
    ----------
    network
        Maps windows (N, L, C) to windows.
    components : (L C, K)
        Orthonormal columns of the linear model; None = the network alone.

    Examples
    --------
    >>> model = ResidualAutoencoder(nn.Identity(), torch.zeros(6, 0))
    >>> x = torch.ones(2, 3, 2)
    >>> torch.equal(model(x), x)
    True
    """

    def __init__(self, network: nn.Module, components: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.has_linear_part = components is not None
        self.register_buffer("components", components, persistent=False)
        self.register_buffer("gate", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        linear = self.linear(x)  # (N, L, C)
        rebuilt: Tensor = linear + self.get_buffer("gate") * self.network(x - linear)
        return rebuilt

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """As `OwnLoss` has it: that of the network, on what the linear part of the inputs leaves."""
        linear = self.linear(inputs)  # (N, L, C)
        return rebuilding_loss(self.network, inputs - linear, targets - linear, weight, progress, generator)

    def linear(self, x: Tensor) -> Tensor:
        """The linear part alone, (N, L, C); zeros without one."""
        if not self.has_linear_part:
            return torch.zeros_like(x)
        components = self.get_buffer("components")
        flat = x.flatten(1)  # (N, L C)
        return (flat @ components @ components.T).view_as(x)

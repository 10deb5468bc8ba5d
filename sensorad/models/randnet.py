"""Dense autoencoder whose connections are drawn at random: members of an ensemble that err in different ways.

Source: Chen, Sathe, Aggarwal, Turaga, "Outlier Detection with Autoencoder Ensembles" (RandNet), SDM 2017, section 3.1:
many autoencoders, each with its own random connections, and the median of their errors.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.models.randnet_config import LAYERS, RandNetConfig

__all__ = ["PartlyConnected", "RandNetAutoencoder"]


class PartlyConnected(nn.Module):
    """A linear layer of which a random share of the connections exists, the same for ever.

    The connections are part of the state, so a saved layer comes back as it was.
    """

    connected: Tensor

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_outputs, n_inputs, device="meta"))
        self.bias = nn.Parameter(torch.empty(n_outputs, device="meta"))
        self.register_buffer("connected", torch.empty(n_outputs, n_inputs, device="meta"))

    def draw(self, share: float, generator: torch.Generator) -> None:
        """Connections and first weights, uniform within 1/sqrt(inputs that a unit has on average)."""
        self.to_empty(device="cpu")
        n_outputs, n_inputs = self.weight.shape
        self.connected.copy_(torch.rand(n_outputs, n_inputs, generator=generator) < share)
        bound = (share * n_inputs) ** -0.5
        with torch.no_grad():
            for values in (self.weight, self.bias):
                values.uniform_(-bound, bound, generator=generator)
            self.weight.mul_(self.connected)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, outputs)."""
        return functional.linear(x, self.weight * self.connected, self.bias)


class RandNetAutoencoder(nn.Module):
    """Rebuilds windows (N, L, C) through a code, over layers in which random connections are missing.

    Parameters
    ----------
    n_sensors, length
        C and L.
    config
        Sizes.
    generator
        Source of connections and first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = RandNetAutoencoder(3, 10, RandNetConfig(width=8, code=2, near_zero=False))
    >>> network(torch.ones(5, 10, 3)).shape
    torch.Size([5, 10, 3])
    """

    def __init__(
        self, n_sensors: int, length: int, config: RandNetConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        self.config = config
        sizes = config.sizes(length * n_sensors)
        layers = [PartlyConnected(n_inputs, n_outputs) for n_inputs, n_outputs in pairwise(sizes)]
        self.encoder, self.narrow, self.widen, self.output = layers
        if generator is None:
            return
        if isinstance(generator, int):
            generator = torch.Generator().manual_seed(generator)
        for layer in layers:
            layer.draw(config.connections, generator)
        if config.near_zero:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        flat = x.flatten(1)  # (N, L C)
        for name in LAYERS[:-1]:
            flat = functional.relu(self.get_submodule(name)(flat))
        rebuilt: Tensor = self.output(flat)  # (N, L C)
        return rebuilt.view(x.shape)

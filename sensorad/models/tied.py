"""Tied autoencoder: the way back uses the transposed weights of the way in, so half the weights describe both."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError
from sensorad.models.checks import at_least
from sensorad.models.dense import ACTIVATIONS, DenseConfig
from sensorad.models.weights import bare, initialise, lecun_normal, parameter, state_shapes

__all__ = ["TiedAutoencoder"]


class TiedAutoencoder(nn.Module):
    """Reconstructs inputs (N, ...) of ``n_features`` numbers; the decoder has nothing of its own but biases.

    Each weight appears once in the state, and learns from both of its uses. Source: Vincent et al., "Stacked denoising
    autoencoders", JMLR 11 (2010), section 2.1.

    Parameters
    ----------
    n_features
        Product of all sizes but the first: 784 for 28 x 28 images.
    config
        Sizes and activations, as of a `sensorad.models.dense.DenseAutoencoder`.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Raises
    ------
    UsageError
        ``near_zero``: a last layer of 0 would be a first one of 0 as well.

    Examples
    --------
    >>> network = TiedAutoencoder(64, DenseConfig(widths=(16, 4), output="sigmoid"))
    >>> x = torch.ones(5, 1, 8, 8)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 1, 8, 8]), torch.Size([5, 4]))
    >>> sum(weight.numel() for weight in network.parameters()) == 64 * 16 + 16 * 4 + (16 + 4) + (16 + 64)
    True
    """

    def __init__(self, n_features: int, config: DenseConfig, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        at_least(1, 2**24, n_features=n_features)
        if config.near_zero:
            raise UsageError("tied weights cannot start near zero", where="model configuration")
        self.n_features = n_features
        self.config = config
        sizes = (n_features, *config.widths)
        self.layers = nn.ModuleList(bare(nn.Linear, inputs, outputs) for inputs, outputs in pairwise(sizes))
        self.biases = nn.ParameterList(parameter(size) for size in sizes[-2::-1])
        self.activation = ACTIVATIONS[config.activation]()
        self.output = ACTIVATIONS[config.output]()
        (initialise if config.first_weights == "uniform" else lecun_normal)(self, generator)
        if generator is not None:
            for bias in self.biases:
                nn.init.zeros_(bias)

    @classmethod
    def expected_shapes(cls, n_features: int, config: DenseConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_features, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each input: (N, ...) -> (N, code)."""
        hidden = x.flatten(1)  # (N, F)
        for layer in self.layers:
            hidden = self.activation(layer(hidden))
        return hidden  # (N, code)

    def decode(self, code: Tensor) -> Tensor:
        """Flat reconstruction: (N, code) -> (N, F)."""
        hidden = code
        for at, bias in enumerate(self.biases, start=1):
            layer = self.layers[len(self.layers) - at]
            raw = functional.linear(hidden, layer.weight.T, bias)  # type: ignore[arg-type]
            hidden = (self.output if at == len(self.biases) else self.activation)(raw)
        return hidden  # (N, F)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction in the shape of the input: (N, ...) -> (N, ...)."""
        return self.decode(self.encode(x)).view(x.shape)

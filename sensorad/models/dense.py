"""Dense autoencoder: linear layers down to a code and the mirrored layers back up, for windows or images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.weights import bare, initialise, lecun_normal, state_shapes

__all__ = ["ACTIVATIONS", "Activation", "DenseAutoencoder", "DenseConfig", "FirstWeights"]

Activation = Literal["linear", "relu", "gelu", "selu", "tanh", "sigmoid"]
FirstWeights = Literal["uniform", "lecun_normal"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """Sizes of a `DenseAutoencoder`.

    Attributes
    ----------
    widths
        Units of each layer from the first one to the code; the way back is the mirror image.
    activation
        Between the layers, the code included. "linear" makes the network a principal component analysis.
    output
        After the last layer: "linear", or "sigmoid" for values in [0, 1].
    near_zero
        Start with a last layer of exactly 0, for a network that learns what a linear model left over.
    first_weights
        "uniform" as `initialise` draws them, or "lecun_normal", which "selu" needs to keep the spread of its values
        from layer to layer (Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017).
    """

    widths: tuple[int, ...] = (128, 32)
    activation: Activation = "relu"
    output: Activation = "linear"
    near_zero: bool = False
    first_weights: FirstWeights = "uniform"

    def __post_init__(self) -> None:
        if not self.widths:
            raise UsageError("at least one width expected, got none", where="model configuration")
        for width in self.widths:
            at_least(1, widths=width)
        for option, name in (("activation", self.activation), ("output", self.output)):
            if name not in ACTIVATIONS:
                raise UsageError(
                    f"{option} {name!r} is not known", where="model configuration", hint=f"one of {sorted(ACTIVATIONS)}"
                )
        if self.first_weights not in get_args(FirstWeights):
            raise UsageError(
                f"first_weights {self.first_weights!r} is not known",
                where="model configuration",
                hint=f"one of {', '.join(get_args(FirstWeights))}",
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> DenseConfig:
        return cls(**checked_options(cls, row))


class DenseAutoencoder(nn.Module):
    """Reconstructs inputs (N, ...) of ``n_features`` numbers each through a code of ``config.widths[-1]``.

    Parameters
    ----------
    n_features
        Product of all sizes but the first: L C for windows, 784 for 28 x 28 images.
    config
        Sizes and activations.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = DenseAutoencoder(90, DenseConfig(widths=(16, 4)))
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 30, 3]), torch.Size([5, 4]))
    """

    def __init__(self, n_features: int, config: DenseConfig, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        at_least(1, 2**24, n_features=n_features)
        self.n_features = n_features
        self.config = config
        sizes = (n_features, *config.widths)
        self.encoder = nn.Sequential()
        for inputs, outputs in pairwise(sizes):
            self.encoder.extend([bare(nn.Linear, inputs, outputs), ACTIVATIONS[config.activation]()])
        self.decoder = nn.Sequential()
        for inputs, outputs in pairwise(config.widths[::-1]):
            self.decoder.extend([bare(nn.Linear, inputs, outputs), ACTIVATIONS[config.activation]()])
        last = bare(nn.Linear, config.widths[0], n_features)
        self.decoder.extend([last, ACTIVATIONS[config.output]()])
        (initialise if config.first_weights == "uniform" else lecun_normal)(self, generator)
        if config.near_zero and generator is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @classmethod
    def expected_shapes(cls, n_features: int, config: DenseConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_features, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each input: (N, ...) -> (N, code)."""
        code: Tensor = self.encoder(x.flatten(1))  # (N, F) -> (N, code)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Flat reconstruction: (N, code) -> (N, F)."""
        flat: Tensor = self.decoder(code)  # (N, F)
        return flat

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction in the shape of the input: (N, ...) -> (N, ...)."""
        return self.decode(self.encode(x)).view(x.shape)

"""Dense classifier with the layers of a dense autoencoder's encoder: it can begin with what they have learned."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least
from sensorad.models.dense import ACTIVATIONS, DenseAutoencoder, DenseConfig
from sensorad.models.weights import bare, initialise, lecun_normal, state_shapes

__all__ = ["DenseClassifier"]


class DenseClassifier(nn.Module):
    """Logits of the classes of inputs (N, ...): an encoder as of a `DenseAutoencoder`, and one linear layer.

    Parameters
    ----------
    n_features
        Product of all sizes but the first: 784 for 28 x 28 images.
    config
        Sizes and activation of the encoder; what is said of the way back is not used.
    classes
        K.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> config = DenseConfig(widths=(16, 4))
    >>> network = DenseClassifier(64, config, classes=3)
    >>> network.take_encoder(DenseAutoencoder(64, config, 1))
    >>> x = torch.ones(5, 1, 8, 8)
    >>> network(x).shape, bool((network.encode(x) == DenseAutoencoder(64, config, 1).encode(x)).all())
    (torch.Size([5, 3]), True)
    """

    def __init__(
        self, n_features: int, config: DenseConfig, classes: int, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, 2**24, n_features=n_features)
        at_least(2, 100_000, classes=classes)
        self.n_features = n_features
        self.config = config
        self.encoder = nn.Sequential()
        for inputs, outputs in pairwise((n_features, *config.widths)):
            self.encoder.extend([bare(nn.Linear, inputs, outputs), ACTIVATIONS[config.activation]()])
        self.head = bare(nn.Linear, config.widths[-1], classes)
        (initialise if config.first_weights == "uniform" else lecun_normal)(self, generator)

    @classmethod
    def expected_shapes(cls, n_features: int, config: DenseConfig, classes: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_features, config, classes, None))

    def take_encoder(self, autoencoder: DenseAutoencoder) -> None:
        """Copy the weights of the encoder of ``autoencoder``; nothing is shared afterwards.

        Raises
        ------
        UsageError
            Its encoder is another one.
        """
        other = autoencoder.config
        if (self.n_features, self.config.widths, self.config.activation) != (
            autoencoder.n_features,
            other.widths,
            other.activation,
        ):
            raise UsageError(
                f"an encoder of {self.n_features} inputs, widths {self.config.widths} and {self.config.activation!r} "
                f"expected, got {autoencoder.n_features}, {other.widths} and {other.activation!r}"
            )
        self.encoder.load_state_dict(autoencoder.encoder.state_dict())

    def learn_encoder(self, is_learned: bool) -> None:
        """Whether the next training changes the encoder, or the last layer alone."""
        self.encoder.requires_grad_(is_learned)

    def encode(self, x: Tensor) -> Tensor:
        """Code of each input: (N, ...) -> (N, code)."""
        code: Tensor = self.encoder(x.flatten(1))
        return code

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (N, ...) -> (N, K)."""
        logits: Tensor = self.head(self.encode(x))
        return logits

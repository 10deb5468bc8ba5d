"""Dense adversarial autoencoder of images: the two players of windows, with a picture's rows in the place of time.

The encoder that is trained is the one that reads images when they are scored, as in GANomaly (Akcay et al., ACCV 2018);
nothing is searched for. A patch of the discriminator is a strip of whole rows.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.two_players import TwoPlayers
from sensorad.models.weights import bare, state_shapes

__all__ = ["DenseAdversarialAutoencoder", "DenseAdversarialConfig"]


@dataclass(frozen=True, slots=True)
class DenseAdversarialConfig:
    """Sizes of a `DenseAdversarialAutoencoder`, and the weights of its losses.

    Attributes
    ----------
    widths
        Units of each layer from the first one to the code; the way back is the mirror image.
    patch, features
        Rows of pixels that the discriminator sees at once, and features that it makes of them.
    matching, second_look
        Weights, beside the squared error, of the distances between features and between codes.
    """

    widths: tuple[int, ...] = (128, 32)
    patch: int = 14
    features: int = 64
    matching: float = 0.1
    second_look: float = 0.01

    def __post_init__(self) -> None:
        if not self.widths:
            raise UsageError("at least one width expected, got none", where="model configuration")
        for width in self.widths:
            at_least(1, widths=width)
        at_least(1, 1024, patch=self.patch)
        at_least(1, 4096, features=self.features)
        for name in ("matching", "second_look"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1000.0:
                raise UsageError(f"{name} must be from 0 to 1000, got {value!r}", where="model configuration")

    @property
    def code(self) -> int:
        """Numbers that describe an image."""
        return self.widths[-1]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> DenseAdversarialConfig:
        """The settings of `to_json`."""
        return cls(**checked_options(cls, row))


class DenseAdversarialAutoencoder(nn.Module):
    """Reconstructs images (N, channels, H, W) with pixels in [0, 1]; a discriminator adds two measures of each image.

    Parameters
    ----------
    shape
        (channels, H, W) of an image.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = DenseAdversarialAutoencoder((1, 8, 8), DenseAdversarialConfig(widths=(16, 4), patch=4, features=6))
    >>> x = torch.ones(5, 1, 8, 8)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 1, 8, 8]), torch.Size([5, 4]))

    Logs of two distances between each image and its reconstruction, of the discriminator's features and of the codes:

    >>> network.read(x)[2].shape
    torch.Size([5, 2])
    """

    def __init__(
        self, shape: tuple[int, int, int], config: DenseAdversarialConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, 2**16, sizes=min(shape))
        self.shape = shape
        self.config = config
        n_columns = shape[0] * shape[2]
        sizes = (math.prod(shape), *config.widths)
        encoder = nn.Sequential(nn.Flatten())
        for inputs, outputs in pairwise(sizes):
            encoder.extend([bare(nn.Linear, inputs, outputs), nn.ReLU()])
        # The code itself has both signs: a second look at codes of dead units would always be content.
        self.players = TwoPlayers(n_columns, config, encoder[:-1], _RowsDecoder(sizes[::-1], n_columns), generator)

    @classmethod
    def expected_shapes(cls, shape: tuple[int, int, int], config: DenseAdversarialConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(shape, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each image: (N, channels, H, W) -> (N, code)."""
        return self.players.encode(self._rows(x))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction: (N, channels, H, W) -> (N, channels, H, W)."""
        return self._images(self.players(self._rows(x)))

    def read(self, x: Tensor, gate: float = 1.0) -> tuple[Tensor, None, Tensor]:
        """Images rebuilt, and logs of two distances (N, 2), as `TwoPlayers.read` has them."""
        output, _, distances = self.players.read(self._rows(x), gate)
        return self._images(output), None, distances

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Loss of both players on images, as `sensorad.models.losses.OwnLoss` has it."""
        rows = None if weight is None else self._rows(weight)
        return self.players.fit_loss(self._rows(inputs), self._rows(targets), rows, progress, generator)

    def accuracy(self, x: Tensor, generator: torch.Generator) -> float:
        """Share of images (N, channels, H, W), and of what is made of them, that the discriminator tells right."""
        return self.players.accuracy(self._rows(x), generator)

    def _rows(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, H, channels W): what the discriminator reads as a window."""
        return x.transpose(1, 2).flatten(2)

    def _images(self, rows: Tensor) -> Tensor:
        channels, height, width = self.shape
        return rows.view(-1, height, channels, width).transpose(1, 2)


class _RowsDecoder(nn.Module):
    """Codes to rows of pixels in [0, 1]."""

    def __init__(self, sizes: tuple[int, ...], n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns
        self.layers = nn.Sequential()
        for inputs, outputs in pairwise(sizes):
            self.layers.extend([bare(nn.Linear, inputs, outputs), nn.ReLU()])
        self.layers[-1] = nn.Sigmoid()

    def forward(self, code: Tensor, length: int) -> Tensor:
        """(N, code) -> (N, length, n_columns)."""
        flat: Tensor = self.layers(code)
        return flat.view(len(code), length, self.n_columns)

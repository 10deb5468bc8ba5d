"""Small convolutional classifiers of images, the 474-parameter one of the published experiments among them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.dropout import Dropout
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = ["ImageClassifier", "ImageClassifierConfig"]


@dataclass(frozen=True, slots=True)
class ImageClassifierConfig:
    """Sizes of an `ImageClassifier`. By default three convolutions without overlap: 474 parameters on 28 x 28 pixels.

    Attributes
    ----------
    channels
        Of each convolution.
    kernel, stride
        Of all convolutions. With stride 1 the picture keeps its size (odd kernels).
    pool
        The maximum of squares of this size follows each convolution; 1 = none.
    hidden
        Widths of linear layers between the convolutions and the logits.
    dropout
        Share of the features before the logits that are dropped in training.
    classes
        K.

    Examples
    --------
    >>> small, larger = ImageClassifierConfig(), ImageClassifierConfig.larger()
    >>> count = lambda config: sum(weight.numel() for weight in ImageClassifier((1, 28, 28), config).parameters())
    >>> count(small), count(larger)
    (474, 105476)
    """

    channels: tuple[int, ...] = (2, 4, 8)
    kernel: int = 2
    stride: int = 2
    pool: int = 1
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    classes: int = 4

    def __post_init__(self) -> None:
        if not self.channels:
            raise UsageError("at least one convolution expected, got none", where="model configuration")
        for width in (*self.channels, *self.hidden):
            at_least(1, 4096, widths=width)
        at_least(1, 16, kernel=self.kernel, stride=self.stride, pool=self.pool)
        at_least(2, 100_000, classes=self.classes)
        if self.stride == 1 and self.kernel % 2 == 0:
            raise UsageError(f"kernel must be odd where stride is 1, got {self.kernel}", where="model configuration")
        if not (math.isfinite(self.dropout) and 0.0 <= self.dropout < 1.0):
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}", where="model configuration")

    @classmethod
    def larger(cls, classes: int = 4, dropout: float = 0.0) -> ImageClassifierConfig:
        """Two convolutions and a hidden layer: 105,476 parameters for four classes of 28 x 28 pixels."""
        return cls((16, 32), kernel=3, stride=1, pool=2, hidden=(64,), dropout=dropout, classes=classes)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"channels": list(self.channels), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ImageClassifierConfig:
        """The settings of `to_json`."""
        return cls(**checked_options(cls, row))


class ImageClassifier(nn.Module):
    """Logits of the classes of images (N, channels, H, W): convolutions with rectifiers, then linear layers.

    Parameters
    ----------
    shape
        (channels, H, W) of an image.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Raises
    ------
    UsageError
        Images too small for so many convolutions.

    Examples
    --------
    >>> network = ImageClassifier((1, 28, 28), ImageClassifierConfig()).eval()
    >>> x = torch.ones(5, 1, 28, 28)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 4]), torch.Size([5, 72]))
    """

    def __init__(
        self, shape: tuple[int, int, int], config: ImageClassifierConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, 2**16, sizes=min(shape))
        self.shape = shape
        self.config = config
        padding = config.kernel // 2 if config.stride == 1 else 0
        n_inputs, height, width = shape
        layers = nn.Sequential()
        for inputs, outputs in pairwise((n_inputs, *config.channels)):
            layers.extend(
                [
                    bare(nn.Conv2d, inputs, outputs, config.kernel, stride=config.stride, padding=padding),
                    nn.ReLU(),
                ]
            )
            if config.pool > 1:
                layers.append(nn.MaxPool2d(config.pool))
            height, width = (
                ((size + 2 * padding - config.kernel) // config.stride + 1) // config.pool for size in (height, width)
            )
            if min(height, width) < 1:
                raise UsageError(f"{shape[1]} x {shape[2]} pixels are too few for {len(config.channels)} convolutions")
        layers.append(nn.Flatten())
        for inputs, outputs in pairwise((config.channels[-1] * height * width, *config.hidden)):
            layers.extend([bare(nn.Linear, inputs, outputs), nn.ReLU()])
        self.encoder = layers
        self.n_features = config.hidden[-1] if config.hidden else config.channels[-1] * height * width
        self.dropout = Dropout(config.dropout)
        self.head = bare(nn.Linear, self.n_features, config.classes)
        initialise(self, generator)
        if config.stride == 1:
            # Half to two thirds of the time on CPUs, the same answers up to rounding. Not in torch's types.
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def expected_shapes(cls, shape: tuple[int, int, int], config: ImageClassifierConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(shape, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Features before the logits: (N, channels, H, W) -> (N, F)."""
        features: Tensor = self.encoder(x)  # (N, F)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (N, channels, H, W) -> (N, K)."""
        logits: Tensor = self.head(self.dropout(self.encode(x)))  # (N, K)
        return logits

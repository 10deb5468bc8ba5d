"""Convolutional autoencoder of images: strided convolutions down to a dense code, and the mirrored way back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.dense import ACTIVATIONS, Activation
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = ["ConvolutionalAutoencoder", "ConvolutionalConfig"]


@dataclass(frozen=True, slots=True)
class ConvolutionalConfig:
    """Sizes of a `ConvolutionalAutoencoder`.

    Attributes
    ----------
    channels
        Of each convolution; each halves height and width.
    kernel
        Of all convolutions, an odd number.
    code
        Numbers that describe an image; 0 = the features of the last convolution as they are.
    activation
        Between the layers, the code excluded.
    output
        After the last layer: "sigmoid" for pixels in [0, 1], or "linear".
    """

    channels: tuple[int, ...] = (16, 32)
    kernel: int = 3
    code: int = 32
    activation: Activation = "relu"
    output: Activation = "sigmoid"

    def __post_init__(self) -> None:
        if not self.channels:
            raise UsageError("at least one convolution expected, got none", where="model configuration")
        for width in self.channels:
            at_least(1, 4096, channels=width)
        at_least(1, 15, kernel=self.kernel)
        at_least(0, 65_536, code=self.code)
        if self.kernel % 2 == 0:
            raise UsageError(f"kernel must be odd, got {self.kernel}", where="model configuration")
        for option, name in (("activation", self.activation), ("output", self.output)):
            if name not in ACTIVATIONS:
                raise UsageError(
                    f"{option} {name!r} is not known", where="model configuration", hint=f"one of {sorted(ACTIVATIONS)}"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"channels": list(self.channels)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ConvolutionalConfig:
        """The settings of `to_json`."""
        return cls(**checked_options(cls, row))


class ConvolutionalAutoencoder(nn.Module):
    """Reconstructs images (N, channels, H, W) of any size, odd ones included, through a code.

    Parameters
    ----------
    shape
        (channels, H, W) of an image.
    config
        Sizes and activations.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Raises
    ------
    UsageError
        Images too small for so many convolutions.

    Examples
    --------
    >>> network = ConvolutionalAutoencoder((1, 27, 28), ConvolutionalConfig(channels=(4, 8), code=3))
    >>> x = torch.ones(5, 1, 27, 28)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 1, 27, 28]), torch.Size([5, 3]))
    """

    def __init__(
        self, shape: tuple[int, int, int], config: ConvolutionalConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, 2**16, sizes=min(shape))
        self.shape = shape
        self.config = config
        activation, padding = ACTIVATIONS[config.activation], config.kernel // 2
        sizes = [shape[1:]]  # height and width before each convolution, and after the last
        for _ in config.channels:
            if min(sizes[-1]) < 2:
                raise UsageError(
                    f"{shape[1]} x {shape[2]} pixels are too few for {len(config.channels)} convolutions",
                    where="model configuration",
                )
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        channels = (shape[0], *config.channels)
        self.encoder = nn.Sequential()
        for inputs, outputs in pairwise(channels):
            self.encoder.extend(
                [bare(nn.Conv2d, inputs, outputs, config.kernel, stride=2, padding=padding), activation()]
            )
        self.encoder.append(nn.Flatten())
        height, width = sizes[-1]
        n_flat = channels[-1] * height * width
        self.decoder = nn.Sequential()
        if config.code:
            self.encoder.append(bare(nn.Linear, n_flat, config.code))
            self.decoder.extend([bare(nn.Linear, config.code, n_flat), activation()])
        self.decoder.append(nn.Unflatten(1, (channels[-1], height, width)))
        backwards = list(zip(pairwise(channels), sizes, strict=False))[::-1]
        for (outputs, inputs), (to_height, to_width) in backwards:
            # A transposed convolution makes an odd number of rows; one more where an even number was halved.
            extra = (1 - to_height % 2, 1 - to_width % 2)
            layer = nn.ConvTranspose2d(
                inputs, outputs, config.kernel, stride=2, padding=padding, output_padding=extra, device="meta"
            )
            self.decoder.extend([layer, activation()])
        self.decoder[-1] = ACTIVATIONS[config.output]()
        initialise(self, generator)

    @classmethod
    def expected_shapes(cls, shape: tuple[int, int, int], config: ConvolutionalConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(shape, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each image: (N, channels, H, W) -> (N, code)."""
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Image of each code: (N, code) -> (N, channels, H, W)."""
        images: Tensor = self.decoder(code)
        return images

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction: (N, channels, H, W) -> (N, channels, H, W)."""
        return self.decode(self.encode(x))

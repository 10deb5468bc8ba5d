"""Adversarial autoencoder: an encoder and a generator, trained against a discriminator that looks for what they miss.

After GANomaly (Akcay et al., ACCV 2018): encoder, generator, a second look of the encoder at what was generated, and
an adversarial loss that matches features of the discriminator. Its encoder is there when windows are scored, so none
needs an optimisation of its own, as in f-AnoGAN (Schlegl et al., Medical Image Analysis 54, 2019).

Three things differ. The generator's windows are shown with noise as large as its usual errors, or the discriminator
would learn no more than that an autoencoder smooths. Both players learn in one step of one optimiser: each part of the
loss reaches the weights of its own player alone. And one encoder serves for both looks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.recurrent import RecurrentDecoder, RecurrentEncoder
from sensorad.models.two_players import TwoPlayers
from sensorad.models.weights import state_shapes

__all__ = ["AdversarialAutoencoder", "AdversarialConfig"]


@dataclass(frozen=True, slots=True)
class AdversarialConfig:
    """Sizes of an `AdversarialAutoencoder`, and the weights of its losses.

    Attributes
    ----------
    width, layers, code
        Units and stacked LSTM layers of encoder and generator; numbers that describe a window.
    patch, features
        Rows that the discriminator sees at once, and features that it makes of them.
    matching, second_look
        Weights, beside the squared error, of the distance between the discriminator's features of a window and of what
        was generated of it, and of the distance between their codes.
    near_zero
        Start with an output of exactly 0, for a network that learns what a linear model left over.
    """

    width: int = 64
    layers: int = 1
    code: int = 16
    patch: int = 8
    features: int = 32
    matching: float = 0.1
    second_look: float = 0.01
    near_zero: bool = True

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width, code=self.code, features=self.features)
        at_least(1, 1024, patch=self.patch)
        at_least(1, 8, layers=self.layers)
        for name in ("matching", "second_look"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1000.0:
                raise UsageError(f"{name} must be from 0 to 1000, got {value!r}", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> AdversarialConfig:
        return cls(**checked_options(cls, row))


class AdversarialAutoencoder(TwoPlayers):
    """Reconstructs windows (N, L, C) through a code; a discriminator adds two measures of a whole window.

    Parameters
    ----------
    n_sensors
        C.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = AdversarialAutoencoder(3, AdversarialConfig(width=8, code=2, features=4))
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 30, 3]), torch.Size([5, 2]))

    A window is read without any optimisation; errors are squared differences:

    >>> output, squares, channels = network.read(x, gate=1.0)
    >>> output.shape, squares, channels.shape
    (torch.Size([5, 30, 3]), None, torch.Size([5, 2]))
    """

    def __init__(self, n_sensors: int, config: AdversarialConfig, generator: torch.Generator | int | None = 0) -> None:
        at_least(1, n_sensors=n_sensors)
        encoder = RecurrentEncoder(n_sensors, config.width, config.layers, config.code)
        decoder = RecurrentDecoder(config.code, config.width, config.layers, n_sensors)
        super().__init__(n_sensors, config, encoder, decoder, generator)
        self.n_sensors = n_sensors
        self.config = config
        if config.near_zero and generator is not None:
            decoder.start_at_zero()

    @classmethod
    def expected_shapes(cls, n_sensors: int, config: AdversarialConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_sensors, config, None))

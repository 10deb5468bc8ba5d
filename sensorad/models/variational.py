"""Recurrent variational autoencoder: how probable is a window, given what its code says of it?

Variational autoencoders after Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; scored by the
reconstruction probability of An and Cho, "Variational autoencoder based anomaly detection using reconstruction
probability", SNU Data Mining Center, 2015. The decoder tells a mean and a variance of each cell, so that an error where
the plant is restless counts less than one where it is calm.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.recurrent import RecurrentDecoder, RecurrentEncoder
from sensorad.models.running import RunningSquares
from sensorad.models.weights import initialise, state_shapes

__all__ = ["CODE_SPREAD", "CodeUse", "VariationalAutoencoder", "VariationalConfig", "unit_divergence"]

SMALLEST_SIGMA = 0.05
"""Of a sensor's usual error in the likelihood, in deviations: one that is rebuilt without error would otherwise have
all the weight in the training. Scores are relative to the usual error and need no such floor."""

CODE_SPREAD = 8.0
"""Largest absolute log variance of a unit of the code."""

ACTIVE_VARIANCE = 0.01
"""A unit is active if its mean varies by more than this between windows (Burda et al., "Importance weighted
autoencoders", ICLR 2016, section 5.2)."""

LEAST_NATS = 0.1
"""A code that says less than this beyond what is free has collapsed: a unit that is just active by its variance has
0.005 nats."""


@dataclass(frozen=True, slots=True)
class VariationalConfig:
    """Sizes of a `VariationalAutoencoder`, and how its code is learned and read.

    Attributes
    ----------
    width, layers
        Units and stacked LSTM layers of encoder and of decoder.
    code
        Numbers that describe a window.
    draws
        Codes drawn for each window that is scored, an even number: every draw has its mirror image.
    warm_up
        Share of the training after which the divergence of the code counts in full; it grows linearly until then.
    free_nats
        Divergence of each unit of the code, on average over a batch, that costs nothing ("free bits", Kingma et al.,
        "Improved variational inference with inverse autoregressive flow", NeurIPS 2016, appendix C.8). Without any,
        the code of a network trained on masked windows collapses within a short training and comes back late.
    sigma_range
        Factor by which the standard deviation of a cell may lie above or below the usual one of its sensor.
    near_zero
        Start with an output of exactly 0, for a network that learns what a linear model left over.
    """

    width: int = 64
    layers: int = 1
    code: int = 16
    draws: int = 4
    warm_up: float = 0.5
    free_nats: float = 0.05
    sigma_range: float = 3.0
    near_zero: bool = True

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width, code=self.code)
        at_least(1, 8, layers=self.layers)
        at_least(2, 64, draws=self.draws)
        if self.draws % 2:
            raise UsageError(f"draws must be even, got {self.draws}", where="model configuration")
        for name, low, high in (("warm_up", 0.0, 1.0), ("free_nats", 0.0, 100.0), ("sigma_range", 1.0, 100.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"{name} must be from {low:g} to {high:g}, got {value!r}", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> VariationalConfig:
        return cls(**checked_options(cls, row))


@dataclass(frozen=True, slots=True)
class CodeUse:
    """What the code says of some windows.

    Attributes
    ----------
    divergence : (code,)
        Mean Kullback-Leibler divergence of each unit from its prior, in nats.
    variance : (code,)
        Variance of each unit's mean over the windows.
    free_nats
        Divergence of a unit that cost nothing in training, and so means nothing.
    """

    divergence: tuple[float, ...]
    variance: tuple[float, ...]
    free_nats: float = 0.0

    @classmethod
    def of(cls, mean: Tensor, log_variance: Tensor, free_nats: float = 0.0) -> CodeUse:
        """Of codes, 2 x (N, code)."""
        divergence = unit_divergence(mean, log_variance).mean(0)
        return cls(tuple(divergence.tolist()), tuple(mean.var(0, correction=0).tolist()), free_nats)

    @property
    def n_active(self) -> int:
        """Units whose mean depends on the window."""
        return sum(variance > ACTIVE_VARIANCE for variance in self.variance)

    @property
    def nats(self) -> float:
        """Divergence of all units together: an upper bound of what the code tells of the window."""
        return sum(self.divergence)

    @property
    def has_collapsed(self) -> bool:
        """Hardly anything depends on the window."""
        paid_for = sum(max(0.0, nats - self.free_nats) for nats in self.divergence)
        return self.n_active == 0 or paid_for < LEAST_NATS

    def __str__(self) -> str:
        units = f"{self.n_active} of {len(self.variance)} units are active"
        if self.has_collapsed:
            return (
                f"the code says nothing of the window (posterior collapse: {self.nats:.2g} nats, {units}): the network "
                "expects much the same of every window"
            )
        return f"the code says {self.nats:.2g} nats of a window: {units}, the busiest has {max(self.divergence):.2g}"


class VariationalAutoencoder(nn.Module):
    """Tells mean and variance of every cell of a window (N, L, C) from a code that is a distribution.

    Parameters
    ----------
    n_sensors
        C.
    config
        Sizes.
    generator
        Source of the first weights and of the fixed draws: a CPU generator or a seed. None builds shapes without
        memory.

    Examples
    --------
    >>> network = VariationalAutoencoder(3, VariationalConfig(width=8, code=2))
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape
    torch.Size([5, 30, 3])

    The measure of error is what the reconstruction probability loses in each cell, and never negative:

    >>> output, squares, _ = network.read(x, gate=1.0)
    >>> squares.shape, bool((squares >= 0).all())
    (torch.Size([5, 30, 3]), True)
    """

    n_channels = 0
    draws: Tensor

    def __init__(self, n_sensors: int, config: VariationalConfig, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        at_least(1, n_sensors=n_sensors)
        self.n_sensors = n_sensors
        self.config = config
        self.encoder = RecurrentEncoder(n_sensors, config.width, config.layers, 2 * config.code)
        self.decoder = RecurrentDecoder(config.code, config.width, config.layers, 2 * n_sensors)
        self.usual = RunningSquares(n_sensors, SMALLEST_SIGMA**2)
        self.register_buffer("draws", torch.empty(config.draws, config.code, device="meta"))
        if generator is None:
            return
        source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
        initialise(self, source)
        self.usual.reset()
        half = torch.randn(config.draws // 2, config.code, generator=source)
        # Antithetic: whatever is linear in the code then has the value at the mean, exactly.
        self.draws.copy_(torch.cat([half, -half]))
        if config.near_zero:
            self.decoder.start_at_zero()

    @classmethod
    def expected_shapes(cls, n_sensors: int, config: VariationalConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_sensors, config, None))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of each window's code: (N, L, C) -> 2 x (N, code)."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)  # 2 x (N, code)
        return mean, log_variance.clamp(-CODE_SPREAD, CODE_SPREAD)

    def decode(self, code: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Mean of each cell, and the log of its variance relative to the sensor's usual one: 2 x (N, length, C)."""
        mean, raw = self.decoder(code, length).float().chunk(2, dim=2)  # 2 x (N, length, C)
        return mean, self.spread * torch.tanh(raw / self.spread)

    @property
    def spread(self) -> float:
        """Largest absolute log of a relative variance."""
        return max(2.0 * math.log(self.config.sigma_range), 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Mean of each cell at the mean of the code: (N, L, C) -> (N, L, C)."""
        return self.decode(self.encode(x)[0], x.shape[1])[0]

    def read(self, x: Tensor, gate: float) -> tuple[Tensor, Tensor, None]:
        """Windows (N, L, C) as `forward` gives them, and what each cell loses of its probability, (N, L, C).

        With mean m and variance v of a cell, and the smallest variance f that its sensor may have, the loss is
        (x - m)^2 / v + ln(v / f), averaged over the fixed draws of the code, in units of the sensor's usual squared
        error u: so it compares with squared errors, and a sensor without errors cannot outshout the others. A gate g
        takes m to g m and v / u to its power g: at 0 the loss is the squared input.
        """
        mean, log_variance = self.encode(x)
        drawn = mean[:, None] + torch.exp(0.5 * log_variance)[:, None] * self.draws  # (N, S, code)
        codes = torch.cat([mean[:, None], drawn], dim=1)  # (N, 1 + S, code)
        means, relative = self.decode(codes.flatten(0, 1), x.shape[1])  # 2 x (N (1 + S), L, C)
        shape = (*codes.shape[:2], *x.shape[1:])
        means, relative = means.view(shape), relative.view(shape)  # 2 x (N, 1 + S, L, C)
        error = x[:, None] - gate * means[:, 1:]  # (N, S, L, C)
        loss = error.square() * torch.exp(-gate * relative[:, 1:])
        loss = loss + gate * self.usual() * (relative[:, 1:] + self.spread)
        return means[:, 0], loss.mean(1), None

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Negative evidence lower bound of each cell, in nats, as `sensorad.models.losses.OwnLoss` has it.

        With weights a cell counts as that many observations; the divergence of a window's code is shared by all of
        them. Constants of the Gaussian density are left out.
        """
        mean, log_variance = self.encode(inputs)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean.device)
        means, relative = self.decode(mean + torch.exp(0.5 * log_variance) * noise, inputs.shape[1])
        error = targets - means  # (N, L, C)
        if self.training:
            self.usual.update(error.detach(), weight)
        usual = self.usual()
        surprise = 0.5 * (error.square() * torch.exp(-relative) / usual + relative + usual.log())  # (N, L, C)
        divergence = unit_divergence(mean, log_variance).mean(0)  # (code,)
        if self.config.free_nats:
            divergence = divergence.clamp(min=self.config.free_nats)
        total = self.warmth(progress) * len(inputs) * divergence.sum()
        amount = surprise.numel() if weight is None else weight.sum().clamp(min=1.0)
        loss: Tensor = ((surprise if weight is None else surprise * weight).sum() + total) / amount
        return loss

    def warmth(self, progress: float) -> float:
        """Weight of the divergence at that share of the training: 1 from ``config.warm_up`` on."""
        return 1.0 if progress >= self.config.warm_up else progress / self.config.warm_up

    def code_use(self, windows: Tensor) -> CodeUse:
        """How much the code says of windows (N, L, C)."""
        with torch.inference_mode():
            return CodeUse.of(*self.encode(windows), self.config.free_nats)

    def note(self, windows: Tensor) -> str:
        """What a person should know of the code, judged on windows (N, L, C)."""
        return str(self.code_use(windows))


def unit_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of Gaussians (N, code) from the standard one, in nats (Kingma and Welling 2014,
    appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)

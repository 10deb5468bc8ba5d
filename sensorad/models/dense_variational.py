"""Dense variational autoencoder of images: how probable are its pixels, given what its code says of them?

After Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, with the scores of An and Cho, "Variational
autoencoder based anomaly detection using reconstruction probability", SNU Data Mining Center, 2015.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options
from sensorad.models.running import RunningSquares
from sensorad.models.variational import CODE_SPREAD, CodeUse, unit_divergence
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = ["DenseVariationalAutoencoder", "DenseVariationalConfig", "Likelihood"]

Likelihood = Literal["gaussian", "bernoulli"]

SMALLEST_SIGMA = 0.03
"""Of the usual error of a pixel: eight grey levels of 256. Below that, noise of the picture would be learned."""


@dataclass(frozen=True, slots=True)
class DenseVariationalConfig:
    """Sizes of a `DenseVariationalAutoencoder`, and how its code is learned and read.

    Attributes
    ----------
    widths, code
        Units of each layer before the code; numbers that describe an image.
    likelihood
        "gaussian": errors of one standard deviation for all pixels, that of the latest training batches (Rybkin,
        Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders", ICML 2021).
        "bernoulli": the cross-entropy of grey values.
    draws
        Codes drawn for each image that is scored, an even number: every draw has its mirror image.
    warm_up
        Share of the training after which the divergence of the code counts in full; it grows linearly until then.
    """

    widths: tuple[int, ...] = (256,)
    code: int = 16
    likelihood: Likelihood = "gaussian"
    draws: int = 8
    warm_up: float = 0.3

    def __post_init__(self) -> None:
        if not self.widths:
            raise UsageError("at least one width expected, got none", where="model configuration")
        for width in self.widths:
            at_least(1, widths=width)
        at_least(1, 4096, code=self.code)
        at_least(2, 64, draws=self.draws)
        if self.draws % 2:
            raise UsageError(f"draws must be even, got {self.draws}", where="model configuration")
        if self.likelihood not in get_args(Likelihood):
            raise UsageError(
                f"likelihood {self.likelihood!r} is not known",
                where="model configuration",
                hint=f"one of {', '.join(get_args(Likelihood))}",
            )
        share = self.warm_up
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
            raise UsageError(f"warm_up must be from 0 to 1, got {share!r}", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> DenseVariationalConfig:
        """The settings of `to_json`."""
        return cls(**checked_options(cls, row))


class DenseVariationalAutoencoder(nn.Module):
    """Tells every pixel of images (N, ...) in [0, 1] from a code that is a distribution.

    Parameters
    ----------
    n_features
        Product of all sizes but the first: 784 for 28 x 28 images.
    config
        Sizes.
    generator
        Source of the first weights and of the fixed draws: a CPU generator or a seed. None builds shapes without
        memory.

    Examples
    --------
    >>> network = DenseVariationalAutoencoder(64, DenseVariationalConfig(widths=(16,), code=2))
    >>> x = torch.ones(5, 1, 8, 8)
    >>> network(x).shape, network.encode(x)[0].shape
    (torch.Size([5, 1, 8, 8]), torch.Size([5, 2]))
    >>> network.surprise(x).shape, bool((network.negative_bound(x) > network.surprise(x)).all())
    (torch.Size([5]), True)
    """

    draws: Tensor

    def __init__(
        self, n_features: int, config: DenseVariationalConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, 2**24, n_features=n_features)
        self.n_features = n_features
        self.config = config
        self.encoder = nn.Sequential()
        for inputs, outputs in pairwise((n_features, *config.widths)):
            self.encoder.extend([bare(nn.Linear, inputs, outputs), nn.ReLU()])
        self.encoder.append(bare(nn.Linear, config.widths[-1], 2 * config.code))
        self.decoder = nn.Sequential()
        for inputs, outputs in pairwise((config.code, *config.widths[::-1])):
            self.decoder.extend([bare(nn.Linear, inputs, outputs), nn.ReLU()])
        self.decoder.append(bare(nn.Linear, config.widths[0], n_features))
        self.usual = RunningSquares(1, SMALLEST_SIGMA**2)
        self.register_buffer("draws", torch.empty(config.draws, config.code, device="meta"))
        if generator is None:
            return
        source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
        initialise(self, source)
        self.usual.reset()
        half = torch.randn(config.draws // 2, config.code, generator=source)
        self.draws.copy_(torch.cat([half, -half]))

    @classmethod
    def expected_shapes(cls, n_features: int, config: DenseVariationalConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_features, config, None))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of each image's code: (N, ...) -> 2 x (N, code)."""
        mean, log_variance = self.encoder(x.flatten(1)).float().chunk(2, dim=1)  # 2 x (N, code)
        return mean, log_variance.clamp(-CODE_SPREAD, CODE_SPREAD)

    def decode(self, code: Tensor) -> Tensor:
        """Flat reconstruction: (..., code) -> (..., F)."""
        return torch.sigmoid(self._logits(code))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction from the mean of the code: (N, ...) -> (N, ...)."""
        return self.decode(self.encode(x)[0]).view(x.shape)

    def surprise(self, x: Tensor) -> Tensor:
        """Minus the log of the reconstruction probability of images (N, ...), in nats, averaged over the draws: (N,).

        The constant of the Gaussian density is left out.
        """
        mean, log_variance = self.encode(x)
        spread, flat = torch.exp(0.5 * log_variance), x.flatten(1)
        total = torch.zeros(len(x), device=x.device)
        for draw in self.draws:
            total += self._pixel_surprise(self._logits(mean + spread * draw), flat).sum(1)
        return total / len(self.draws)

    def negative_bound(self, x: Tensor) -> Tensor:
        """Minus the evidence lower bound of images (N, ...), in nats: `surprise` + what the code says, (N,)."""
        return self.surprise(x) + unit_divergence(*self.encode(x)).sum(1)

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Negative evidence lower bound of each pixel, in nats, as `sensorad.models.losses.OwnLoss` has it."""
        mean, log_variance = self.encode(inputs)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean.device)
        logits = self._logits(mean + torch.exp(0.5 * log_variance) * noise)  # (N, F)
        flat, amounts = targets.flatten(1), None if weight is None else weight.flatten(1)
        if self.training and self.config.likelihood == "gaussian":
            error = (flat - torch.sigmoid(logits)).detach()
            self.usual.update(error[..., None], None if amounts is None else amounts[..., None])
        surprise = self._pixel_surprise(logits, flat)  # (N, F)
        divergence = self.warmth(progress) * unit_divergence(mean, log_variance).sum()
        amount = surprise.numel() if amounts is None else amounts.sum().clamp(min=1.0)
        loss: Tensor = ((surprise if amounts is None else surprise * amounts).sum() + divergence) / amount
        return loss

    def warmth(self, progress: float) -> float:
        """Weight of the divergence at that share of the training: 1 from ``config.warm_up`` on."""
        return 1.0 if progress >= self.config.warm_up else progress / self.config.warm_up

    def code_use(self, x: Tensor) -> CodeUse:
        """How much the code says of images (N, ...)."""
        with torch.inference_mode():
            return CodeUse.of(*self.encode(x))

    def _logits(self, code: Tensor) -> Tensor:
        logits: Tensor = self.decoder(code)  # (..., F)
        return logits.float()

    def _pixel_surprise(self, logits: Tensor, flat: Tensor) -> Tensor:
        """Minus the log likelihood of each pixel, in nats: 2 x (N, F) -> (N, F)."""
        if self.config.likelihood == "bernoulli":
            return functional.binary_cross_entropy_with_logits(logits, flat, reduction="none")
        usual = self.usual()
        surprise: Tensor = 0.5 * ((flat - torch.sigmoid(logits)).square() / usual + usual.log())
        return surprise

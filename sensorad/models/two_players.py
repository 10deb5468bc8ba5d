"""Two players in one loss: an autoencoder, and a discriminator that looks for what the autoencoder misses.

What the players are made of is left to the networks built on this: recurrent ones for windows, dense ones for images.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from sensorad.models.discriminator import Discriminator
from sensorad.models.losses import weighted_square
from sensorad.models.running import RunningSquares
from sensorad.models.weights import initialise

__all__ = ["SMALLEST_DISTANCE", "SMALLEST_SQUARE", "PlayersConfig", "TwoPlayers"]

SMALLEST_SQUARE = 1e-6
"""Of what is usual for a feature or a unit of the code."""

SMALLEST_DISTANCE = 1e-4
"""Added to a squared distance, of which 1 is usual, before its log."""

LARGEST_LOOK = 100.0
"""Squared distance of two codes, in spreads of the code, beyond which a unit teaches no more."""

WON, LOST = 0.95, 0.55
"""Accuracies of a discriminator that is always right, and of one that guesses."""


class PlayersConfig(Protocol):
    """What the sizes of two players have in common, and the weights of their losses."""

    @property
    def code(self) -> int: ...
    @property
    def patch(self) -> int: ...
    @property
    def features(self) -> int: ...
    @property
    def matching(self) -> float: ...
    @property
    def second_look(self) -> float: ...


class TwoPlayers(nn.Module):
    """Encoder, generator and discriminator of windows (N, L, C); the last adds two measures of a whole window.

    Parameters
    ----------
    n_columns
        C.
    config
        Sizes, and the weights of the losses.
    encoder, decoder
        (N, L, C) -> (N, code), and (N, code), L -> (N, L, C).
    generator
        Source of the first weights: a CPU generator or a seed. None leaves the network without memory.
    """

    n_channels = 2

    def __init__(
        self,
        n_columns: int,
        config: PlayersConfig,
        encoder: nn.Module,
        decoder: nn.Module,
        generator: torch.Generator | int | None,
    ) -> None:
        super().__init__()
        self.matching, self.second_look = config.matching, config.second_look
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = Discriminator(n_columns, config.patch, config.features)
        self.usual = RunningSquares(n_columns, 0.0)
        self.usual_features = RunningSquares(config.features, SMALLEST_SQUARE)
        self.usual_codes = RunningSquares(config.code, SMALLEST_SQUARE)
        if generator is None:
            return
        source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
        initialise(self, source)
        self.discriminator.reset(source)
        for running in (self.usual, self.usual_features, self.usual_codes):
            running.reset()

    def encode(self, x: Tensor) -> Tensor:
        """Code of each window: (N, L, C) -> (N, code)."""
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor, length: int) -> Tensor:
        """The window that the generator makes of a code: (N, code) -> (N, length, C)."""
        rows: Tensor = self.decoder(code, length)
        return rows

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction of windows: (N, L, C) -> (N, L, C)."""
        return self.decode(self.encode(x), x.shape[1])

    def read(self, x: Tensor, gate: float) -> tuple[Tensor, None, Tensor]:
        """Windows (N, L, C) rebuilt, and logs of two distances (N, 2) between each window and what the gate leaves of
        the rebuilt one: of the discriminator's features, and of the codes.

        Each feature and each unit is divided by its usual distance in training: 0 is usual, whatever the sizes inside.
        """
        output = self(x).float()
        # In float64: differences of nearly equal numbers, which in float32 depend on how windows are batched.
        measured, rebuilt = x.double(), gate * output.double()
        features = self._feature_distance(measured, rebuilt).square() / self.usual_features()  # (N, patches, F)
        encoder = {name: value.double() for name, value in self.encoder.state_dict().items()}
        one, other = (functional_call(self.encoder, encoder, (windows,)) for windows in (measured, rebuilt))
        codes = (one - other).square() / self.usual_codes()  # (N, code)
        distances = torch.stack([features.mean((1, 2)), codes.mean(1)], dim=1)  # (N, 2)
        return output, None, 0.5 * torch.log(distances + SMALLEST_DISTANCE)

    def fit_loss(
        self, inputs: Tensor, targets: Tensor, weight: Tensor | None, progress: float, generator: torch.Generator
    ) -> Tensor:
        """Loss of both players, as `sensorad.models.losses.OwnLoss` has it.

        Where it is judged and not trained it is the weighted mean square error alone, which compares with that of other
        networks: the losses of two players tell nothing of their progress.
        """
        code = self.encode(inputs)  # (N, code)
        rebuilt = self.decode(code, inputs.shape[1]).float()  # (N, L, C)
        error = weighted_square(rebuilt, targets, weight)
        if not self.training:
            return error
        self.discriminator.turn()
        self.usual.update((targets - rebuilt).detach(), weight)
        usable = None if weight is None else weight > 0.0
        made_up = self.made_up(rebuilt.detach(), targets, usable, generator)
        # The logistic loss, not the hinge: while verdicts are small the hinge does not care where their zero lies.
        measured, mistaken = self.discriminator(targets), self.discriminator(made_up)  # 2 x (N,)
        verdicts = functional.softplus(-measured).mean() + functional.softplus(mistaken).mean()

        shown = rebuilt if usable is None else torch.where(usable, rebuilt, targets)
        features = self._feature_distance(targets, shown).float()  # (N, patches, F)
        self.usual_features.update(features.detach())
        codes = self.encode(rebuilt) - code.detach()  # (N, code)
        self.usual_codes.update(codes.detach())
        # Of the code's own spread, not of the usual distance: that is what must become small.
        spread = code.detach().float().var(0, correction=0).clamp(min=SMALLEST_SQUARE)
        looks = (codes.float().square() / spread).clamp(max=LARGEST_LOOK).mean()
        matching = features.square().mean()
        return error + self.matching * matching + self.second_look * looks + verdicts

    def made_up(self, rebuilt: Tensor, targets: Tensor, usable: Tensor | None, generator: torch.Generator) -> Tensor:
        """What the discriminator is shown of the generator: rebuilt windows (N, L, C) with errors of the usual size.

        Cells that were not measured are the same as in the ``targets``, so that nothing can be told from them.
        """
        noise = torch.randn(rebuilt.shape, generator=generator, device=generator.device).to(rebuilt.device)
        shown = rebuilt + self.usual().sqrt() * noise
        return shown if usable is None else torch.where(usable, shown, targets)

    def accuracy(self, windows: Tensor, generator: torch.Generator) -> float:
        """Share of windows (N, L, C), and of what the generator makes of them, that the discriminator tells right."""
        with torch.inference_mode():
            made_up = self.made_up(self(windows), windows, None, generator)
            right = (self.discriminator(windows) > 0.0).float().mean() + (
                self.discriminator(made_up) < 0.0
            ).float().mean()
        return 0.5 * float(right)

    def note(self, windows: Tensor) -> str:
        """Which of the two players has won, judged on windows (N, L, C); nothing where neither has."""
        accuracy = self.accuracy(windows, torch.Generator().manual_seed(0))
        if accuracy >= WON:
            return (
                f"the discriminator has won (it tells {100 * accuracy:.0f} % of the windows right): the errors of the "
                "generator have a pattern that it could not learn to avoid"
            )
        if accuracy <= LOST:
            return (
                f"the discriminator has lost (it tells {100 * accuracy:.0f} % of the windows right, 50 % is guessing): "
                "its features say little of what a normal window looks like"
            )
        return ""

    def _feature_distance(self, x: Tensor, rebuilt: Tensor) -> Tensor:
        """(N, patches, F), without a gradient for the discriminator."""
        features = self.discriminator.features
        return features(x, is_fixed=True) - features(rebuilt, is_fixed=True)

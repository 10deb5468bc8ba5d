"""A judge of windows for adversarial training: measured or made up? Its steepness is bounded by spectral normalisation.

After Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018. The judge sees patches of
rows and no whole window, so that it works for any length, and its verdict is the mean over patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.models.weights import bare

__all__ = ["Discriminator", "SpectralLinear"]

LEAK = 0.2

STEEPNESS = 4.0
"""Of the verdict. Layers that lengthen nothing make small verdicts: at 1 the logistic loss hardly moves, at 16 the
discriminator is always right and its features find broken correlations no better."""

SMALLEST_NORM = 1e-6


class SpectralLinear(nn.Module):
    """A linear layer divided by its largest singular value, so that it lengthens no difference.

    One step of power iteration in each training pass keeps up with the weights; in evaluation mode the vector stays.

    Parameters
    ----------
    n_inputs, n_outputs
        Sizes.
    """

    direction: Tensor

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = bare(nn.Linear, n_inputs, n_outputs)
        self.register_buffer("direction", torch.empty(n_outputs, device="meta"))

    def reset(self, generator: torch.Generator) -> None:
        """Draw the vector that the iteration starts from."""
        self.direction.copy_(functional.normalize(torch.randn(self.direction.shape, generator=generator), dim=0))

    def turn(self) -> None:
        """One step of power iteration."""
        with torch.no_grad():
            weight = self.linear.weight
            other = functional.normalize(weight.T @ self.direction, dim=0, eps=SMALLEST_NORM)
            self.direction.copy_(functional.normalize(weight @ other, dim=0, eps=SMALLEST_NORM))

    def forward(self, x: Tensor, is_fixed: bool = False) -> Tensor:
        """(..., n_inputs) -> (..., n_outputs), as precise as ``x``; ``is_fixed`` keeps gradients from the weights."""
        weight, bias, direction = (part.to(x.dtype) for part in (self.linear.weight, self.linear.bias, self.direction))
        if is_fixed:
            weight, bias = weight.detach(), bias.detach()
        # |W' u| for a unit vector u is at most the largest singular value, and that value once u has turned to it.
        norm = torch.linalg.vector_norm(weight.T @ direction).clamp(min=SMALLEST_NORM)
        return functional.linear(x, weight / norm, bias)


class Discriminator(nn.Module):
    """Features of windows (N, L, C), and from them a verdict: positive = measured, negative = made up.

    Parameters
    ----------
    n_sensors, patch, width
        C, rows of a patch (neighbours overlap by half), features of a patch.
    """

    def __init__(self, n_sensors: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch, self.step = patch, max(1, patch // 2)
        self.first = SpectralLinear(patch * n_sensors, width)
        self.second = SpectralLinear(width, width)
        self.verdict = SpectralLinear(width, 1)

    @property
    def layers(self) -> tuple[SpectralLinear, ...]:
        """From the window to the verdict."""
        return self.first, self.second, self.verdict

    def reset(self, generator: torch.Generator) -> None:
        """Draw what is no weight."""
        for layer in self.layers:
            layer.reset(generator)

    def turn(self) -> None:
        """Keep up with the weights: once in each training pass."""
        for layer in self.layers:
            layer.turn()

    def features(self, x: Tensor, is_fixed: bool = False) -> Tensor:
        """(N, L, C) -> (N, patches, width)."""
        length = x.shape[1]
        fill = self.patch - length if length < self.patch else -(length - self.patch) % self.step
        rows = functional.pad(x, (0, 0, fill, 0))  # zeros before the oldest row: the newest is in a patch
        patches = rows.unfold(1, self.patch, self.step).flatten(2)  # (N, patches, C patch)
        hidden = functional.leaky_relu(self.first(patches, is_fixed), LEAK)
        return functional.leaky_relu(self.second(hidden, is_fixed), LEAK)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N,)."""
        verdict: Tensor = STEEPNESS * self.verdict(self.features(x)).mean((1, 2))  # (N,)
        return verdict

"""What a network is trained to do with a batch: repeat it, clean it, or fill it in.

An autoencoder that is only asked to repeat its input learns to copy, faults included. Noise and masks on the
input, never on the target, make it learn how the sensors hang together instead.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from sensorad.errors import UsageError
from sensorad.models.losses import rebuilding_loss, weighted_cross_entropy
from sensorad.training.batches import Batch

__all__ = [
    "Denoising",
    "MaskedReconstruction",
    "Objective",
    "PixelCrossEntropy",
    "Reconstruction",
    "objective_from_json",
    "objective_from_name",
]


class Objective(Protocol):
    """A loss that a network is trained to lower."""

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean loss of the batch as a scalar; all randomness comes from ``generator``."""

    def to_json(self) -> dict[str, Any]:
        """The objective as plain values, compared when a training run is resumed."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Mean squared error over all usable cells.

    Examples
    --------
    >>> batch = Batch(torch.tensor([[3.0, 9.0]]), mask=torch.tensor([[True, False]]))
    >>> Reconstruction().loss(nn.Threshold(10.0, 1.0), batch, torch.Generator())
    tensor(4.)
    """

    name: ClassVar[str] = "plain"

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return rebuilding_loss(model, batch.inputs, _targets(batch), _weight(batch), batch.progress, generator)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, slots=True)
class Denoising:
    """Mean squared error against the clean batch, from a noisy copy of it (Vincent et al. 2008).

    Attributes
    ----------
    sigma
        Standard deviation of the Gaussian noise on every usable cell, in scaled units.
    dropout
        Share of cells set to 0 as well.
    """

    sigma: float = 0.1
    dropout: float = 0.0
    name: ClassVar[str] = "denoising"

    def __post_init__(self) -> None:
        _check("sigma", self.sigma, 0.0, math.inf)
        _check("dropout", self.dropout, 0.0, 1.0)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        noisy = _damaged(batch, self.sigma, self.dropout, generator)
        return rebuilding_loss(model, noisy, _targets(batch), _weight(batch), batch.progress, generator)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name} | asdict(self)


@dataclass(frozen=True, slots=True)
class PixelCrossEntropy:
    """Mean binary cross-entropy of pixels in [0, 1], each rebuilt as a probability by a network that ends in a sigmoid.

    A grey target has an entropy of its own that no network can go below. Networks with a loss of their own keep it.

    Attributes
    ----------
    sigma, dropout
        What is done to the images that the network reads, as in `Denoising`; nothing by default.

    Examples
    --------
    >>> batch = Batch(torch.tensor([[1.0, 0.0]]), mask=torch.tensor([[True, False]]))
    >>> PixelCrossEntropy().loss(nn.Threshold(10.0, 0.25), batch, torch.Generator()).exp()
    tensor(4.)
    """

    sigma: float = 0.0
    dropout: float = 0.0
    name: ClassVar[str] = "pixel_cross_entropy"

    def __post_init__(self) -> None:
        _check("sigma", self.sigma, 0.0, math.inf)
        _check("dropout", self.dropout, 0.0, 1.0)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        shown, weight = _damaged(batch, self.sigma, self.dropout, generator), _weight(batch)
        progress, comparison = batch.progress, weighted_cross_entropy
        return rebuilding_loss(model, shown, _targets(batch), weight, progress, generator, comparison)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name} | asdict(self)


@dataclass(frozen=True, slots=True)
class MaskedReconstruction:
    """Weighted squared error from a batch of windows (N, L, C) in which spans of rows and whole sensors are hidden.

    Hidden cells are 0 in the input. Spans teach how a course goes on; hidden sensors teach what the others
    tell about one, and make it legitimate to score with a sensor missing.

    Attributes
    ----------
    share
        Expected share of rows hidden by spans.
    span
        Shortest and longest span, in rows; each length is equally likely.
    sensor_share
        Probability that a sensor is hidden for the whole window.
    hidden_weight, visible_weight
        Weights of hidden and of visible cells in the mean.
    """

    share: float = 0.3
    span: tuple[int, int] = (4, 16)
    sensor_share: float = 0.1
    hidden_weight: float = 1.0
    visible_weight: float = 0.3
    name: ClassVar[str] = "masked"

    def __post_init__(self) -> None:
        _check("share", self.share, 0.0, 1.0)
        _check("sensor_share", self.sensor_share, 0.0, 1.0)
        _check("hidden_weight", self.hidden_weight, 0.0, math.inf)
        _check("visible_weight", self.visible_weight, 0.0, math.inf)
        if len(self.span) != 2 or not 1 <= self.span[0] <= self.span[1]:
            raise UsageError(f"span must be (shortest, longest) with 1 <= shortest <= longest, got {self.span}")
        if self.share == self.sensor_share == 0.0:
            raise UsageError("share and sensor_share are both 0", hint='nothing would be hidden: use "plain"')
        if self.hidden_weight == self.visible_weight == 0.0:
            raise UsageError("hidden_weight and visible_weight are both 0: nothing would be learned")

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        hidden = self.hide(batch.inputs, generator)  # (N, L, C)
        shown = ~hidden if batch.mask is None else batch.mask & ~hidden
        weight = torch.where(hidden, self.hidden_weight, self.visible_weight)  # (N, L, C)
        cells = _weight(batch)
        if cells is not None:
            weight = weight * cells
        return rebuilding_loss(model, batch.inputs * shown, _targets(batch), weight, batch.progress, generator)

    def hide(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Which cells of windows (N, L, C) to hide, as a (N, L, C) bool tensor."""
        n_windows, length, n_sensors = x.shape
        device = generator.device
        sensors = torch.rand((n_windows, 1, n_sensors), generator=generator, device=device) < self.sensor_share
        low, high = (min(rows, length) for rows in self.span)
        rate = _start_rate(self.share, low, high)
        # Spans may start before the window, so that its first rows are hidden as often as the others.
        n_starts = length + high - 1
        begins = torch.rand((n_windows, n_starts), generator=generator, device=device) < rate
        spans = torch.randint(low, high + 1, (n_windows, n_starts), generator=generator, device=device)
        begin, at = begins.nonzero(as_tuple=True)  # window and first row of each span
        edges = torch.zeros((n_windows, n_starts + high + 1), dtype=torch.int32, device=device)
        step = torch.ones((), dtype=torch.int32, device=device)
        edges.index_put_((begin, at), step, accumulate=True)
        edges.index_put_((begin, at + spans[begin, at]), -step, accumulate=True)
        rows = edges.cumsum(1)[:, high - 1 : n_starts] > 0  # (N, L)
        return (sensors | rows[:, :, None]).to(x.device)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name} | asdict(self) | {"span": list(self.span)}


OBJECTIVES: dict[str, type[Any]] = {
    objective.name: objective for objective in (Reconstruction, Denoising, PixelCrossEntropy, MaskedReconstruction)
}


SHORT_NAMES: dict[str, dict[str, Any]] = {"dropout": {"name": "denoising", "sigma": 0.0, "dropout": 0.2}}
"""Objectives that have a name of their own with other values than the default ones."""


def objective_from_name(name: str) -> Objective:
    """The objective of that name with its default values; "dropout" is denoising of cells that were set to 0.

    Examples
    --------
    >>> objective_from_name("denoising"), objective_from_name("dropout")
    (Denoising(sigma=0.1, dropout=0.0), Denoising(sigma=0.0, dropout=0.2))
    """
    return objective_from_json(SHORT_NAMES.get(name, {"name": name}))


def objective_from_json(row: dict[str, Any]) -> Objective:
    """The objective that ``to_json`` described.

    Raises
    ------
    UsageError
        If the name or an option is unknown or a value out of range.
    """
    options = {option: tuple(value) if isinstance(value, list) else value for option, value in row.items()}
    name = options.pop("name", None)
    if name not in OBJECTIVES:
        raise UsageError(f"objective {name!r} is not known", hint=f"one of {', '.join((*OBJECTIVES, *SHORT_NAMES))}")
    objective = OBJECTIVES[name]
    if unknown := options.keys() - objective.__dataclass_fields__.keys():
        raise UsageError(f"unknown options: {', '.join(sorted(unknown))}", where=f"objective {name}")
    made: Objective = objective(**options)
    return made


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise UsageError(f"{name} must be between {low:g} and {high:g}, got {value!r}", where="objective")


@cache
def _start_rate(share: float, low: int, high: int) -> float:
    """Probability that a span starts in a row, such that a row is hidden with probability ``share``.

    A row stays visible if no span of at least k rows started k - 1 rows before it, for every k up to ``high``:
    1 - share = prod_k (1 - rate P(span >= k)), solved by bisection.
    """
    reaches = [min(1.0, (high - k + 1) / (high - low + 1)) for k in range(1, high + 1)]
    below, above = 0.0, 1.0
    for _ in range(50):
        rate = 0.5 * (below + above)
        if math.prod(1.0 - rate * reach for reach in reaches) > 1.0 - share:
            below = rate
        else:
            above = rate
    return above


def _targets(batch: Batch) -> Tensor:
    return batch.inputs if batch.targets is None else batch.targets


def _weight(batch: Batch) -> Tensor | None:
    """Weight of each cell; None = all alike."""
    if batch.mask is None or batch.weight is None:
        return batch.mask if batch.weight is None else batch.weight
    return batch.weight * batch.mask


def _damaged(batch: Batch, sigma: float, dropout: float, generator: torch.Generator) -> Tensor:
    """The inputs with noise on every usable cell, and that share of them at 0; cells that are not usable are 0."""
    clean = batch.inputs
    noisy = clean + _normal(clean, generator).mul_(sigma) if sigma else clean
    keep = batch.mask
    if dropout:
        kept = _uniform(clean, generator) >= dropout
        keep = kept if keep is None else keep & kept
    return noisy if keep is None else noisy * keep


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    # Drawn where the generator lives, so that every device sees the same noise.
    return torch.randn(like.shape, generator=generator, device=generator.device).to(like.device)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=generator.device).to(like.device)

"""Exposure to synthetic faults while a network learns to rebuild windows.

What is learned of a fault that is in every batch is easily no more than that fault. Hence all kinds of faults, with
severities near what can hardly be seen, drawn anew for every batch; and what exposure is good for is to be judged on
kinds that were left out (tests/benchmarks/bench_exposure.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sensorad.augment.faults import FAULTS, SensorStatistics, fault_kind, inject_windows
from sensorad.errors import UsageError
from sensorad.training.batches import Batch
from sensorad.training.objectives import Objective
from sensorad.training.transforms import array_of, tensor_like

__all__ = ["Exposure", "Repair", "ScoreHinge", "exposure_from_name"]

TINY = 1e-3
"""Error in deviations that stands for none in logarithms."""


class Exposure(Protocol):
    """A way in which faulty windows enter an objective."""

    name: ClassVar[str]

    def loss(
        self,
        model: nn.Module,
        base: Objective,
        batch: Batch,
        draws: np.random.Generator,
        generator: torch.Generator,
    ) -> Tensor:
        """The loss of ``base`` on the batch with faults in it; what is random comes from the two generators."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A window with a fault goes in, the same window without it is what the network shall answer.

    A denoising objective whose noise looks like faults: what is rebuilt stays normal where the input is not, so the
    error stands at the faulty sensor.

    Attributes
    ----------
    statistics
        Of the training rows, in deviations: what severities are measured by. A detector puts in its own; None waits
        for them.
    kinds
        Faults to train on, names of `sensorad.augment.faults.FAULTS`.
    share
        Share of the windows that get a fault.
    faulty_weight
        Weight of faulty cells in the mean; the others have 1.

    Examples
    --------
    >>> from sensorad.training.objectives import Reconstruction
    >>> windows = torch.randn(64, 30, 4, generator=torch.Generator().manual_seed(0))
    >>> repair = Repair(SensorStatistics.fit(windows.numpy()), kinds=("bias",))
    >>> draws, generator = np.random.default_rng(0), torch.Generator()
    >>> bool(repair.loss(nn.Identity(), Reconstruction(), Batch(windows), draws, generator) > 0)
    True
    """

    statistics: SensorStatistics | None = field(default=None, repr=False)
    kinds: tuple[str, ...] = tuple(FAULTS)
    share: float = 0.5
    faulty_weight: float = 3.0
    name: ClassVar[str] = "repair"

    def __post_init__(self) -> None:
        _check_kinds(self.kinds)
        _check_share(self.share)
        if not (math.isfinite(self.faulty_weight) and self.faulty_weight > 0.0):
            raise UsageError(f"faulty_weight must be positive, got {self.faulty_weight!r}", where="exposure")

    def loss(
        self,
        model: nn.Module,
        base: Objective,
        batch: Batch,
        draws: np.random.Generator,
        generator: torch.Generator,
    ) -> Tensor:
        faulty, is_faulty = _faulty(batch, self.statistics, self.kinds, self.share, draws)
        clean = batch.inputs if batch.targets is None else batch.targets
        weight = 1.0 + (self.faulty_weight - 1.0) * is_faulty  # (N, L, C)
        if batch.weight is not None:
            weight = weight * batch.weight
        return base.loss(model, replace(batch, inputs=faulty, targets=clean, weight=weight), generator)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kinds": list(self.kinds),
            "share": self.share,
            "faulty_weight": self.faulty_weight,
        }


@dataclass(frozen=True, slots=True)
class ScoreHinge:
    """Loss of the base + weight max(0, margin + s(x) - s(x')): a faulty window x' shall be rebuilt worse than x.

    s is the log of the root mean square error of a window; a margin of 1 asks for an error 2.7 times as large.

    Attributes
    ----------
    statistics, kinds
        As in `Repair`.
    weight, margin
        Of the hinge.

    Examples
    --------
    >>> from sensorad.training.objectives import Reconstruction
    >>> windows = torch.randn(64, 30, 4, generator=torch.Generator().manual_seed(0))
    >>> hinge = ScoreHinge(SensorStatistics.fit(windows.numpy()), kinds=("bias",), weight=0.5, margin=1.0)
    >>> hinge.loss(nn.Identity(), Reconstruction(), Batch(windows), np.random.default_rng(0), torch.Generator())
    tensor(0.5000)
    """

    statistics: SensorStatistics | None = field(default=None, repr=False)
    kinds: tuple[str, ...] = tuple(FAULTS)
    weight: float = 0.5
    margin: float = 1.0
    name: ClassVar[str] = "hinge"

    def __post_init__(self) -> None:
        _check_kinds(self.kinds)
        for name in ("weight", "margin"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise UsageError(f"{name} must be 0 or more, got {value!r}", where="exposure")

    def loss(
        self,
        model: nn.Module,
        base: Objective,
        batch: Batch,
        draws: np.random.Generator,
        generator: torch.Generator,
    ) -> Tensor:
        loss = base.loss(model, batch, generator)
        faulty, is_faulty = _faulty(batch, self.statistics, self.kinds, 1.0, draws)
        both = torch.cat([batch.inputs, faulty])  # (2 N, L, C)
        usable = None if batch.mask is None else torch.cat([batch.mask, batch.mask])
        normal, exposed = _log_errors(model(both), both, usable).chunk(2)  # (N,) each
        has_fault = is_faulty.flatten(1).any(1)
        excess = torch.relu(self.margin + normal - exposed) * has_fault
        return loss + self.weight * excess.sum() / has_fault.sum().clamp(min=1)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kinds": list(self.kinds), "weight": self.weight, "margin": self.margin}


def exposure_from_name(
    name: str, statistics: SensorStatistics, kinds: Sequence[str] = (), **settings: float
) -> Exposure:
    """The exposure of that name; no kinds = all, and its defaults where ``settings`` say nothing.

    Examples
    --------
    >>> exposure_from_name("hinge", SensorStatistics.fit(np.eye(3)), ["lag"]).to_json()
    {'name': 'hinge', 'kinds': ['lag'], 'weight': 0.5, 'margin': 1.0}
    """
    known: dict[str, type[Repair] | type[ScoreHinge]] = {"repair": Repair, "hinge": ScoreHinge}
    if name not in known:
        raise UsageError(f"no such exposure: {name!r}", hint=f"one of {', '.join(known)}")
    return known[name](statistics, tuple(kinds) or tuple(FAULTS), **settings)


def _faulty(
    batch: Batch, statistics: SensorStatistics | None, kinds: Sequence[str], share: float, draws: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Windows with faults (N, L, C), and which of their cells are faulty; missing cells stay as they are."""
    if statistics is None:
        raise UsageError("nothing says how large faults are", where="exposure", hint="give statistics of normal rows")
    found = inject_windows(array_of(batch.inputs).astype(np.float32, copy=False), statistics, draws, kinds, share)
    faulty, is_faulty = tensor_like(found.windows, batch.inputs), tensor_like(found.mask, batch.inputs)
    if batch.mask is not None:
        is_faulty = is_faulty & batch.mask
        faulty = torch.where(is_faulty, faulty, batch.inputs)
    return faulty, is_faulty


def _log_errors(rebuilt: Tensor, windows: Tensor, usable: Tensor | None) -> Tensor:
    """(N,) log of the root mean square error over the usable cells of each window."""
    square = (rebuilt.float() - windows).square().flatten(1)
    if usable is None:
        mean = square.mean(1)
    else:
        cells = usable.flatten(1)
        mean = (square * cells).sum(1) / cells.sum(1).clamp(min=1)
    return 0.5 * torch.log(mean + TINY**2)


def _check_kinds(kinds: Sequence[str]) -> None:
    if not kinds:
        raise UsageError("at least one kind of fault expected", where="exposure", hint=", ".join(FAULTS))
    for kind in kinds:
        fault_kind(kind)


def _check_share(share: float) -> None:
    if not (math.isfinite(share) and 0.0 < share <= 1.0):
        raise UsageError(f"share must be in (0, 1], got {share!r}", where="exposure")

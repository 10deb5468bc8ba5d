"""What a classifier of windows is trained to do: name classes, and be unsure where it should be.

Label smoothing, mixtures of windows and of their labels, and exposure to faults all keep a classifier from being
certain of what it has not seen; that is what makes its confidence a measure of normality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sensorad.augment.faults import SensorStatistics, fault_kind, inject_windows
from sensorad.augment.mixup import MixupConfig, mixup
from sensorad.errors import UsageError
from sensorad.models.window_classifier import transformed
from sensorad.training.batches import Batch, BatchSource

__all__ = [
    "Classification",
    "Exposure",
    "FaultExposure",
    "LabelledSource",
    "SetExposure",
    "interpolation_consistency",
]

EXPOSURE_WEIGHT = 0.5
"""Of the loss on exposed windows (Hendrycks, Mazeika and Dietterich 2019)."""

TRACE = 0.1
"""Smallest weight in a mixture whose labels count in a union."""

MixedLabels = Literal["weighted", "union", "own"]


class Exposure(Protocol):
    """Makes abnormal windows of normal ones."""

    def exposed(self, windows: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """Windows (N, L, C) -> windows (N, L, C)."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


@dataclass(frozen=True, slots=True, eq=False)
class FaultExposure:
    """Normal windows with a synthetic fault each.

    Attributes
    ----------
    statistics
        Of normal rows.
    kinds
        Names of `sensorad.augment.faults.FAULTS`.
    """

    statistics: SensorStatistics
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.kinds:
            fault_kind(name)

    def exposed(self, windows: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """As `Exposure` has it; a cell that goes missing is read as 0, the sensor's centre."""
        found = inject_windows(windows, self.statistics, generator, kinds=self.kinds)
        return np.nan_to_num(found.windows, nan=0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kinds": list(self.kinds)}


@dataclass(frozen=True, slots=True, eq=False)
class SetExposure:
    """Items of a set that is known to be abnormal, as many as there are normal ones, the set used again and again.

    Source: Hendrycks, Mazeika and Dietterich 2019.

    Attributes
    ----------
    items : (M, ...) float32
        Outliers, such as images of other classes.

    Examples
    --------
    >>> outliers = np.arange(3, dtype=np.float32)[:, None]
    >>> SetExposure(outliers).exposed(np.zeros((5, 1), np.float32), np.random.default_rng(0)).shape
    (5, 1)
    """

    items: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.items):
            raise UsageError("a set of outliers to expose is empty", where="objective")

    def exposed(self, windows: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """As `Exposure` has it: drawn at random, so that a set of any size is seen evenly."""
        return np.asarray(self.items[generator.integers(len(self.items), size=len(windows))])

    def to_json(self) -> dict[str, Any]:
        """Plain values; of the items only how many."""
        return {"n_items": len(self.items)}


@dataclass(frozen=True, slots=True)
class Classification:
    """Cross-entropy of the classes of windows, with what keeps a classifier from being too sure.

    The labels of a batch are classes (N,) or probabilities (N, K). Where the objective has transforms it makes the
    labels itself: each window is shown under every one of them, and the class is which.

    Attributes
    ----------
    label_smoothing
        Share of each target that is spread evenly over all classes (Szegedy et al. 2016).
    mixup
        alpha of mixtures of windows and of their labels (Zhang et al. 2018); 0 = off.
    mixed_labels
        "weighted": labels are mixed as windows are. "union": of several labels at once, a mixture has those of both.
        "own": labels stay those of the window that was mixed into; for comparison.
    consistency
        Weight of `interpolation_consistency` beside the loss; needs mixup.
    is_multi_label
        Classes do not exclude each other: labels (N, K), a sigmoid for each.
    transforms
        Names of transforms of `sensorad.models.window_classifier`.
    exposure
        Windows for which no class should be likelier than another: loss + 0.5 H(U; f(x')).
    class_weights
        Of each class in the mean, where classes exclude each other; none: all items count alike.

    Examples
    --------
    >>> batch = Batch(torch.zeros(2, 3, 1), labels=torch.tensor([0, 1]))
    >>> evenly = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    >>> Classification().loss(evenly, batch, torch.Generator()).detach()
    tensor(0.6931)
    """

    label_smoothing: float = 0.0
    mixup: float = 0.0
    mixed_labels: MixedLabels = "weighted"
    consistency: float = 0.0
    is_multi_label: bool = False
    transforms: tuple[str, ...] = ()
    exposure: Exposure | None = None
    class_weights: tuple[float, ...] = ()
    name: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        for name, most in (("label_smoothing", 1.0), ("mixup", math.inf), ("consistency", math.inf)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value < most):
                raise UsageError(f"{name} must be in [0, {most:g}), got {value!r}", where="objective")
        if self.mixed_labels not in get_args(MixedLabels):
            known = " or ".join(repr(name) for name in get_args(MixedLabels))
            raise UsageError(f"mixed_labels is {known}, got {self.mixed_labels!r}", where="objective")
        if self.mixed_labels == "union" and not self.is_multi_label:
            raise UsageError("classes that exclude each other have no union", where="objective")
        if self.is_multi_label and (self.exposure is not None or self.label_smoothing or self.class_weights):
            raise UsageError("several labels at once have no smoothing, exposure or class weights", where="objective")
        if not all(math.isfinite(weight) and weight >= 0.0 for weight in self.class_weights):
            raise UsageError(f"class_weights must be finite, 0 or more, got {self.class_weights}", where="objective")
        if self.consistency and not self.mixup:
            raise UsageError("consistency is about mixtures", where="objective", hint="set mixup as well")

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean loss of the batch; nothing is mixed where a network is judged and not trained."""
        windows, labels = batch.inputs, batch.labels
        if self.transforms:
            labels = torch.arange(len(self.transforms), device=windows.device).repeat(len(windows))
            windows = transformed(windows, self.transforms)
        elif labels is None:
            raise UsageError("a classifier needs labels or transforms", where="objective")
        draws = _numpy_generator(generator) if self.mixup or self.exposure is not None else None
        if draws is None or not self.mixup or not model.training:
            loss = self._cost(model(windows), labels)
        else:
            loss = self._mixed_loss(model, windows, labels, draws)
        if draws is not None and self.exposure is not None:
            exposed = torch.from_numpy(self.exposure.exposed(batch.inputs.cpu().numpy(), draws)).to(windows.device)
            logits = model(transformed(exposed, self.transforms) if self.transforms else exposed)
            loss = loss - EXPOSURE_WEIGHT * logits.log_softmax(1).mean()
        return loss

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        weights = {"class_weights": list(self.class_weights)} if self.class_weights else {}
        return weights | {
            "name": self.name,
            "label_smoothing": self.label_smoothing,
            "mixup": self.mixup,
            "mixed_labels": self.mixed_labels,
            "consistency": self.consistency,
            "is_multi_label": self.is_multi_label,
            "transforms": list(self.transforms),
            "exposure": None if self.exposure is None else self.exposure.to_json(),
        }

    def _cost(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.is_multi_label:
            return functional.binary_cross_entropy_with_logits(logits, labels)
        weights = torch.tensor(self.class_weights, device=logits.device) if self.class_weights else None
        return functional.cross_entropy(logits, labels, weights, label_smoothing=self.label_smoothing)

    def _mixed_loss(self, model: nn.Module, windows: Tensor, labels: Tensor, draws: np.random.Generator) -> Tensor:
        n, device = len(windows), windows.device
        flat = windows.reshape(n, windows.shape[1], -1)  # images are mixed as windows are
        found = mixup(flat.cpu().numpy(), draws, MixupConfig(self.mixup, same_mode=False))
        mixed = torch.from_numpy(found.windows).to(device).view(windows.shape)
        partner = torch.from_numpy(found.partner).to(device)
        weight = torch.from_numpy(found.weight).to(device)  # (N,)
        logits = model(mixed)  # (N, K)
        if self.mixed_labels == "union":
            # A mixture that shows no more than a trace of one of the two has the labels of the other.
            own = torch.where((weight > TRACE)[:, None], labels, 0.0)
            other = torch.where((weight < 1.0 - TRACE)[:, None], labels[partner], 0.0)
            return self._cost(logits, torch.maximum(own, other))
        if self.mixed_labels == "own":
            loss = self._cost(logits, labels)
        else:
            soft = labels if labels.ndim > 1 else functional.one_hot(labels, logits.shape[1]).to(logits)
            loss = self._cost(logits, weight[:, None] * soft + (1.0 - weight[:, None]) * soft[partner])
        if not self.consistency:
            return loss
        probabilities = torch.sigmoid if self.is_multi_label else _softmax
        with torch.no_grad():
            own = probabilities(model(windows))
        agreed = interpolation_consistency(probabilities(logits), own, own[partner], weight)
        return loss + self.consistency * agreed


class LabelledSource:
    """A source of batches with the class of each item.

    Parameters
    ----------
    items
        Where the items come from.
    labels : (N,) or (N, K)
        One each.

    Raises
    ------
    UsageError
        Not as many labels as items.
    """

    def __init__(self, items: BatchSource, labels: Tensor) -> None:
        if len(items) != len(labels):
            raise UsageError(f"{len(items)} labels expected, one per item, got {len(labels)}")
        self._items, self._labels = items, labels

    def __len__(self) -> int:
        return len(self._items)

    def take(self, indices: Tensor) -> Batch:
        """The items at ``indices`` (N,) int64, valid until the next call."""
        batch = self._items.take(indices)
        batch.labels = self._labels[indices]
        return batch


def interpolation_consistency(mixed: Tensor, own: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """Mean square by which answers (N, K) to mixtures differ from the same mixtures of the answers to both parts.

    ``weight`` (N,) is the share of the first part. Needs no labels, so unlabelled windows can take part.
    Source: Verma et al. 2019, interpolation consistency training.

    Examples
    --------
    >>> a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> interpolation_consistency(torch.tensor([[0.3, 0.7]]), a, b, torch.tensor([0.3]))
    tensor(0.)
    """
    share = weight[:, None]  # (N, 1)
    return functional.mse_loss(mixed, share * own + (1.0 - share) * other)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


def _numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """NumPy's random numbers, as many as one likes, from one draw of torch's."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))

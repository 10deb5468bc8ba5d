"""How states of products are classified, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from sensorad.errors import UsageError

__all__ = ["BalanceName", "StateConfig", "StateOptimiser"]

StateOptimiser = Literal["adadelta", "adam", "adamw", "radam"]
BalanceName = Literal["none", "weights", "sampling"]

CUSTOMARY_RATES: Mapping[str, float] = MappingProxyType({"adadelta": 1.0, "adam": 1e-3, "adamw": 1e-3, "radam": 1e-3})
"""What each optimiser is used with where nothing else is said; that of Adadelta scales its own step sizes."""

DECOUPLED_DECAY = 0.01
"""The customary weight decay of AdamW, without which it is Adam; the others have none."""

WHERE = "classification of states"


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Everything that decides a cross-validated classification but the images.

    Attributes
    ----------
    size
        Side of the images in pixels; a multiple of 32 for efficientnet-lite0.
    backbone
        One of `sensorad.models.backbones.BACKBONES`.
    is_pretrained
        Whether efficientnet-lite0 starts from the published weights.
    weights
        Safetensors file of a timm model.
    n_frozen
        Blocks of efficientnet-lite0, from the first, that keep their published weights.
    folds
        Each is judged by a network that learned from the others; the networks then vote.
    optimiser, learning_rate
        None: the customary rate of the optimiser.
    epochs, patience
        A fold's training ends after so many epochs, or so many without a lower loss on the images that it is judged by.
    batch_size
        Images per step.
    rotation, shift, zoom
        Bounds of augmentation; see `sensorad.augment.image.ImageAugment`.
    is_flipped
        Whether training images are mirrored, left-right and top-bottom, each every other time.
    flip_excluded
        Products that never are: those of which a mirrored good part is a defect.
    drop_path
        Share of skipped residual branches at the last block.
    balance
        "weights": rare classes weigh more in the loss; "sampling": they are shown more often.
    seed
        Behind folds, first weights and everything drawn in training.

    Examples
    --------
    >>> config = StateConfig(flip_excluded=("metal_nut",))
    >>> StateConfig.from_json(config.to_json()) == config, config.rate
    (True, 1.0)
    """

    size: int = 64
    backbone: str = "small"
    is_pretrained: bool = True
    weights: str | None = None
    n_frozen: int = 0
    folds: int = 5
    optimiser: StateOptimiser = "adadelta"
    learning_rate: float | None = None
    epochs: int = 60
    patience: int = 20
    batch_size: int = 16
    rotation: float = 10.0
    shift: float = 0.1
    zoom: float = 0.1
    is_flipped: bool = True
    flip_excluded: tuple[str, ...] = ()
    drop_path: float = 0.2
    balance: BalanceName = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("size", 8, 4096), ("folds", 2, 100), ("epochs", 1, 100_000), ("patience", 1, 100_000)):
            self._check_whole(name, low, high)
        for name, low, high in (("batch_size", 2, 100_000), ("n_frozen", 0, 16), ("seed", 0, 2**62)):
            self._check_whole(name, low, high)
        for name, allowed in (("optimiser", StateOptimiser), ("balance", BalanceName)):
            if getattr(self, name) not in get_args(allowed):
                self._refuse(name, f"one of {', '.join(get_args(allowed))}")
        if not 0.0 <= self.drop_path < 1.0:
            self._refuse("drop_path", "in [0, 1)")
        if self.learning_rate is not None and not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            self._refuse("learning_rate", "a finite number above 0")
        if isinstance(self.flip_excluded, str):
            self._refuse("flip_excluded", "names of products in a tuple")
        is_lite = self.backbone == "efficientnet-lite0"
        if is_lite and self.size % 32:
            self._refuse("size", "a multiple of 32 for efficientnet-lite0")
        if self.n_frozen and not (is_lite and self.is_pretrained):
            self._refuse("n_frozen", "0 where nothing was published")

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        return CUSTOMARY_RATES[self.optimiser] if self.learning_rate is None else self.learning_rate

    @property
    def weight_decay(self) -> float:
        """Of the optimiser."""
        return DECOUPLED_DECAY if self.optimiser == "adamw" else 0.0

    @property
    def weight_file(self) -> Path | None:
        """``weights`` as a path."""
        return None if self.weights is None else Path(self.weights)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"flip_excluded": list(self.flip_excluded)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> StateConfig:
        """The settings of `to_json`; unknown names are refused."""
        if unknown := sorted(row.keys() - {field.name for field in fields(cls)}):
            raise UsageError(f"unknown settings {unknown}", where=WHERE)
        return cls(**dict(row) | {"flip_excluded": tuple(row.get("flip_excluded", ()))})

    def _check_whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(name, f"a whole number from {low} to {high}")

    def _refuse(self, name: str, expected: str) -> None:
        raise UsageError(f"{name} must be {expected}, got {getattr(self, name)!r}", where=WHERE)

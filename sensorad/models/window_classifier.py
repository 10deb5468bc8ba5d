"""A small convolutional classifier of windows, and the transforms that make labels where a log or an image has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError, unknown_name
from sensorad.models.checks import at_least, checked_options
from sensorad.models.dropout import Dropout
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = [
    "QUARTERS",
    "TRANSFORMS",
    "TURNS",
    "RowConvolution",
    "WindowClassifier",
    "WindowClassifierConfig",
    "transformed",
    "transforms_for",
]

TRANSFORMS = ("identity", "reversal", "negation", "neighbours", "slower", "faster")
"""What may be done to a window: nothing, turned round in time, turned upside down, each sensor in its neighbour's
place, half and twice the speed."""

QUARTERS = ("identity", "quarter", "half", "three-quarters")
"""Windows rolled on by 0 to 3 quarters: the rotations of a window, whose classes lie on a circle."""

TURNS = ("identity", "turn-90", "turn-180", "turn-270")
"""Square images turned by quarters of a circle (Gidaris, Singh and Komodakis 2018); classes on a circle as well."""

LEAST_ROWS = 8
"""Shorter windows are not shown at another speed, nor rolled."""


@dataclass(frozen=True, slots=True)
class WindowClassifierConfig:
    """Sizes of a `WindowClassifier`.

    Attributes
    ----------
    width
        Features of each row, D.
    reach
        Rows that a layer looks at, odd.
    layers
        Of convolutions over rows.
    dropout
        Share of the pooled features that are dropped in training.
    classes
        K. A fit takes it from its labels.
    """

    width: int = 32
    reach: int = 5
    layers: int = 2
    dropout: float = 0.1
    classes: int = 2

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width)
        at_least(1, 64, layers=self.layers, reach=self.reach)
        at_least(2, classes=self.classes)
        if self.reach % 2 == 0:
            raise UsageError(f"reach must be odd, got {self.reach}", where="model configuration")
        if not (math.isfinite(self.dropout) and 0.0 <= self.dropout < 1.0):
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> WindowClassifierConfig:
        """The settings of `to_json`."""
        return cls(**checked_options(cls, row))


class RowConvolution(nn.Module):
    """Each row with the rows around it, as one product: (N, L, C) -> (N, L, D). Beyond the window all is as usual."""

    def __init__(self, n_inputs: int, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.product = bare(nn.Linear, n_inputs * reach, width)

    def forward(self, x: Tensor) -> Tensor:
        side = self.reach // 2
        rows = functional.pad(x, (0, 0, side, side))  # (N, L + 2 side, C)
        around = rows.unfold(1, self.reach, 1).flatten(2)  # (N, L, C reach)
        return functional.relu(self.product(around))  # (N, L, D)


class WindowClassifier(nn.Module):
    """Logits of the classes of windows of any length: convolutions over rows, then mean and maximum over the window.

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
    >>> network = WindowClassifier(3, WindowClassifierConfig(width=8, classes=4)).eval()
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 4]), torch.Size([5, 16]))
    """

    def __init__(
        self, n_sensors: int, config: WindowClassifierConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, n_sensors=n_sensors)
        self.n_sensors = n_sensors
        self.config = config
        widths = [n_sensors] + [config.width] * config.layers
        self.rows = nn.Sequential(*(RowConvolution(n, config.width, config.reach) for n in widths[:-1]))
        self.dropout = Dropout(config.dropout)
        self.head = bare(nn.Linear, 2 * config.width, config.classes)
        initialise(self, generator)

    @classmethod
    def expected_shapes(cls, n_sensors: int, config: WindowClassifierConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_sensors, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Features of windows: (N, L, C) -> (N, 2 D)."""
        rows = self.rows(x)  # (N, L, D)
        return torch.cat([rows.mean(1), rows.amax(1)], 1)  # (N, 2 D)

    def forward(self, x: Tensor) -> Tensor:
        """Logits: (N, L, C) -> (N, K)."""
        logits: Tensor = self.head(self.dropout(self.encode(x)))  # (N, K)
        return logits


def transforms_for(length: int, n_sensors: int) -> tuple[str, ...]:
    """Those of `TRANSFORMS` that can be told apart in windows of so many rows and sensors.

    Examples
    --------
    >>> transforms_for(30, 1)
    ('identity', 'reversal', 'negation', 'slower', 'faster')
    """
    impossible = {"neighbours"} if n_sensors == 1 else set()
    if length < LEAST_ROWS:
        impossible |= {"slower", "faster"}
    return tuple(name for name in TRANSFORMS if name not in impossible)


def transformed(x: Tensor, names: Sequence[str]) -> Tensor:
    """Every transform of every window: (N, L, C) -> (N K, L', C), the K of a window side by side.

    Images (N, channels, H, W) know `TURNS` alone, and keep their size.

    Where speeds are among them, each shows half as many rows as it is given: the newest half as it is, the whole
    window at twice the speed, the newest quarter at half the speed. Otherwise L' = L.

    Raises
    ------
    UsageError
        An unknown transform, or windows too short for it.

    Examples
    --------
    >>> x = torch.arange(8.0).reshape(1, 8, 1)
    >>> transformed(x, ["identity", "reversal", "slower", "faster"]).squeeze(2).tolist()
    [[4.0, 5.0, 6.0, 7.0], [7.0, 6.0, 5.0, 4.0], [5.5, 6.0, 6.5, 7.0], [1.0, 3.0, 5.0, 7.0]]
    """
    if x.ndim == 4 and not set(names) <= set(TURNS):
        raise UsageError(f"images are turned, not {', '.join(sorted(set(names) - set(TURNS)))}", where="transform")
    length = x.shape[1]
    timed = {"slower", "faster", *QUARTERS[1:]} & set(names)
    if timed and length < LEAST_ROWS:
        raise UsageError(
            f"windows of at least {LEAST_ROWS} rows expected, got {length}", where=f"transform {min(timed)}"
        )
    n_shown = length // 2 if {"slower", "faster"} & set(names) else length
    shown = x[:, length - n_shown :]  # (N, L', C)
    return torch.stack([_one(name, x, shown) for name in names], 1).flatten(0, 1)  # (N K, L', C)


def _one(name: str, x: Tensor, shown: Tensor) -> Tensor:
    """(N, L', C)."""
    n_shown = shown.shape[1]
    match name:
        case "identity":
            return shown
        case "reversal":
            return shown.flip(1)
        case "negation":
            return -shown
        case "neighbours":
            return shown.roll(1, 2)
        case "faster":
            return x[:, x.shape[1] - 2 * n_shown + 1 :: 2]
        case "slower":
            before, after = x[:, -n_shown // 2 - 1 : -1], x[:, -n_shown // 2 :]
            return torch.stack([0.5 * (before + after), after], 2).flatten(1, 2)[:, -n_shown:]
        case "quarter" | "half" | "three-quarters":
            return shown.roll(QUARTERS.index(name) * n_shown // 4, 1)
        case "turn-90" | "turn-180" | "turn-270" if x.ndim == 4:
            return shown.rot90(TURNS.index(name), (2, 3))
    raise unknown_name("transform", name, (*TRANSFORMS, *QUARTERS[1:], *TURNS[1:]))

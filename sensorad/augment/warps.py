"""Augmentations that run time faster and slower, for all sensors alike: time warp and crop.

What two sensors do together they go on doing together. A sensor that is excluded keeps its own time and so leaves the
others: exclude one only if nothing else follows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.base import Augmentation
from sensorad.augment.checks import Mask, Windows, check_number, check_whole
from sensorad.augment.curves import spline_basis
from sensorad.augment.resampling import check_interpolation, interpolated

__all__ = ["Crop", "TimeWarp"]


@dataclass(frozen=True, slots=True)
class TimeWarp(Augmentation):
    """Lets time run at a smoothly changing speed; the first and the last row stay in place (Um et al. 2017).

    The speed is the exponential of a natural cubic spline through knots from N(0, sigma^2), so time never runs
    backwards, however large sigma is.

    Attributes
    ----------
    sigma
        Standard deviation of the logarithm of the speed at the knots.
    knots
        Knots from the first row to the last.
    interpolation
        "linear" between rows: noise is damped, and a switch can stand between on and off. "nearest": the nearer row
        as it is: noise and levels stay, courses get steps.

    Examples
    --------
    >>> windows = np.arange(7, dtype=np.float32).reshape(1, 7, 1)
    >>> TimeWarp(sigma=0.5)(windows, np.random.default_rng(0))[0, :, 0].round(2)
    array([0.  , 0.89, 1.72, 2.64, 3.76, 4.95, 6.  ], dtype=float32)
    """

    sigma: float = 0.2
    knots: int = 4
    interpolation: str = "linear"
    name: ClassVar[str] = "time_warp"

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, 0.0, math.inf, self.name)
        check_whole("knots", self.knots, 2, self.name)
        check_interpolation(self.interpolation, self.name)

    @property
    def is_identity(self) -> bool:
        """Time runs evenly."""
        return self.sigma == 0.0

    @property
    def _fewest_rows(self) -> int:
        return 3

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        n_windows, length, _ = windows.shape
        knots = self.sigma * generator.standard_normal((n_windows, self.knots))  # (N, K)
        course = knots @ spline_basis(length, self.knots).T  # (N, L)
        # Relative to the greatest speed, since only ratios count: exp never overflows.
        speed = np.exp(course - course.max(axis=1, keepdims=True))
        steps = 0.5 * (speed[:, 1:] + speed[:, :-1])  # (N, L - 1), rows between two rows
        places = np.zeros((n_windows, length))
        np.cumsum(steps, axis=1, out=places[:, 1:])
        places *= (length - 1) / places[:, -1:]
        return interpolated(windows, usable, _within(places, length), self.interpolation)


@dataclass(frozen=True, slots=True)
class Crop(Augmentation):
    """Cuts a part of each window out and stretches it to the full length: everything happens more slowly.

    The length of the part is uniform between ``least`` of the window and all of it, and so is its place.

    Attributes
    ----------
    least
        Share of the window that is kept at least, in (0, 1]; 1 changes nothing.
    interpolation
        As in `TimeWarp`.

    Examples
    --------
    >>> windows = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    >>> Crop(least=0.5)(windows, np.random.default_rng(0))[0, :, 0].round(2)
    array([0.2 , 1.01, 1.83, 2.65, 3.47], dtype=float32)
    """

    least: float = 0.8
    interpolation: str = "linear"
    name: ClassVar[str] = "crop"

    def __post_init__(self) -> None:
        check_number("least", self.least, 0.01, 1.0, self.name)
        check_interpolation(self.interpolation, self.name)

    @property
    def is_identity(self) -> bool:
        """The whole window is kept."""
        return self.least == 1.0

    @property
    def _fewest_rows(self) -> int:
        return 2

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        n_windows, length, _ = windows.shape
        length_drawn, place_drawn = generator.random((2, n_windows, 1))
        share = self.least + (1.0 - self.least) * length_drawn  # (N, 1)
        start = (1.0 - share) * (length - 1) * place_drawn
        places = start + share * np.arange(length)  # (N, L)
        return interpolated(windows, usable, _within(places, length), self.interpolation)


def _within(places: NDArray[np.float64], length: int) -> Windows:
    """Rounding must not carry the last place beyond the last row."""
    return np.clip(places, 0.0, length - 1.0).astype(np.float32)

"""Augmentations that change values where they are, each sensor for itself: jitter, scaling, magnitude warp.

Sigmas are in the unit of the windows: deviations of the sensor, where windows are scaled to centre 0 and spread 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sensorad.augment.base import CellAugmentation
from sensorad.augment.checks import Windows, check_number, check_whole
from sensorad.augment.curves import spline_basis

__all__ = ["Jitter", "MagnitudeWarp", "Scaling"]


@dataclass(frozen=True, slots=True)
class Jitter(CellAugmentation):
    """Adds independent Gaussian noise to each cell.

    Attributes
    ----------
    sigma
        Standard deviation of the noise, in the unit of the windows.

    Examples
    --------
    >>> windows = np.zeros((1, 3, 2), np.float32)
    >>> Jitter(sigma=0.5)(windows, np.random.default_rng(0), excluded=[1])[0].round(2)
    array([[ 0.56,  0.  ],
           [-0.21,  0.  ],
           [ 0.3 ,  0.  ]], dtype=float32)
    """

    sigma: float = 0.05
    name: ClassVar[str] = "jitter"

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, 0.0, math.inf, self.name)

    @property
    def is_identity(self) -> bool:
        """No noise."""
        return self.sigma == 0.0

    def _changed(self, windows: Windows, generator: np.random.Generator) -> Windows:
        noise = generator.standard_normal(windows.shape, dtype=np.float32)  # (N, L, C)
        noise *= np.float32(self.sigma)
        noise += windows
        return noise


@dataclass(frozen=True, slots=True)
class Scaling(CellAugmentation):
    """Multiplies each sensor of each window by one factor from N(1, sigma^2).

    The factor stretches the distance to 0, which is the sensor's mean where windows are scaled. A sigma of 0.1 keeps
    99.7 % of the factors within 0.7 to 1.3, beyond which a gain counts as a fault.

    Attributes
    ----------
    sigma
        Standard deviation of the factor.

    Examples
    --------
    >>> windows = np.ones((1, 2, 3), np.float32)
    >>> Scaling(sigma=0.1)(windows, np.random.default_rng(0))[0].round(2)
    array([[1.11, 0.86, 0.96],
           [1.11, 0.86, 0.96]], dtype=float32)
    """

    sigma: float = 0.1
    name: ClassVar[str] = "scaling"

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, 0.0, math.inf, self.name)

    @property
    def is_identity(self) -> bool:
        """All factors are 1."""
        return self.sigma == 0.0

    def _changed(self, windows: Windows, generator: np.random.Generator) -> Windows:
        n_windows, _, n_sensors = windows.shape
        factor = generator.standard_normal((n_windows, 1, n_sensors), dtype=np.float32)  # (N, 1, C)
        factor *= np.float32(self.sigma)
        factor += np.float32(1.0)
        return windows * factor


@dataclass(frozen=True, slots=True)
class MagnitudeWarp(CellAugmentation):
    """Multiplies each sensor of each window by a smooth curve around 1 (Um et al. 2017).

    Attributes
    ----------
    sigma
        Standard deviation of the curve at its knots.
    knots
        Knots of the curve, a natural cubic spline, from the first row to the last.

    Examples
    --------
    >>> windows = np.ones((1, 7, 1), np.float32)
    >>> MagnitudeWarp(sigma=0.1)(windows, np.random.default_rng(0))[0, :, 0].round(2)
    array([1.11, 0.95, 0.86, 0.89, 0.96, 0.96, 0.92], dtype=float32)
    """

    sigma: float = 0.1
    knots: int = 4
    name: ClassVar[str] = "magnitude_warp"

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, 0.0, math.inf, self.name)
        check_whole("knots", self.knots, 2, self.name)

    @property
    def is_identity(self) -> bool:
        """The curve is 1 everywhere."""
        return self.sigma == 0.0

    @property
    def _fewest_rows(self) -> int:
        return 2

    def _changed(self, windows: Windows, generator: np.random.Generator) -> Windows:
        n_windows, length, n_sensors = windows.shape
        knots = generator.standard_normal((n_windows, self.knots, n_sensors), dtype=np.float32)  # (N, K, C)
        knots *= np.float32(self.sigma)
        curve = spline_basis(length, self.knots) @ knots  # (N, L, C)
        curve += np.float32(1.0)
        curve *= windows
        return curve

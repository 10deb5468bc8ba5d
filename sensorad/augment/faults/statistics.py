"""What sizes of faults are measured by: level, spread, noise and range of each sensor on normal rows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError, UsageError

__all__ = ["SensorStatistics"]

Floats = NDArray[np.float64]

LOW, HIGH = 0.05, 0.95
MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""

BEND_TO_SIGMA = 1.5**-0.5
"""White noise of deviation 1 leaves x(t) - (x(t-1) + x(t+1)) / 2 with a variance of 1.5."""


@dataclass(frozen=True, slots=True, eq=False)
class SensorStatistics:
    """Statistics of each sensor, in the unit of the rows that they were learned from.

    Attributes
    ----------
    centre, sigma : (C,) float64
        Mean and standard deviation; sigma is 0 for a sensor that never moved.
    residual_sigma : (C,) float64
        Standard deviation of the sensor's noise, as it departs from the mean of its two neighbours in time: robust,
        so that steps of the plant do not count as noise.
    low, high : (C,) float64
        5 and 95 % quantile.
    minimum, maximum : (C,) float64

    Examples
    --------
    >>> time = np.arange(2000)[:, None]
    >>> noise = np.random.default_rng(0).normal(0.0, 0.1, size=(2000, 1))
    >>> statistics = SensorStatistics.fit(50.0 + 3.0 * np.sin(time / 50.0) + noise)
    >>> statistics.centre.round(), statistics.sigma.round(1), statistics.residual_sigma.round(2)
    (array([50.]), array([2.1]), array([0.1]))
    """

    centre: Floats
    sigma: Floats
    residual_sigma: Floats
    low: Floats
    high: Floats
    minimum: Floats
    maximum: Floats

    def __post_init__(self) -> None:
        shape = np.shape(self.centre)
        for field in fields(self):
            values = np.asarray(getattr(self, field.name), np.float64)
            object.__setattr__(self, field.name, values)
            if values.ndim != 1 or values.shape != shape:
                raise UsageError(f"statistics are one number for each sensor, got shape {values.shape}: {field.name}")
            if not np.isfinite(values).all():
                raise UsageError(
                    f"statistics must be finite: {field.name}", where=f"sensor {_first(~np.isfinite(values))}"
                )
        for name in ("sigma", "residual_sigma"):
            if (getattr(self, name) < 0).any():
                raise UsageError(f"{name} must not be negative", where=f"sensor {_first(getattr(self, name) < 0)}")

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def reach(self) -> Floats:
        """(C,) the 5-95 % range, or where that is nothing (a sensor that seldom moves) the whole range."""
        usual = self.high - self.low
        return np.asarray(np.where(usual > 0, usual, self.maximum - self.minimum))

    @property
    def floor(self) -> Floats:
        """(C,) where `reach` begins."""
        return np.asarray(np.where(self.high > self.low, self.low, self.minimum))

    @classmethod
    def fit(cls, rows: NDArray[np.floating], usable: NDArray[np.bool_] | None = None) -> SensorStatistics:
        """Learn from normal rows in order of time.

        Parameters
        ----------
        rows : (T, C) or (N, L, C)
            Rows, or windows of them, raw or scaled.
        usable : bool, of the same shape
            False = not a number to count. What is not finite never counts. A sensor without any usable cell gets
            zeros.

        Raises
        ------
        TooLittleDataError
            If there is no row.
        """
        rows = np.asarray(rows)
        if rows.ndim not in (2, 3):
            raise UsageError(f"expected rows (T, C) or windows (N, L, C), got shape {rows.shape}")
        if not rows.size:
            raise TooLittleDataError(
                "statistics of sensors need rows", hint="give at least one row of normal operation"
            )
        n_sensors = rows.shape[-1]
        values = np.full((7, n_sensors), 0.0)
        for c in range(n_sensors):  # sensor by sensor: one column in float64 at a time
            course = rows[..., c].astype(np.float64)
            is_good = np.isfinite(course)
            if usable is not None:
                is_good &= usable[..., c]
            good = course[is_good]
            if not len(good):
                continue
            low, high = np.quantile(good, [LOW, HIGH])
            sigma = good.std() if good.min() < good.max() else 0.0  # rounding must not make a constant move
            values[:, c] = good.mean(), sigma, _noise(course, is_good), low, high, good.min(), good.max()
        return cls(*values)


def _noise(course: Floats, is_good: NDArray[np.bool_]) -> float:
    """Noise of one sensor: (T,) or (N, L), rows along the last axis."""
    bend = course[..., 1:-1] - 0.5 * (course[..., :-2] + course[..., 2:])
    bend = bend[is_good[..., 1:-1] & is_good[..., :-2] & is_good[..., 2:]]
    if not len(bend):
        return 0.0
    robust = MAD_TO_SIGMA * float(np.median(np.abs(bend)))
    # A sensor with coarse resolution repeats itself most of the time: its median is 0, its noise is not.
    return BEND_TO_SIGMA * (robust or float(bend.std()))


def _first(is_bad: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(is_bad)[0])

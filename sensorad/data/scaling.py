"""Scaling of sensors to comparable units, deaf to nothing and dazzled by nothing.

Each sensor is centred and divided by its standard deviation on normal data, but never by less than a floor: a sensor
that hardly moved in training would otherwise shout at its first digit of noise. Beyond ``KNEE`` deviations values are
compressed logarithmically and not clipped: after a shift of the operating point a clip leaves all rows alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.types import SensorSchema

__all__ = ["SensorScaler", "soft_compress", "soft_expand"]

KNEE = 5.0
"""Deviations up to which scaling is linear."""

FLOOR_SHARE = 0.05
"""Least scale as a share of the typical scale of sensors in the same unit."""

CONSTANT_SHARE = 0.3
"""Scale of a sensor that was constant in training, as a share of the typical scale."""

QUANTISATION = 12**-0.5
"""Standard deviation of the rounding error of a sensor with resolution 1."""

MOST_NOISE = 0.3
"""Rounding noise counts up to this many deviations, so that a coarse sensor stays audible."""

LEAST_NOISE = 1e-3
"""Errors below this many deviations are alike, also where training was free of error."""


def soft_compress(deviations: ArrayLike) -> NDArray[np.floating]:
    """Linear up to |z| = 5, then sign(z) (5 + 5 ln(1 + (|z| - 5) / 5)): monotone, smooth, without a ceiling.

    Examples
    --------
    >>> soft_compress(np.array([-3.0, 5.0, 10.0])).round(3).tolist()
    [-3.0, 5.0, 8.466]
    """
    z = np.asarray(deviations)
    size = np.abs(z)
    return np.where(size <= KNEE, z, np.sign(z) * (KNEE + KNEE * np.log1p((np.maximum(size, KNEE) - KNEE) / KNEE)))


def soft_expand(compressed: ArrayLike) -> NDArray[np.floating]:
    """The inverse of `soft_compress`.

    Examples
    --------
    >>> soft_expand(soft_compress(np.array([-40.0, 2.0]))).round(6).tolist()
    [-40.0, 2.0]
    """
    y = np.asarray(compressed)
    size = np.abs(y)
    return np.where(size <= KNEE, y, np.sign(y) * (KNEE + KNEE * np.expm1((np.maximum(size, KNEE) - KNEE) / KNEE)))


@dataclass(frozen=True, slots=True)
class SensorScaler:
    """Scaling learned from normal rows; ``is_used`` says which sensors enter the models.

    Attributes
    ----------
    centre, scale : (C,) float64
        Mean and floored standard deviation, in the sensor's unit.
    is_used : (C,) bool
        False for sensors without any usable cell, and for flags (constant or two-valued sensors) of a log that
        consists mostly of flags.
    is_constant : (C,) bool
        The sensor never moved in training.
    noise : (C,) float64
        Error, in deviations, below which two errors are alike: rounding noise of the sensor.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(50.0, 2.0, size=(1000, 3)).astype(np.float32)
    >>> rows[:, 2] = 7.0
    >>> scaler = SensorScaler.fit(rows, np.ones(rows.shape, bool), SensorSchema(()))
    >>> scaler.is_constant.tolist()
    [False, False, True]
    >>> scaler.transform(rows).shape
    (1000, 3)
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    is_used: NDArray[np.bool_]
    is_constant: NDArray[np.bool_]
    noise: NDArray[np.float64]

    @classmethod
    def fit(cls, rows: NDArray[np.float32], usable: NDArray[np.bool_], schema: SensorSchema) -> SensorScaler:
        """Learn from normal rows.

        Parameters
        ----------
        rows : (T, C)
        usable : (T, C)
            False = missing cell. A sensor without any usable cell counts as constant at 0 and is not used.
        schema
            Declared kinds and units; an empty schema declares nothing. Sensors that share a unit (or have
            none) share the typical scale from which floors are taken.
        """
        n_sensors = rows.shape[1]
        centre, spread, resolution, reach = (np.zeros(n_sensors) for _ in range(4))
        n_levels = np.zeros(n_sensors, np.int64)
        for c in range(n_sensors):
            column = rows[usable[:, c], c].astype(np.float64)
            if len(column) == 0:
                continue
            levels = np.unique(column)
            n_levels[c] = len(levels)
            centre[c], spread[c] = column.mean(), column.std()
            if len(levels) > 1:
                resolution[c], reach[c] = np.diff(levels).min(), levels[-1] - levels[0]
            else:
                centre[c], spread[c] = levels[0], 0.0

        sensors = schema.sensors or (None,) * n_sensors
        is_state = np.array([s is not None and s.kind == "state" for s in sensors])
        is_measured = np.array([s is not None and s.kind == "measurement" for s in sensors])
        # A schema that declares what a sensor is beats the rule of two levels.
        is_flag = is_state | ((n_levels <= 2) & ~is_measured)
        is_constant = n_levels <= 1
        is_used = (n_levels > 0) | (n_levels == 0).all()
        if is_flag[is_used].mean() > 0.5 and not is_flag[is_used].all():
            is_used &= ~is_flag

        units = np.array(["" if s is None or s.unit is None else s.unit for s in sensors])
        scale = spread.copy()
        for unit in np.unique(units):
            same = units == unit
            if is_flag.all():  # sets the typical scale; the resolution floor then lifts a flag to its whole range
                scale[same & ~is_constant] = reach[same & ~is_constant] / 2.0
            moving = same & ~is_constant
            typical = float(np.median(scale[moving])) if moving.any() else 1.0
            scale[moving] = np.maximum(scale[moving], FLOOR_SHARE * typical)
            scale[same & is_constant] = CONSTANT_SHARE * typical
        scale = np.maximum(scale, resolution)
        noise = np.clip(QUANTISATION * resolution / scale, LEAST_NOISE, MOST_NOISE)
        return cls(centre, scale, is_used, is_constant, noise)

    @property
    def used_positions(self) -> NDArray[np.intp]:
        """Positions in the schema of the sensors that enter the models."""
        return np.flatnonzero(self.is_used)

    def transform(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, C) values in their units -> (T, C_used) compressed deviations."""
        used = self.used_positions
        chosen = rows if len(used) == rows.shape[1] else rows[:, used]
        # Sensor by sensor, so that each meets its own centre and scale once and not in every row.
        deviations = np.array(chosen.T, np.float64, order="C")  # (C_used, T)
        deviations -= self.centre[used, None]
        deviations /= self.scale[used, None]
        is_far = np.abs(deviations) > KNEE
        if is_far.any():
            deviations[is_far] = soft_compress(deviations[is_far])
        # One memory order whatever came in: products of other orders round in another way.
        return np.ascontiguousarray(deviations.T, dtype=np.float32)

    def inverse(self, deviations: NDArray[np.floating]) -> NDArray[np.float64]:
        """(T, C_used) compressed deviations -> (T, C_used) values in the sensors' units."""
        used = self.used_positions
        return soft_expand(deviations.astype(np.float64)) * self.scale[used] + self.centre[used]

    def inverse_of(self, deviations: NDArray[np.floating], sensors: NDArray[np.integer]) -> NDArray[np.float64]:
        """Compressed deviations of the ``sensors`` of the schema in an array of the same shape -> values."""
        values = deviations.astype(np.float64)
        is_far = np.abs(values) > KNEE
        if is_far.any():
            values[is_far] = soft_expand(values[is_far])
        values *= self.scale.take(sensors)
        values += self.centre.take(sensors)
        return values

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact; `from_arrays` reads them back."""
        return {
            "scaler.centre": self.centre,
            "scaler.scale": self.scale,
            "scaler.is_used": self.is_used.astype(np.float64),
            "scaler.is_constant": self.is_constant.astype(np.float64),
            "scaler.noise": self.noise,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> SensorScaler:
        """The scaler of `to_arrays`."""
        return cls(
            centre=arrays["scaler.centre"],
            scale=arrays["scaler.scale"],
            is_used=arrays["scaler.is_used"] > 0.5,
            is_constant=arrays["scaler.is_constant"] > 0.5,
            noise=arrays["scaler.noise"],
        )

"""What windows, masks, positions of sensors and settings must look like, said once for all augmentations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError

__all__ = [
    "Mask",
    "Windows",
    "check_bool",
    "check_excluded",
    "check_number",
    "check_whole",
    "check_windows",
    "sensor_positions",
]

Windows = NDArray[np.float32]
Mask = NDArray[np.bool_]


def check_windows(windows: Windows, usable: Mask | None, where: str) -> int:
    """Number of sensors of windows that are as `Augmentation.apply` wants them; raises for all others."""
    if not isinstance(windows, np.ndarray) or windows.ndim != 3 or windows.dtype != np.float32:
        came = f"{windows.shape} {windows.dtype}" if isinstance(windows, np.ndarray) else type(windows).__name__
        raise UsageError(f"windows must be (N, L, C) float32, got {came}", where=where)
    if usable is not None and (usable.shape != windows.shape or usable.dtype != np.bool_):
        raise UsageError(
            f"usable must be {windows.shape} bool as the windows, got {usable.shape} {usable.dtype}", where=where
        )
    # A finite sum has only finite terms, and is cheaper than asking each; an overflowing one proves nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        total = windows.sum()
    if not np.isfinite(total) and not np.isfinite(windows).all():
        window, row, sensor = (int(at) for at in np.argwhere(~np.isfinite(windows))[0])
        raise DataError(
            f"windows must be finite, got {windows[window, row, sensor]}",
            where=f"{where}, window {window}, row {row}, sensor {sensor}",
            hint="fill missing cells and say with usable which they are",
        )
    return int(windows.shape[2])


def check_excluded(excluded: Sequence[int], n_sensors: int, where: str) -> tuple[int, ...]:
    """Positions without doubles, in order; raises for one that no sensor has."""
    positions = sensor_positions("excluded", excluded, where)
    if positions and positions[-1] >= n_sensors:
        raise UsageError(
            f"there is no sensor {positions[-1]} to exclude: there are {n_sensors}", where=where, hint="count from 0"
        )
    return positions


def sensor_positions(name: str, sensors: Sequence[int], where: str) -> tuple[int, ...]:
    """Positions without doubles, in order; raises for what is no position of a sensor."""
    if isinstance(sensors, str) or not isinstance(sensors, Iterable):
        raise UsageError(f"{name} must be a list of positions, got {sensors!r}", where=where)
    wrong = [sensor for sensor in sensors if not _is_whole(sensor) or sensor < 0]
    if wrong:
        raise UsageError(f"{name} must be positions of sensors from 0, got {wrong[0]!r}", where=where)
    return tuple(sorted({int(sensor) for sensor in sensors}))


def check_number(name: str, value: float, low: float, high: float, where: str) -> None:
    """Raise unless ``value`` is a finite number in [low, high]."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and low <= value <= high):
        span = f"between {low:g} and {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise UsageError(f"{name} must be {span}, got {value!r}", where=where)


def check_whole(name: str, value: int, low: int, where: str) -> None:
    """Raise unless ``value`` is a whole number of at least ``low``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise UsageError(f"{name} must be a whole number of at least {low}, got {value!r}", where=where)


def check_bool(name: str, value: bool, where: str) -> None:
    """Raise unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, got {value!r}", where=where)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)

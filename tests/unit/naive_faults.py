"""The formulas of all kinds of faults, cell by cell, as one would explain them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults import FAULTS, Fault, SensorStatistics

__all__ = ["DETERMINISTIC", "naive_course", "plant_rows"]

DETERMINISTIC = ("bias", "drift", "gain", "spike", "stuck", "lag", "frequency", "saturation", "quantisation")
"""Kinds of which kind, place and severity say everything; so does a swap of two sensors."""


def plant_rows(n_rows: int, n_sensors: int, seed: int = 0) -> NDArray[np.float64]:
    """Sensors that follow a slow and a fast load at levels of their own, with noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_rows)[:, None]
    phase, level = rng.uniform(0, 6, n_sensors), rng.uniform(20, 80, n_sensors)
    load = np.sin(2 * np.pi * time / 200 + phase) + 0.4 * np.sin(2 * np.pi * time / 31 + 2 * phase)
    return level + 3.0 * load + 0.2 * rng.normal(size=(n_rows, n_sensors))


def naive_course(rows: NDArray[np.floating], fault: Fault, sensor: int, s: SensorStatistics) -> dict[int, float]:
    """What the sensor reads instead in each row of the fault."""
    assert fault.kind in DETERMINISTIC or fault.form == "swap", FAULTS[fault.kind]
    a, sign, start, length = fault.severity, fault.sign, fault.start, fault.length
    reach, factor = float(s.high[sensor] - s.low[sensor]), a if sign > 0 else 1 / a
    out = {}
    for row in range(start, start + length):
        x, k = float(rows[row, sensor]), row - start
        if fault.kind == "bias":
            y = x + sign * a * s.sigma[sensor]
        elif fault.kind == "drift":
            y = x + sign * a * s.sigma[sensor] * (k + 1) / length
        elif fault.kind == "gain":
            y = s.centre[sensor] + factor * (x - s.centre[sensor])
        elif fault.kind == "spike":
            y = x + sign * a * reach
        elif fault.kind == "stuck":
            y = float(rows[start, sensor]) if k < a else x
        elif fault.kind == "lag":
            y = float(rows[row - round(a), sensor])
        elif fault.kind == "frequency":
            place, last = start + factor * k, len(rows) - 1
            while not 0 <= place <= last:
                place = 2 * last - place if place > last else -place
            left = min(math.floor(place), last - 1)
            y = float(rows[left, sensor]) * (1 - (place - left)) + float(rows[left + 1, sensor]) * (place - left)
        elif fault.kind == "saturation":
            y = min(x, s.low[sensor] + a * reach) if sign > 0 else max(x, s.high[sensor] - a * reach)
        elif fault.kind == "quantisation":
            step = a * s.sigma[sensor]
            y = step * round(x / step)
        else:
            other = next(c for c in fault.sensors if c != sensor)
            z = (float(rows[row, other]) - s.centre[other]) / s.sigma[other]
            lent = s.centre[sensor] + s.sigma[sensor] * z
            y = s.centre[sensor] + math.sqrt(1 - a * a) * (x - s.centre[sensor]) + a * (lent - s.centre[sensor])
        out[row] = float(y)
    return out

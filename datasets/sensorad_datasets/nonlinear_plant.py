"""A simulated plant in which sensors hang together by curves and products, not by straight lines.

Six slow drivers and three operating modes move 14 sensors. Seven of these are functions of others: a product, a
parabola, a saturated curve, a mixture whose weights change with the mode, a wave. Some of them have no linear relation
to any other sensor at all, so a model of covariances sees them as independent.

A fault takes one of these seven and shows what it showed at another time of the same mode, faded in and out: every
value, every step and every spectrum is that of normal operation, and nothing is wrong but that the sensor no longer
goes with the others. It is the regime in which a network that predicts sensors from each other should win, made to
find out whether it does; how far real plants are like it is another question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sensorad.errors import UsageError

from .series import BenchmarkSeries, Cause, log_table, row_times

__all__ = ["NONLINEAR_SENSORS", "NonlinearPlant", "NonlinearPlantConfig", "load_nonlinear", "simulate_nonlinear"]

NONLINEAR_SENSORS = ("product", "saturated", "parabola", "mixture", "rectified", "wave", "distance")
"""Sensors that are functions of others, and that faults are put on."""

_SENSORS = (
    "driver-a", "driver-b", "product", "driver-c", "saturated", "driver-d", "parabola", "mixture",
    "driver-e", "rectified", "driver-f", "wave", "level", "distance",
)  # fmt: skip

_MEMORY_ROWS = (20.0, 30.0, 40.0, 25.0, 35.0, 50.0)  # time constants of the drivers
_DRIVER_SPAN, _LEVEL_SPAN, _WEIGHT_SPAN = 5, 10, 8  # rows over which they, and changes of mode, are smoothed
_N_MODES = 3
_MODE_ROWS, _SHORTEST_MODE_ROWS = 400.0, 60
_MODE_LEVEL, _MODE_A, _MODE_B = np.array([-0.7, 0.0, 0.7]), np.array([1.0, -0.8, 0.2]), np.array([-0.3, 0.6, 1.0])

_FAULT_ROWS = (15, 150)
_FAULT_GAP = (150, 500)
_FADE_ROWS = 6
_SAME_MODE = 0.95  # share of the rows of the other time that must be in the mode of the fault's
_MOST_TRIES = 50
_STEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class NonlinearPlantConfig:
    """How much of the plant to simulate.

    Attributes
    ----------
    train_rows, test_rows
        Normal rows, and rows with faults that follow them.
    noise
        Standard deviation of the noise on each sensor; drivers have 1.

    Examples
    --------
    >>> NonlinearPlantConfig().train_rows
    20000
    """

    train_rows: int = 20_000
    test_rows: int = 10_000
    noise: float = 0.1

    def __post_init__(self) -> None:
        for name in ("train_rows", "test_rows"):
            if getattr(self, name) < 1000:
                raise UsageError(f"{name} must be at least 1000, got {getattr(self, name)!r}")
        if not 0.0 < self.noise < 1.0:
            raise UsageError(f"noise must lie between 0 and 1, got {self.noise!r}")


@dataclass(frozen=True, slots=True)
class NonlinearPlant:
    """A simulated log.

    Attributes
    ----------
    train : (T, C) float32
        Normal rows.
    test : (U, C) float32
        The rows that follow, with faults.
    normal : (U, C) float32
        The same rows without.
    mode : (T + U,) int64
        Operating mode of all rows.
    faults
        Rows of ``test`` and the sensor of each fault.
    sensors
        Names of the columns.
    """

    train: NDArray[np.float32]
    test: NDArray[np.float32]
    normal: NDArray[np.float32]
    mode: NDArray[np.int64]
    faults: tuple[Cause, ...]
    sensors: tuple[str, ...] = _SENSORS

    @property
    def labels(self) -> NDArray[np.bool_]:
        """(U,) rows of a fault."""
        labels = np.zeros(len(self.test), bool)
        for fault in self.faults:
            labels[fault.start : fault.end] = True
        return labels


def simulate_nonlinear(config: NonlinearPlantConfig, generator: np.random.Generator) -> NonlinearPlant:
    """Simulate the plant; the same generator state gives the same plant.

    Examples
    --------
    >>> config = NonlinearPlantConfig(train_rows=2000, test_rows=1000)
    >>> plant = simulate_nonlinear(config, np.random.default_rng(0))
    >>> plant.test.shape, plant.faults[0].sensors[0] in NONLINEAR_SENSORS
    ((1000, 14), True)
    """
    n_rows = config.train_rows + config.test_rows
    mode = _modes(n_rows, generator)
    rows = _truth(mode, generator)
    rows += config.noise * generator.standard_normal(rows.shape)
    normal = rows[config.train_rows :]
    faulty, faults = _with_faults(normal, mode[config.train_rows :], generator)
    train, test, normal_test = (part.astype(np.float32) for part in (rows[: config.train_rows], faulty, normal))
    return NonlinearPlant(train, test, normal_test, mode, faults)


def load_nonlinear(seed: int, config: NonlinearPlantConfig | None = None) -> BenchmarkSeries:
    """The plant of that seed as a series of a benchmark."""
    plant = simulate_nonlinear(config or NonlinearPlantConfig(), np.random.default_rng(seed))
    logs = [
        log_table(
            pa.table({name: rows[:, at] for at, name in enumerate(plant.sensors)}),
            plant.sensors,
            row_times(len(rows), _STEP_SECONDS, start_row=first),
        )
        for rows, first in ((plant.train, 0), (plant.test, len(plant.train)))
    ]
    return BenchmarkSeries(
        set_name="nonlinear",
        series=f"nonlinear-{seed}",
        train=logs[0],
        test=logs[1],
        labels=plant.labels,
        sensors=plant.sensors,
        step_seconds=_STEP_SECONDS,
        causes=plant.faults,
        notes="simulated; faults break relations between sensors and leave each sensor by itself as it was",
    )


def _modes(n_rows: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(T,) numbers of modes that follow each other at random."""
    mode = np.empty(n_rows, np.int64)
    row, current = 0, 0
    while row < n_rows:
        length = int(generator.exponential(_MODE_ROWS)) + _SHORTEST_MODE_ROWS
        mode[row : row + length] = current
        row += length
        current = int(generator.choice([other for other in range(_N_MODES) if other != current]))
    return mode


def _truth(mode: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.float64]:
    """(T, C) what the sensors would read without noise."""
    a, b, c, d, e, f = (_driver(len(mode), memory, generator) for memory in _MEMORY_ROWS)
    level = _recent_mean(_MODE_LEVEL[mode], _LEVEL_SPAN)
    first, second = (_recent_mean(weights[mode], _WEIGHT_SPAN) for weights in (_MODE_A, _MODE_B))
    columns = {
        "driver-a": a,
        "driver-b": b,
        "product": a * b,
        "driver-c": c + level,
        "saturated": np.tanh(2.0 * (c + level - 0.3)),
        "driver-d": d,
        "parabola": d**2 - 1.0,
        "mixture": first * b + second * d,
        "driver-e": e,
        "rectified": np.maximum(e, 0.0) * a,
        "driver-f": f,
        "wave": np.sin(2.0 * f),
        "level": level + 0.3 * e,
        "distance": np.abs(a - e),
    }
    return np.stack([columns[name] for name in _SENSORS], axis=1)


def _driver(n_rows: int, memory_rows: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """(T,) a random walk that is drawn back to 0 (Ornstein-Uhlenbeck) with variance 1, lightly smoothed."""
    keep = float(np.exp(-1.0 / memory_rows))
    pushes = generator.standard_normal(n_rows) * np.sqrt(1.0 - keep**2)
    course = np.empty(n_rows)
    value = float(generator.standard_normal())
    for row, push in enumerate(pushes.tolist()):
        value = keep * value + push
        course[row] = value
    return _recent_mean(course, _DRIVER_SPAN)


def _recent_mean(values: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Exponentially weighted mean of the rows so far."""
    decay = 1.0 - 2.0 / (span + 1.0)
    found = np.empty(len(values))
    total = count = 0.0
    for row, value in enumerate(values.tolist()):
        total, count = decay * total + value, decay * count + 1.0
        found[row] = total / count
    return found


def _with_faults(
    rows: NDArray[np.float64], mode: NDArray[np.int64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[Cause, ...]]:
    """A copy in which sensors show another time now and then, and where."""
    faulty, faults, n_rows = rows.copy(), [], len(rows)
    start = int(generator.integers(*_FAULT_GAP))
    shortest, longest = _FAULT_ROWS
    while start < n_rows - shortest:
        length = min(round(float(np.exp(generator.uniform(np.log(shortest), np.log(longest))))), n_rows - start)
        name = str(generator.choice(NONLINEAR_SENSORS))
        sensor, here = _SENSORS.index(name), slice(start, start + length)
        other = _other_time(mode, start, length, generator)
        ramp = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / _FADE_ROWS
        weight = np.minimum(1.0, ramp)
        faulty[here, sensor] = (1.0 - weight) * rows[here, sensor] + weight * rows[other : other + length, sensor]
        faults.append(Cause(start, start + length, (name,)))
        start += length + int(generator.integers(*_FAULT_GAP))
    return faulty, tuple(faults)


def _other_time(mode: NDArray[np.int64], start: int, length: int, generator: np.random.Generator) -> int:
    """Where as many rows begin that are in the same modes and do not touch these; the best found."""
    best, best_share = 0, -1.0
    for _ in range(_MOST_TRIES):
        other = int(generator.integers(0, len(mode) - length))
        share = float((mode[other : other + length] == mode[start : start + length]).mean())
        if abs(other - start) > 2 * _FAULT_ROWS[1] and share > best_share:
            best, best_share = other, share
        if best_share > _SAME_MODE:
            break
    return best

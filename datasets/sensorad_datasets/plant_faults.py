"""Faults of the simulated plant: what they are, what they do, and how a set of them is planned.

A *sensor fault* spoils one logged signal and nothing else. A *process fault* changes the physics and shows in
every sensor that the physics reaches; it is blamed on the sensors that feel it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

from .plant_physics import Disturbance
from .plant_sensors import PLANT_SENSORS, plant_sensor

__all__ = ["FAULT_FAMILIES", "Fault", "FaultFamily", "check_faults", "disturb", "spoil"]

_ALL = tuple(sensor.name for sensor in PLANT_SENSORS)
# A slow shift can be told from the weather or from the boiler only where other sensors know the value.
_REDUNDANT = tuple(name for name in _ALL if name not in {"TI-001", "TI-303"})
# A frozen reading is wrong only once the truth moves on: sensors that follow the load.
_LOAD_DRIVEN = ("SI-101", "II-101", "PI-101", "FI-101", "LC-201", "ZI-101", "FI-202", "TI-304", "ZI-301", "JI-001")
# A wrong factor needs a zero that means zero.
_FROM_ZERO = ("SI-101", "II-101", "VI-101", "PI-101", "FI-101", "LI-201", "FI-202", "JI-001")


@dataclass(frozen=True, slots=True)
class FaultFamily:
    """One kind of fault and the draws that make it.

    Attributes
    ----------
    name
        As written in the label table; sensor faults carry the names that fault injection uses.
    kind
        "point" (one to three rows) or "interval".
    process
        True where the physics changes, False where only a logged signal does.
    sensors
        Process fault: the sensors to blame. Sensor fault: those that may have it, one at a time.
    low, high
        Range of the severity, in ``measure``.
    measure
        What the severity counts.
    hours
        Shortest and longest duration of an interval.
    """

    name: str
    kind: Literal["point", "interval"]
    process: bool
    sensors: tuple[str, ...]
    low: float
    high: float
    measure: str
    hours: tuple[float, float] = (1.0, 8.0)


FAULT_FAMILIES: dict[str, FaultFamily] = {
    family.name: family
    for family in (
        FaultFamily("spike", "point", False, _ALL, 18.0, 30.0, "multiples of the sensor's step"),
        FaultFamily("bias", "interval", False, _REDUNDANT, 8.0, 14.0, "multiples of the sensor's span"),
        FaultFamily("drift", "interval", False, _REDUNDANT, 16.0, 26.0, "final offset in spans", (3.0, 12.0)),
        FaultFamily("gain", "interval", False, _FROM_ZERO, 0.15, 0.35, "share of the reading"),
        FaultFamily("noise", "interval", False, _ALL, 6.0, 10.0, "multiples of the sensor's step"),
        FaultFamily("stuck", "interval", False, _LOAD_DRIVEN, 1.0, 1.0, "reading frozen", (4.0, 12.0)),
        FaultFamily(
            "valve_sticking",
            "interval",
            True,
            ("ZI-101", "LC-201"),
            0.06,
            0.12,
            "dead band, share of stroke",
            (3.0, 12.0),
        ),
        FaultFamily(
            "fouling", "interval", True, ("ZI-301", "TI-304"), 0.35, 0.55, "share of the conductance lost", (4.0, 12.0)
        ),
        FaultFamily("pump_wear", "interval", True, ("VI-101", "II-101"), 0.12, 0.25, "added share of shaft power"),
        FaultFamily("cavitation", "interval", True, ("VI-101", "PI-101"), 0.05, 0.10, "share of the head lost"),
        FaultFamily("leak", "interval", True, ("LI-201", "LC-201", "FI-101"), 4.0, 8.0, "m3/h out of the tank"),
    )
}
"""All families by name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``n_rows`` rows from ``start_row`` on.

    ``sensor`` is the spoiled sensor of a sensor fault and None for a process fault; ``severity`` may be negative
    where the fault has a direction; ``seed`` feeds the fault's own randomness, so that a fault never shifts the
    random numbers of the plant.
    """

    family: str
    start_row: int
    n_rows: int
    severity: float
    sensor: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAULT_FAMILIES:
            raise UsageError(f"unknown fault family {self.family!r}", hint=f"one of {', '.join(FAULT_FAMILIES)}")
        if self.n_rows < 1 or self.start_row < 0:
            raise UsageError(f"a fault needs at least one row from row 0 on, got {self.n_rows} from {self.start_row}")
        if FAULT_FAMILIES[self.family].process:
            if self.sensor is not None:
                raise UsageError(f"{self.family} is a process fault and takes no sensor, got {self.sensor!r}")
        elif self.sensor not in _ALL:
            raise UsageError(f"{self.family} needs one of the plant's sensors, got {self.sensor!r}")

    @property
    def rows(self) -> slice:
        return slice(self.start_row, self.start_row + self.n_rows)

    @property
    def kind(self) -> Literal["point", "interval"]:
        return FAULT_FAMILIES[self.family].kind

    @property
    def is_process(self) -> bool:
        return FAULT_FAMILIES[self.family].process

    @property
    def sensors(self) -> tuple[str, ...]:
        """The sensors to blame, most direct first."""
        return FAULT_FAMILIES[self.family].sensors if self.sensor is None else (self.sensor,)


def check_faults(faults: Sequence[Fault], n_rows: int) -> tuple[Fault, ...]:
    """The faults in order of time; UsageError where two overlap or one leaves the log."""
    ordered = tuple(sorted(faults, key=lambda fault: fault.start_row))
    for before, after in pairwise(ordered):
        if before.rows.stop > after.start_row:
            raise UsageError(f"faults overlap: {before} and {after}", hint="exact labels need one fault at a time")
    if ordered and ordered[-1].rows.stop > n_rows:
        raise UsageError(f"a fault ends at row {ordered[-1].rows.stop} of {n_rows}: {ordered[-1]}")
    return ordered


def disturb(faults: Sequence[Fault], n_rows: int) -> Disturbance:
    """What the process faults do to the physics, row by row."""
    disturbance = Disturbance.none(n_rows)
    for fault in faults:
        rows, severity = fault.rows, fault.severity
        length = rows.stop - rows.start
        generator = np.random.default_rng(fault.seed)
        if fault.family == "valve_sticking":
            disturbance.stiction[rows] = severity
        elif fault.family == "fouling":
            # Deposits grow over the first half, then stay; cleaned at the end.
            disturbance.conductance[rows] = 1.0 - severity * np.minimum(2.0 * np.arange(1, length + 1) / length, 1.0)
        elif fault.family == "pump_wear":
            disturbance.drag[rows] = 1.0 + severity
            disturbance.shaking[rows] = 6.0 * severity * generator.lognormal(0.0, 0.15, length)
        elif fault.family == "cavitation":
            collapse = severity * generator.lognormal(-0.1, 0.45, length).clip(0.0, 3.0)
            disturbance.head[rows] = 1.0 - collapse
            disturbance.shaking[rows] = 18.0 * collapse
        elif fault.family == "leak":
            disturbance.leak[rows] = severity
    return disturbance


def spoil(faults: Sequence[Fault], name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logged signal (T,) of one sensor after its sensor faults; the same array where it has none."""
    own = [fault for fault in faults if fault.sensor == name]
    if not own:
        return values
    sensor = plant_sensor(name)
    out = values.copy()
    for fault in own:
        rows, severity = fault.rows, fault.severity
        length = rows.stop - rows.start
        generator = np.random.default_rng(fault.seed)
        clean = values[rows]
        if fault.family == "spike":
            out[rows] = clean + severity * sensor.step * generator.uniform(0.8, 1.2, length)
        elif fault.family == "bias":
            out[rows] = clean + severity * sensor.span
        elif fault.family == "drift":
            out[rows] = clean + severity * sensor.span * np.arange(1, length + 1) / length
        elif fault.family == "gain":
            out[rows] = clean * (1.0 + severity)
        elif fault.family == "noise":
            out[rows] = clean + severity * sensor.step * generator.standard_normal(length)
        elif fault.family == "stuck":
            out[rows] = clean[0]
    return out

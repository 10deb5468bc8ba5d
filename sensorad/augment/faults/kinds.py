"""The 14 kinds of synthetic faults: what each does, in which unit its severity counts, and usual severities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import unknown_name

__all__ = ["FAULTS", "FaultKind", "draw_severity", "fault_kind"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault and its knob.

    Attributes
    ----------
    name, summary
        As written in tables and on the command line; what it does to a sensor.
    unit_of_severity
        "sigma" (standard deviation of the sensor), "noise sigma" (of its noise), "range" (its 5-95 % range),
        "factor", "rows" or "share".
    low, high
        Range of the severities that random draws use, from hardly visible to plain.
    grows_with
        The end of the range that is the worse fault.
    in_engineering_units
        Whether the severity can also be given as an amount in the sensor's unit (`severity_of`).
    is_signed
        Whether the fault has a direction, which ``Fault.sign`` gives.
    forms
        Variants, the first of which is meant where none is named; empty for most kinds.
    least_rows, most_rows
        Shortest and longest stretch; 0 = as long as one likes.
    """

    name: str
    summary: str
    unit_of_severity: str
    low: float
    high: float
    grows_with: Literal["up", "down"] = "up"
    in_engineering_units: bool = False
    is_signed: bool = False
    forms: tuple[str, ...] = ()
    least_rows: int = 1
    most_rows: int = 0


_KINDS = (
    FaultKind(
        "bias",
        "reads too high or too low by a fixed amount",
        "sigma",
        0.5,
        4.0,
        in_engineering_units=True,
        is_signed=True,
    ),
    FaultKind(
        "drift",
        "moves away steadily, to an amount at the end",
        "sigma",
        1.0,
        6.0,
        in_engineering_units=True,
        is_signed=True,
        least_rows=2,
    ),
    FaultKind("gain", "departs from its centre too much or too little", "factor", 1.3, 3.0, is_signed=True),
    FaultKind(
        "spike",
        "jumps for one to three rows",
        "range",
        0.5,
        2.0,
        in_engineering_units=True,
        is_signed=True,
        most_rows=3,
    ),
    FaultKind("stuck", "repeats the value of one row", "rows", 4.0, 120.0, least_rows=2),
    FaultKind(
        "dropout",
        "is lost in some rows: at its minimum, at zero, or missing",
        "share",
        0.2,
        1.0,
        forms=("minimum", "zero", "missing"),
    ),
    FaultKind("noise", "has more noise than its own", "noise sigma", 1.0, 6.0, in_engineering_units=True),
    FaultKind(
        "intermittent",
        "has a bias, or falls to its minimum, in random bursts",
        "share",
        0.1,
        0.5,
        is_signed=True,
        forms=("bias", "dropout"),
        least_rows=2,
    ),
    FaultKind("lag", "tells what was true some rows ago", "rows", 2.0, 30.0),
    FaultKind(
        "correlation",
        "follows its own course of another time, or that of another sensor",
        "share",
        0.3,
        1.0,
        forms=("donor", "swap"),
    ),
    FaultKind(
        "frequency",
        "runs through its course too fast or too slowly",
        "factor",
        1.25,
        2.0,
        is_signed=True,
        least_rows=2,
    ),
    FaultKind(
        "saturation",
        "cannot go beyond a limit",
        "range",
        0.6,
        0.9,
        grows_with="down",
        in_engineering_units=True,
        is_signed=True,
    ),
    FaultKind("quantisation", "moves in coarse steps", "sigma", 0.3, 1.5, in_engineering_units=True),
    FaultKind("oscillation", "swings on top of its course", "sigma", 0.5, 3.0, in_engineering_units=True, least_rows=4),
)

FAULTS: Mapping[str, FaultKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""All kinds by name."""


def fault_kind(name: str) -> FaultKind:
    """The kind of that name; `UsageError` with the closest one where there is none.

    Examples
    --------
    >>> fault_kind("saturation").grows_with
    'down'
    """
    if name not in FAULTS:
        raise unknown_name("kind of fault", name, FAULTS)
    return FAULTS[name]


def draw_severity(low: ArrayLike, high: ArrayLike, uniform: ArrayLike) -> NDArray[np.float64]:
    """Severities in [low, high] from numbers in [0, 1], evenly in their logarithm.

    That puts half of the draws below the geometric mean of the ends. What a detector learns from a fault that anyone
    can see is little.

    Examples
    --------
    >>> draw_severity(1.0, 4.0, [0.0, 0.5, 1.0]).tolist()
    [1.0, 2.0, 4.0]
    """
    low = np.asarray(low, np.float64)
    return np.asarray(np.clip(low * (np.asarray(high) / low) ** np.asarray(uniform), low, high))

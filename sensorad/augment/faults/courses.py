"""What each kind of fault makes of a stretch of rows: the formulas of `inject`, one function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.bursts import burst_rows, burst_width, rows_hit
from sensorad.augment.faults.fault import Fault
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.errors import UsageError

__all__ = ["BURST_SIGMA", "SHORTEST_PERIOD", "Stretch", "faulty_course"]

Floats = NDArray[np.float64]

BURST_SIGMA = 3.0
"""Bias of an intermittent fault while it lasts: a loose contact is plain to see, but seldom."""

SHORTEST_PERIOD = 4.0
"""Rows of the fastest oscillation: with fewer, rows no longer show its shape."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A fault and the rows around it; ``rows`` (T, C) is the whole log, NaN where a cell is missing."""

    fault: Fault
    rows: NDArray[np.floating]
    statistics: SensorStatistics
    generator: np.random.Generator

    @property
    def length(self) -> int:
        return self.fault.length

    @property
    def size(self) -> float:
        """Severity with its sign."""
        return self.fault.sign * self.fault.severity

    def of(self, values: Floats) -> Floats:
        """(S,) the statistic of the fault's sensors."""
        return np.asarray(values[np.array(self.fault.sensors)])

    def course(self, start: int) -> Floats:
        """(L, S) the fault's sensors in as many rows as the fault has, from another row on."""
        return self.at(np.arange(start, start + self.length, dtype=np.int64))

    def at(self, rows: NDArray[np.int64]) -> Floats:
        """(L, S) the fault's sensors in these rows."""
        return np.asarray(self.rows[np.ix_(rows, np.array(self.fault.sensors))], np.float64)


def faulty_course(stretch: Stretch) -> Floats:
    """(L, S) what the fault's sensors read instead, NaN where they read nothing.

    Raises
    ------
    UsageError
        If the fault needs rows that the log does not have.
    """
    x = stretch.course(stretch.fault.start)
    with np.errstate(over="ignore", invalid="ignore"):
        return COURSES[stretch.fault.kind](stretch, x)


def _bias(s: Stretch, x: Floats) -> Floats:
    return x + s.size * s.of(s.statistics.sigma)


def _drift(s: Stretch, x: Floats) -> Floats:
    ramp = np.arange(1, s.length + 1)[:, None] / s.length  # the first row is off already, the last by the whole amount
    return x + s.size * s.of(s.statistics.sigma) * ramp


def _gain(s: Stretch, x: Floats) -> Floats:
    centre = s.of(s.statistics.centre)
    return centre + s.fault.factor * (x - centre)


def _spike(s: Stretch, x: Floats) -> Floats:
    return x + s.size * s.of(s.statistics.reach)


def _stuck(s: Stretch, x: Floats) -> Floats:
    is_known = np.isfinite(x)
    held = x[is_known.argmax(axis=0), np.arange(x.shape[1])]  # the first row that has a value
    is_frozen = np.arange(s.length)[:, None] < s.fault.rows_of_severity
    return np.where(is_frozen, held, x)


def _dropout(s: Stretch, x: Floats) -> Floats:
    lowest = {"minimum": s.of(s.statistics.minimum), "zero": np.zeros(1), "missing": np.full(1, np.nan)}
    return np.where(_hit(s, 1), lowest[s.fault.variant], x)


def _noise(s: Stretch, x: Floats) -> Floats:
    return x + s.fault.severity * s.of(s.statistics.residual_sigma) * s.generator.standard_normal(x.shape)


def _intermittent(s: Stretch, x: Floats) -> Floats:
    if s.fault.variant == "bias":
        other = x + s.fault.sign * BURST_SIGMA * s.of(s.statistics.sigma)
    else:
        other = np.broadcast_to(s.of(s.statistics.minimum), x.shape)
    return np.where(_hit(s, burst_width(s.length)), other, x)


def _hit(s: Stretch, width: int) -> NDArray[np.bool_]:
    n_hit = rows_hit(np.array([s.fault.severity]), np.array([s.length]))
    return burst_rows(np.ones((1, s.length), np.bool_), n_hit, width, s.generator).T  # (L, 1)


def _lag(s: Stretch, x: Floats) -> Floats:
    behind = s.fault.rows_of_severity
    if behind > s.fault.start:
        raise UsageError(
            f"a lag of {behind} rows needs as many rows before it, there are {s.fault.start}", hint="let it start later"
        )
    return s.course(s.fault.start - behind)


def _correlation(s: Stretch, x: Floats) -> Floats:
    centre, sigma = s.of(s.statistics.centre), s.of(s.statistics.sigma)
    if s.fault.variant == "swap":
        # Each in units of its own spread: two sensors of other units would be told apart by their numbers alone.
        own = np.where(sigma > 0, sigma, np.nan)
        other = centre + sigma * ((x - centre) / own)[:, ::-1]
    else:
        other = s.course(_donor_start(s))
    if s.fault.severity == 1:
        return other
    kept = np.sqrt(1.0 - s.fault.severity**2)  # leaves the spread as it was
    return np.asarray(centre + kept * (x - centre) + s.fault.severity * (other - centre))


def _donor_start(s: Stretch) -> int:
    """A stretch of the same length that has no row in common with the fault."""
    n_before = max(0, s.fault.start - s.length + 1)
    first_after = s.fault.start + s.length
    n_after = max(0, len(s.rows) - first_after - s.length + 1)
    if not n_before + n_after:
        raise UsageError(
            f"a donor of {s.length} rows needs as many rows before or after the fault", hint="choose a shorter fault"
        )
    place = int(s.generator.integers(n_before + n_after))
    return place if place < n_before else first_after + place - n_before


def _frequency(s: Stretch, x: Floats) -> Floats:
    last = len(s.rows) - 1
    place = s.fault.start + s.fault.factor * np.arange(s.length)
    place = last - np.abs(last - place % (2 * last)) if last else np.zeros(s.length)  # mirrored at the end of the log
    left = np.minimum(place.astype(np.int64), max(last - 1, 0))
    share = (place - left)[:, None]
    return s.at(left) * (1.0 - share) + s.at(np.minimum(left + 1, last)) * share


def _saturation(s: Stretch, x: Floats) -> Floats:
    floor, reach = s.of(s.statistics.floor), s.of(s.statistics.reach)
    if s.fault.sign > 0:
        return np.minimum(x, floor + s.fault.severity * reach)
    return np.maximum(x, floor + (1.0 - s.fault.severity) * reach)


def _quantisation(s: Stretch, x: Floats) -> Floats:
    step = s.fault.severity * s.of(s.statistics.sigma)
    return step * np.rint(x / np.where(step > 0, step, np.nan))


def _oscillation(s: Stretch, x: Floats) -> Floats:
    period = (
        s.fault.period or SHORTEST_PERIOD * (max(s.length, SHORTEST_PERIOD) / SHORTEST_PERIOD) ** s.generator.random()
    )
    angle = 2.0 * np.pi * (np.arange(s.length)[:, None] / period + s.generator.random())
    return x + s.fault.severity * s.of(s.statistics.sigma) * np.sin(angle)


COURSES: Mapping[str, Callable[[Stretch, Floats], Floats]] = {
    "bias": _bias,
    "drift": _drift,
    "gain": _gain,
    "spike": _spike,
    "stuck": _stuck,
    "dropout": _dropout,
    "noise": _noise,
    "intermittent": _intermittent,
    "lag": _lag,
    "correlation": _correlation,
    "frequency": _frequency,
    "saturation": _saturation,
    "quantisation": _quantisation,
    "oscillation": _oscillation,
}

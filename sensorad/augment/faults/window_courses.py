"""The formulas of `inject_windows`: each kind of fault for many (window, sensor) pairs at once.

The same as those of `courses`, which are written for one fault and are the ones to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.bursts import burst_rows, burst_width, rows_hit
from sensorad.augment.faults.courses import BURST_SIGMA, SHORTEST_PERIOD

__all__ = ["Pairs", "faulty_pairs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of window and sensor that have a fault; what is not said to be otherwise is (P, 1).

    Attributes
    ----------
    x, inside : (P, L)
        The course of the sensor in the window, and which rows have the fault.
    row, lender : (P,)
        Which window it is (pairs of one window share what is drawn), and which window lends its course.
    sensor : (P,)
    lenders : (M, L, C)
    """

    x: Floats
    row: Ints
    lender: Ints
    sensor: Ints
    severity: Floats
    sign: Ints
    form: Ints
    start: Ints
    stop: Ints
    inside: NDArray[np.bool_]
    centre: Floats
    sigma: Floats
    residual_sigma: Floats
    minimum: Floats
    floor: Floats
    reach: Floats
    lenders: NDArray[np.float32]
    generator: np.random.Generator

    def part(self, first: int, last: int) -> Pairs:
        """Some of the pairs."""
        changed = {name: getattr(self, name)[first:last] for name in PER_PAIR}
        return replace(self, **changed)

    @property
    def size(self) -> Floats:
        return self.sign * self.severity

    @property
    def time(self) -> Ints:
        """(P, L) rows since the start, negative before it."""
        return np.arange(self.x.shape[1]) - self.start

    @property
    def factor(self) -> Floats:
        return np.asarray(np.where(self.sign > 0, self.severity, 1.0 / self.severity))

    def by_window(self) -> tuple[Ints, Ints]:
        """First pair of each window, and for each pair which of these windows is its own."""
        _, first, own = np.unique(self.row, return_index=True, return_inverse=True)
        return first, own


PER_PAIR = tuple(field.name for field in fields(Pairs) if field.name not in ("lenders", "generator"))


def faulty_pairs(kind: str, pairs: Pairs) -> Floats:
    """(P, L) what the sensors read instead; only the rows inside the stretch are meant."""
    return COURSES[kind](pairs)


def _bias(p: Pairs) -> Floats:
    return p.x + p.size * p.sigma


def _drift(p: Pairs) -> Floats:
    return p.x + p.size * p.sigma * ((p.time + 1) / (p.stop - p.start))


def _gain(p: Pairs) -> Floats:
    return p.centre + p.factor * (p.x - p.centre)


def _spike(p: Pairs) -> Floats:
    return p.x + p.size * p.reach


def _stuck(p: Pairs) -> Floats:
    return np.broadcast_to(np.take_along_axis(p.x, p.start, axis=1), p.x.shape)


def _dropout(p: Pairs) -> Floats:
    return np.where(_hit(p, 1), np.where(p.form == 0, p.minimum, 0.0), p.x)


def _noise(p: Pairs) -> Floats:
    return p.x + p.severity * p.residual_sigma * p.generator.standard_normal(p.x.shape)


def _intermittent(p: Pairs) -> Floats:
    other = np.where(p.form == 0, p.x + p.sign * BURST_SIGMA * p.sigma, p.minimum)
    return np.where(_hit(p, burst_width(p.x.shape[1])), other, p.x)


def _hit(p: Pairs, width: int) -> NDArray[np.bool_]:
    first, own = p.by_window()
    n_hit = rows_hit(p.severity[first, 0], (p.stop - p.start)[first, 0])
    return np.asarray(burst_rows(p.inside[first], n_hit, width, p.generator)[own])


def _lag(p: Pairs) -> Floats:
    behind = np.rint(p.severity).astype(np.int64)
    return np.take_along_axis(p.x, np.maximum(np.arange(p.x.shape[1]) - behind, 0), axis=1)


def _correlation(p: Pairs) -> Floats:
    other = p.lenders[p.lender, :, p.sensor].astype(np.float64)
    swapped = np.flatnonzero(p.form[:, 0] == 1)  # two pairs of one window follow each other
    deviation = (p.x[swapped] - p.centre[swapped]) / p.sigma[swapped]
    turned = np.arange(len(swapped)) ^ 1
    other[swapped] = p.centre[swapped] + p.sigma[swapped] * deviation[turned]
    kept = np.sqrt(1.0 - p.severity**2)
    mixed = p.centre + kept * (p.x - p.centre) + p.severity * (other - p.centre)
    return np.asarray(np.where(p.severity == 1, other, mixed))


def _frequency(p: Pairs) -> Floats:
    last = p.x.shape[1] - 1
    place = p.start + p.factor * np.maximum(p.time, 0)
    place = last - np.abs(last - place % (2 * last))
    left = np.minimum(place.astype(np.int64), last - 1)
    share = place - left
    before, after = np.take_along_axis(p.x, left, axis=1), np.take_along_axis(p.x, left + 1, axis=1)
    return np.asarray(before * (1.0 - share) + after * share)


def _saturation(p: Pairs) -> Floats:
    upper = np.minimum(p.x, p.floor + p.severity * p.reach)
    lower = np.maximum(p.x, p.floor + (1.0 - p.severity) * p.reach)
    return np.asarray(np.where(p.sign > 0, upper, lower))


def _quantisation(p: Pairs) -> Floats:
    step = p.severity * p.sigma
    return np.asarray(step * np.rint(p.x / step))


def _oscillation(p: Pairs) -> Floats:
    first, own = p.by_window()
    u, phase = p.generator.random((2, len(first), 1))[:, own]
    longest = np.maximum(p.stop - p.start, SHORTEST_PERIOD)
    period = SHORTEST_PERIOD * (longest / SHORTEST_PERIOD) ** u
    return np.asarray(p.x + p.severity * p.sigma * np.sin(2.0 * np.pi * (p.time / period + phase)))


COURSES: Mapping[str, Callable[[Pairs], Floats]] = {
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

"""Random faults for a batch of windows, one in each, as arrays: which kind, sensors, rows, severity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.kinds import FaultKind, draw_severity
from sensorad.augment.faults.statistics import SensorStatistics

__all__ = ["LEAST_WINDOW", "KindTable", "WindowPlan", "draw_plan"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_WINDOW = 8
"""Rows of the shortest window that every kind of fault fits into."""

LAG_SHARE = 4
"""A lag is at most this part of a window, so that most of the window can show it."""

TO_THE_END = 0.5
"""Chance of a fault that is still going on in the newest row, as each one is when it is to be found."""

MOVING = ("stuck", "lag", "correlation", "frequency")
"""Kinds that show only at sensors that move within the window."""


@dataclass(frozen=True, slots=True, eq=False)
class KindTable:
    """The kinds in question as columns (K,), with severities that fit windows of ``length`` rows."""

    kinds: tuple[FaultKind, ...]
    length: int

    def low(self) -> Floats:
        return np.array([kind.low for kind in self.kinds])

    def high(self) -> Floats:
        caps = {"stuck": self.length, "lag": max(2, self.length // LAG_SHARE)}
        return np.array([min(kind.high, caps.get(kind.name, np.inf)) for kind in self.kinds])

    def named(self, *names: str) -> Bools:
        return np.array([kind.name in names for kind in self.kinds])

    def in_unit(self, unit: str) -> Bools:
        return np.array([kind.unit_of_severity == unit for kind in self.kinds])

    def least(self) -> Ints:
        return np.array([kind.least_rows for kind in self.kinds])

    def most(self) -> Ints:
        return np.array([kind.most_rows or self.length for kind in self.kinds])

    def signed(self) -> Bools:
        return np.array([kind.is_signed for kind in self.kinds])


@dataclass(slots=True, eq=False)
class WindowPlan:
    """One fault for each of N windows, ordered by kind; P = pairs of window and sensor, in the same order.

    Attributes
    ----------
    kind : (N,)
        Position in the kinds.
    severity, start, stop, sign : (N,)
    form : (N,)
        Position in the kind's forms.
    partner : (N,)
        Window that lends its course.
    pair, sensor : (P,)
        Row of this plan, and sensor.
    """

    kind: Ints
    severity: Floats
    start: Ints
    stop: Ints
    sign: Ints
    form: Ints
    partner: Ints
    pair: Ints
    sensor: Ints


def draw_plan(
    kind: Ints,
    table: KindTable,
    highest: NDArray[np.floating],
    lowest: NDArray[np.floating],
    own: Ints,
    n_donors: int,
    is_own_batch: bool,
    most_sensors: int,
    statistics: SensorStatistics,
    generator: np.random.Generator,
) -> WindowPlan:
    """Draw everything but the kinds (N,), which are given in ascending order.

    Parameters
    ----------
    highest, lowest : (N, C)
        Extremes of each window.
    own : (N,)
        Position of each window in its batch.
    n_donors, is_own_batch
        Windows that can lend a course, and whether they are those of the batch itself.
    """
    u = generator.random((8, len(kind)))
    severity = draw_severity(table.low()[kind], table.high()[kind], u[0])
    severity = np.where(table.in_unit("rows")[kind], np.rint(severity), severity)
    sign = np.where((u[1] < 0.5) | ~table.signed()[kind], 1, -1)
    start, stop = _rows(kind, severity, table, u[2:5])
    form = _forms(kind, table, u[5], can_lend=n_donors - is_own_batch > 0)
    partner = (u[6] * max(n_donors - is_own_batch, 1)).astype(np.int64)
    partner += is_own_batch & (partner >= own)  # any but itself
    is_swap = table.named("correlation")[kind] & (form == 1)
    n_sensors = np.where(is_swap, 2, np.exp(u[7] * np.log(most_sensors + 1)).astype(np.int64))
    can = _can_have(kind, severity, sign, table, highest, lowest, statistics)
    chosen = _chosen(can, n_sensors, generator)
    chosen[is_swap & (chosen.sum(axis=1) != 2)] = False
    pair, sensor = np.nonzero(chosen)
    return WindowPlan(kind, severity, start, stop, sign, form, np.minimum(partner, max(n_donors - 1, 0)), pair, sensor)


def _rows(kind: Ints, severity: Floats, table: KindTable, u: Floats) -> tuple[Ints, Ints]:
    """First row and the row after the last: up to the newest row half of the time, else anywhere."""
    first = np.where(table.named("lag")[kind], severity.astype(np.int64), 0)
    least = table.least()[kind]
    most = np.minimum(table.most()[kind], table.length - first)
    n_rows = least + (u[0] * (most - least + 1)).astype(np.int64)
    n_rows = np.where(table.named("stuck")[kind], severity.astype(np.int64), n_rows)
    latest = table.length - n_rows
    anywhere = first + (u[1] * (latest - first + 1)).astype(np.int64)
    start = np.where(u[2] < TO_THE_END, latest, anywhere)
    return start, start + n_rows


def _forms(kind: Ints, table: KindTable, u: Floats, *, can_lend: bool) -> Ints:
    """One of the first two forms: a window has no place for a missing cell. Without donors a swap."""
    n_forms = np.array([min(len(one.forms), 2) for one in table.kinds])[kind]
    form = (u * np.maximum(n_forms, 1)).astype(np.int64)
    return form if can_lend else np.where(table.named("correlation")[kind], 1, form)


def _can_have(
    kind: Ints,
    severity: Floats,
    sign: Ints,
    table: KindTable,
    highest: NDArray[np.floating],
    lowest: NDArray[np.floating],
    s: SensorStatistics,
) -> Bools:
    """(N, C) sensors at which the fault could show."""
    can = np.broadcast_to(s.sigma > 0, highest.shape).copy()
    can[table.named(*MOVING)[kind]] &= (highest > lowest)[table.named(*MOVING)[kind]]
    can[table.named("noise")[kind]] &= s.residual_sigma > 0
    rows = np.flatnonzero(table.named("saturation")[kind])
    share, side = severity[rows, None] * s.reach, sign[rows, None] > 0
    can[rows] &= np.where(side, highest[rows] > s.floor + share, lowest[rows] < s.floor + s.reach - share)
    return can


def _chosen(can: Bools, n_sensors: Ints, generator: np.random.Generator) -> Bools:
    """(N, C) as many sensors as asked for, or all that can."""
    lot = generator.random(can.shape)
    lot[~can] = 2.0
    last = np.take_along_axis(np.sort(lot, axis=1), np.minimum(n_sensors, can.shape[1])[:, None] - 1, axis=1)
    return (lot <= last) & can

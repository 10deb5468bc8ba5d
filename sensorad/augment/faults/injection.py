"""`inject`: faults into rows, with the exact cells that they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults.courses import Stretch, faulty_course
from sensorad.augment.faults.fault import Fault
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.errors import UsageError

__all__ = ["Injected", "apply_fault", "checked_rows", "finished", "inject"]

Rows = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Injected:
    """Rows with faults, and where.

    Attributes
    ----------
    rows : (T, C)
        A copy, of the same type; NaN where ``missing``.
    mask : (T, C) bool
        The cells that differ from what they were, and no others.
    missing : (T, C) bool
        Cells that lost their value (a dropout of the form "missing"); all of them are in ``mask``.
    """

    rows: Rows
    mask: NDArray[np.bool_]
    missing: NDArray[np.bool_]


def inject(
    rows: Rows,
    faults: Sequence[Fault],
    statistics: SensorStatistics,
    generator: np.random.Generator,
    *,
    resolution: NDArray[np.float64] | None = None,
    names: Sequence[str] | None = None,
) -> Injected:
    """Faults into rows, one after the other; a cell is marked exactly where its value changed.

    Cells without a finite value stay as they are: a fault neither fills nor moves a gap.

    Parameters
    ----------
    rows : (T, C)
        In order of time, with a row for each step; NaN where a cell is missing.
    statistics
        Of normal rows, in the unit of ``rows``.
    resolution : (C,), optional
        What is injected is rounded to multiples of it; 0 = not rounded.
    names : optional
        Of the sensors, for messages.

    Raises
    ------
    UsageError
        If a fault leaves the log, or would change no cell of one of its sensors, by name.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(50.0, 2.0, size=(100, 3))
    >>> statistics = SensorStatistics.fit(rows)
    >>> injected = inject(rows, [Fault("bias", (1,), 40, 10, severity=2.0)], statistics, np.random.default_rng(1))
    >>> injected.mask.sum(axis=0).tolist(), (injected.rows - rows)[40].round().tolist()
    ([0, 10, 0], [0.0, 4.0, 0.0])
    """
    rows = checked_rows(rows, statistics)
    out = rows.copy()
    for fault in faults:
        unchanged = apply_fault(out, fault, statistics, generator, resolution, names)
        if unchanged:
            who = unchanged[0] if names is None else names[unchanged[0]]
            raise UsageError(
                f"the fault changes nothing at sensor {who}",
                where=fault.describe(names),
                hint=_why(fault, statistics, unchanged[0]),
            )
    return finished(rows, out)


def checked_rows(rows: Rows, statistics: SensorStatistics) -> Rows:
    """Rows (T, C) of floats, of as many sensors as the statistics have."""
    rows = np.asarray(rows)
    if not np.issubdtype(rows.dtype, np.floating):
        rows = rows.astype(np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(statistics):
        raise UsageError(f"expected rows (T, {len(statistics)}) as in the statistics, got shape {rows.shape}")
    return rows


def apply_fault(
    out: Rows,
    fault: Fault,
    statistics: SensorStatistics,
    generator: np.random.Generator,
    resolution: NDArray[np.float64] | None,
    names: Sequence[str] | None,
) -> tuple[int, ...]:
    """Write the fault into ``out``, or, where it leaves sensors unchanged, nothing; returns those sensors."""
    if fault.start + fault.length > len(out):
        raise UsageError(f"the fault ends after the last of {len(out):,} rows", where=fault.describe(names))
    if max(fault.sensors) >= out.shape[1]:
        raise UsageError(f"there are {out.shape[1]} sensors", where=fault.describe(names))
    try:
        wide = faulty_course(Stretch(fault, out, statistics, generator))  # (L, S)
    except UsageError as error:
        raise UsageError(error.what, where=fault.describe(names), hint=error.hint) from error
    if resolution is not None:
        step = resolution[list(fault.sensors)]
        wide = np.where(step > 0, np.rint(wide / np.where(step > 0, step, 1.0)) * step, wide)
    place = np.ix_(range(fault.start, fault.start + fault.length), fault.sensors)
    before = out[place]
    with np.errstate(over="ignore", under="ignore"):
        after = wide.astype(out.dtype)
    is_told = np.isfinite(after)
    if fault.variant == "missing":
        is_told |= np.isnan(after)
    changes = np.isfinite(before) & is_told & (before != after)
    unchanged = tuple(sensor for sensor, any_ in zip(fault.sensors, changes.any(axis=0), strict=True) if not any_)
    if not unchanged:
        out[place] = np.where(changes, after, before)
    return unchanged


def finished(rows: Rows, out: Rows) -> Injected:
    """The result: what differs now from the rows as they came."""
    mask = np.isfinite(rows) & (rows != out)
    return Injected(out, mask, mask & np.isnan(out))


def _why(fault: Fault, statistics: SensorStatistics, sensor: int) -> str:
    if statistics.sigma[sensor] == 0:
        return "it never moves in the rows of the statistics: choose another sensor, or other statistics"
    if fault.kind == "saturation":
        return "it stays within the limit there: choose another time or a tighter limit"
    if fault.kind in ("stuck", "lag", "frequency", "correlation"):
        return "it does not move there, or has no values: choose another time"
    return (
        "its values are missing there, or the fault is too small for their resolution: choose another time or severity"
    )

"""The rows of a benchmark log as plain arrays, cut where time or machine breaks off: what the baselines work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.data import Timing

from ..series import BenchmarkSeries

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Stretch", "ZScore", "row_groups", "row_times_ns", "stretches_of"]

SOFT_FROM = 5.0
"""|z| beyond which values grow by their logarithm only: one wild sensor must not drown the others."""

FLOOR = 0.05
"""Least scale of a sensor, as a share of the median one: a sensor that hardly moved in training proves little."""

CONSTANT_SCALE = 0.3
"""Scale of a sensor that never moved in training, as a share of the median one."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one machine without a gap.

    Attributes
    ----------
    rows : (t,) int64
        Positions in the table.
    values : (t, C) float64
        Sensor values; NaN where missing.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ZScore:
    """z-scores of training statistics: floored scale, missing cells at the mean, logarithmic beyond |z| = 5.

    Examples
    --------
    >>> scaler = ZScore.fit([Stretch(np.arange(4), np.array([[0.0], [2.0], [0.0], [2.0]]))])
    >>> scaler.transform(np.array([[3.0], [np.nan]])).tolist()
    [[2.0], [0.0]]
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, stretches: list[Stretch]) -> ZScore:
        values = np.concatenate([stretch.values for stretch in stretches])  # (T, C)
        present = np.isfinite(values)
        n_present = np.maximum(present.sum(axis=0), 1)
        mean = np.where(present, values, 0.0).sum(axis=0) / n_present
        squares = np.where(present, values - mean, 0.0) ** 2
        deviation = np.sqrt(squares.sum(axis=0) / n_present)  # (C,)
        is_moving = deviation > 1e-12 * np.maximum(np.abs(mean), 1.0)
        usual = float(np.median(deviation[is_moving])) if is_moving.any() else 1.0
        return cls(mean, np.where(is_moving, np.maximum(deviation, FLOOR * usual), CONSTANT_SCALE * usual))

    def transform(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(t, C) -> (t, C)."""
        z = (values - self.mean) / self.scale
        z[~np.isfinite(z)] = 0.0
        size = np.abs(z)
        beyond = SOFT_FROM + SOFT_FROM * np.log1p(np.maximum(size - SOFT_FROM, 0.0) / SOFT_FROM)
        return np.where(size <= SOFT_FROM, z, np.sign(z) * beyond)


def row_times_ns(table: pa.Table, series: BenchmarkSeries) -> NDArray[np.int64]:
    """Time of each row (T,), nanoseconds since 1970."""
    import pyarrow as pa

    times = table[series.time_column].cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    return np.asarray(times.to_numpy(), np.int64)


def row_groups(table: pa.Table, series: BenchmarkSeries) -> NDArray[np.str_]:
    """Machine of each row (T,); "" in a log of one machine."""
    if series.group_column is None:
        return np.full(table.num_rows, "")
    return np.array(table[series.group_column].to_pylist())


def stretches_of(table: pa.Table, series: BenchmarkSeries) -> list[Stretch]:
    """The rows of ``table`` by machine, cut at gaps by the rule that the detectors use."""
    values = np.column_stack([table[name].to_numpy() for name in series.sensors]).astype(np.float64)  # (T, C)
    times, groups = row_times_ns(table, series), row_groups(table, series)
    timing = Timing(series.step_seconds, series.step_seconds)
    stretches = []
    for name in dict.fromkeys(groups.tolist()):
        rows = np.flatnonzero(groups == name)
        cuts = np.flatnonzero(timing.segment_starts(times[rows]))
        stretches += [Stretch(part, values[part]) for part in np.split(rows, cuts) if len(part)]
    return stretches

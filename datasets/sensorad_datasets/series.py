"""One benchmark series as every detector and metric sees it, whatever set it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EPOCH_NS", "BenchmarkSeries", "Cause", "log_table", "row_times"]

EPOCH_NS = 1_577_836_800_000_000_000
"""2020-01-01T00:00:00Z, where series without a clock begin."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Sensors that the publishers hold responsible for the test rows ``start`` to ``end`` (exclusive, from 0)."""

    start: int
    end: int
    sensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BenchmarkSeries:
    """One series of a benchmark set, split as its protocol says.

    Attributes
    ----------
    set_name, series
        Where it comes from.
    train, test
        Logs: the time column, the sensors (float32) and the group column, if any; no labels.
    labels : (T,) bool
        True on anomalous rows of ``test``.
    sensors
        The sensor columns.
    step_seconds
        Nominal time between rows.
    time_column
        A UTC time stamp; the set's own where it has one, else "time" from 2020-01-01 on, ``test`` right after
        ``train``. Stretches that do not touch in truth lie apart in time, so that no window spans them.
    score_from
        First row of ``test`` that counts; the rows before it are context.
    causes
        Blamed sensors, where published.
    group_column
        Column that names separate machines or stretches, where there are several.
    ignored : (T,) bool, optional
        Rows of ``test`` without a verdict, neither normal nor anomalous; None where every row has one.
    notes
        Choices made and traps to know.
    """

    set_name: str
    series: str
    train: pa.Table
    test: pa.Table
    labels: NDArray[np.bool_]
    sensors: tuple[str, ...]
    step_seconds: float
    time_column: str = "time"
    score_from: int = 0
    causes: tuple[Cause, ...] = ()
    group_column: str | None = None
    ignored: NDArray[np.bool_] | None = None
    notes: str = ""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Rows of ``test`` that a metric may use, (T,): from ``score_from`` on and not ignored."""
        rows = np.arange(len(self.labels)) >= self.score_from
        return rows if self.ignored is None else rows & ~self.ignored


def row_times(
    n_rows: int, step_seconds: float, *, start_row: int = 0, offset_seconds: float = 0.0
) -> NDArray[np.int64]:
    """Nanoseconds since 1970 (T,) of rows on an even grid that began in 2020, ``offset_seconds`` later."""
    rows = np.arange(start_row, start_row + n_rows)
    return EPOCH_NS + np.round(rows * (step_seconds * 1e9)).astype(np.int64) + round(offset_seconds * 1e9)


def log_table(
    table: pa.Table,
    sensors: Sequence[str],
    times_ns: NDArray[np.int64],
    *,
    time_column: str = "time",
    groups: tuple[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
) -> pa.Table:
    """A log of ``table``'s rows: UTC times, the chosen sensors as float32 with their units, groups last.

    Times are stored in microseconds where that is exact, else in nanoseconds.
    """
    import pyarrow as pa

    missing = [name for name in sensors if name not in table.column_names]
    if missing:
        raise DataError(f"column {missing[0]!r} is missing", hint=f"the file has {', '.join(table.column_names)}")
    exact = bool((times_ns % 1000 == 0).all())
    time_type = pa.timestamp("us" if exact else "ns", "UTC")
    fields = [pa.field(time_column, time_type)]
    arrays = [pa.array(times_ns // 1000 if exact else times_ns).cast(time_type)]
    for name in sensors:
        metadata = {"unit": units[name]} if units and name in units else None
        fields.append(pa.field(name, pa.float32(), metadata=metadata))
        arrays.append(table[name].combine_chunks().cast(pa.float32()))
    if groups is not None:
        fields.append(pa.field(groups[0], pa.string()))
        arrays.append(pa.array(list(groups[1]), pa.string()))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

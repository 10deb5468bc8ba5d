"""The columns of a score table: `ScoreBlock` to Arrow and back, without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError, SchemaError
from sensorad.logs.arrays import first_null, numpy_of
from sensorad.logs.failures import Place
from sensorad.logs.names import NameTable
from sensorad.types import REASONS, STATUSES, TOP_SENSORS, ScoreBlock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ScoreColumns", "StampUnit", "finest_unit", "stamps_of", "time_in", "unit_of"]

StampUnit = Literal["us", "ns"]

LISTS = ("top_shares", "top_expected", "top_actual")
BLAME = ("top_sensors", *LISTS, "row_surprise")


def finest_unit(time: NDArray[np.int64]) -> StampUnit:
    """Microseconds, unless a time (in ns) needs nanoseconds."""
    return "ns" if (time % 1_000).any() else "us"


def time_in(time: NDArray[np.int64], unit: StampUnit) -> pa.Array:
    """Nanoseconds as UTC time stamps of the given unit.

    Raises
    ------
    DataError
        If the unit cannot hold a time exactly.
    """
    import pyarrow as pa

    if unit == "us" and (time % 1_000).any():
        row = int(np.flatnonzero(time % 1_000)[0])
        raise DataError(
            f"time {np.datetime64(int(time[row]), 'ns')}Z needs nanoseconds", hint="write with time_unit='ns'"
        )
    return pa.array(time if unit == "ns" else time // 1_000, pa.int64()).cast(pa.timestamp(unit, "UTC"))


def unit_of(schema: pa.Schema, name: str) -> StampUnit:
    """Resolution of a time column; microseconds if there is no such column, for the schema check to find."""
    is_fine = name in schema.names and getattr(schema.field(name).type, "unit", "us") == "ns"
    return "ns" if is_fine else "us"


def stamps_of(array: pa.Array) -> NDArray[np.int64]:
    """The inverse of `time_in`."""
    import pyarrow as pa

    ticks = numpy_of(array.cast(pa.int64()))
    return np.asarray(ticks * (1 if array.type.unit == "ns" else 1_000))


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """Layout of one score table.

    Attributes
    ----------
    sensor_names : tuple of str
    time : str
        Name of the time column, taken from the log.
    group : str, optional
        Name of the group column, where the log has one.
    line : AlarmLine, optional
        The alarm line; severity and alarm are null without it.
    time_unit : {"us", "ns"}
    mode : str, optional
        Name of the column of operating modes, where the log has one.

    Raises
    ------
    SchemaError
        If the time, group or mode column has the name of a score column.
    """

    sensor_names: tuple[str, ...]
    time: str
    group: str | None
    line: AlarmLine | None
    time_unit: StampUnit = "us"
    mode: str | None = None

    def __post_init__(self) -> None:
        names = self.schema.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SchemaError(f"column {twice!r} of the log has the name of a score column", hint="rename it")

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in the order of the columns."""
        import pyarrow as pa

        floats = pa.list_(pa.float32())
        columns = {self.time: pa.timestamp(self.time_unit, "UTC")}
        pairs = [*columns.items(), *((name, pa.string()) for name in (self.group, self.mode) if name is not None)]
        pairs += [
            ("score", pa.float64()),
            ("severity", pa.float64()),
            ("alarm", pa.bool_()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("top_sensors", pa.list_(pa.string())),
            ("top_shares", floats),
            ("top_expected", floats),
            ("top_actual", floats),
            ("row_surprise", pa.float32()),
        ]
        return pa.schema(pairs)

    def stored_names(self, with_blame: bool) -> list[str]:
        """Columns to read for a block: severity and alarm follow from the score."""
        left_out = {"severity", "alarm", *(() if with_blame else BLAME)}
        return [name for name in self.schema.names if name not in left_out]

    def batch(self, block: ScoreBlock) -> pa.RecordBatch:
        """The block as Arrow columns; NaN becomes null."""
        import pyarrow as pa

        has_score = ~np.isnan(block.score)
        severity = np.full(len(block), np.nan)
        if self.line is None:
            alarm = pa.nulls(len(block), pa.bool_())
        else:
            level = self.line.comparable(block.score, block.mode, block.mode_names)
            severity = level / self.line.threshold
            alarm = pa.array(level > self.line.threshold, mask=~has_score)
        named = _Named.of(block.top_sensors)
        columns = [time_in(block.time, self.time_unit)]
        if self.group is not None:
            columns.append(_words(block.group_names, block.group))
        if self.mode is not None:
            columns.append(
                pa.nulls(len(block), pa.string()) if block.mode is None else _words(block.mode_names, block.mode)
            )
        columns += [
            _nullable(block.score),
            _nullable(severity),
            alarm,
            _words(STATUSES, block.status),
            _words(REASONS, block.reason),
            pa.ListArray.from_arrays(named.offsets, _words(self.sensor_names, named.cells(block.top_sensors))),
            pa.ListArray.from_arrays(named.offsets, pa.array(named.cells(block.top_shares))),
            pa.ListArray.from_arrays(named.offsets, _nullable(named.cells(block.top_expected))),
            pa.ListArray.from_arrays(named.offsets, _nullable(named.cells(block.top_actual))),
            _nullable(block.row_surprise),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def block(self, batch: pa.RecordBatch, groups: NameTable, modes: NameTable, place: Place) -> ScoreBlock:
        """The inverse of `batch`; ``index`` counts from the first row of ``place``."""
        n_rows = len(batch)
        blame = self._blame(batch, place) if "top_sensors" in batch.schema.names else _nobody(n_rows)
        group = np.zeros(n_rows, np.int32)
        if self.group is not None:
            group = groups.encode(batch.column(self.group), self.group, place, "")
        mode = None
        if self.mode is not None:
            mode = modes.encode(batch.column(self.mode), self.mode, place, "")
        return ScoreBlock(
            index=np.arange(place.first_row, place.first_row + n_rows),
            time=stamps_of(batch.column(self.time)),
            group=group,
            group_names=("",) if self.group is None else groups.names,
            score=_floats(batch.column("score")),
            row_surprise=_row_surprise(batch),
            status=_positions(batch.column("status"), STATUSES, "status", place).astype(np.uint8),
            reason=_positions(batch.column("reason"), REASONS, "reason", place).astype(np.uint8),
            top_sensors=blame["top_sensors"],
            top_shares=blame["top_shares"],
            top_expected=blame["top_expected"],
            top_actual=blame["top_actual"],
            mode=mode,
            mode_names=() if mode is None else modes.names,
        )

    def _blame(self, batch: pa.RecordBatch, place: Place) -> dict[str, NDArray[Any]]:
        """Blamed sensors and their values, (T, K) each."""
        import pyarrow.compute as pc

        n_rows = len(batch)
        names = batch.column("top_sensors")
        lengths = numpy_of(pc.list_value_length(names).fill_null(0)).astype(np.int64)
        for name in LISTS:
            other = numpy_of(pc.list_value_length(batch.column(name)).fill_null(0))
            if (other != lengths).any():
                raise DataError(f"{name} and top_sensors differ in length", where=place.at(name))
        row = np.repeat(np.arange(n_rows), lengths)
        cell = (row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths))
        blame = _nobody(n_rows, max(TOP_SENSORS, int(lengths.max(initial=0))))
        for name in LISTS:
            blame[name][cell] = _floats(batch.column(name).flatten())
        blame["top_sensors"][cell] = _positions(names.flatten(), self.sensor_names, "top_sensors", place)
        return blame


@dataclass(frozen=True, slots=True)
class _Named:
    """Which cells of (T, K) name a sensor, and where the list of each row starts among them.

    Attributes
    ----------
    offsets : (T + 1,) int32
    chosen : (T, K) bool, optional
        None = every cell.
    """

    offsets: NDArray[np.int32]
    chosen: NDArray[np.bool_] | None

    @classmethod
    def of(cls, sensors: NDArray[np.int16]) -> _Named:
        """Of ``top_sensors``, -1 where no sensor is named."""
        n_rows, n_top = sensors.shape
        if n_rows == 0 or sensors.min(initial=0) >= 0:
            return cls(np.arange(0, (n_rows + 1) * n_top, max(n_top, 1), dtype=np.int32)[: n_rows + 1], None)
        chosen = sensors >= 0
        offsets = np.zeros(n_rows + 1, np.int32)
        np.cumsum(chosen.sum(axis=1), out=offsets[1:])
        return cls(offsets, chosen)

    def cells(self, values: NDArray[Any]) -> NDArray[Any]:
        """Those of (T, K), row by row."""
        return values.reshape(-1) if self.chosen is None else values[self.chosen]


def _nobody(n_rows: int, n_top: int = TOP_SENSORS) -> dict[str, NDArray[Any]]:
    """Rows that blame no sensor, (T, K) each."""
    blame: dict[str, NDArray[Any]] = {"top_sensors": np.full((n_rows, n_top), -1, np.int16)}
    for name, default in zip(LISTS, (0.0, np.nan, np.nan), strict=True):
        blame[name] = np.full((n_rows, n_top), default, np.float32)
    return blame


def _row_surprise(batch: pa.RecordBatch) -> NDArray[np.float32]:
    if "row_surprise" not in batch.schema.names:
        return np.full(len(batch), np.nan, np.float32)
    return _floats(batch.column("row_surprise"))


def _words(names: Sequence[str], positions: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(names), pa.string()).take(pa.array(positions))


def _nullable(values: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    is_missing = np.isnan(values)
    return pa.array(values, mask=is_missing) if is_missing.any() else pa.array(values)


def _floats(array: pa.Array) -> NDArray[Any]:
    out = numpy_of(array.fill_null(float("nan")))
    return np.array(out)  # a copy: Arrow memory is read-only


def _positions(words: pa.Array, names: Sequence[str], column: str, place: Place) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(words, value_set=pa.array(list(names), pa.string()))
    row = first_null(found)
    if row is not None:
        word = words[row].as_py()
        raise DataError(f"unknown {column} {word!r}", where=place.at(column), hint="was the file edited?")
    return numpy_of(found).astype(np.int64)

"""One log file as the table that it is: single cells replaced, everything else written as it was read.

A `SensorLog` reads numbers out of a log and forgets the rest. Here the rest stays: other columns, types, metadata, and
in CSV the text of each cell. The table is held in memory.
"""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LogTable"]

ROWS = 16_384
DELIMITERS = ",;\t"
PARQUET_ENDINGS = (".parquet", ".pq")
DIGITS = 12
"""Significant digits of a number written as text: more than any sensor has, fewer than float64 invents."""


class LogTable:
    """A Parquet or CSV log whose cells can be replaced.

    Raises
    ------
    DataError, StorageError
        If the file cannot be read, as `SensorLog` says it.
    """

    def __init__(self, path: str, rename: dict[str, str]) -> None:
        from sensorad.logs.paths import open_file

        part = open_file(Path(path), rename)
        self.path = Path(path)
        self.is_parquet = _is_parquet_name(path)
        self._stored = part.stored_names
        self._table = _parquet_table(self.path) if self.is_parquet else _text_table(part)

    @property
    def n_rows(self) -> int:
        return int(self._table.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self._table.column_names

    def check_target(self, target: str) -> None:
        """Refuse a file name that promises the other kind of file."""
        if _is_parquet_name(target) != self.is_parquet:
            kind, ending = ("Parquet", ".parquet") if self.is_parquet else ("CSV", ".csv")
            raise UsageError(f"-o {target} is no name for a {kind} file, as the log is", hint=f"end it with {ending}")

    def numbers(self, sensor: str) -> NDArray[np.float64]:
        """(T,) a sensor column as float64, NaN where a cell holds no number."""
        return _numbers(self._column(sensor))

    def resolution(self, sensor: str) -> float:
        """The step of the numbers that the column can hold; 0 for floating point and text."""
        import pyarrow as pa

        kind = self._value_type(sensor)
        if pa.types.is_decimal(kind):
            return float(10.0**-kind.scale)
        return 1.0 if pa.types.is_integer(kind) or pa.types.is_boolean(kind) else 0.0

    def is_flag(self, sensor: str) -> bool:
        """Whether the column holds true and false."""
        import pyarrow as pa

        return bool(pa.types.is_boolean(self._value_type(sensor)))

    def replace(self, sensor: str, values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Set cells of a sensor; returns (T,) what the column holds now.

        Parameters
        ----------
        values : (T,)
            NaN = a missing value. Numbers are rounded to what the type of the column can hold.
        where : (T,) bool
            The cells to set.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(sensor)
        kind = self._value_type(sensor)
        is_dictionary = pa.types.is_dictionary(column.type)
        plain = column.cast(kind) if is_dictionary else column
        missing = "" if not self.is_parquet else None
        cells = _cells(values[where], kind, missing)
        plain = pc.replace_with_mask(plain.combine_chunks(), pa.array(where), cells)
        self._set(self._stored[sensor], pc.dictionary_encode(plain) if is_dictionary else plain)
        return _numbers(self._column(sensor))

    def set_flags(self, name: str, flags: NDArray[np.bool_]) -> None:
        """A column of 0 and 1, in the place of one of that name or at the end."""
        import pyarrow as pa

        flags = flags.astype(np.int8)
        self._set(name, pa.array(flags) if self.is_parquet else pa.array(flags).cast(pa.large_string()))

    def write(self, target: Path, *, force: bool) -> None:
        """The table as a file that is complete or absent."""
        from sensorad.logs.atomic import NewFile
        from sensorad.logs.failures import writing

        with NewFile(target, force) as temporary, writing(str(target)):
            if self.is_parquet:
                self._write_parquet(temporary)
            else:
                self._write_text(temporary, is_gzip=target.name.lower().endswith(".gz"))

    def _column(self, sensor: str) -> pa.ChunkedArray:
        return self._table.column(self._stored[sensor])

    def _value_type(self, sensor: str) -> Any:
        import pyarrow as pa

        kind = self._column(sensor).type
        return kind.value_type if pa.types.is_dictionary(kind) else kind

    def _set(self, stored: str, column: pa.Array) -> None:
        names = self._table.column_names
        if stored not in names:
            self._table = self._table.append_column(stored, column)
            return
        field = self._table.schema.field(stored).with_type(column.type)  # keeps unit and range in its metadata
        self._table = self._table.set_column(names.index(stored), field, column)

    def _write_parquet(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        words = [
            field.name for field in self._table.schema if _is_text(field.type) or pa.types.is_dictionary(field.type)
        ]
        pq.write_table(self._table, str(path), compression="zstd", use_dictionary=words, write_page_checksum=True)

    def _write_text(self, path: Path, *, is_gzip: bool) -> None:
        delimiter, line_end = _dialect(self.path, list(self._stored.values()))
        with (
            gzip.open(path, "wt", encoding="utf-8", newline="")
            if is_gzip
            else path.open("w", encoding="utf-8", newline="") as file
        ):
            writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end)
            writer.writerow(self._table.column_names)
            for batch in self._table.to_batches(max_chunksize=ROWS):
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _is_parquet_name(path: str) -> bool:
    """Whether a name promises Parquet."""
    return path.lower().endswith(PARQUET_ENDINGS)


def _parquet_table(path: Path) -> pa.Table:
    import pyarrow as pa

    from sensorad.logs.failures import reading
    from sensorad.logs.parquet_files import check_footer, open_parquet, verified_batches

    with reading(str(path)), open_parquet(path) as file:
        check_footer(file, str(path))
        schema = file.schema_arrow
        return pa.Table.from_batches(verified_batches(file, str(path), schema.names, ROWS), schema=schema)


def _text_table(part: Any) -> pa.Table:
    import pyarrow as pa

    schema = pa.schema([(stored, pa.large_string()) for stored in part.stored_names.values()])
    batches = [
        pa.RecordBatch.from_arrays(batch.columns, schema=schema) for _, batch in part.batches(list(part.fields), ROWS)
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _dialect(path: Path, names: list[str]) -> tuple[str, str]:
    """Delimiter and line end of a CSV file, told by its header."""
    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
        line = next(line for line in file if line.strip()).decode("utf-8-sig")
    line_end = "\r\n" if line.endswith("\r\n") else "\n"
    text = line.rstrip("\r\n")
    fits = (one for one in DELIMITERS if next(csv.reader([text], delimiter=one)) == names)
    return next(fits, ","), line_end


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_text(column.type):
        return np.array([_number(word) for word in column.to_pylist()], np.float64)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    wide = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(wide, float("nan")).to_numpy(), np.float64)


def _number(word: str | None) -> float:
    """A cell of text; that it is a number or missing has been checked when the log was opened."""
    lowered = (word or "").strip().lower()
    if lowered in ("true", "false"):
        return float(lowered == "true")
    return float(lowered) if lowered not in ("", "null") else float("nan")


def _cells(values: NDArray[np.float64], kind: Any, missing: str | None) -> pa.Array:
    """Numbers as an array of the type, NaN as null or, in CSV, as the empty text."""
    import pyarrow as pa

    is_null = np.isnan(values)
    if _is_text(kind):
        words = [missing if np.isnan(value) else repr(float(f"{value:.{DIGITS}g}")) for value in values]
        return pa.array(words, kind)
    if pa.types.is_decimal(kind):
        numbers = [None if np.isnan(value) else Decimal(f"{value:.{max(0, kind.scale)}f}") for value in values]
        return pa.array(numbers, kind)
    if pa.types.is_boolean(kind):
        return pa.array(np.rint(np.where(is_null, 0.0, values)) > 0, kind, mask=is_null)
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        low, high = float(limits.min), float(np.nextafter(float(limits.max), 0)) if limits.bits == 64 else limits.max
        whole = np.clip(np.rint(np.where(is_null, 0.0, values)), low, high)
        return pa.array(whole.astype(kind.to_pandas_dtype()), kind, mask=is_null)
    with np.errstate(over="ignore", under="ignore"):
        return pa.array(values.astype(kind.to_pandas_dtype()), kind, mask=is_null)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))

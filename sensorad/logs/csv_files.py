"""CSV files, plain or gzipped, streamed as text so that every cell is judged by our own rules."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensorad.errors import DataError
from sensorad.logs.columns import SAMPLE_ROWS
from sensorad.logs.failures import reading
from sensorad.logs.parquet_files import MAGIC
from sensorad.logs.sources import LogPart

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CsvPart"]

DELIMITERS = ",;\t"
BLOCK_BYTES = 1 << 18
HEAD_BYTES = 1 << 18
GZIP_MAGIC = b"\x1f\x8b"
QUOTED = re.compile('"[^"]*"')


class CsvPart(LogPart):
    """A CSV file with a header line; the delimiter (comma, semicolon or tab) is taken from the header."""

    def __init__(self, path: Path, rename: Mapping[str, str]) -> None:
        import pyarrow as pa

        label = str(path)
        self._path = path
        self._is_gzip = path.name.lower().endswith(".gz")
        head, is_whole = self._head(label)
        try:
            self._delimiter, names = _header(head)
            samples = _sample_columns(head, self._delimiter, len(names))
        except csv.Error as err:
            raise DataError(f"cannot be read as CSV: {err}", where=label) from err
        schema = pa.schema([pa.field(name, pa.large_string()) for name in names])
        super().__init__(label, schema, rename=rename, n_rows=0 if is_whole and not _has_rows(head) else None)
        # Arrow reads some 30 blocks ahead, and a row must fit into one.
        self._block_bytes = max(BLOCK_BYTES, 16 * max(map(len, head.splitlines()), default=0))
        self._samples = dict(zip(self.fields, samples, strict=True))

    def _head(self, label: str) -> tuple[str, bool]:
        """The first complete lines, and whether they are the whole file."""
        with reading(label), self._path.open("rb") as raw:
            content = gzip.GzipFile(fileobj=raw).read(HEAD_BYTES) if self._is_gzip else raw.read(HEAD_BYTES)
        if content.startswith((MAGIC, GZIP_MAGIC)) or b"\0" in content:
            what = "Parquet" if content.startswith(MAGIC) else "gzip" if content.startswith(GZIP_MAGIC) else "binary"
            raise DataError(
                f"expected CSV text, found {what} content", where=label, hint="name the file by its content"
            )
        is_whole = len(content) < HEAD_BYTES
        if not is_whole:
            content = content[: content.rfind(b"\n") + 1]
            if not content:
                raise DataError(f"expected CSV text, found no line end in {HEAD_BYTES} bytes", where=label)
        try:
            return content.decode("utf-8-sig"), is_whole
        except UnicodeDecodeError as err:
            raise DataError(
                f"expected UTF-8 text, byte {err.start} is not", where=label, hint="save the file as UTF-8"
            ) from err

    def _batches(self, stored: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if self.n_rows == 0:
            return
        all_names = list(self.stored_names.values())
        with reading(self.label), pa.input_stream(self.label, compression="gzip" if self._is_gzip else None) as file:
            reader = arrow_csv.open_csv(
                file,
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=self._block_bytes),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=len(all_names) > 1,  # in a single column an empty line is a missing value
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.large_string() for name in all_names},
                    include_columns=list(stored),
                    strings_can_be_null=False,
                ),
            )
            yield from reader


def _header(head: str) -> tuple[str, list[str]]:
    """Delimiter and column names from the first line that is not blank; no columns in an empty file."""
    line = next((line for line in head.splitlines() if line.strip()), "")
    if not line:
        return ",", []
    delimiter = max(DELIMITERS, key=QUOTED.sub("", line).count)
    return delimiter, next(csv.reader([line], delimiter=delimiter))


def _has_rows(head: str) -> bool:
    return sum(1 for line in head.splitlines() if line.strip()) > 1


def _sample_columns(head: str, delimiter: str, n_columns: int) -> list[list[str | None]]:
    """The first cells of every column; a ragged line is left for the reader to report."""
    lines = (row for row in csv.reader(io.StringIO(head), delimiter=delimiter) if row)
    next(lines, None)
    rows = [row for row, _ in zip(lines, range(SAMPLE_ROWS), strict=False) if len(row) == n_columns]
    return [[row[column] for row in rows] for column in range(n_columns)]

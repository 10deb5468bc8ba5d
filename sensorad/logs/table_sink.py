"""Record batches into one Parquet or CSV file, in the encodings that suit scores and events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorad.logs.failures import writing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CsvSink", "ParquetSink", "open_sink"]

ROW_GROUP = 1 << 16
LIST_SEPARATOR = ";"
FORMULA_START = r"^([=+\-@\t\r])"
"""Spreadsheets run a cell that begins like this; a quote mark in front makes it text again."""


class ParquetSink:
    """Parquet with zstd and page checksums; dictionaries for words only, no extremes of lists, which nobody asks for.

    Dictionary encoding of floats is 5x slower to write and larger (PERFORMANCE.md, item 8).
    """

    def __init__(self, path: Path, schema: pa.Schema, metadata: dict[bytes, bytes], label: str) -> None:
        import pyarrow.parquet as pq

        self._label = label
        self._schema = schema.with_metadata(metadata)
        self._held: list[Any] = []
        self._n_held = 0
        with writing(label):
            self._writer = pq.ParquetWriter(
                str(path),
                self._schema,
                compression="zstd",
                use_dictionary=_word_columns(schema),
                write_statistics=_plain_columns(schema),
                write_page_checksum=True,
            )

    def write(self, batch: pa.RecordBatch) -> None:
        """Hold the batch until a row group is full."""
        self._held.append(batch)
        self._n_held += len(batch)
        if self._n_held >= ROW_GROUP:
            self._flush(self._n_held // ROW_GROUP * ROW_GROUP)

    def close(self, complete: bool, footnote: Mapping[str, str] | None = None) -> None:
        """Write what is held and the footer, with ``footnote`` in it, or just let go of the file."""
        with writing(self._label):
            if complete:
                self._flush(self._n_held)
                if footnote:
                    self._writer.add_key_value_metadata(dict(footnote))
            self._writer.close()

    def _flush(self, n_rows: int) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._held, schema=self._held[0].schema) if self._held else None
        if table is None:
            return
        with writing(self._label):
            if n_rows:
                self._writer.write_table(
                    table.slice(0, n_rows).replace_schema_metadata(self._schema.metadata), row_group_size=ROW_GROUP
                )
        self._held = table.slice(n_rows).to_batches()
        self._n_held -= n_rows


class CsvSink:
    """CSV with lists joined by ";" and no cell that a spreadsheet would run."""

    def __init__(self, path: Path, schema: pa.Schema, label: str) -> None:
        import pyarrow.csv as arrow_csv

        self._label = label
        with writing(label):
            empty = _as_cells(_empty_batch(schema))
            self._writer = arrow_csv.CSVWriter(
                str(path), empty.schema, write_options=arrow_csv.WriteOptions(quoting_style="needed")
            )

    def write(self, batch: pa.RecordBatch) -> None:
        with writing(self._label):
            self._writer.write_batch(_as_cells(batch))

    def close(self, complete: bool, footnote: Mapping[str, str] | None = None) -> None:
        """Let go of the file; CSV has no place for a footnote."""
        with writing(self._label):
            self._writer.close()


def open_sink(target: Path, temporary: Path, schema: pa.Schema, metadata: dict[bytes, bytes]) -> ParquetSink | CsvSink:
    """A sink into ``temporary`` of the kind that the name of ``target`` asks for: CSV for .csv, else Parquet."""
    if target.name.lower().endswith(".csv"):
        return CsvSink(temporary, schema, str(target))
    return ParquetSink(temporary, schema, metadata, str(target))


def _word_columns(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    plain = [field.name for field in schema if pa.types.is_string(field.type)]
    lists = [f for f in schema if pa.types.is_list(f.type) and pa.types.is_string(f.type.value_type)]
    return plain + [f"{field.name}.list.element" for field in lists]


def _plain_columns(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    return [field.name for field in schema if not pa.types.is_list(field.type)]


def _empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _as_cells(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Columns that CSV can hold: times as ISO 8601 text, lists as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            columns.append(pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ"))
        elif pa.types.is_list(column.type):
            words = column.flatten().cast(pa.string()).fill_null("")
            joined = pc.binary_join(pa.ListArray.from_arrays(column.offsets, words), LIST_SEPARATOR)
            columns.append(_harmless(joined) if pa.types.is_string(column.type.value_type) else joined)
        else:
            columns.append(_harmless(column) if pa.types.is_string(column.type) else column)
    names = _harmless(pa.array(batch.schema.names, pa.string())).to_pylist()
    return pa.RecordBatch.from_arrays(columns, names=names)


def _harmless(words: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(words, pattern=FORMULA_START, replacement=r"'\1")

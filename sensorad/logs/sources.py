"""The one face that tables in memory, Parquet files and CSV files show to the rest of the reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sensorad.errors import SchemaError
from sensorad.logs.columns import SAMPLE_ROWS, ColumnKind, as_text, kind_of_text, kind_of_type, listed
from sensorad.logs.failures import Place

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LogPart", "hive_partitions"]

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class LogPart(ABC):
    """One table or file of a log: its columns, and its rows as record batches.

    Opening reads metadata only. Names are those after renaming.

    Parameters
    ----------
    label
        The path; empty for a table in memory.
    schema
        Columns as stored; every column of a CSV file is text.
    rename
        Name in the file -> name from here on.
    n_rows
        None where only reading to the end would tell.
    is_unchecked
        The file format could carry checksums, this file does not.
    """

    def __init__(
        self,
        label: str,
        schema: pa.Schema,
        *,
        rename: Mapping[str, str],
        n_rows: int | None,
        is_unchecked: bool = False,
    ) -> None:
        names = [rename.get(name, name) for name in schema.names]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise SchemaError(
                f"column names appear twice: {listed(twice)}", where=label, hint="rename or drop one of each"
            )
        self.label = label
        self.stored_names = dict(zip(names, schema.names, strict=True))
        self.fields = {name: field.with_name(name) for name, field in zip(names, schema, strict=True)}
        self.partitions = {key: value for key, value in hive_partitions(label).items() if key not in self.fields}
        self.n_rows = n_rows
        self.is_unchecked = is_unchecked
        self._samples: dict[str, list[str | None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order, then those from the directories."""
        return (*self.fields, *self.partitions)

    def kind(self, name: str) -> ColumnKind:
        """What a column holds; text is judged by its first rows."""
        if name in self.partitions:
            return "text"
        kind = kind_of_type(self.fields[name].type)
        return kind_of_text(self.sample(name)) if kind == "text" else kind

    def sample(self, name: str) -> list[str | None]:
        """The first `SAMPLE_ROWS` cells of a text column."""
        if name not in self._samples:
            stored = self.stored_names[name]
            batch = next(self._batches([stored], SAMPLE_ROWS), None)
            self._samples[name] = (
                [] if batch is None else as_text(batch.column(stored).slice(0, SAMPLE_ROWS)).to_pylist()
            )
        return self._samples[name]

    def batches(self, names: Sequence[str], rows: int) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """Batches of at most ``rows`` rows with these columns, each with its place in the file.

        Without names, the batches are good for their lengths only.
        """
        import pyarrow as pa

        stored = [self.stored_names[name] for name in names if name in self.fields]
        if not stored:
            stored = list(self.stored_names.values())[:1]
        first_row = 0
        for batch in self._batches(stored, rows):
            position = {name: number for number, name in enumerate(batch.schema.names)}
            columns = [
                batch.column(position[self.stored_names[name]])
                if name in self.fields
                else _constant(self.partitions[name], len(batch))
                for name in names
            ]
            whole = pa.RecordBatch.from_arrays(columns, names=list(names)) if columns else batch
            for start in range(0, len(batch), rows):
                yield Place(self.label, first_row + start), whole.slice(start, rows)
            first_row += len(batch)

    @abstractmethod
    def _batches(self, stored: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Batches that hold the columns ``stored``, under their names in the file; ``rows`` is a wish."""


def hive_partitions(path: str) -> dict[str, str | None]:
    """The ``key=value`` directories of a path.

    >>> hive_partitions("logs/machine=pump%201/day=7/part-0.parquet")
    {'machine': 'pump 1', 'day': '7'}
    """
    pairs = [part.split("=", 1) for part in PurePath(path).parts[:-1] if "=" in part]
    return {unquote(key): None if value == HIVE_NULL else unquote(value) for key, value in pairs if key}


def _constant(word: str | None, n_rows: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array([word], pa.large_string()))

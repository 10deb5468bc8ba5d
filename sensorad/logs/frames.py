"""Tables in memory: pandas, Polars, Arrow and everything that speaks the Arrow stream interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sensorad.errors import SchemaError, UsageError
from sensorad.logs.columns import listed
from sensorad.logs.failures import reading
from sensorad.logs.sources import LogPart

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["TableKind", "TablePart", "arrow_table", "convert_table", "kind_of_table"]

TableKind = Literal["pandas", "polars", "arrow", "files"]


class TablePart(LogPart):
    """A table in memory, read without copying it as a whole."""

    def __init__(self, table: pa.Table, rename: Mapping[str, str]) -> None:
        super().__init__("", table.schema, rename=rename, n_rows=table.num_rows)
        self._table = table

    def _batches(self, stored: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        yield from self._table.select(list(stored)).to_batches(max_chunksize=rows)


def kind_of_table(source: object) -> TableKind | None:
    """Which library a table comes from; None if it is no table. Imports neither pandas nor Polars."""
    for base in type(source).__mro__:
        library = base.__module__.partition(".")[0]
        if library == "pandas" and base.__name__ == "DataFrame":
            return "pandas"
        if library == "polars" and base.__name__ in ("DataFrame", "LazyFrame"):
            return "polars"
    return "arrow" if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__") else None


def arrow_table(source: Any) -> pa.Table:
    """Any table as an Arrow table; a stream that can be read only once is read here, as a whole."""
    import pyarrow as pa

    kind = kind_of_table(source)
    if kind is None:
        raise UsageError(
            f"expected a table or paths, got {type(source).__name__}",
            hint="pass a pandas, Polars or Arrow table, a path or a list of paths",
        )
    if kind == "pandas":
        return _from_pandas(source)
    if kind == "polars":
        return (source.collect() if hasattr(source, "collect") else source).to_arrow()
    if isinstance(source, pa.Table):
        return source
    with reading("table"):
        try:
            return source.read_all() if isinstance(source, pa.RecordBatchReader) else pa.table(source)
        except TypeError as err:
            raise UsageError(f"expected a table with columns, got {type(source).__name__}") from err


def convert_table(table: pa.Table, kind: TableKind) -> Any:
    """An Arrow table as the kind of table that came in; files give Arrow."""
    if kind == "polars":
        import polars as pl

        return pl.from_arrow(table)
    if kind == "pandas":
        import pandas as pd
        import pyarrow as pa

        # Without the mapping a null turns a column of True and False into objects.
        return table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    return table


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    """Columns and the named or time-like levels of the index, each converted by itself."""
    import pandas as pd
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SchemaError(f"column names appear twice: {listed(twice)}", hint="rename or drop one of each")
    columns: dict[str, Any] = {}
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        is_time = isinstance(values, pd.DatetimeIndex)
        name = "time" if is_time and values.name is None else values.name
        if name is not None and str(name) not in names:
            columns[str(name)] = pd.Series(values)
    columns |= {name: frame.iloc[:, position] for position, name in enumerate(names)}
    return pa.table({name: _from_series(series) for name, series in columns.items()})


def _from_series(series: pd.Series[Any]) -> pa.Array | pa.ChunkedArray:
    """A column that Arrow cannot type, such as numbers mixed with text, becomes text and is judged as text."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        is_null = pd.isna(series)
        words = [None if null else str(value) for value, null in zip(series, is_null, strict=True)]
        return pa.array(words, pa.large_string())

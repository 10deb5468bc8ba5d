"""EVENTS.parquet: findings to a file or a table and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.errors import DataError, SchemaError, UsageError
from sensorad.logs.atomic import NewFile
from sensorad.logs.failures import reading
from sensorad.logs.frames import TableKind, convert_table
from sensorad.logs.parquet_files import check_footer, open_parquet, refuse_other_content, verified_batches
from sensorad.logs.score_columns import StampUnit, finest_unit, stamps_of, time_in, unit_of
from sensorad.logs.sealed_json import FORMAT, sealed, unsealed
from sensorad.logs.table_sink import open_sink
from sensorad.types import Event

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["event_table", "read_events", "write_events"]

TIMES = ("start", "end", "peak")
LISTS = ("shares", "expected", "actual")
ONSETS = "onset_seconds"
"""After the start of the event: exact to the nanosecond for events of up to 100 days."""

PLAIN = ("severity", "score", "n_rows", "sensors", "return_days", "reason")
BLOCK_ROWS = 4_096


def write_events(
    path: str | os.PathLike[str], events: Iterable[Event], group_name: str | None, force: bool = False
) -> None:
    """Write events as Parquet, or as CSV if the name ends with .csv; the file is complete or absent.

    Notes of events have no column; they are kept in the metadata of a Parquet file.

    Raises
    ------
    StorageError
        If the file exists and ``force`` is off, or it cannot be written.
    """
    events = list(events)
    batch = _batch(events, group_name)
    notes = {event.event_id: event.note for event in events if event.note}
    metadata = sealed({"format": FORMAT, "kind": "events", "group": group_name, "notes": notes})
    with NewFile(path, force) as temporary:
        sink = open_sink(Path(path), temporary, batch.schema, metadata)
        sink.write(batch)
        sink.close(complete=True)


def read_events(path: str | os.PathLike[str]) -> list[Event]:
    """The events of a Parquet file that `write_events` wrote.

    Raises
    ------
    DataError, StorageError
        If the file is not an event file, is damaged, or cannot be read.
    """
    label = str(path)
    refuse_other_content(Path(path))
    with reading(label), open_parquet(Path(path)) as file:
        check_footer(file, label)
        stored = file.schema_arrow
        metadata = unsealed(stored.metadata, kind="events", label=label)
        if not stored.equals(_schema(metadata["group"], unit_of(stored, "start"))):
            raise DataError("columns are not those of an event file", where=label, hint="write it again")
        batches = verified_batches(file, label, stored.names, BLOCK_ROWS)
        return [event for batch in batches for event in _events(batch, metadata)]


def event_table(events: Iterable[Event], group_name: str | None, kind: TableKind) -> Any:
    """Events as a table of the kind that came in (files give Arrow), one row for each."""
    import pyarrow as pa

    return convert_table(pa.Table.from_batches([_batch(list(events), group_name)]), kind)


def _schema(group_name: str | None, unit: StampUnit) -> pa.Schema:
    import pyarrow as pa

    stamp, floats = pa.timestamp(unit, "UTC"), pa.list_(pa.float32())
    columns = [("event_id", pa.string()), *([(group_name, pa.string())] if group_name is not None else [])]
    columns += [(name, stamp) for name in TIMES]
    columns += [("kind", pa.string()), ("severity", pa.float64()), ("score", pa.float64()), ("n_rows", pa.int64())]
    columns += [("sensors", pa.list_(pa.string())), *((name, floats) for name in LISTS)]
    columns += [("return_days", pa.float64()), (ONSETS, pa.list_(pa.float64())), ("reason", pa.string())]
    names = [name for name, _ in columns]
    if len(set(names)) < len(names):
        raise SchemaError(f"group column {group_name!r} has the name of an event column", hint="rename it")
    return pa.schema(columns)


def _batch(events: Sequence[Event], group_name: str | None) -> pa.RecordBatch:
    import pyarrow as pa

    if group_name is None and any(event.group for event in events):
        raise UsageError("events have groups, but the group column has no name")
    times = {name: np.array([getattr(event, name) for event in events], np.int64) for name in TIMES}
    unit = finest_unit(np.concatenate(list(times.values())))
    columns = {name: time_in(time, unit) for name, time in times.items()}
    columns |= {"event_id": [event.event_id for event in events], "kind": [event.kind for event in events]}
    if group_name is not None:
        columns[group_name] = [event.group for event in events]
    columns[ONSETS] = [[(onset - event.start) / 1e9 for onset in event.onsets] for event in events]
    for name in PLAIN:
        columns[name] = [_nullable(getattr(event, name)) for event in events]
    for name in LISTS:
        columns[name] = [[None if np.isnan(x) else x for x in getattr(event, name)] for event in events]
    schema = _schema(group_name, unit)
    arrays = [
        columns[field.name] if field.name in TIMES else pa.array(columns[field.name], field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _nullable(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _events(batch: pa.RecordBatch, metadata: dict[str, Any]) -> Iterable[Event]:
    group, notes = metadata["group"], metadata["notes"]
    times = [stamps_of(batch.column(name)).tolist() for name in TIMES]
    names = [field.name for field in batch.schema if field.name not in TIMES]
    for number, row in enumerate(batch.select(names).to_pylist()):
        start, end, peak = (column[number] for column in times)
        shares, expected, actual = (tuple(np.nan if x is None else x for x in row[name]) for name in LISTS)
        yield Event(
            event_id=row["event_id"],
            group="" if group is None else row[group],
            start=start,
            end=end,
            peak=peak,
            kind=row["kind"],
            severity=np.nan if row["severity"] is None else row["severity"],
            score=np.nan if row["score"] is None else row["score"],
            n_rows=row["n_rows"],
            sensors=tuple(row["sensors"]),
            shares=shares,
            expected=expected,
            actual=actual,
            note=notes.get(row["event_id"], ""),
            return_days=row["return_days"],
            onsets=tuple(start + round(seconds * 1e9) for seconds in row[ONSETS]),
            reason=row["reason"],
        )

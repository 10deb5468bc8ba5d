"""Tables of labelled anomalies: ``start, end[, group][, kind]``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, SchemaError
from sensorad.logs.format import LogFormat
from sensorad.logs.frames import TablePart, arrow_table
from sensorad.logs.names import NameTable
from sensorad.logs.paths import open_file
from sensorad.logs.roles import check_columns
from sensorad.logs.sources import LogPart
from sensorad.logs.times import times_of

__all__ = ["Labels", "read_labels"]

BLOCK_ROWS = 16_384
PLAIN = LogFormat()


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labelled stretches of time, in the order of the table.

    Attributes
    ----------
    start, end : (K,) int64
        First and last moment in nanoseconds since 1970 UTC; both belong to the anomaly.
    group : tuple of str
        Machine of each label; "" where the table has no group column.
    kind : tuple of str
        What it was; "" where nobody said.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    group: tuple[str, ...]
    kind: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)


def read_labels(source: Any, format: LogFormat = PLAIN) -> Labels:
    """Read a label table from a data frame, a Parquet or a CSV file.

    ``format`` gives the zone or unit of the times, and the name of the group column if it is not "group".

    Raises
    ------
    SchemaError
        If ``start`` or ``end`` is missing.
    DataError
        If a label ends before it starts.

    Examples
    --------
    >>> import pandas as pd
    >>> read_labels(pd.DataFrame({"start": ["2024-05-01T10:00Z"], "end": ["2024-05-01T11:00Z"]})).kind
    ('',)
    """
    is_path = isinstance(source, (str, os.PathLike))
    part: LogPart = open_file(Path(source), {}) if is_path else TablePart(arrow_table(source), {})
    if not part.names or (part.n_rows == 0 and "start" not in part.names):
        raise SchemaError("label table is empty", where=part.label or None, hint="expected columns start and end")
    for name in ("start", "end"):
        check_columns(part, [name], format, name)
    group_name = format.group or "group"
    optional = [name for name in (group_name, "kind") if name in part.names]
    if format.group is not None and format.group not in optional:
        check_columns(part, [format.group], format, None)
    starts, ends, groups, kinds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], list[str](), list[str]()
    for place, batch in part.batches(["start", "end", *optional], BLOCK_ROWS):
        start = times_of(batch.column("start"), format, "start", place)
        end = times_of(batch.column("end"), format, "end", place)
        if (end < start).any():
            row = int(np.flatnonzero(end < start)[0])
            raise DataError("label ends before it starts", where=place.at("end", row))
        starts.append(start)
        ends.append(end)
        groups += _words(batch, group_name)
        kinds += _words(batch, "kind")
    return Labels(np.concatenate(starts), np.concatenate(ends), tuple(groups), tuple(kinds))


def _words(batch: Any, name: str) -> list[str]:
    if name not in batch.schema.names:
        return [""] * len(batch)
    table = NameTable()
    codes = table.encode(batch.column(name), name, null_name="")
    return [table.names[code] for code in codes]

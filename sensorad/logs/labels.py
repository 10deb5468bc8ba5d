"""Tables of labelled anomalies: ``start, end[, group][, kind][, event_id]``."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, SchemaError
from sensorad.logs.csv_files import CsvPart
from sensorad.logs.failures import reading
from sensorad.logs.feedback import FALSE_ALARM, cut_line, unguarded
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
        What it was; "" where nobody said, "false-alarm" where it was none.
    event_id : tuple of str
        The event that a label speaks of, "" where it speaks of none; may be left out altogether.

    Examples
    --------
    >>> times = np.array([0, 60, 0])
    >>> labels = Labels(times, times + 9, ("", "", ""), ("fault", "fault", "false-alarm"), ("a1", "b2", "a1"))
    >>> labels.faults().start.tolist()
    [60]
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    group: tuple[str, ...]
    kind: tuple[str, ...]
    event_id: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.start)

    def faults(self) -> Labels:
        """The labels that stand for faults, in the order of the table.

        Of several labels of one event the last one counts: people change their minds.
        """
        ids = self.event_id or ("",) * len(self)
        last = {name: row for row, name in enumerate(ids)}
        kept = [
            row
            for row, (name, kind) in enumerate(zip(ids, self.kind, strict=True))
            if kind != FALSE_ALARM and (not name or last[name] == row)
        ]
        return Labels(
            start=self.start[kept],
            end=self.end[kept],
            group=tuple(self.group[row] for row in kept),
            kind=tuple(self.kind[row] for row in kept),
            event_id=tuple(ids[row] for row in kept),
        )


def read_labels(source: Any, format: LogFormat = PLAIN) -> Labels:
    """Read a label table from a data frame, a Parquet or a CSV file, also one that operators add verdicts to.

    ``format`` gives the zone or unit of the times, and the name of the group column if it is not "group".

    Raises
    ------
    SchemaError
        If ``start`` or ``end`` is missing.
    DataError
        If a label ends before it starts, or a line of verdicts was cut short.

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
    is_feedback = isinstance(part, CsvPart) and "event_id" in part.names
    if is_feedback:
        _refuse_cut_lines(Path(source))
    for name in ("start", "end"):
        check_columns(part, [name], format, name)
    group_name = format.group or "group"
    optional = [name for name in (group_name, "kind", "event_id") if name in part.names]
    if format.group is not None and format.group not in optional:
        check_columns(part, [format.group], format, None)
    starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    groups, kinds, ids = list[str](), list[str](), list[str]()
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
        ids += _words(batch, "event_id")
    if is_feedback:
        groups, ids = unguarded(groups), unguarded(ids)
    return Labels(np.concatenate(starts), np.concatenate(ends), tuple(groups), tuple(kinds), tuple(ids))


def _refuse_cut_lines(path: Path) -> None:
    if path.name.lower().endswith(".gz"):  # nobody adds lines to those
        return
    with reading(str(path)):
        text = path.read_bytes().decode("utf-8-sig")
    number = cut_line(text) if "event_id" in next(csv.reader(text.splitlines()[:1]), []) else None
    if number is not None:
        raise DataError(
            f"line {number} is not whole, as after a power failure while it was written",
            where=f"{path}, line {number}",
            hint="remove that line and label its event again",
        )


def _words(batch: Any, name: str) -> list[str]:
    if name not in batch.schema.names:
        return [""] * len(batch)
    table = NameTable()
    codes = table.encode(batch.column(name), name, null_name="")
    return [table.names[code] for code in codes]

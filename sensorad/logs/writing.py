"""`ScoreWriter` and `score_table`: score blocks to one file or one table, rows as they came in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError, UsageError
from sensorad.logs.atomic import NewFile
from sensorad.logs.footnotes import quality_footnote
from sensorad.logs.frames import TableKind, convert_table
from sensorad.logs.score_columns import ScoreColumns, StampUnit, finest_unit
from sensorad.logs.sealed_json import FORMAT, sealed
from sensorad.logs.table_sink import ROW_GROUP, CsvSink, ParquetSink, open_sink
from sensorad.types import Event, ScoreBlock, SensorSchema

__all__ = ["ScoreWriter", "score_table"]


class ScoreWriter:
    """Writes SCORES.parquet (or .csv) block by block; the file is there when all of it is, or not at all.

    Parameters
    ----------
    path
        Target; a name that ends with .csv gives CSV, which `read_scores` does not read.
    schema
        The sensors that ``top_sensors`` points to; stored with the scores.
    time_name, group_name
        Names of the log's own columns.
    line
        The alarm line, as a threshold or with lines of operating modes; None for scores without one.
    extra_metadata
        Further JSON values to store with the scores.
    force
        Replace an existing file.
    sort_back
        The blocks come in another order than the rows of the log: hold them all and write by ``index``.
    time_unit
        Resolution of the time column (`SensorLog.time_unit`); None takes what the first block needs.
    mode_name
        Name of the log's column of operating modes, where it has one.

    Attributes
    ----------
    n_rows : int
        Rows written so far.
    quality_events : list of Event
        To be kept beside the scores of a Parquet file; may be filled until the writer is closed.

    Raises
    ------
    StorageError
        If the file exists or cannot be written.
    DataError
        If rows come twice, or out of order without ``sort_back``.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from sensorad.logs import SensorLog, read_scores
    >>> times = pd.date_range("2024-05-01", periods=3, freq="min", tz="UTC")
    >>> log = SensorLog(pd.DataFrame({"time": times, "TI-101": [71.2, 71.3, 71.1]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "scores.parquet"
    ...     with ScoreWriter(path, log.schema, log.time_name, log.group_name, line=3.5) as writer:
    ...         for block in log.blocks():
    ...             writer.write(ScoreBlock.empty_for(block))
    ...     read_scores(path).n_rows
    3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: SensorSchema,
        time_name: str,
        group_name: str | None,
        line: float | AlarmLine | None,
        extra_metadata: Mapping[str, Any] | None = None,
        force: bool = False,
        sort_back: bool = False,
        time_unit: StampUnit | None = None,
        mode_name: str | None = None,
    ) -> None:
        line = AlarmLine(line) if isinstance(line, int | float) else line
        self._plan = ScoreColumns(schema.names, time_name, group_name, line, mode=mode_name)
        own = {
            "format": FORMAT,
            "kind": "scores",
            "time": time_name,
            "group": group_name,
            "mode": mode_name,
            "threshold": None if line is None else line.threshold,
            "mode_thresholds": {} if line is None else dict(line.by_mode),
            "sensors": schema.to_json(),
        }
        taken = sorted(set(own) & set(extra_metadata or {}))
        if taken:
            raise UsageError(f"metadata keys are taken: {', '.join(taken)}")
        self._metadata = sealed({**own, **(extra_metadata or {})})
        self._target = Path(path)
        self._file = NewFile(path, force)
        self._sort_back = sort_back
        self._time_unit = time_unit
        self._held: list[ScoreBlock] = []
        self._temporary: Path | None = None
        self._sink: ParquetSink | CsvSink | None = None
        self._layout: ScoreColumns | None = None
        self._last_index = -1
        self.n_rows = 0
        self.quality_events: list[Event] = []

    def __enter__(self) -> ScoreWriter:
        self._temporary = self._file.__enter__()
        return self

    def write(self, block: ScoreBlock) -> None:
        """Add a block; in bounded memory unless ``sort_back``."""
        if self._temporary is None:
            raise UsageError("ScoreWriter must be used in a with statement")
        if not len(block):
            return
        self.n_rows += len(block)
        if self._sort_back:
            self._held.append(block)
            return
        steps = np.diff(block.index, prepend=self._last_index)
        if (steps <= 0).any():
            row = int(block.index[np.flatnonzero(steps <= 0)[0]])
            raise DataError("score rows come twice or out of order", where=f"row {row}", hint="use sort_back=True")
        self._last_index = int(block.index[-1])
        self._write(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for block in _by_index(self._held):
                    self._write(block)
                footnote = quality_footnote(self.quality_events) if self.quality_events else None
                self._sink_for(None).close(complete=True, footnote=footnote)
        except BaseException as err:
            self._discard()
            self._file.__exit__(type(err), err, err.__traceback__)
            raise
        if kind is not None:
            self._discard()
        self._file.__exit__(kind, error, trace)

    def _write(self, block: ScoreBlock) -> None:
        sink = self._sink_for(block)
        if self._layout is not None:
            sink.write(self._layout.batch(block))

    def _sink_for(self, block: ScoreBlock | None) -> ParquetSink | CsvSink:
        """The open sink; the first block settles the resolution of the time column."""
        if self._sink is None:
            unit = self._time_unit or ("us" if block is None else finest_unit(block.time))
            self._layout = replace(self._plan, time_unit=unit)
            temporary = self._temporary or self._target
            self._sink = open_sink(self._target, temporary, self._layout.schema, self._metadata)
        return self._sink

    def _discard(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(Exception):  # the failure that led here is the one to report
                self._sink.close(complete=False)


def score_table(
    blocks: Iterable[ScoreBlock],
    schema: SensorSchema,
    time_name: str,
    group_name: str | None,
    line: float | AlarmLine | None,
    kind: TableKind,
    time_unit: StampUnit | None = None,
    mode_name: str | None = None,
) -> Any:
    """All scores as one table of the kind that came in (files give Arrow), rows in input order.

    Columns as in SCORES.parquet. Without ``time_unit`` the time column takes the resolution that it needs.
    """
    import pyarrow as pa

    held = [block for block in blocks if len(block)]
    needs_ns = any(finest_unit(block.time) == "ns" for block in held)
    line = AlarmLine(line) if isinstance(line, int | float) else line
    unit: StampUnit = time_unit or ("ns" if needs_ns else "us")
    layout = ScoreColumns(schema.names, time_name, group_name, line, unit, mode_name)
    table = pa.Table.from_batches([layout.batch(block) for block in _by_index(held)], schema=layout.schema)
    return convert_table(table, kind)


def _by_index(blocks: list[ScoreBlock]) -> Iterator[ScoreBlock]:
    """The rows of all blocks by ascending index, in blocks again."""
    if not blocks:
        return
    whole = ScoreBlock.joined(blocks)
    order = np.argsort(whole.index, kind="stable")
    repeated = np.flatnonzero(np.diff(whole.index[order]) == 0)
    if len(repeated):
        raise DataError("score rows come twice", where=f"row {whole.index[order[repeated[0]]]}")
    for start in range(0, len(order), ROW_GROUP):
        yield whole.take(order[start : start + ROW_GROUP])

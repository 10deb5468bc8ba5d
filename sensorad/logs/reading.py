"""`SensorLog`: any log as blocks of rows, its columns checked before the first row is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sensorad.errors import SensoradError, UsageError
from sensorad.logs.columns import kind_of_type, listed
from sensorad.logs.format import LogFormat
from sensorad.logs.frames import TablePart, arrow_table, kind_of_table
from sensorad.logs.long_layout import LongReader, TagSurvey, long_names
from sensorad.logs.paths import find_files, open_file
from sensorad.logs.roles import (
    check_columns,
    check_sensors,
    find_time,
    ignored_names,
    key_names,
    learn_sensors,
    missing_error,
)
from sensorad.logs.sources import LogPart
from sensorad.logs.times import needs_nanoseconds
from sensorad.logs.wide_layout import WideReader
from sensorad.types import RowBlock, Sensor, SensorSchema

__all__ = ["SensorLog"]

BLOCK_ROWS = 16_384
WIDE = LogFormat()


class SensorLog:
    """A log of one or many machines as blocks of rows in input order, in bounded memory.

    Construction opens every file, reads its columns but no rows (of text columns the first few, to tell
    numbers from words; of a long log the tags), and checks them against each other and the schema.

    Parameters
    ----------
    source
        A pandas, Polars or Arrow table, or one path or several: Parquet, CSV (.csv, .csv.gz, .tsv) or directories
        of such files, whose ``key=value`` folders become columns. A stream that can be read only once is
        read into memory.
    format
        Which column is what.
    schema
        The sensors expected, matched by name; None learns them: every numeric column not named otherwise.
    allow_missing
        How many sensors of ``schema`` a file may lack; their cells are then flagged "missing".
    strict
        Unsorted rows are an error (see `SortedLog`).
    skip_bad_files
        Go on without files that cannot be used, and keep them in `bad_files`.

    Attributes
    ----------
    schema : SensorSchema
    time_name, group_name : str, str or None
        Names for the columns of outputs. Without a time column the name is "time".
    time_unit : {"us", "ns"}
        Resolution that keeps the times of this log exact.
    kind : {"pandas", "polars", "arrow", "files"}
    files : tuple of str
    n_rows : int or None
        None where only reading to the end would tell.
    notes : list of str
        What a user should know and nothing failed for; grows while rows are read.
    bad_files : dict of str to SensoradError

    Raises
    ------
    SchemaError, TimeError, DataError, StorageError
        Naming the file, and the column and row where there is one.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "time": pd.date_range("2024-05-01", periods=3, freq="min", tz="UTC"),
    ...     "TI-101": [71.2, None, 71.3],
    ... })
    >>> log = SensorLog(frame)
    >>> log.schema.names
    ('TI-101',)
    >>> next(log.blocks()).flaw.ravel().tolist()
    [0, 1, 0]
    """

    def __init__(
        self,
        source: Any,
        format: LogFormat = WIDE,
        *,
        schema: SensorSchema | None = None,
        allow_missing: int = 0,
        strict: bool = False,
        skip_bad_files: bool = False,
    ) -> None:
        if allow_missing < 0:
            raise UsageError(f"allow_missing must not be negative, got {allow_missing}")
        self.format = format
        self.strict = strict
        self.skip_bad_files = skip_bad_files
        self.notes: list[str] = []
        self.bad_files: dict[str, SensoradError] = {}
        self.kind = kind_of_table(source) or "files"
        rename = dict(format.rename) if format.layout == "wide" else {}
        self._parts: list[LogPart] = []
        for part in self._open_all(source, rename):
            if part.names:
                self._parts.append(part)
            else:
                self._note(f"{part.label or 'table'} is empty")
        self._time = self._first_part_time()
        self._survey: TagSurvey | None = None
        if format.layout == "long":
            self.schema = self._check_long(schema, allow_missing)
        else:
            self.schema = self._check_wide(schema, allow_missing)
        if self.bad_files and not self._parts:
            raise next(iter(self.bad_files.values()))
        self.time_name = self._time or "time"
        self.group_name = format.group
        self.files = tuple(part.label for part in self._parts if part.label)
        self.n_rows = self._count_rows()
        self.time_unit = self._choose_time_unit()
        self._note_unchecked()

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """Blocks of at most ``rows`` rows in input order; each call starts again from the first row.

        ``index`` counts input rows over all files; in the long layout it counts the wide rows.
        """
        if rows < 1:
            raise UsageError(f"rows must be positive, got {rows}")
        return self._blocks(self._reader(), rows)

    def key_blocks(self, rows: int = BLOCK_ROWS) -> Iterator[RowBlock]:
        """The same rows as `blocks` without sensors, mode and label, for a cheap look at times and groups."""
        if self._survey is not None:
            return self.blocks(rows)
        form = replace(self.format, mode=None, label=None)
        return self._blocks(WideReader(form, self._time, SensorSchema(())), rows)

    def _blocks(self, reader: WideReader | LongReader, rows: int) -> Iterator[RowBlock]:
        for part in self._parts:
            try:
                yield from reader.blocks(part, rows)
            except SensoradError as err:
                self._reject(part.label, err)
        yield from reader.finish(rows)

    def _reader(self) -> WideReader | LongReader:
        if self._survey is None or self._time is None:
            return WideReader(self.format, self._time, self.schema)
        return LongReader(self.format, self._time, self.schema, self._survey.tags, self._survey.is_ordered)

    def _open_all(self, source: Any, rename: dict[str, str]) -> list[LogPart]:
        if self.kind != "files":
            parts: list[LogPart] = [TablePart(arrow_table(source), rename)]
        else:
            parts = self._open_files(_paths(source), rename)
        for old in rename:
            if not any(old in part.stored_names.values() for part in parts):
                raise missing_error("renamed column", [old], parts[0].stored_names.values(), parts[0].label)
        return parts

    def _open_files(self, paths: list[Path], rename: dict[str, str]) -> list[LogPart]:
        parts = []
        for found in find_files(paths):
            if isinstance(found, SensoradError):
                self._reject(found.where or "", found)
                continue
            try:
                parts.append(open_file(found, rename))
            except SensoradError as err:
                self._reject(str(found), err)
        if self.bad_files and not parts:
            raise next(iter(self.bad_files.values()))
        return parts

    def _base(self) -> LogPart | None:
        """The first file with rows: what columns hold is learned from it."""
        return next((part for part in self._parts if part.n_rows != 0), next(iter(self._parts), None))

    def _first_part_time(self) -> str | None:
        base = self._base()
        return self.format.time if base is None else find_time(base, self.format)

    def _check_wide(self, given: SensorSchema | None, allow_missing: int) -> SensorSchema:
        base = self._base()
        if base is None:
            return given or SensorSchema(tuple(Sensor(name) for name in self.format.sensors or ()))
        keys = key_names(self.format, self._time)
        if given is None:
            self._check_excluded([name for part in self._parts for name in part.names])
        schema = learn_sensors(base, self.format, self._time, self.notes) if given is None else given

        def check(part: LogPart) -> None:
            check_columns(part, keys, self.format, self._time)
            check_sensors(part, schema, self.format, self._time, allow_missing=allow_missing, is_learned=given is None)

        self._keep_good(check)
        self._note_columns(schema, keys, is_given=given is not None)
        return schema

    def _check_long(self, given: SensorSchema | None, allow_missing: int) -> SensorSchema:
        form = self.format
        if self._base() is None or self._time is None:
            return given or SensorSchema(tuple(Sensor(name) for name in form.sensors or ()))
        self._survey = survey = TagSurvey(form, self._time)
        names = long_names(form, self._time)

        def check(part: LogPart) -> None:
            check_columns(part, names, form, self._time)
            survey.read(part)

        self._keep_good(check)
        tags = sorted({dict(form.rename).get(tag, tag) for tag in survey.tags})
        if given is None and tags:
            self._check_excluded(tags)
        learned = [tag for tag in tags if tag not in form.exclude] if form.sensors is None else form.sensors
        schema = SensorSchema(tuple(Sensor(tag) for tag in learned)) if given is None else given
        missing = [name for name in schema.names if name not in tags]
        if tags and len(missing) > allow_missing:
            spare = [tag for tag in tags if tag not in schema.names]
            raise missing_error("tag", missing, spare, self._parts[0].label, can_allow=given is not None)
        unused = [tag for tag in tags if tag not in schema.names and tag not in form.exclude]
        if unused:
            self._note(f"{len(unused)} tags ignored: {listed(unused)}")
        if not survey.is_ordered:
            self._note("long log is not ordered by time: sorted in memory")
        return schema

    def _check_excluded(self, names: list[str]) -> None:
        """A misspelt exclusion would leave a column in that is not wanted."""
        for name in self.format.exclude:
            if name not in names:
                raise missing_error("excluded column or tag", [name], dict.fromkeys(names), self._parts[0].label)

    def _keep_good(self, check: Callable[[LogPart], None]) -> None:
        good = []
        for part in self._parts:
            try:
                check(part)
                good.append(part)
            except SensoradError as err:
                self._reject(part.label, err)
        self._parts = good

    def _note_columns(self, schema: SensorSchema, keys: tuple[str, ...], *, is_given: bool) -> None:
        ignored = ignored_names(self._parts, schema, self.format, keys)
        if ignored:
            reason = "" if is_given or self.format.sensors is not None else " (not numeric)"
            self._note(f"{len(ignored)} columns ignored{reason}: {listed(ignored)}")
        missing = sorted({name for part in self._parts for name in schema.names if name not in part.fields})
        if missing:
            self._note(f"{len(missing)} sensors missing: {listed(missing)}")
        rank = {name: number for number, name in enumerate(schema.names)}
        orders = ([rank[name] for name in part.fields if name in rank] for part in self._parts)
        if any(order != sorted(order) for order in orders):
            self._note("sensor columns are in another order than in the schema: matched by name")

    def _note_unchecked(self) -> None:
        unchecked = [part.label for part in self._parts if part.is_unchecked]
        if unchecked:
            self._note(f"no page checksums, damage may go unnoticed: {listed(unchecked)}")

    def _count_rows(self) -> int | None:
        counts = [part.n_rows for part in self._parts]
        if self._survey is not None:
            return None
        return None if any(count is None for count in counts) else sum(count or 0 for count in counts)

    def _choose_time_unit(self) -> Literal["us", "ns"]:
        for part in self._parts:
            column_type = None if self._time is None else part.fields[self._time].type
            is_text = column_type is not None and kind_of_type(column_type) == "text"
            sample = part.sample(self._time) if is_text and self._time is not None else []
            if needs_nanoseconds(column_type, sample, self.format):
                return "ns"
        return "us"

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _reject(self, label: str, err: SensoradError) -> None:
        if not self.skip_bad_files or not label:
            raise err
        self.bad_files.setdefault(label, err)
        self._note(f"file skipped: {err}")


def _paths(source: Any) -> list[Path]:
    if isinstance(source, (str, os.PathLike)):
        return [Path(source)]
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, os.PathLike)) for one in source):
        return [Path(one) for one in source]
    raise UsageError(
        f"expected a table or paths, got {type(source).__name__}",
        hint="pass a pandas, Polars or Arrow table, a path or a non-empty list of paths",
    )

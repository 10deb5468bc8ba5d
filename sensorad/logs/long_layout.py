"""Long logs, as historians export: one row for each reading, with time, tag, value and perhaps quality.

Readings of one group at one time form one wide row. A log ordered by time is pivoted as it streams; any other
order (all of one tag, then all of the next) is sorted in memory first. Nothing is filled forward: a tag without
a reading at some time is missing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import SchemaError
from sensorad.logs.arrays import first_null, numpy_of
from sensorad.logs.casting import cells_of
from sensorad.logs.columns import as_text, kind_of_type, listed
from sensorad.logs.failures import Place
from sensorad.logs.format import LogFormat
from sensorad.logs.keys import KeyReader
from sensorad.logs.order_watch import OrderWatch
from sensorad.logs.readings import Readings, pivot, run_numbers
from sensorad.logs.sources import LogPart
from sensorad.types import RowBlock, SensorSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LongReader", "TagSurvey", "long_names"]

GOOD_QUALITY = 192
"""OPC quality codes from here to 255 mean "good"."""

GOOD_WORDS = ("good", "ok")
BATCH_READINGS = 1 << 17


def long_names(form: LogFormat, time: str) -> tuple[str, ...]:
    """The columns that are read from a long log."""
    names = (time, form.tag, form.value, form.quality, form.group, form.mode, form.label)
    return tuple(name for name in names if name is not None)


class TagSurvey:
    """A first pass over times and tags only: which tags there are, and whether the log is ordered by time."""

    def __init__(self, form: LogFormat, time: str) -> None:
        self.tags: set[str] = set()
        self.is_ordered = True
        self._form = replace(form, mode=None, label=None)
        self._names = [name for name in (time, form.tag, form.group) if name is not None]
        self._keys = KeyReader(self._form, time)
        self._order = OrderWatch(check_runs=True)

    def read(self, part: LogPart) -> None:
        """Add the readings of one file."""
        value_type = part.fields[self._form.value].type
        if kind_of_type(value_type) in ("time", "other"):
            raise SchemaError(f"expected numbers, got {value_type}", where=Place(part.label).at(self._form.value))
        for place, batch in part.batches(self._names, BATCH_READINGS):
            keys = self._keys.read(batch, place)
            self.is_ordered &= not self._order.late_rows(keys.time, keys.group).any()
            self.tags.update(_tags_of(batch, self._form, place).unique().to_pylist())


class LongReader:
    """One pass over the files of a long log, which must be given in order.

    Parameters
    ----------
    tags
        All tags of the log, as in its files.
    is_ordered
        Whether it may be pivoted as it streams (`TagSurvey`).
    """

    def __init__(self, form: LogFormat, time: str, schema: SensorSchema, tags: set[str], is_ordered: bool) -> None:
        self._form = form
        self._names = long_names(form, time)
        self._keys = KeyReader(form, time)
        self._n_sensors = len(schema)
        self._positions = _tag_positions(tags, form, schema)
        self._is_ordered = is_ordered
        self._held: list[Readings] = []
        self._n_rows = 0

    def blocks(self, part: LogPart, rows: int) -> Iterator[RowBlock]:
        """Wide blocks of at most ``rows`` rows; the last time met is held back until the next one comes."""
        for place, batch in part.batches(self._names, BATCH_READINGS):
            self._held.append(self._readings(batch, place))
            if self._is_ordered:
                held = Readings.join(self._held)
                complete = int(np.searchsorted(run_numbers(held.time), run_numbers(held.time).max(initial=0)))
                self._held = [held.take(slice(complete, None))]
                yield from self._wide_blocks(held.take(slice(complete)), rows)

    def finish(self, rows: int) -> Iterator[RowBlock]:
        """What was held back; everything, if the log had to be sorted."""
        if not self._held:
            return
        held, self._held = Readings.join(self._held), []
        if not self._is_ordered:
            held = held.take(np.argsort(held.time, kind="stable"))
        runs = run_numbers(held.time)
        start = 0
        while start < len(held):
            wanted = runs[min(start + BATCH_READINGS, len(held)) - 1] + 1
            stop = int(np.searchsorted(runs, wanted))
            yield from self._wide_blocks(held.take(slice(start, stop)), rows)
            start = stop

    def _readings(self, batch: pa.RecordBatch, place: Place) -> Readings:
        import pyarrow as pa
        import pyarrow.compute as pc

        form = self._form
        keys = self._keys.read(batch, place)
        words = pa.array(list(self._positions), pa.large_string())
        found = pc.index_in(_tags_of(batch, form, place), value_set=words).fill_null(len(words))
        tag = np.array([*self._positions.values(), -1])[numpy_of(found)]
        values = batch.column(form.value)
        if form.quality is not None:
            values = _null_where_bad(values, batch.column(form.quality), form.quality, place)
        value, flaw = cells_of(values, form.value, place)
        readings = Readings(keys.time, keys.group, tag, value, flaw, keys.mode, keys.label)
        return readings.take(tag >= 0)

    def _wide_blocks(self, readings: Readings, rows: int) -> Iterator[RowBlock]:
        wide = pivot(readings, self._n_sensors)
        for start in range(0, len(wide.time), rows):
            part = slice(start, start + rows)
            time = wide.time[part]
            yield RowBlock(
                index=np.arange(self._n_rows, self._n_rows + len(time)),
                time=time,
                values=wide.values[part],
                flaw=wide.flaw[part],
                group=wide.group[part],
                group_names=self._keys.group_names,
                mode=None if wide.mode is None else wide.mode[part],
                mode_names=self._keys.modes.names,
                label=None if wide.label is None else wide.label[part],
            )
            self._n_rows += len(time)


def _tags_of(batch: pa.RecordBatch, form: LogFormat, place: Place) -> pa.Array:
    words = as_text(batch.column(form.tag))
    row = first_null(words)
    if row is not None:
        raise SchemaError("a reading has no tag", where=place.at(form.tag, row))
    return words


def _tag_positions(tags: set[str], form: LogFormat, schema: SensorSchema) -> Mapping[str, int]:
    """Tag in the files -> position in the schema, for the tags that are sensors."""
    rename = dict(form.rename)
    position = {name: number for number, name in enumerate(schema.names)}
    named = {tag: rename.get(tag, tag) for tag in sorted(tags)}
    twice = sorted({name for name in named.values() if list(named.values()).count(name) > 1})
    if twice:
        raise SchemaError(f"several tags would be named {listed(twice)}", hint="check --rename")
    return {tag: position[name] for tag, name in named.items() if name in position}


def _null_where_bad(values: pa.Array, quality: pa.Array, column: str, place: Place) -> pa.Array:
    """Readings of bad quality as null, before their values (often words such as "Bad Input") are judged."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind_of_type(values.type) == "text":
        values = as_text(values)
    elif pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.if_else(pa.array(_is_good(quality, column, place)), values, pa.scalar(None, values.type))


def _is_good(quality: pa.Array, column: str, place: Place) -> NDArray[np.bool_]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(quality.type):
        return numpy_of(quality.fill_null(False))
    if kind_of_type(quality.type) != "text":
        codes, flaw = cells_of(quality, column, place)
        return np.asarray((codes >= GOOD_QUALITY) & (flaw == 0))
    words = pc.utf8_lower(pc.utf8_trim_whitespace(as_text(quality))).fill_null("")
    is_good = pc.is_in(words, value_set=pa.array(GOOD_WORDS, pa.large_string()))
    is_code = pc.match_substring_regex(words, r"^\d{1,5}$")
    codes = pc.if_else(is_code, words, pa.scalar("0", pa.large_string())).cast(pa.int64())
    return numpy_of(pc.or_(is_good, pc.greater_equal(codes, GOOD_QUALITY)))

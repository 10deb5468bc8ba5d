"""Lines of text to records: one JSON object or one line of CSV for each row of one machine."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sensorad.errors import DataError, SchemaError
from sensorad.logs import LogFormat
from sensorad.logs.columns import closest, is_missing_text, is_number_text, listed
from sensorad_cli.stream_clock import ClockReader

__all__ = ["BEYOND_FLOAT32", "Broken", "CsvLines", "JsonLines", "Record", "Skipped", "number"]

BEYOND_FLOAT32 = 1e300
"""Stands for finite numbers that float64 cannot hold: too large for a sensor, which is not the same as infinite."""

DELIMITERS = ",;\t"
FIXED_KEYS = ("time", "group", "mode", "values")


class Record(NamedTuple):
    """One row: time in nanoseconds UTC, machine, operating mode, values in the order of the schema (NaN = missing)."""

    time: int
    group: str
    mode: str | None
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no row, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is not meant to be a row: blank, or a header."""


class _Infinity(float):
    """An infinity that was written as one, as opposed to a number too large to be read."""


SKIPPED = Skipped()
INFINITIES = {"Infinity": _Infinity("inf"), "-Infinity": _Infinity("-inf"), "NaN": math.nan}


class JsonLines:
    """Objects ``{"time": ..., "group": ..., "values": {...}}``, or flat ones with the sensors beside the time.

    Parameters
    ----------
    names
        Sensors in the order of the schema.
    form
        Names of the columns, and what times mean; the fixed keys are understood beside the names of the log.
    warn
        Called once about each kind of oddity that nothing fails for.
    """

    def __init__(self, names: Sequence[str], form: LogFormat, warn: Callable[[str], None]) -> None:
        self._clock = ClockReader(form)
        old = {new: old for old, new in form.rename}
        self._keys = [old.get(name, name) for name in names]
        self._names = names
        known = set(self._keys)
        self._time_keys = _alternatives(form.time, "time", known)
        self._group_keys = _alternatives(form.group, "group", known)
        self._mode_keys = _alternatives(form.mode, "mode", known) if form.mode is not None else ()
        self._has_groups = form.group is not None
        self._known_values = known.union(form.exclude)
        keys = (*self._time_keys, *self._group_keys, *self._mode_keys, form.label or "time", "mode")
        self._known = self._known_values.union(keys)
        self._warn = warn
        self._is_checked = False
        self._has_warned = False
        self._decode = json.JSONDecoder(parse_constant=INFINITIES.__getitem__).decode

    def __call__(self, line: str) -> Record | Broken | Skipped:
        """The record of one line."""
        if not line or line.isspace():
            return SKIPPED
        try:
            found = self._decode(line)
        except (ValueError, RecursionError) as err:
            return Broken(f"no JSON: {err or type(err).__name__}")
        if type(found) is not dict:
            return Broken("expected a JSON object")
        try:
            return self._record(found)
        except DataError as err:
            return Broken(str(err))

    def _record(self, found: Mapping[str, Any]) -> Record:
        inner = found.get("values")
        values, known = (inner, self._known_values) if isinstance(inner, dict) else (found, self._known)
        time = self._clock(_first(found, self._time_keys))
        group = _name(_first(found, self._group_keys), "machine")
        if not group and self._has_groups:
            raise SchemaError(f"machine is missing, expected {self._group_keys[0]!r}")
        get = values.get
        cells: list[Any] = [get(key) for key in self._keys]
        row = cells if set(map(type, cells)) == {float} and math.isfinite(sum(cells)) else self._cells(cells, values)
        if not self._has_warned and not known.issuperset(values):
            self._has_warned = True
            unknown = [name for name in values if name not in known]
            self._warn(f"names that are no sensors of the detector are ignored: {listed(unknown)}")
        return Record(time, group, _name(_first(found, self._mode_keys), "mode") or None, row)

    def _cells(self, cells: Sequence[Any], values: Mapping[str, Any]) -> list[float]:
        row = [number(value, name) for value, name in zip(cells, self._names, strict=True)]
        if not self._is_checked or all(value is None for value in cells):
            missing = [key for key in self._keys if key not in values]
            if len(missing) == len(self._keys):
                raise SchemaError(f"none of the sensors is there, found {listed(values)}")
            self._is_checked = True
            if missing:
                near = closest(missing[0], [name for name in values if name not in self._known])
                hint = f"; did you mean {near!r} for {missing[0]!r}?" if near else ""
                self._warn(f"sensors that the first row does not have count as missing: {listed(missing)}{hint}")
        return row


class CsvLines:
    """Lines of CSV under a header; the delimiter (comma, semicolon or tab) is taken from the header.

    Parameters
    ----------
    header
        The line that names the columns. Where it comes again, it is passed over.
    allow_missing
        How many sensors the header may lack; they count as missing in every row.

    Raises
    ------
    SchemaError
        The header lacks the time, the machine, the mode or more sensors than allowed, or names a column twice.
    """

    def __init__(
        self, header: str, names: Sequence[str], form: LogFormat, warn: Callable[[str], None], *, allow_missing: int = 0
    ) -> None:
        self._clock = ClockReader(form)
        self._header = header
        self._delimiter = max(DELIMITERS, key=header.count)
        rename = dict(form.rename)
        try:
            columns = [rename.get(name, name) for name in next(csv.reader([header], delimiter=self._delimiter))]
        except csv.Error as err:
            raise DataError(f"the header cannot be read as CSV: {err}") from err
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise SchemaError(f"column names appear twice: {listed(twice)}", hint="rename or drop one of each")
        self._n_columns = len(columns)
        self._time = _column(columns, form.time or "time", "time", names)
        self._group = None if form.group is None else _column(columns, form.group, "group", names)
        self._mode = None if form.mode is None else _column(columns, form.mode, "mode", names)
        missing = [name for name in names if name not in columns]
        if len(missing) > allow_missing:
            near = closest(missing[0], [name for name in columns if name not in names])
            hint = f"did you mean {near!r}?" if near else f"found: {listed(columns)}"
            raise SchemaError(
                f"column {missing[0]!r} is missing"
                + (f" (and {len(missing) - 1} more: {listed(missing[1:])})" if len(missing) > 1 else ""),
                hint=f"{hint}; --allow-missing {len(missing)} goes on without",
            )
        if missing:
            warn(f"{len(missing)} sensors missing: {listed(missing)}")
        keys = {self._time, self._group, self._mode}
        known = {*names, *form.exclude, form.label, "mode"}
        ignored = [name for place, name in enumerate(columns) if place not in keys and name not in known]
        if ignored:
            warn(f"{len(ignored)} columns ignored: {listed(ignored)}")
        self._places = [(columns.index(name) if name in columns else None, name) for name in names]

    def __call__(self, line: str) -> Record | Broken | Skipped:
        """The record of one line."""
        if not line or line == self._header or line.isspace():
            return SKIPPED
        try:
            return self._record(line)
        except DataError as err:
            return Broken(str(err))

    def _record(self, line: str) -> Record:
        cells = line.split(self._delimiter) if '"' not in line else self._quoted(line)
        if len(cells) != self._n_columns:
            raise DataError(f"expected {self._n_columns} cells, found {len(cells)}")
        time = self._clock(cells[self._time])
        group = "" if self._group is None else _name(cells[self._group], "machine")
        if not group and self._group is not None:
            raise SchemaError("machine is missing")
        mode = None if self._mode is None else cells[self._mode] or None
        values = [math.nan if place is None else number(cells[place], name) for place, name in self._places]
        return Record(time, group, mode, values)

    def _quoted(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self._delimiter, strict=True))
        except csv.Error as err:
            raise DataError(f"no CSV: {err}") from err


def number(value: Any, name: str) -> float:
    """A cell as float64: NaN where missing, `BEYOND_FLOAT32` where finite but too large to be read.

    Raises
    ------
    SchemaError
        The cell is no number.

    Examples
    --------
    >>> number(" 71.25", "TI-101"), number("null", "TI-101"), number(True, "TI-101"), number("1e400", "TI-101")
    (71.25, nan, 1.0, 1e+300)
    """
    kind = type(value)
    if kind is float:
        return math.copysign(BEYOND_FLOAT32, value) if math.isinf(value) else value
    if value is None:
        return math.nan
    if isinstance(value, _Infinity):
        return float(value)
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return BEYOND_FLOAT32 if value > 0 else -BEYOND_FLOAT32
    if isinstance(value, str):
        word = value.strip()
        if is_number_text(word):
            lowered = word.lower()
            if lowered in ("true", "false"):
                return float(lowered == "true")
            found = float(word)
            is_overflow = math.isinf(found) and "inf" not in lowered
            return math.copysign(BEYOND_FLOAT32, found) if is_overflow else found
        if is_missing_text(word):
            return math.nan
    shown = repr(value)
    raise SchemaError(f"expected a number for {name!r}, got {shown if len(shown) <= 40 else shown[:40] + '...'}")


def _alternatives(name: str | None, fixed: str, sensors: set[str]) -> tuple[str, ...]:
    """The log's own name, then the fixed key, unless that is a sensor."""
    keys = () if name is None else (name,)
    return keys if fixed in sensors or fixed in keys else (*keys, fixed)


def _first(found: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((found[key] for key in keys if key in found), None)


def _name(value: Any, what: str) -> str:
    """A machine or mode as text; empty where there is none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SchemaError(f"expected the name of a {what}, got {value!r}")
    name = str(value)
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SchemaError(f"the name of a {what} is no text: {value!r}") from None
    return name


def _column(columns: Sequence[str], name: str, fixed: str, sensors: Sequence[str]) -> int:
    if name in columns:
        return columns.index(name)
    if fixed in columns and fixed not in sensors:
        return columns.index(fixed)
    near = closest(name, [column for column in columns if column not in sensors])
    hint = f"did you mean {near!r}?" if near else f"found: {listed(columns)}"
    hint += f"; name it with --{fixed}"
    raise SchemaError(f"column {name!r} is missing", hint=hint)

"""Which column plays which part, decided for all files of a log before any row is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sensorad.errors import SchemaError, TimeError
from sensorad.logs.casting import not_a_number
from sensorad.logs.columns import (
    closest,
    first_bad_number,
    is_named_like_time,
    kind_of_type,
    listed,
)
from sensorad.logs.failures import Place
from sensorad.logs.format import LogFormat
from sensorad.logs.sources import LogPart
from sensorad.logs.times import check_time_type, times_of
from sensorad.types import Sensor, SensorKind, SensorSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "check_columns",
    "check_sensors",
    "find_time",
    "ignored_names",
    "key_names",
    "learn_sensors",
    "may_be_sensor",
    "missing_error",
]

SENSOR_KINDS = ("measurement", "state")

INDEX_NAME = re.compile(r"__index_level_\d+__")
"""Name under which pandas stores an index that has none."""


def key_names(form: LogFormat, time: str | None) -> tuple[str, ...]:
    """The columns other than sensors that are read from a wide log."""
    return tuple(name for name in (time, form.group, form.mode, form.label) if name is not None)


def find_time(part: LogPart, form: LogFormat) -> str | None:
    """The time column: the one that is declared, else the only one there can be; None for a log with a time step.

    Raises
    ------
    TimeError
        If no column or several could be the time.
    """
    if form.time is not None or form.time_step_seconds is not None:
        return form.time
    named: set[str | None] = {form.group, form.mode, form.label, *form.exclude, *(form.sensors or ())}
    if form.layout == "long":
        named = {form.group, form.mode, form.label, form.tag, form.value, form.quality}
    free: list[str] = [name for name in part.fields if name not in named]
    stamps = [name for name in free if kind_of_type(part.fields[name].type) == "time"]
    likely = [name for name in free if is_named_like_time(name) and name not in stamps]
    text_kinds = ("time",) if part.n_rows != 0 else ("time", "empty")
    found = stamps + [name for name in likely if part.kind(name) in text_kinds]
    if not found and form.time_unit is not None:
        found = [name for name in likely if part.kind(name) == "number"]
    if len(found) == 1:
        return found[0]
    if not found and part.n_rows == 0:
        return None
    what = f"several columns could be the time: {listed(found)}" if found else "no column of time stamps found"
    others = [name for name in free if name in likely or part.kind(name) == "time"]
    if not found and others:
        what += f", only candidates: {listed(others)}"
    hint = "name it with --time NAME (and --time-unit if it holds numbers)"
    hint += "" if found else ", or give --time-step 60s if rows are evenly spaced"
    raise TimeError(what, where=part.label or None, hint=hint)


def learn_sensors(part: LogPart, form: LogFormat, time: str | None, notes: list[str]) -> SensorSchema:
    """Every numeric column that is not named otherwise, or those named in the format, with units where declared."""
    keys = key_names(form, time)
    if form.sensors is not None:
        return SensorSchema(tuple(_sensor(name, part.fields.get(name), notes) for name in form.sensors))
    names = [name for name in part.fields if name not in keys and name not in form.exclude and may_be_sensor(name)]
    names = [name for name in names if part.kind(name) in ("number", "empty")]
    if not names and part.n_rows != 0:
        raise SchemaError(
            "no numeric column is left to be a sensor", where=part.label or None, hint="name them with --sensors"
        )
    return SensorSchema(tuple(_sensor(name, part.fields[name], notes) for name in names))


def may_be_sensor(name: str) -> bool:
    """Whether a numeric column of that name is a sensor unasked: it has a name, and none that pandas gives to an index.

    Examples
    --------
    >>> may_be_sensor("TI-101"), may_be_sensor(" "), may_be_sensor("__index_level_0__")
    (True, False, False)
    """
    return bool(name.strip()) and INDEX_NAME.fullmatch(name) is None


def check_columns(part: LogPart, names: Iterable[str], form: LogFormat, time: str | None) -> None:
    """Every column must be there, and the time column must be readable with the declared zone and unit."""
    import pyarrow as pa

    for name in names:
        if name not in part.names or (name == time and name not in part.fields):
            raise missing_error("column", [name], part.names, part.label)
    if time is None:
        return
    place = Place(part.label)
    time_type = part.fields[time].type
    check_time_type(time_type, form, time, place)
    if kind_of_type(time_type) == "text":
        times_of(pa.array(part.sample(time), pa.large_string()), form, time, place)


def check_sensors(
    part: LogPart, schema: SensorSchema, form: LogFormat, time: str | None, *, allow_missing: int, is_learned: bool
) -> None:
    """Sensors of one file against the schema: present, numeric, and in a learned schema no more than these.

    Raises
    ------
    SchemaError
        With the file, the column and the closest match or a sample of the text found.
    """
    missing = [name for name in schema.names if name not in part.fields]
    if len(missing) > allow_missing:
        spare = [name for name in part.fields if name not in schema.names]
        raise missing_error("column", missing, spare, part.label, can_allow=not is_learned)
    keys = key_names(form, time)
    for name in schema.names:
        if name in keys:
            raise SchemaError(f"column {name!r} is named for another part and cannot be a sensor", where=part.label)
        if name not in part.fields:
            continue
        where = Place(part.label).at(name)
        kind = kind_of_type(part.fields[name].type)
        if kind in ("time", "other"):
            raise SchemaError(f"expected numbers, got {part.fields[name].type}", where=where)
        bad = first_bad_number(part.sample(name)) if kind == "text" else None
        if bad is not None:
            raise not_a_number(bad[1], Place(part.label).at(name, bad[0]), name)
    if is_learned and form.sensors is None:
        claimed = {*schema.names, *keys, *form.exclude}
        extra = [name for name in part.fields if name not in claimed and may_be_sensor(name)]
        extra = [name for name in extra if part.kind(name) == "number"]
        if extra:
            raise SchemaError(
                f"numeric columns that the first file does not have: {listed(extra)}",
                where=part.label,
                hint="choose the sensors with --sensors, or leave some out with --exclude",
            )


def ignored_names(
    parts: Sequence[LogPart], schema: SensorSchema, form: LogFormat, keys: Sequence[str]
) -> tuple[str, ...]:
    """Columns of any file that nothing uses and nobody excluded, in order of appearance."""
    used = {*schema.names, *keys, *form.exclude}
    return tuple(dict.fromkeys(name for part in parts for name in part.fields if name not in used))


def missing_error(
    noun: str, missing: Sequence[str], candidates: Iterable[str], label: str, *, can_allow: bool = False
) -> SchemaError:
    """The error for columns or tags that are not there; it names the first and the closest match among the others."""
    what = f"{noun} {missing[0]!r} is missing"
    if len(missing) > 1:
        what += f" (and {len(missing) - 1} more: {listed(missing[1:])})"
    candidates = list(candidates)
    match = closest(missing[0], candidates)
    hints = [f"did you mean {match!r}?" if match else f"found: {listed(candidates) or 'none'}"]
    if can_allow:
        hints.append(f"--allow-missing {len(missing)} goes on without")
    return SchemaError(what, where=label or None, hint="; ".join(hints))


def _sensor(name: str, field: pa.Field | None, notes: list[str]) -> Sensor:
    """A sensor with the unit, range and kind of its Arrow field metadata; what makes no sense is noted, not used."""
    declared: dict[bytes, bytes] = {} if field is None else (field.metadata or {})

    def text(key: bytes) -> str | None:
        return declared[key].decode("utf-8", "replace") if key in declared else None

    def number(key: bytes) -> float | None:
        try:
            value = float(declared[key]) if key in declared else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            notes.append(f"column {name!r}: declared {key.decode()} {text(key)!r} is not a number, ignored")
            return None
        return value

    low, high, kind = number(b"low"), number(b"high"), text(b"kind")
    if low is not None and high is not None and low > high:
        notes.append(f"column {name!r}: declared range {low} to {high} is empty, ignored")
        low = high = None
    known: Any = kind if kind in SENSOR_KINDS else None
    return Sensor(name, unit=text(b"unit"), low=low, high=high, kind=cast(SensorKind | None, known))

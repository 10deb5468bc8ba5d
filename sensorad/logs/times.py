"""Time columns of any type to int64 nanoseconds in UTC, or an error that names the row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError
from sensorad.logs.arrays import first_null, numpy_of
from sensorad.logs.columns import as_text, is_missing_text, is_number_text, kind_of_type
from sensorad.logs.failures import Place
from sensorad.logs.format import LogFormat
from sensorad.logs.zones import to_utc, zone_named

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_time_type", "evenly_spaced", "needs_nanoseconds", "times_of"]

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * NANOSECONDS["s"]
LATEST = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp()) * NANOSECONDS["s"]
"""Times must be in [EARLIEST, LATEST): outside, a unit or an export is wrong far more often than right."""

OFFSET = r"[T ]\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$"


def check_time_type(arrow_type: pa.DataType, form: LogFormat, column: str, place: Place) -> None:
    """Refuse a typed time column that cannot be read with these settings, before any row is read."""
    import pyarrow as pa

    kind = kind_of_type(arrow_type)
    if kind == "number" and not pa.types.is_boolean(arrow_type):
        if form.time_unit is None:
            raise _unitless_error(str(arrow_type), place.at(column))
    elif kind == "time":
        if form.time_origin is not None:
            raise TimeError(
                "a time origin is for times that are numbers, this column holds time stamps",
                where=place.at(column),
                hint="leave out --time-origin",
            )
        if getattr(arrow_type, "tz", None) is None and form.time_zone is None:
            raise _naive_error(place.at(column))
    elif kind in ("number", "other"):
        raise TimeError(f"expected times, got {arrow_type}", where=place.at(column), hint="name it with --time NAME")


def times_of(array: pa.Array, form: LogFormat, column: str, place: Place) -> NDArray[np.int64]:
    """Times (T,) int64 in nanoseconds since 1970 UTC.

    Time stamps and dates of any resolution, ISO 8601 text, and numbers with ``time_unit``. Times given as
    floats are rounded to the microsecond, which is what float64 seconds resolve.

    Raises
    ------
    TimeError
        If a time is null, outside 2000-2100, naive without a declared zone, ambiguous or non-existent when
        clocks change, or a number without a unit; with the first such row.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    check_time_type(array.type, form, column, place)
    row = first_null(array)
    if row is not None:
        raise _missing_error(place.at(column, row))
    kind = kind_of_type(array.type)
    if kind == "text":
        return _from_text(array, form, column, place)
    if kind == "number":
        return _from_numbers(array, form, column, place)
    if kind == "empty":
        return np.zeros(0, np.int64)  # a null type without nulls has no rows
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    return _from_stamps(array, form, column, place)


def evenly_spaced(rows: NDArray[np.int64], form: LogFormat) -> NDArray[np.int64]:
    """Times of the given row numbers in a log without a time column.

    The step is split into whole nanoseconds and a rest, so that a step such as 1/48000 s does not drift.
    """
    step = Fraction(str(form.time_step_seconds)) * NANOSECONDS["s"]
    whole = step.numerator // step.denominator
    rest = float(step - whole)
    start = EARLIEST if form.time_origin is None else _origin(form)
    last = int(rows.max(initial=0))
    if not EARLIEST <= start + last * step < LATEST:
        raise TimeError(f"row {last} falls outside 2000-2100", hint="check --time-step and --time-origin")
    fine: NDArray[np.int64] = np.rint(rows * rest).astype(np.int64)
    return start + rows * whole + fine


def needs_nanoseconds(arrow_type: pa.DataType | None, sample: Sequence[str | None], form: LogFormat) -> bool:
    """Whether times may carry more than microseconds: by type, by unit, by step, or in the first cells of text."""
    if arrow_type is None:
        step = Fraction(str(form.time_step_seconds or 0)) * 1_000_000
        return step.denominator != 1
    kind = kind_of_type(arrow_type)
    if kind == "number":
        return form.time_unit == "ns"
    if kind == "text":
        return form.time_unit == "ns" or any(re.search(r"\.\d{7}", word or "") for word in sample)
    return getattr(arrow_type, "unit", "us") == "ns"


def _naive_error(where: str) -> TimeError:
    """The error for times without a zone."""
    return TimeError(
        "times carry no time zone and none is declared",
        where=where,
        hint="declare it, e.g. --time-zone UTC or --time-zone Europe/Berlin",
    )


def _from_stamps(array: pa.Array, form: LogFormat, column: str, place: Place) -> NDArray[np.int64]:
    """Timestamp array to UTC; zones of the type itself are only for display, the integers are UTC already."""
    import pyarrow as pa

    times = _scaled(numpy_of(array.cast(pa.int64())), NANOSECONDS[array.type.unit], 0, column, place)
    if array.type.tz is not None or form.time_zone in (None, "UTC"):
        return times
    return to_utc(times, form.time_zone, column, place)


def _from_numbers(array: pa.Array, form: LogFormat, column: str, place: Place) -> NDArray[np.int64]:
    import pyarrow as pa

    if form.time_unit is None:
        raise _unitless_error(str(array[0]), place.at(column))
    unit_ns = NANOSECONDS[form.time_unit]
    origin = 0 if form.time_origin is None else _origin(form)
    if pa.types.is_integer(array.type):
        return _scaled(numpy_of(array), unit_ns, origin, column, place)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    values = numpy_of(array).astype(np.float64)
    _check_range(values, unit_ns, origin, column, place)
    whole = np.floor(values)
    microseconds = np.rint((values - whole) * (unit_ns / 1_000)).astype(np.int64)
    out: NDArray[np.int64] = origin + whole.astype(np.int64) * unit_ns + microseconds * 1_000
    return (out + 500) // 1_000 * 1_000 if unit_ns == 1 else out


def _scaled(ticks: NDArray[Any], unit_ns: int, origin: int, column: str, place: Place) -> NDArray[np.int64]:
    _check_range(ticks, unit_ns, origin, column, place)
    return ticks.astype(np.int64) * unit_ns + origin


def _check_range(ticks: NDArray[Any], unit_ns: int, origin: int, column: str, place: Place) -> None:
    """Bounds are compared in the unit of the column: multiplying first would overflow on the very rows to catch."""
    low = -((origin - EARLIEST) // unit_ns)
    high = -((origin - LATEST) // unit_ns)
    is_bad = ~((ticks >= low) & (ticks < high))
    if is_bad.any():
        row = int(np.flatnonzero(is_bad)[0])
        raise TimeError(
            f"time {_shown(ticks[row], unit_ns, origin)} is outside 2000-2100",
            where=place.at(column, row),
            hint="check the time unit and origin (--time-unit, --time-origin), or remove the row",
        )


def _shown(tick: Any, unit_ns: int, origin: int) -> str:
    unit = next(name for name, size in NANOSECONDS.items() if size == unit_ns)
    try:
        stamp = datetime.fromtimestamp((int(tick) * unit_ns + origin) / NANOSECONDS["s"], UTC)
    except (ValueError, OverflowError, OSError):
        return f"{tick} {unit}"
    return f"{tick} {unit} = {stamp.isoformat(timespec='seconds')}"


def _from_text(array: pa.Array, form: LogFormat, column: str, place: Place) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(as_text(array))
    if not len(text):
        return np.zeros(0, np.int64)
    if is_missing_text(text[0].as_py()):
        raise _missing_error(place.at(column, 0))
    if is_number_text(text[0].as_py()):
        if form.time_unit is None:
            raise _unitless_error(text[0].as_py(), place.at(column))
        return _from_numbers(_numbers_in(text, column, place), form, column, place)
    has_offset = numpy_of(pc.match_substring_regex(text, OFFSET))
    is_mixed = has_offset != has_offset[0]
    if is_mixed.any():
        row = int(np.flatnonzero(is_mixed)[0])
        word = text[row].as_py()
        if is_missing_text(word):
            raise _missing_error(place.at(column, row))
        raise TimeError(f"some times carry an offset and some do not, e.g. {word!r}", where=place.at(column, row))
    stamp_type = pa.timestamp("ns", "UTC") if has_offset[0] else pa.timestamp("ns")
    try:
        stamps = text.cast(stamp_type)
    except pa.ArrowInvalid:
        raise _unreadable(text.to_pylist(), stamp_type, column, place) from None
    check_time_type(stamps.type, form, column, place)
    return _from_stamps(stamps, form, column, place)


def _numbers_in(text: pa.Array, column: str, place: Place) -> pa.Array:
    import pyarrow as pa

    for number_type in (pa.int64(), pa.float64()):
        try:
            return text.cast(number_type)
        except pa.ArrowInvalid:
            continue
    words = text.to_pylist()
    row = next(row for row, word in enumerate(words) if not is_number_text(word))
    raise TimeError(f"expected a number as time, got {words[row]!r}", where=place.at(column, row))


def _unreadable(words: list[str], stamp_type: pa.DataType, column: str, place: Place) -> TimeError:
    import pyarrow as pa

    def is_readable(word: str) -> bool:
        try:
            pa.array([word]).cast(stamp_type)
        except pa.ArrowInvalid:
            return False
        return True

    row, word = next((row, word) for row, word in enumerate(words) if not is_readable(word))
    where = place.at(column, row)
    if is_missing_text(word):
        return _missing_error(where)
    if re.match(r"\d{4}-\d{2}-\d{2}", word) and not "2000" <= word[:4] <= "2100":
        return TimeError(f"time {word!r} is outside 2000-2100", where=where, hint="remove the row or repair its time")
    return TimeError(
        f"expected an ISO 8601 time, got {word!r}", where=where, hint="e.g. 2024-01-31T23:59:00Z or 2024-01-31 23:59"
    )


def _missing_error(where: str) -> TimeError:
    return TimeError("time is missing", where=where, hint="remove the row or repair its time")


def _unitless_error(sample: str, where: str) -> TimeError:
    return TimeError(
        f"times are numbers ({sample}) and their unit is not declared",
        where=where,
        hint="declare it, e.g. --time-unit s (one of s, ms, us, ns, min, h)",
    )


def _origin(form: LogFormat) -> int:
    stamp = datetime.fromisoformat(str(form.time_origin))
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=zone_named(str(form.time_zone)))
        if stamp.utcoffset() != stamp.replace(fold=1).utcoffset():
            raise TimeError(f"time origin {form.time_origin} is ambiguous or does not exist in {form.time_zone}")
    seconds, rest = divmod(stamp - datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1))
    return seconds * NANOSECONDS["s"] + rest.microseconds * 1_000

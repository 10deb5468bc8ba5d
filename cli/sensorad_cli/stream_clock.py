"""One time at a time, as text or number, to nanoseconds since 1970 in UTC: what logs do for whole columns.

Kept apart from the reader of columns because a stream starts without Arrow.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from math import floor, isfinite
from typing import Any

from sensorad.errors import TimeError
from sensorad.logs import LogFormat
from sensorad.logs.columns import is_missing_text, is_number_text
from sensorad.logs.times import EARLIEST, LATEST, NANOSECONDS
from sensorad.logs.zones import zone_named

__all__ = ["ClockReader"]

STAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII
)
DAY = 86_400 * NANOSECONDS["s"]
EPOCH = date(1970, 1, 1).toordinal()


class ClockReader:
    """Reads times as a `LogFormat` says: their zone where they carry none, their unit where they are numbers.

    Raises
    ------
    TimeError
        A time is missing, unreadable, outside 2000-2100, naive without a declared zone, ambiguous or non-existent when
        clocks change, or a number without a unit.

    Examples
    --------
    >>> read = ClockReader(LogFormat(time_unit="s"))
    >>> read("2024-05-01T02:00:00.5+02:00") == read(1714521600.5) == read("1714521600.5")
    True
    """

    def __init__(self, form: LogFormat) -> None:
        self._unit = None if form.time_unit is None else NANOSECONDS[form.time_unit]
        self._zone = None if form.time_zone is None else zone_named(form.time_zone)
        self._zone_name = form.time_zone
        self._origin = 0 if form.time_origin is None else self._local(datetime.fromisoformat(form.time_origin))
        self._has_origin = form.time_origin is not None
        self._day = ("", 0)  # the newest date and its first nanosecond: rows come many to a day

    def __call__(self, value: Any) -> int:
        """Nanoseconds since 1970 in UTC."""
        if isinstance(value, str):
            found = STAMP.fullmatch(value.strip())
            time = self._of_text(value.strip()) if found is None else self._of_stamp(value, found)
        else:
            time = self._of_number(value)
        if not EARLIEST <= time < LATEST:
            raise TimeError(f"time {value!r} is outside 2000-2100", hint="check --time-unit and --time-origin")
        return time

    def _of_stamp(self, text: str, found: re.Match[str]) -> int:
        day, hour, minute, second, fraction, zone = found.groups()
        if self._has_origin:
            raise TimeError("a time origin is for times that are numbers, got a time stamp")
        if day != self._day[0]:
            try:
                self._day = (day, (date.fromisoformat(day).toordinal() - EPOCH) * DAY)
            except ValueError:
                raise TimeError(f"expected an ISO 8601 time, got {text!r}") from None
        h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
        if h > 23 or m > 59 or s > 59:
            raise TimeError(f"expected an ISO 8601 time, got {text!r}")
        time = self._day[1] + ((h * 60 + m) * 60 + s) * NANOSECONDS["s"]
        if fraction:
            time += int(fraction.ljust(9, "0"))
        if zone is None:
            return self._to_utc(time, text)
        if zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
            if hours > 23 or minutes > 59:
                raise TimeError(f"expected an ISO 8601 time, got {text!r}")
            offset = (hours * 60 + minutes) * NANOSECONDS["min"]
            time += offset if zone[0] == "-" else -offset
        return time

    def _of_text(self, text: str) -> int:
        if is_missing_text(text):
            raise TimeError("time is missing")
        if not is_number_text(text) or text.lower() in ("true", "false"):
            raise TimeError(f"expected an ISO 8601 time, got {text!r}", hint="e.g. 2024-01-31T23:59:00Z")
        try:
            return self._of_number(int(text))
        except ValueError:
            return self._of_number(float(text))

    def _of_number(self, value: Any) -> int:
        if value is None:
            raise TimeError("time is missing")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TimeError(f"expected a time, got {value!r}")
        if self._unit is None:
            raise TimeError(
                f"time is a number ({value}) and its unit is not declared", hint="--time-unit s, ms, us, ns"
            )
        if isinstance(value, int):
            return self._origin + value * self._unit
        if not isfinite(value):
            raise TimeError(f"expected a time, got {value!r}")
        # Seconds since 1970 as float64 resolve microseconds, so that is what they are rounded to.
        whole = floor(value)
        time = self._origin + whole * self._unit + round((value - whole) * (self._unit / 1_000)) * 1_000
        return (time + 500) // 1_000 * 1_000 if self._unit == 1 else time

    def _to_utc(self, time: int, text: str) -> int:
        if self._zone is None:
            raise TimeError(f"time {text!r} carries no time zone and none is declared", hint="declare it: --time-zone")
        if self._zone is UTC or self._zone_name == "UTC":
            return time
        seconds, rest = divmod(time, NANOSECONDS["s"])
        return self._local(datetime(1970, 1, 1) + timedelta(seconds=seconds)) + rest

    def _local(self, stamp: datetime) -> int:
        """A time of day in the declared zone, or one that carries its own."""
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=self._zone)
            if stamp.utcoffset() != stamp.replace(fold=1).utcoffset():
                local = stamp.replace(tzinfo=None).isoformat(" ")
                raise TimeError(f"local time {local} happened twice or never in {self._zone_name}")
        seconds, rest = divmod(stamp - datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1))
        return seconds * NANOSECONDS["s"] + rest.microseconds * 1_000

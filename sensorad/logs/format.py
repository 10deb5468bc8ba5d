"""How a log is to be read: which column is what, and what its times mean."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sensorad.errors import UsageError

__all__ = ["LogFormat", "TimeUnit"]

TimeUnit = Literal["s", "ms", "us", "ns", "min", "h"]

LAYOUTS = ("wide", "long")
TIME_UNITS = ("s", "ms", "us", "ns", "min", "h")
FIXED_OFFSET = re.compile(r"[+-]\d{2}:\d{2}")


@dataclass(frozen=True, slots=True)
class LogFormat:
    """Names the columns of a log and states what its times mean; checked once, kept as JSON.

    Attributes
    ----------
    time : str, optional
        Time column; None takes the only column of time stamps.
    sensors : tuple of str, optional
        Sensor columns; None takes every numeric column that is not named otherwise.
    exclude : tuple of str
        Columns (long layout: tags) that are not sensors although they hold numbers.
    group, mode, label : str, optional
        Columns of the machine id, the operating mode and the 0/1 anomaly label.
    layout : {"wide", "long"}
        "long" is one row for each reading, as historians export: time, tag, value[, quality].
    tag, value, quality : str
        Column names of the long layout. Readings whose quality is neither "good" nor "ok" nor a number
        from 192 up count as missing.
    time_zone : str, optional
        Zone of times that carry none: an IANA name such as "Europe/Berlin", or an offset such as "+02:00".
    time_unit : {"s", "ms", "us", "ns", "min", "h"}, optional
        Unit of times that are plain numbers.
    time_step_seconds : float, optional
        The log has no time column; the rows of each group are this many seconds apart.
    time_origin : str, optional
        ISO 8601 time from which numeric times, or rows with a time step, are counted. Numeric times count
        from 1970 without it, rows with a time step from 2000-01-01T00:00Z.
    rename : tuple of (str, str)
        (name in the file, sensor name) for columns, or for tags in the long layout.

    Raises
    ------
    UsageError
        If two settings contradict each other or one of them has no meaning.

    Examples
    --------
    >>> form = LogFormat(time="datetime", group="machine", time_zone="Europe/Berlin")
    >>> LogFormat.from_json(form.to_json()) == form
    True
    """

    time: str | None = None
    sensors: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    group: str | None = None
    mode: str | None = None
    label: str | None = None
    layout: Literal["wide", "long"] = "wide"
    tag: str = "tag"
    value: str = "value"
    quality: str | None = None
    time_zone: str | None = None
    time_unit: TimeUnit | None = None
    time_step_seconds: float | None = None
    time_origin: str | None = None
    rename: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.sensors is not None:
            object.__setattr__(self, "sensors", _names("sensors", self.sensors))
        object.__setattr__(self, "exclude", _names("exclude", self.exclude))
        object.__setattr__(self, "rename", tuple((str(old), str(new)) for old, new in self.rename))
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        self._check_columns()
        self._check_times()

    def _check_columns(self) -> None:
        roles = {"time": self.time, "group": self.group, "mode": self.mode, "label": self.label}
        if self.layout == "long":
            roles |= {"tag": self.tag, "value": self.value, "quality": self.quality}
        taken: dict[str, str] = {}
        for role, name in roles.items():
            if name is None:
                continue
            if name in taken:
                raise UsageError(f"column {name!r} cannot be both {taken[name]} and {role}")
            taken[name] = role
        for name in self.sensors or ():
            if self.layout == "wide" and name in taken:
                raise UsageError(f"column {name!r} cannot be both a sensor and {taken[name]}")
            if name in self.exclude:
                raise UsageError(f"column {name!r} is both a sensor and excluded")
        for side, names in (("old", [old for old, _ in self.rename]), ("new", [new for _, new in self.rename])):
            if len(set(names)) != len(names):
                raise UsageError(f"rename has the same {side} name twice: {', '.join(names)}")

    def _check_times(self) -> None:
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise UsageError(f"time unit must be one of {', '.join(TIME_UNITS)}, got {self.time_unit!r}")
        step = self.time_step_seconds
        if step is not None:
            if not (math.isfinite(step) and step > 0):
                raise UsageError(f"time step must be a positive number of seconds, got {step}")
            if self.time is not None or self.time_unit is not None:
                raise UsageError("a log with a time step has no time column: give --time-step or --time, not both")
            if self.layout == "long":
                raise UsageError("a log in long layout needs a time column, a time step cannot replace it")
        if self.time_zone is not None and not _is_zone(self.time_zone):
            raise UsageError(
                f"time zone {self.time_zone!r} is unknown", hint="use a name such as UTC or Europe/Berlin, or +02:00"
            )
        if self.time_origin is not None:
            try:
                origin = datetime.fromisoformat(self.time_origin)
            except ValueError:
                raise UsageError(
                    f"time origin must be an ISO 8601 time, got {self.time_origin!r}", hint="e.g. 2024-01-31T00:00:00Z"
                ) from None
            if origin.tzinfo is None and self.time_zone is None:
                raise UsageError(
                    f"time origin {self.time_origin!r} has no zone", hint="append Z for UTC, or give --time-zone"
                )

    def to_json(self) -> dict[str, Any]:
        """The settings that differ from the defaults, as plain JSON values."""
        values = asdict(self)
        changed = {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}
        return {key: _as_lists(value) for key, value in changed.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LogFormat:
        """The inverse of `to_json`; an unknown key is an error, not ignored."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise UsageError(f"unknown log settings: {', '.join(sorted(unknown))}")
        return cls(**values)


def _names(what: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise UsageError(f"{what} must be several names, got the text {values!r}", hint=f"write ({values!r},)")
    names = tuple(str(value) for value in values)
    if len(set(names)) != len(names):
        raise UsageError(f"{what} has a name twice: {', '.join(names)}")
    return names


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value


def _is_zone(name: str) -> bool:
    if FIXED_OFFSET.fullmatch(name):
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, path-like, or a directory of the zone database
        return False
    return True

"""Local times to UTC by the rules of a time zone, refusing those that clock changes make doubtful.

Written on zoneinfo because Arrow (26) knows no daylight saving after 2037.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError
from sensorad.logs.failures import Place

__all__ = ["to_utc", "zone_named"]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
START = datetime(1970, 1, 1)


def zone_named(name: str) -> tzinfo:
    """An IANA zone, or a fixed offset written as +hh:mm."""
    if name[0] not in "+-":
        return ZoneInfo(name)
    minutes = int(name[1:3]) * 60 + int(name[4:6])
    return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))


def to_utc(local: NDArray[np.int64], zone_name: str, column: str, place: Place) -> NDArray[np.int64]:
    """Local times (T,) in ns to UTC; a day without a clock change needs one offset, other days one a minute.

    Raises
    ------
    TimeError
        If a local time happened twice or never, with its row.

    Examples
    --------
    >>> noon = np.array([1_717_243_200 * SECOND])
    >>> int((noon - to_utc(noon, "Europe/Berlin", "time", Place()))[0]) // SECOND
    7200
    """
    zone = zone_named(zone_name)
    days, day_of = np.unique(local // DAY, return_inverse=True)
    edges = np.array([[*_offsets(day * DAY, zone), *_offsets((day + 1) * DAY, zone)] for day in days.tolist()])
    edges = edges.reshape(-1, 4)
    early, late = edges[day_of, 0], edges[day_of, 0]  # offset of the first and the second reading of a local time
    is_steady = (edges == edges[:, :1]).all(axis=1)
    rows = np.flatnonzero(~is_steady[day_of])
    if len(rows):
        minutes, minute_of = np.unique(local[rows] // MINUTE, return_inverse=True)
        both = np.array([_offsets(minute * MINUTE, zone) for minute in minutes.tolist()])
        early[rows], late[rows] = both[minute_of].T
    doubtful = np.flatnonzero(early != late)
    if len(doubtful):
        row = int(doubtful[0])
        when = str(np.datetime64(int(local[row]), "ns")).rstrip("0").rstrip(".")
        fault = "is ambiguous (clocks went back)" if early[row] > late[row] else "does not exist (clocks went forward)"
        raise TimeError(
            f"local time {when} {fault} in {zone_name}",
            where=place.at(column, row),
            hint="export times in UTC or with their offset",
        )
    return np.asarray(local - early)


def _offsets(local: int, zone: tzinfo) -> tuple[int, int]:
    """Offset from UTC in ns of the first and of the second reading of a local time."""
    stamp = START + timedelta(seconds=local // SECOND)
    first, second = (zone.utcoffset(stamp.replace(fold=fold)) or timedelta() for fold in (0, 1))
    return int(first.total_seconds()) * SECOND, int(second.total_seconds()) * SECOND

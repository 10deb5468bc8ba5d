"""Times of single rows, of any type that says when: whole nanoseconds since 1970 in UTC inside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError
from sensorad.logs.times import EARLIEST, LATEST

__all__ = ["Stamp", "stamp_of", "stamps_of_tick", "text_of"]

Stamp = int | datetime | str | np.datetime64 | np.integer[Any]
"""Nanoseconds since 1970 in UTC, a datetime with a zone, ISO 8601 text with a zone, or a NumPy time, which is UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000
FRACTION = re.compile(r"[.,](\d+)")


def stamp_of(time: Stamp) -> int:
    """Nanoseconds since 1970 in UTC.

    Raises
    ------
    TimeError
        No time, a time without a zone, or one outside 2000-2100.

    Examples
    --------
    >>> stamp_of("2024-05-01T02:00:00.000000001+02:00")
    1714521600000000001
    >>> text_of(1714521600000000001)
    '2024-05-01T00:00:00.000000001Z'
    """
    if isinstance(time, bool) or not isinstance(time, int | np.integer | datetime | str | np.datetime64):
        raise TimeError(
            f"expected a time, got {str(time)[:40]!r} ({type(time).__name__})",
            hint="give whole nanoseconds since 1970 UTC, a datetime with a zone, or ISO 8601 text with a zone",
        )
    if isinstance(time, str):
        stamp = _from_text(time)
    elif isinstance(time, datetime):
        stamp = _from_datetime(time)
    elif isinstance(time, np.datetime64):
        stamp = _from_numpy(time)
    else:
        stamp = int(time)
    if not EARLIEST <= stamp < LATEST:
        raise TimeError(
            f"time {str(time)[:40]!r} is outside 2000-2100", hint="whole numbers are nanoseconds since 1970 UTC"
        )
    return stamp


def stamps_of_tick(time: Stamp | Sequence[Stamp] | NDArray[Any], n_rows: int) -> NDArray[np.int64]:
    """(N,) times of the rows of one tick, which may share one time."""
    if isinstance(time, str) or not isinstance(time, Sequence | np.ndarray):
        return np.full(n_rows, stamp_of(time), np.int64)
    if isinstance(time, np.ndarray) and time.dtype == np.int64:
        stamps = time
        if len(stamps) and not (stamps.min() >= EARLIEST and stamps.max() < LATEST):
            for stamp in stamps.tolist():
                stamp_of(stamp)
    else:
        stamps = np.array([stamp_of(one) for one in time], np.int64)
    if stamps.shape != (n_rows,):
        raise TimeError(f"{n_rows} rows came with {len(stamps)} times", hint="give one time for each row, or for all")
    return stamps


def text_of(time: int) -> str:
    """ISO 8601 in UTC, with as many digits as the time needs."""
    seconds, rest = divmod(time, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if rest == 0:
        return text + "Z"
    return f"{text}.{rest // 1_000:06d}Z" if rest % 1_000 == 0 else f"{text}.{rest:09d}Z"


def _from_text(text: str) -> int:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise TimeError(f"expected an ISO 8601 time, got {text[:40]!r}", hint="e.g. 2024-01-31T23:59:00Z") from None
    stamp = _from_datetime(time)
    fraction = FRACTION.search(text)
    return stamp if fraction is None else stamp + int(fraction[1][6:9].ljust(3, "0"))


def _from_datetime(time: datetime) -> int:
    if time.tzinfo is None:
        raise TimeError(f"time {time} carries no time zone", hint="give it one, e.g. datetime.now(UTC) or ...Z")
    since = time - EPOCH
    # Times of pandas are datetimes that know nanoseconds.
    return (
        (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000 + getattr(since, "nanoseconds", 0)
    )


def _from_numpy(time: np.datetime64) -> int:
    if np.isnat(time):
        raise TimeError("time is missing", hint="leave the row out or repair its time")
    year = time.astype("datetime64[Y]")
    if not np.datetime64("2000") <= year <= np.datetime64("2100"):  # beyond some years nanoseconds would wrap around
        raise TimeError(f"time {time} is outside 2000-2100")
    return int(time.astype("datetime64[ns]").astype(np.int64))

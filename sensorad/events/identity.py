"""Event ids that a rerun, a restart or another way of reading the log gives again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

__all__ = ["event_id"]


def event_id(group: str, start: int, schema_names: Sequence[str]) -> str:
    """Twelve hexadecimal digits that depend on machine, start time and sensor names only.

    Neither the end nor the threshold enters: an event keeps its id while it grows, so that a stream can name
    it when it opens, and a stored log judged again with another threshold keeps the ids of events that start
    on the same row.

    Parameters
    ----------
    start
        Time of the event's first row, nanoseconds since 1970 in UTC.

    Examples
    --------
    >>> event_id("pump-1", 1_700_000_000_000_000_000, ("TI-101", "PI-7"))
    '2a96b438b81b'
    """
    key = json.dumps([group, int(start), list(schema_names)], separators=(",", ":"))
    return hashlib.sha256(key.encode("ascii")).hexdigest()[:12]

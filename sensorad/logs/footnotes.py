"""Quality events kept in the footer of a score file, because stored scores alone cannot tell them again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import isnan
from typing import Any

import numpy as np

from sensorad.errors import DataError
from sensorad.types import Event

__all__ = ["MOST_EVENTS", "quality_footnote", "quality_of"]

MOST_EVENTS = 10_000
"""So many are kept, the earliest: a footer is read whole, before anything else of the file."""

KEY = b"sensorad.quality"
SEAL = b"sensorad.quality.crc32"


def quality_footnote(events: Sequence[Event]) -> dict[str, str]:
    """File metadata that carries the events.

    Examples
    --------
    >>> event = Event("ab12", "", 0, 9, 0, "quality", float("nan"), float("nan"), 3, ("TI-101",), reason="flat")
    >>> [again] = quality_of({key.encode(): text.encode() for key, text in quality_footnote([event]).items()}, "")
    >>> again.reason, again.sensors
    ('flat', ('TI-101',))
    """
    kept = sorted(events, key=lambda event: (event.start, event.event_id))[:MOST_EVENTS]
    text = json.dumps([_plain(event) for event in kept], allow_nan=False, ensure_ascii=True)
    return {KEY.decode(): text, SEAL.decode(): f"{zlib.crc32(text.encode()):08x}"}


def quality_of(metadata: Mapping[bytes, bytes] | None, label: str) -> list[Event]:
    """The events of `quality_footnote`; none where the file carries none.

    Raises
    ------
    DataError
        The metadata fails its checksum.
    """
    text = (metadata or {}).get(KEY)
    if text is None:
        return []
    if (metadata or {}).get(SEAL) != b"%08x" % zlib.crc32(text):
        raise DataError("file is damaged: its quality events fail the checksum", where=label, hint="write it again")
    return [_event(values) for values in json.loads(text)]


def _plain(event: Event) -> dict[str, Any]:
    return {field.name: _nulled(getattr(event, field.name)) for field in fields(event)}


def _nulled(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_nulled(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def _event(values: dict[str, Any]) -> Event:
    for name in ("shares", "expected", "actual"):
        values[name] = tuple(np.nan if value is None else value for value in values[name])
    for name in ("severity", "score"):
        values[name] = np.nan if values[name] is None else values[name]
    return Event(**{**values, "sensors": tuple(values["sensors"]), "onsets": tuple(values["onsets"])})

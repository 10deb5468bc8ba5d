"""JSON lines to a reader that may be slow: what it does not take holds the stream up instead of piling up."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any

from sensorad.streaming.stamps import text_of
from sensorad.types import Event
from sensorad_cli.failures import OutputClosed
from sensorad_cli.stream_stop import Stop

__all__ = ["LineWriter", "event_json"]

PIPE_BYTES = 4096
"""What a pipe that is ready takes at once, without making us wait out of reach of signals."""

GRACE_SECONDS = 5.0
"""How long a reader that takes nothing is waited for once the end is wished for."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class LineWriter:
    """Collects lines and writes them out when told to.

    Attributes
    ----------
    n_bytes : int
        Waiting to be written.
    """

    def __init__(self, descriptor: int, stop: Stop) -> None:
        self.n_bytes = 0
        self._descriptor = descriptor
        self._stop = stop
        self._lines: list[bytes] = []
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._at_once = 1 << 20 if is_file else PIPE_BYTES

    def add(self, record: Mapping[str, Any]) -> None:
        """One object, which becomes a line."""
        line = _encode(record).encode() + b"\n"
        self._lines.append(line)
        self.n_bytes += len(line)

    def flush(self) -> bool:
        """Write everything; False where the reader took nothing for `GRACE_SECONDS` after the end was wished for.

        Raises
        ------
        OutputClosed
            The reader has gone away.
        """
        left = memoryview(b"".join(self._lines))
        self._lines, self.n_bytes = [], 0
        while left:
            was_set = self._stop.is_set
            if self._stop.wait(GRACE_SECONDS if was_set else None, writable=self._descriptor):
                try:
                    left = left[os.write(self._descriptor, left[: self._at_once]) :]
                except BrokenPipeError as err:
                    raise OutputClosed from err
            elif was_set:
                return False
        return True


def event_json(event: Event, change: str) -> dict[str, Any]:
    """An event with the names of the columns of an event file, times as text, unknown numbers as null."""
    group = {"group": event.group} if event.group else {}
    return {
        "change": change,
        "event_id": event.event_id,
        **group,
        "start": text_of(event.start),
        "end": text_of(event.end),
        "peak": text_of(event.peak),
        "kind": event.kind,
        "severity": _known(event.severity),
        "score": _known(event.score),
        "n_rows": event.n_rows,
        "sensors": list(event.sensors),
        "shares": [_known(value) for value in event.shares],
        "expected": [_known(value) for value in event.expected],
        "actual": [_known(value) for value in event.actual],
        "return_days": event.return_days,
        "onset_seconds": [(onset - event.start) / 1e9 for onset in event.onsets],
        "reason": event.reason,
        "note": event.note,
    }


def _known(value: float) -> float | None:
    """The number, or None for NaN."""
    return None if math.isnan(value) else float(value)

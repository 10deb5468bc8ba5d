"""One run of a stream: rows from the source, answers to the reader, and commits in between."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.errors import DataError
from sensorad.streaming.stamps import text_of
from sensorad.types import STATUSES, Event
from sensorad_cli.stream_output import LineWriter, event_json
from sensorad_cli.stream_records import Broken, Record
from sensorad_cli.stream_sources import Source, Taken
from sensorad_cli.stream_stop import Stop
from sensorad_cli.stream_store import StateDirectory

if TYPE_CHECKING:
    from sensorad.events import EventChange
    from sensorad.monitoring import StaleVerdict
    from sensorad.streaming import Stream, StreamRow

__all__ = ["Pace", "RunCounts", "StreamRun"]

MOST_BYTES = 1 << 22
"""Answers kept back for a commit; beyond, the commit comes early."""

DAY_NS = 86_400 * 10**9

SECONDS_BETWEEN_LOOKS = 1.0
"""At the clock of the rows, to see whether a day has passed there."""

MOST_NAMED = 100
"""Broken lines that are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to commit, and to tell of being alive.

    Attributes
    ----------
    rows : int
        At most so many rows between two commits.
    seconds : float
        And at most so much time while there is something to commit.
    heartbeat_seconds : float
        Between two heartbeats; 0 = none.
    """

    rows: int = 10_000
    seconds: float = 1.0
    heartbeat_seconds: float = 0.0


@dataclass
class RunCounts:
    """What became of everything that this run has read.

    ``rows`` and what was held before are together the statuses and what is ``held`` now.
    """

    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    held: int = 0
    broken: int = 0
    seen: int = 0
    opened: int = 0
    closed: int = 0
    alarms: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "status": {name: self.status[name] for name in STATUSES},
            "held": self.held,
            "broken": self.broken,
            "seen": self.seen,
            "events": {"opened": self.opened, "closed": self.closed},
        }


class StreamRun:
    """Drives a stream until its source ends or the end is wished for.

    With a state directory every answer is written after the commit that makes it true; without one, as soon as there
    is nothing more to read at once.

    Parameters
    ----------
    writes_rows
        Answers hold score rows, not events only.
    is_last
        The log ends where the source does: rows that wait are scored and open events closed. Without a state
        directory that is always so.
    warn
        Called with one line for people.

    Attributes
    ----------
    counts : RunCounts
        What became of everything.
    is_cut_off : bool
        The reader of the answers is gone.
    verdict : StaleVerdict or None
        What the rows of this stream say of the calibration, where a day ended while it ran: it rests on days and weeks.
    """

    def __init__(
        self,
        stream: Stream,
        source: Source,
        sink: StateDirectory | None,
        writer: LineWriter,
        stop: Stop,
        pace: Pace,
        *,
        writes_rows: bool = True,
        is_last: bool = False,
        lateness_seconds: float = 0.0,
        warn: Callable[[str], None],
    ) -> None:
        self.counts = RunCounts()
        self.is_cut_off = False
        self.verdict: StaleVerdict | None = None
        self._stream, self._source, self._sink, self._writer = stream, source, sink, writer
        self._stop, self._pace, self._warn = stop, pace, warn
        self._writes_rows = writes_rows
        self._is_last = is_last or sink is None
        self._seen_until = {} if source.goes_on else dict(stream.newest)
        self._lateness_ns = round(lateness_seconds * 1e9)
        self._closed: dict[str, Event] = {}
        self._done: Taken | None = None
        self._n_uncommitted = 0
        self._has_news = False
        self._committed_at = self._beat_at = self._began = time.monotonic()
        self._commit_seconds = 0.0
        self._group_name = source.group_name or ("group" if any(stream.newest) else None)
        self._held_before = stream.counts["waiting"]
        self._day = max(stream.newest.values(), default=None)  # a time within it
        self._looked_at = self._began
        self._is_known_stale = False

    def run(self) -> RunCounts:
        """All rows there are; returns in good order after SIGTERM and SIGINT too."""
        has_ended = False
        while not (has_ended or self._stop.is_set or self.is_cut_off):
            taken = self._source.read(self._patience())
            has_ended = taken is None
            if self._day is None:
                self._day = next((one.item.time for one in taken or () if type(one.item) is Record), None)
            for tick in self._ticks(taken or ()):
                self._take_tick(tick)
                if self._is_due():
                    self._commit()
            if self._sink is None or self._is_late():
                self._commit()
            self._beat()
            if time.monotonic() - self._looked_at >= SECONDS_BETWEEN_LOOKS:
                self._judge()
        if has_ended and self._is_last:
            self._finish()
        else:
            self._commit()
        self._judge(is_end=True)
        return self.counts

    def _judge(self, *, is_end: bool = False) -> None:
        """Ask once for each day of the rows, and at the end of longer runs, whether the calibration still holds."""
        self._looked_at = time.monotonic()
        newest = max(self._stream.newest.values(), default=None)
        if newest is None or self._day is None:
            return
        is_new_day = newest // DAY_NS > self._day // DAY_NS
        if not is_new_day and not (is_end and self.verdict is not None):
            return
        self._day = newest
        self.verdict = self._stream.verdict()
        if self.verdict is not None and self.verdict.is_stale and not self._is_known_stale:
            self._is_known_stale = True
            self._warn(self.verdict.statement())

    def _ticks(self, taken: Sequence[Taken]) -> Iterator[list[Taken]]:
        """The same in order, with consecutive rows of different machines together: scored at once they cost less."""
        tick: list[Taken] = []
        machines: set[str] = set()
        for one in taken:
            group = one.item.group if type(one.item) is Record else ""
            if tick and (not group or group in machines):
                yield tick
                tick, machines = [], set()
            if group and not (self._lateness_ns or self._seen_until):
                tick.append(one)
                machines.add(group)
            else:
                yield [one]
        if tick:
            yield tick

    def _take_tick(self, tick: list[Taken]) -> None:
        if len(tick) == 1:
            self._take(tick[0])
            return
        time, groups, modes, values = zip(*(one.item for one in tick), strict=True)
        has_modes = any(mode is not None for mode in modes)
        rows = self._stream.update_many(
            np.array(time, np.int64), np.array(values), groups, modes if has_modes else None
        )
        self._done = tick[-1]
        self._n_uncommitted += len(tick)
        self.counts.rows += len(tick)
        self._group_name = self._group_name or "group"
        if self._writes_rows:
            for row in rows:
                self._tell(row)
        else:
            self.counts.status.update(rows.status)
            if rows.changes:
                self._tell_changes(rows.changes)

    def _take(self, taken: Taken) -> None:
        self._done = taken
        item = taken.item
        self._n_uncommitted += 1
        if type(item) is Record:
            if self._seen_until and self._was_seen(item):
                self.counts.seen += 1
                return
            try:
                rows = self._scored(item)
            except DataError as err:
                self._name_broken(taken.number, str(err))
                return
            self.counts.rows += 1
            if item.group and self._group_name is None:
                self._group_name = "group"
            for row in rows:
                self._tell(row)
        elif isinstance(item, Broken):
            self._name_broken(taken.number, item.why)

    def _scored(self, record: Record) -> Sequence[StreamRow]:
        group = record.group or None
        if self._lateness_ns:
            return self._stream.push(record.time, record.values, group, record.mode)
        return (self._stream.update(record.time, record.values, group, record.mode),)

    def _was_seen(self, record: Record) -> bool:
        """Whether an earlier run has had this row already, told by its time until the machine sends a newer one.

        Rows that may still have waited then are for the stream to judge, which knows them.
        """
        newest = self._seen_until.get(record.group)
        if newest is None:
            return False
        if record.time > newest:
            del self._seen_until[record.group]
        return record.time <= newest - self._lateness_ns

    def _tell(self, row: StreamRow) -> None:
        self.counts.status[row.status] += 1
        if self._writes_rows:
            self._writer.add(row.to_json())
        if row.changes:
            self._tell_changes(row.changes)

    def _tell_changes(self, changes: Sequence[EventChange]) -> None:
        self._has_news = True
        for change in changes:
            event = change.event
            self.counts.opened += change.what == "opened"
            self.counts.closed += change.what == "closed"
            self.counts.alarms += event.kind != "quality" and change.what in ("opened", "closed")
            if change.what == "closed":
                self._closed[event.event_id] = event
            self._writer.add({"event": event_json(event, change.what)})

    def _name_broken(self, number: int, why: str) -> None:
        self.counts.broken += 1
        if self.counts.broken <= MOST_NAMED:
            self._warn(f"line {number:,} is not scored: {why}")
        if self.counts.broken == MOST_NAMED:
            self._warn("further lines that cannot be scored are only counted")

    def _patience(self) -> float | None:
        """How long the source may wait for more."""
        now = time.monotonic()
        waits = []
        if self._sink is not None and self._n_uncommitted:
            waits.append(self._committed_at + max(self._pace.seconds, self._commit_seconds) - now)
        if self._pace.heartbeat_seconds:
            waits.append(self._beat_at + self._pace.heartbeat_seconds - now)
        return max(0.0, min(waits)) if waits else None

    def _is_due(self) -> bool:
        if self._n_uncommitted >= self._pace.rows or self._writer.n_bytes >= MOST_BYTES:
            return True
        # News is committed at once, as long as commits leave half of the time for other work.
        return self._has_news and time.monotonic() - self._committed_at >= self._commit_seconds

    def _is_late(self) -> bool:
        waited = time.monotonic() - self._committed_at
        return self._n_uncommitted > 0 and waited >= max(self._pace.seconds, self._commit_seconds)

    def _commit(self) -> None:
        if self._sink is not None and self._n_uncommitted:
            began = time.monotonic()
            self._put(self._stream.state_bytes(), self._stream.ongoing())
            self._committed_at = time.monotonic()
            self._commit_seconds = self._committed_at - began
        self._n_uncommitted = 0
        self._has_news = False
        self._flush()

    def _put(self, state: bytes, ongoing: list[Event]) -> None:
        if self._sink is not None:
            self._sink.commit(state, self._source.place(self._done), self._closed.values(), ongoing, self._group_name)
            self._closed.clear()

    def _finish(self) -> None:
        """The log is over. The state stays as it is before that, so that a log that goes on after all can."""
        for row in self._stream.flush():
            self._tell(row)
        state = self._stream.state_bytes() if self._sink is not None else b""
        self._tell_changes(self._stream.finish())
        self._put(state, [])
        self._flush()

    def _flush(self) -> None:
        self._count_held()
        if not self._writer.flush():
            self.is_cut_off = True
            self._warn("the reader of stdout takes nothing more: the newest answers are lost to it")

    def _count_held(self) -> None:
        self.counts.held = self._held_before + self.counts.rows - self.counts.status.total()

    def _beat(self) -> None:
        if not self._pace.heartbeat_seconds:
            return
        now = time.monotonic()
        if now - self._beat_at < self._pace.heartbeat_seconds:
            return
        self._beat_at = now
        self._count_held()
        newest = max(self._stream.newest.values(), default=None)
        beat = self.counts.to_json() | {
            "open": len(self._stream.ongoing()),
            "newest": None if newest is None else text_of(newest),
            "seconds": round(now - self._began, 3),
        }
        print(json.dumps({"heartbeat": beat}), file=sys.stderr, flush=True)

"""`Stream`: rows in as they come, scores and news of events out, through restarts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events import EventBuilder, EventChange, QualityMonitor
from sensorad.events.state_parts import misfit, names_in, part_in, whole_in
from sensorad.events.stored_events import events_of, stored_events
from sensorad.logs.times import EARLIEST, LATEST
from sensorad.monitoring import CalibrationMonitor, StaleVerdict
from sensorad.scoring import ScoringEngine
from sensorad.streaming.core import Name, StreamCore, Taken, name_of
from sensorad.streaming.lateness import ReorderBuffer
from sensorad.streaming.results import RowScale, StreamRow, StreamTick
from sensorad.streaming.stamps import SECOND, Stamp, stamp_of, stamps_of_tick
from sensorad.streaming.state_file import pack, read_state, unpack, write_state
from sensorad.streaming.values import CellReader, Values
from sensorad.streaming.waiting import WaitingRow
from sensorad.types import STATUSES, Event

__all__ = ["Stream"]

CENTURY_SECONDS = 3.2e9
"""All times lie within so many: a longer horizon means none, and must not overflow."""

WHATS = ("opened", "changed", "closed", "withdrawn")


class Stream:
    """Scores rows of any number of machines as they come; the scores, alarms and events are those of the whole log.

    Made by `Detector.stream`. A stream is used by one thread at a time.

    Parameters
    ----------
    engine
        A fresh scoring engine, which says how rows are scored.
    builder, quality
        Fresh makers of events of the plant and of the data.
    monitor
        A fresh one of the calibration; None where that keeps no baseline.
    owner
        Gives the hashes of model and calibration that a state of this stream belongs to.
    lateness_seconds
        How late rows may come and still be put in order, by `push`.
    horizon_seconds
        Rows further than this ahead of their machine's newest are set aside until others agree.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sensorad import Detector
    >>> rng = np.random.default_rng(0)
    >>> level = np.sin(np.arange(3000) / 40) + 0.1 * rng.normal(size=3000)
    >>> log = pd.DataFrame({
    ...     "time": pd.date_range("2024-05-01", periods=3000, freq="min", tz="UTC"),
    ...     "flow": level + 0.05 * rng.normal(size=3000),
    ...     "power": 2 * level + 0.05 * rng.normal(size=3000),
    ... })
    >>> stream = Detector().fit(log).stream()
    >>> for number in range(40):
    ...     row = stream.update(log["time"][number], {"flow": level[number], "power": 2 * level[number]})
    >>> row.status, row.alarm
    ('scored', False)
    >>> row = stream.update("2024-05-01T00:40:00Z", {"flow": 0.0, "power": 9.0})
    >>> row.alarm, row.top_sensors[0], [change.what for change in row.changes]
    (True, 'power', ['opened'])
    """

    def __init__(
        self,
        engine: ScoringEngine,
        builder: EventBuilder,
        quality: QualityMonitor,
        monitor: CalibrationMonitor | None = None,
        *,
        owner: Callable[[], Mapping[str, str]],
        lateness_seconds: float = 0.0,
        horizon_seconds: float = 86_400.0,
    ) -> None:
        for name, value in (("lateness_seconds", lateness_seconds), ("horizon_seconds", horizon_seconds)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
                raise UsageError(f"{name} must be a number of at least 0, got {value!r}")
        lateness_ns = round(lateness_seconds * SECOND)
        horizon_ns = round(min(horizon_seconds, CENTURY_SECONDS) * SECOND)
        self._core = StreamCore(engine, builder, quality, monitor, lateness_ns, horizon_ns)
        self._owner = owner
        self._names = builder.schema_names
        self._scale = RowScale(builder.line.threshold, self._names)
        self._cells = CellReader(self._names)
        self._buffer = ReorderBuffer(lateness_ns)
        self._n_arrived = 0
        self._carried: list[EventChange] = []  # by rows whose own output row is out already

    def update(self, time: Stamp, values: Values, group: Name = None, mode: Name = None) -> StreamRow:
        """Score one row at once.

        Parameters
        ----------
        time
            Whole nanoseconds since 1970 in UTC, a datetime with a zone, ISO 8601 text with a zone, or a NumPy time,
            which is UTC.
        values
            Numbers by the name of their sensor, or in the order of the schema. None, NaN and names left out are
            missing; names that the detector does not know are ignored and counted.
        group
            Machine, in a stream of several.
        mode
            Operating mode, where modes have alarm lines of their own.

        Raises
        ------
        DataError
            A value that is no number, or a time that is none or outside 2000-2100; the stream stays as it was.
        UsageError
            The stream puts late rows in order, so it takes them by `push` only, or it is over.
        """
        if self._buffer.is_in_use:
            raise _takes_pushes()
        if type(time) is not int or not EARLIEST <= time < LATEST:
            time = stamp_of(time)
        cells, flaw = self._cells.row(values)
        if mode is not None and type(mode) is not str:
            mode = name_of(mode, "mode")
        core = self._core
        try:
            slot = core.slots[group]
        except (KeyError, TypeError):  # a new machine, or no name at all
            slot = core.slot_of(group, time)
        scored, level, changes = core.take(slot, time, cells, flaw, mode)
        return StreamRow(time, core.group_names[slot], mode, scored, level, self._scale, changes)

    def update_many(
        self,
        time: Stamp | Sequence[Stamp] | NDArray[Any],
        values: NDArray[Any] | Sequence[Values],
        groups: Sequence[Name],
        modes: Sequence[Name] | None = None,
    ) -> StreamTick:
        """Score one tick of many machines, much cheaper for each row than one by one.

        Parameters
        ----------
        time
            One for all rows, or one for each.
        values
            (N, C) numbers in the order of the schema, or one row for each machine as in `update`.
        groups, modes
            Machine and operating mode of each row.
        """
        if self._buffer.is_in_use:
            raise _takes_pushes()
        cells = self._cells.rows(values)
        n_rows = len(cells[0])
        stamps = stamps_of_tick(time, n_rows)
        for what, column in (("machines", groups), ("modes", modes)):
            if column is not None and len(column) != n_rows:
                raise DataError(f"{n_rows} rows of values came with {len(column)} {what}")
        names = [] if modes is None else [None if mode is None else name_of(mode, "mode") for mode in modes]
        core = self._core
        slots = core.slots_of(groups.tolist() if isinstance(groups, np.ndarray) else list(groups), stamps)
        scores, changes = core.take_tick(slots, stamps, cells, names)
        return StreamTick(scores, names, core.line, self._names, changes)

    def push(self, time: Stamp, values: Values, group: Name = None, mode: Name = None) -> list[StreamRow]:
        """Take in one row, and give those whose turn has come: of each machine in time order.

        A row comes out when its machine has sent one that is newer by the lateness of the stream. So none, one or
        several rows come out, and `flush` gives the rest. Arguments and errors are those of `update`.
        """
        stamp = stamp_of(time)
        cells, flaw = self._cells.row(values)
        name = None if mode is None else name_of(mode, "mode")
        core = self._core
        try:
            slot = core.slots[group]
        except (KeyError, TypeError):  # a new machine, or no name at all
            slot = core.slot_of(group, stamp)
        self._n_arrived += 1
        row = WaitingRow(stamp, self._n_arrived, slot, cells, flaw, core.code_of(name))
        coming = [row]
        if stamp > core.far.reach[slot]:
            coming = core.far.agree(row)
            if not coming:
                row.is_told = True
                return [self._shown(slot, stamp, name, core.set_aside())]
        else:
            core.far.advance(slot, stamp)
        for one in coming:
            self._buffer.push(one)
        return self._released(self._buffer.due(slot))

    def flush(self) -> list[StreamRow]:
        """The rows that still wait for their turn, in time order."""
        return self._released(self._buffer.rest())

    def finish(self) -> list[EventChange]:
        """The end of the log: what closes with it. The stream takes no more rows and has no state after this."""
        if self._buffer.n_waiting:
            raise UsageError(f"{self._buffer.n_waiting} rows still wait for their turn", hint="call flush() first")
        core = self._core
        core.is_over = True
        core.slots.clear()
        carried, self._carried = self._carried, []
        return [*carried, *core.feed.finish()]

    def ongoing(self) -> list[Event]:
        """Events that are open, as they stand, by start and machine."""
        return self._core.feed.ongoing()

    def verdict(self) -> StaleVerdict | None:
        """Whether the calibration still describes normal operation, by the rows so far, as a batch run has it.

        None where the calibration keeps no baseline. It rests on days and weeks, and looks at all that it has seen of
        them: asking once a day is enough.
        """
        return self._core.feed.verdict()

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status, and what else was met.

        ``rows`` came in; those that ``waiting`` does not count have a status. ``equal`` and ``conflicts`` are the
        duplicates that say the same as the row before and something else, ``far_future`` the unscorable rows with a
        time too far ahead, ``unknown_sensors`` the rows with names that the detector does not know.
        """
        core, n_waiting = self._core, self._buffer.n_untold
        return {
            "rows": sum(core.n_by_status) + n_waiting,
            **dict(zip(STATUSES, core.n_by_status, strict=True)),
            **core.scorer.counts,
            "far_future": core.n_far,
            "waiting": n_waiting,
            "unknown_sensors": self._cells.n_with_unknown,
        }

    @property
    def newest(self) -> dict[str, int]:
        """Newest time of each machine, nanoseconds since 1970 in UTC; rows that are set aside do not count."""
        names = self._core.group_names
        return dict(zip(names, self._core.far.newest(len(names)).tolist(), strict=True))

    @property
    def unknown_sensors(self) -> tuple[str, ...]:
        """The first few names that came and that the detector does not know."""
        return tuple(self._cells.unknown)

    def state_bytes(self) -> bytes:
        """Everything that the stream remembers: `Detector.stream` goes on from there, bit for bit."""
        if self._core.is_over:
            raise UsageError("the stream is over, so it has no state", hint="save it before finish()")
        return pack(
            {
                "core": self._core.state(),
                "n_arrived": self._n_arrived,
                "unknown": list(self._cells.unknown),
                "n_unknown": self._cells.n_with_unknown,
                "waiting": self._buffer.state(),
                "carried": {
                    "what": [change.what for change in self._carried],
                    "events": stored_events([change.event for change in self._carried]),
                },
            },
            self._owner(),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state into one file, whole or not at all; a file of that name is replaced.

        Raises
        ------
        StorageError
            It cannot be written; what was there before is still there.
        """
        write_state(path, self.state_bytes())

    def restore(self, state: bytes | str | os.PathLike[str]) -> None:
        """Go on where a state, given as bytes or as the path of a file, was saved; for a stream without rows.

        Raises
        ------
        ArtefactError
            Damaged, made by a newer version, or with another model or another calibration; says which.
        StorageError
            The file cannot be read.
        """
        if isinstance(state, bytes):
            found = unpack(state, self._owner())
        else:
            found = unpack(read_state(state), self._owner(), where=os.fspath(state))
        try:
            self._restore(found)
        except (KeyError, IndexError, TypeError, ValueError) as err:  # forged: its checksum is right
            raise misfit(str(err)) from err

    def _restore(self, state: dict[str, Any]) -> None:
        core = self._core
        core.restore(part_in(state, "core"))
        self._n_arrived = whole_in(state, "n_arrived", 0)
        self._cells.unknown, self._cells.n_with_unknown = names_in(state, "unknown"), whole_in(state, "n_unknown", 0)
        newest = core.far.newest(len(core.group_names)).tolist()
        self._buffer.restore(part_in(state, "waiting"), len(self._names), core.n_modes, dict(enumerate(newest)))
        carried = part_in(state, "carried")
        whats, events = names_in(carried, "what"), events_of(carried.get("events"))
        if len(whats) != len(events) or not set(whats) <= set(WHATS):
            raise misfit("news of events")
        self._carried = [EventChange(what, event) for what, event in zip(whats, events, strict=True)]  # type: ignore[arg-type]

    def _released(self, rows: Sequence[WaitingRow]) -> list[StreamRow]:
        """Score rows whose turn has come."""
        core, found = self._core, []
        for row in rows:
            scored, level, changes = core.score(row)
            if row.is_told:
                self._carried += changes
                continue
            core.n_by_status[scored.status] += 1
            if self._carried:
                changes, self._carried = (*self._carried, *changes), []
            found.append(self._shown(row.slot, row.time, core.mode_of(row.mode), (scored, level, changes)))
        return found

    def _shown(self, slot: int, time: int, mode: str | None, taken: Taken) -> StreamRow:
        scored, level, changes = taken
        return StreamRow(time, self._core.group_names[slot], mode, scored, level, self._scale, changes)


def _takes_pushes() -> UsageError:
    return UsageError("rows of this stream wait to be put in order", hint="use push(), or lateness_seconds=0")

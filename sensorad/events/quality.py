"""Finds what is wrong with the data, apart from what the scores say about the plant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.events.quality_drafts import WHOLE_ROW, Draft, DraftBook, quality_event
from sensorad.events.quality_limits import QualityLimits
from sensorad.events.quality_live import LiveQuality
from sensorad.events.quality_machine import MachineQuality, Yardstick
from sensorad.events.quality_stack import QualityStack, RunRow
from sensorad.events.quality_state import restore_books, stored_books
from sensorad.events.rule import EventRule
from sensorad.events.state_parts import misfit, names_in, part_in, part_of
from sensorad.types import Event, RowBlock, ScoreBlock, SensorSchema

__all__ = ["QualityMonitor"]


class QualityMonitor:
    """Turns rows into events of kind "quality"; they do not depend on how the rows are cut into blocks.

    ====================  ==========================================================================================
    reason                is told of
    ====================  ==========================================================================================
    ``"overflow"``        a sensor with an infinite value or one beyond float32, from its first row
    ``"out_of_range"``    a sensor outside its declared ``Sensor.low`` to ``Sensor.high``, from its first row
    ``"flat"``            a stuck, dead or saturated sensor: the same value for `QualityLimits.rows_until_flat` rows
    ``"missing"``         a sensor without a value for `QualityLimits.rows_until_missing` rows; most sensors without
                          one, from the first such row (an outage)
    ``"clock"``           rows out of order or with a time that other values hold already, gaps in time, and rows
                          that the engine found to come at another rate
    ====================  ==========================================================================================

    An event starts on the first row of its first run and ends on the last row of its last. Runs of one reason on one
    sensor with at most ``rule.merge_gap_rows`` rows between them are one event, and so are events of several sensors
    with the same first and last row. In the rows of an outage no sensor is judged missing by itself. A gap in time of
    more than six usual steps ends every run: nobody knows what the sensor did meanwhile. Missing cells neither end a
    run of equal values nor count in it.

    Rows that are duplicates, late, out of order or far in the future, by the scores or by their own time, count for the
    clock only.
    Machines are followed one by one, in any interleaving; memory holds open runs and open events. After
    `MOST_EVENTS` events of one reason on one sensor the last takes in all that follow, and its note says so.

    Parameters
    ----------
    schema
        Sensors with their declared ranges.
    limits
        What normal data show; `QualityLimits.unknown` where nobody knows.
    rule
        Its ``merge_gap_rows``, and its ``step_seconds``: None = gaps in time are not looked for.

    Raises
    ------
    UsageError
        The limits are those of another number of sensors.

    Examples
    --------
    >>> from sensorad.types import Sensor
    >>> schema = SensorSchema((Sensor("TI-1"), Sensor("PI-7", high=5.0)))
    >>> limits = QualityLimits((1, 2), (0, 0), ("", ""))
    >>> values = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    >>> values[20:63, 0] = 7.25
    >>> values[80, 1] = 6.5
    >>> rows = RowBlock(np.arange(100), np.arange(100) * 10**9, values, np.zeros((100, 2), np.uint8),
    ...                 np.zeros(100, np.int32))
    >>> monitor = QualityMonitor(schema, limits, EventRule(step_seconds=1.0))
    >>> for event in monitor.update(rows) + monitor.finish():
    ...     print(event.reason, event.sensors, event.start // 10**9, event.n_rows, event.note)
    flat ('TI-1',) 20 43 flat for 43 rows at 7.25 (longest on normal data: 1)
    out_of_range ('PI-7',) 80 1 outside the declared range in 1 row, worst 6.5 beyond 5
    """

    def __init__(self, schema: SensorSchema, limits: QualityLimits, rule: EventRule) -> None:
        if len(limits) != len(schema):
            raise UsageError(f"the limits are for {len(limits)} sensors, the schema has {len(schema)}")
        self.schema = schema
        self.limits = limits
        self.rule = rule
        self._yardstick = Yardstick.of(schema, limits, rule)
        self._version = 0
        self._start((), QualityStack(len(schema)))

    def update(self, rows: RowBlock, scores: ScoreBlock | None = None) -> list[Event]:
        """Events that these rows close, by start; ``scores`` are those of the same rows.

        Without scores the order of rows is judged by their times, and the sampling rate is not judged.
        """
        if len(rows) == 0:
            return []
        events: list[Event] = []
        status, reason = (None, None) if scores is None else (scores.status, scores.reason)
        is_one_machine = bool((rows.group == rows.group[0]).all())
        for code in rows.group[:1] if is_one_machine else np.unique(rows.group):
            slot = self.slot(rows.group_names[code])
            machine = self._machines[slot]
            self._live.settle([slot])
            if is_one_machine:
                closed = machine.follow(rows, status, reason)
            else:
                at = np.flatnonzero(rows.group == code)
                closed = machine.follow(rows.take(at), _at(status, at), _at(reason, at))
            self._live.forget(slot)
            events += self._events(slot, closed)
        return sorted(events, key=_by_start)

    def ongoing(self) -> list[Event]:
        """Events that may still grow, as they stand: how a stream names a fault that has not ended."""
        self._live.settle(self._live.open)
        found = [self._events(slot, self._machines[slot].book.rest()) for slot in self._live.open]
        return sorted((event for events in found for event in events), key=_by_start)

    def finish(self) -> list[Event]:
        """Events still open at the end of the log, by start; the log is over after this, machines keep their slots."""
        events = self.ongoing()
        stack = QualityStack(len(self.schema))
        stack.grow(len(self._names))
        self._version = self.version + 1
        self._start(self._names, stack)
        return events

    @property
    def group_names(self) -> list[str]:
        """Machines by slot."""
        return list(self._names)

    def slot(self, name: str) -> int:
        """Number of a machine for `live_row` and `live_rows`; new ones are taken in, numbered as they come."""
        slot = self._slots.get(name)
        return self._add(name) if slot is None else slot

    @property
    def n_open(self) -> int:
        """Machines of which `ongoing` has something to say."""
        return len(self._live.open)

    @property
    def version(self) -> int:
        """A number that has changed when `ongoing` may name other events, or other sensors of them, than before.

        It does not change because events have grown longer.
        """
        return self._version + self._live.version

    def live_row(
        self,
        slot: int,
        time: int,
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: int,
        reason: int,
    ) -> list[Event]:
        """Events that one row of one machine closes, by start: `update` for a single row, at a fraction of the cost.

        Parameters
        ----------
        slot
            Number of the machine, see `slot`.
        time
            Nanoseconds since 1970 in UTC.
        values, flaw : (C,) float32 and uint8
            As in `RowBlock`; None = no flaw. The arrays stay the caller's.
        status, reason
            What became of the row when it was scored, as in `ScoreBlock`.
        """
        closed = self._live.row(slot, time, values, flaw, status, reason)
        return sorted(self._events(slot, closed), key=_by_start) if closed else []

    def live_rows(
        self,
        slots: NDArray[np.int64],
        time: NDArray[np.int64],
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: NDArray[np.uint8],
        reason: NDArray[np.uint8],
    ) -> list[Event]:
        """Events that a tick of rows closes, by start; (N,), (N,), (N, C), (N, C) or None, (N,), (N,)."""
        found = self._live.rows(slots, time, values, flaw, status, reason)
        return sorted((event for slot, closed in found for event in self._events(slot, closed)), key=_by_start)

    def state(self) -> dict[str, Any]:
        """What the rows so far have left, for a restart."""
        self._live.settle(range(len(self._names)))
        return {
            "machines": list(self._names),
            "runs": self._stack.state(len(self._names)),
            "events": stored_books([machine.book for machine in self._machines], len(self.schema)),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; schema, limits and rule must be the same.

        Raises
        ------
        ArtefactError
            The state is damaged or that of another schema.
        """
        names = names_in(part_of(state, "quality"), "machines")
        if len(set(names)) < len(names):
            raise misfit("it names a machine twice")
        stack = QualityStack(len(self.schema))
        stack.restore(part_in(state, "runs"), len(names))
        books = [DraftBook(self.rule.merge_gap_rows) for _ in names]
        restore_books(books, len(self.schema), part_in(state, "events"))
        if not all(_fits(stack.row(slot), self._yardstick, book) for slot, book in enumerate(books)):
            raise misfit("its quality events are not those of its runs")
        self._version = self.version + 1
        self._start(names, stack)
        for slot, book in enumerate(books):
            self._machines[slot].book = book
            self._live.forget(slot)

    def _start(self, names: Sequence[str], stack: QualityStack) -> None:
        """Follow these machines from where the stack has them."""
        self._stack = stack
        self._live = LiveQuality(self._yardstick, stack)
        self._names: list[str] = []
        self._slots: dict[str, int] = {}
        self._machines: list[MachineQuality] = []
        for name in names:
            self._add(name)

    def _add(self, name: str) -> int:
        slot = len(self._names)
        if slot >= self._stack.size:
            self._stack.grow(slot + 1)
            for known in self._machines:
                known.bind()
        self._names.append(name)
        self._slots[name] = slot
        self._machines.append(MachineQuality(self._yardstick, self._stack, slot))
        self._live.add(self._machines[slot])
        return slot

    def _events(self, slot: int, found: Sequence[Sequence[Draft]]) -> list[Event]:
        return [quality_event(self._names[slot], alike, self.schema, self.limits) for alike in found]


def _at(column: NDArray[np.uint8] | None, rows: NDArray[np.intp]) -> NDArray[np.uint8] | None:
    return None if column is None else column[rows]


def _fits(runs: RunRow, yardstick: Yardstick, book: DraftBook) -> bool:
    """Whether every run that is long enough to be told belongs to an open draft."""
    told = [("missing", WHOLE_ROW)] * int((runs.blind_n >= yardstick.blind).sum())
    for reason, is_told in (
        ("flat", runs.flat_n >= yardstick.flat),
        ("missing", runs.missing_n >= yardstick.missing),
        ("overflow", runs.overflow_n > 0),
        ("out_of_range", runs.outside_n > 0),
    ):
        told += [(reason, column) for column in is_told.nonzero()[0].tolist()]
    return book.open.keys() >= set(told)


def _by_start(event: Event) -> tuple[int, str, str, str]:
    return event.start, event.group, event.reason, event.event_id

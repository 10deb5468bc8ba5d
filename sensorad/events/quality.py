"""Finds what is wrong with the data, apart from what the scores say about the plant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.events.quality_drafts import Draft, quality_event
from sensorad.events.quality_limits import QualityLimits
from sensorad.events.quality_machine import MachineQuality, Yardstick
from sensorad.events.rule import EventRule
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

    Rows that are duplicates, late or out of order, by the scores or by their own time, count for the clock only.
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
        self._machines: dict[str, MachineQuality] = {}

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
            name = rows.group_names[code]
            machine = self._machines.get(name)
            if machine is None:
                machine = self._machines[name] = MachineQuality(self._yardstick)
            if is_one_machine:
                closed = machine.follow(rows, status, reason)
            else:
                at = np.flatnonzero(rows.group == code)
                closed = machine.follow(rows.take(at), _at(status, at), _at(reason, at))
            events += self._events(name, closed)
        return sorted(events, key=_by_start)

    def ongoing(self) -> list[Event]:
        """Events that may still grow, as they stand: how a stream names a fault that has not ended."""
        found = [self._events(name, machine.book.rest()) for name, machine in self._machines.items()]
        return sorted((event for events in found for event in events), key=_by_start)

    def finish(self) -> list[Event]:
        """Events still open at the end of the log, by start; the log is over after this."""
        events = self.ongoing()
        self._machines.clear()
        return events

    def _events(self, group: str, found: Sequence[Sequence[Draft]]) -> list[Event]:
        return [quality_event(group, alike, self.schema, self.limits) for alike in found]


def _at(column: NDArray[np.uint8] | None, rows: NDArray[np.intp]) -> NDArray[np.uint8] | None:
    return None if column is None else column[rows]


def _by_start(event: Event) -> tuple[int, str, str, str]:
    return event.start, event.group, event.reason, event.event_id

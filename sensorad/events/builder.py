"""Builds events from scores, block by block: the only road from scores to findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError
from sensorad.events.draft import EventDraft, ReturnDays
from sensorad.events.rule import EventRule
from sensorad.events.state_parts import array_in, misfit, names_in, part_in
from sensorad.events.tracker import EventTracker
from sensorad.types import REASONS, STATUSES, Event, ScoreBlock

__all__ = ["EventBuilder", "counted_rows"]


class EventBuilder:
    """Turns `ScoreBlock`s into `Event`s; the events do not depend on how the rows are cut into blocks.

    Machines are followed one by one, in any interleaving. Rows that are duplicates, late or out of order take
    no part and take up no place. Only open events are kept in memory.

    Parameters
    ----------
    schema_names
        Sensor names in the order that ``top_sensors`` counts in.
    line
        The alarm line: one threshold, or an `AlarmLine` with thresholds for operating modes.
    rule
        When events open, close, merge and count.
    return_days
        Machine-days of normal operation between two scores as high as the one it is given, which is the event's peak
        on the scale of ``line.threshold``; None where it cannot tell. Fills `Event.return_days`, which is None
        without it.

    Raises
    ------
    TimeError
        A machine's rows step back in time.
    DataError
        An infinite score, a blamed sensor beyond the schema, or machine names that changed their order.

    Examples
    --------
    >>> import numpy as np
    >>> from sensorad.types import RowBlock, ScoreBlock
    >>> n = 6
    >>> rows = RowBlock(np.arange(n), np.arange(n) * 10**9, np.zeros((n, 1), np.float32),
    ...                 np.zeros((n, 1), np.uint8), np.zeros(n, np.int32))
    >>> block = ScoreBlock.empty_for(rows)
    >>> block.score[:] = [0.1, 0.2, 4.0, 3.0, 0.1, 0.1]
    >>> block.status[:] = 0
    >>> builder = EventBuilder(("TI-101",), 2.0, EventRule(merge_gap_rows=1))
    >>> [event] = builder.update(block) + builder.finish()
    >>> event.start, event.end, event.severity, event.n_rows
    (2000000000, 3000000000, 2.0, 2)
    """

    def __init__(
        self,
        schema_names: Sequence[str],
        line: float | AlarmLine,
        rule: EventRule,
        return_days: ReturnDays | None = None,
    ) -> None:
        self.schema_names = tuple(schema_names)
        self.line = line if isinstance(line, AlarmLine) else AlarmLine(float(line))
        self.rule = rule
        self.return_days = return_days
        self._tracker = EventTracker(self.line.threshold, rule)
        self._drafts: dict[int, EventDraft] = {}
        self._standing: dict[int, Event] = {}  # open events as `ongoing` told them, until a row joins
        self._names: list[str] = []
        self._seen: Sequence[str] | None = None

    def update(self, block: ScoreBlock) -> list[Event]:
        """Events that these rows close, in the order of the rows that close them."""
        self._learn_names(block.group_names)
        kept = counted_rows(block)
        level = self.line.comparable(block.score, block.mode, block.mode_names)  # (T,)
        time, score, group = block.time, level, block.group
        if kept is not None:
            time, score, group = time[kept], score[kept], group[kept]
        closed: list[tuple[int, Event]] = []
        for piece in self._tracker.update(time, score, group):
            if piece.is_new:
                self._drafts[piece.group] = EventDraft(len(self.schema_names))
            draft = self._drafts[piece.group]
            rows = piece.rows if kept is None else kept[piece.rows]
            if len(rows):
                self._standing.pop(piece.group, None)
            draft.add(block, rows, piece, level[rows], self.rule.surprise_level)
            if piece.closed_at >= 0:
                closed += [(piece.closed_at, event) for event in self._close(piece.group)]
        closed.sort(key=lambda pair: pair[0])
        return [event for _, event in closed]

    def pass_over(self, time: int, group: int, level: float) -> bool:
        """Whether one row can neither open, continue nor close an event: then it is done with, at a tenth of the cost.

        Otherwise nothing happened, and the row is for `update`.

        Parameters
        ----------
        time
            Nanoseconds since 1970 in UTC.
        group
            Number of the machine.
        level
            Score of the row on the scale of ``line.threshold`` (`AlarmLine.comparable`), NaN where it has none. Rows
            that are duplicates, late or out of order take no part, so they are not for this method.
        """
        return self._tracker.pass_over(time, group, level)

    @property
    def n_open(self) -> int:
        """Machines with an event that may still grow, events that are too short so far included."""
        return len(self._drafts)

    def ongoing(self, groups: Iterable[int] | None = None) -> list[Event]:
        """Open events as they stand, by start time and machine: what `finish` would give now.

        With ``groups``, those of these machines only. An event that no row has joined since it was asked for is the
        same object again, so asking after every row is cheap.
        """
        asked = list(self._drafts) if groups is None else [group for group in groups if group in self._drafts]
        return sorted([event for group in asked for event in self._as_it_stands(group)], key=_by_start)

    def finish(self) -> list[Event]:
        """Events still open at the end of the log, by start time and machine; the log is over after this."""
        events = [event for group in self._tracker.finish() for event in self._close(group)]
        return sorted(events, key=_by_start)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on after a restart as if nothing had happened: plain values and NumPy arrays.

        Its size follows the machines and what is open, not the rows seen.
        """
        return {
            "names": list(self._names),
            "tracker": self._tracker.state(),
            "group": np.array(list(self._drafts), np.int64),
            "drafts": EventDraft.stacked(list(self._drafts.values()), len(self.schema_names)),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, by a builder with the same sensors, line and rule.

        Raises
        ------
        ArtefactError
            The state is damaged, or it is one of other sensors.
        """
        tracker = EventTracker(self.line.threshold, self.rule)
        tracker.restore(part_in(state, "tracker"))
        names = names_in(state, "names")
        groups = array_in(state, "group", np.int64, (None,), low=0).tolist()
        drafts = EventDraft.unstacked(part_in(state, "drafts"), len(groups), len(self.schema_names))
        if sorted(groups) != tracker.open_groups or max(groups, default=-1) >= len(names):
            raise misfit("its open events are of other machines than those it follows")
        self._tracker, self._names, self._seen = tracker, names, None
        self._drafts = dict(zip(groups, drafts, strict=True))
        self._standing = {}

    def _close(self, group: int) -> list[Event]:
        events = self._as_it_stands(group)
        del self._drafts[group]
        self._standing.pop(group, None)
        return events

    def _as_it_stands(self, group: int) -> list[Event]:
        """The open event of a machine; none while too few of its rows are above the line."""
        draft = self._drafts[group]
        if draft.n_above < self.rule.min_rows:
            return []
        if group not in self._standing:
            self._standing[group] = draft.event(
                self._names[group], self.schema_names, self.line.threshold, self.rule, self.return_days
            )
        return [self._standing[group]]

    def _learn_names(self, names: Sequence[str]) -> None:
        n_known = len(self._names)
        if names is self._seen and len(names) == n_known:  # a stream hands over the same list row by row
            return
        if list(names[:n_known]) != self._names:
            raise DataError(
                "machine names changed their order between blocks",
                hint="names may be added at the end, never reordered or removed",
            )
        self._names.extend(names[n_known:])
        self._seen = names


def _by_start(event: Event) -> tuple[int, str]:
    return event.start, event.group


def counted_rows(block: ScoreBlock) -> NDArray[np.int64] | None:
    """Rows of ``block`` that take part in events, None = all: not the duplicate, late or out-of-order ones."""
    is_out = block.status >= STATUSES.index("duplicate")  # "duplicate" and "late" end the tuple
    is_out |= block.reason == REASONS.index("out_of_order")
    return np.flatnonzero(~is_out) if is_out.any() else None

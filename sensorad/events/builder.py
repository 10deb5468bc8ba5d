"""Builds events from scores, block by block: the only road from scores to findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError
from sensorad.events.draft import EventDraft, ReturnDays
from sensorad.events.rule import EventRule
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
            draft.add(block, rows, piece, level[rows])
            draft.note_surprise(block.row_surprise[rows], piece, self.rule.surprise_level)
            if piece.closed_at >= 0:
                closed += [(piece.closed_at, event) for event in self._close(piece.group)]
        closed.sort(key=lambda pair: pair[0])
        return [event for _, event in closed]

    def finish(self) -> list[Event]:
        """Events still open at the end of the log, by start time and machine; the log is over after this."""
        events = [event for group in self._tracker.finish() for event in self._close(group)]
        return sorted(events, key=lambda event: (event.start, event.group))

    def _close(self, group: int) -> list[Event]:
        draft = self._drafts.pop(group)
        if draft.n_above < self.rule.min_rows:
            return []
        name = self._names[group]
        return [draft.event(name, self.schema_names, self.line.threshold, self.rule, self.return_days)]

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


def counted_rows(block: ScoreBlock) -> NDArray[np.int64] | None:
    """Rows of ``block`` that take part in events, None = all: not the duplicate, late or out-of-order ones."""
    is_out = block.status >= STATUSES.index("duplicate")  # "duplicate" and "late" end the tuple
    is_out |= block.reason == REASONS.index("out_of_order")
    return np.flatnonzero(~is_out) if is_out.any() else None

"""What follows from scored rows while they come: events of plant and data, what is new of them, and a word on the
calibration."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.events import ChangeWatch, EventBuilder, EventChange, QualityMonitor, counted_rows
from sensorad.events.state_parts import misfit, part_in
from sensorad.monitoring import CalibrationMonitor, StaleVerdict
from sensorad.streaming.results import ScoredRow
from sensorad.types import STATUSES, Event, ScoreBlock

__all__ = ["EventFeed"]

DUPLICATE = STATUSES.index("duplicate")
"""Rows of this status and of those after it take no part in events of the plant."""

MOST_HELD, MOST_TICKS = 50_000, 64
"""Rows and ticks that wait for the monitor of the calibration, whichever are reached first."""

Changes = tuple[EventChange, ...]
BlockOf = Callable[[ScoredRow, int, int, str | None], ScoreBlock]


class EventFeed:
    """Hands scored rows to all that look for events, and says what is new; rows that say nothing pass quickly.

    Parameters
    ----------
    builder, quality
        Fresh ones of a detector.
    monitor
        Whether the calibration still describes normal operation; None where nobody knows what it rests on.
    block_of
        Makes a block of one row, from what a scorer says of it, its time, its machine and its operating mode.
    """

    def __init__(
        self, builder: EventBuilder, quality: QualityMonitor, monitor: CalibrationMonitor | None, block_of: BlockOf
    ) -> None:
        self._builder = builder
        self._quality = quality
        self._monitor = monitor
        self._block_of = block_of
        self._watch = ChangeWatch()
        self._pass_over = builder.pass_over
        self._live_row = quality.live_row
        self._version = quality.version
        self._held: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self._n_held = 0
        self._about_data: dict[str, list[Event]] = {}  # open events of the data, by machine

    def one(
        self,
        slot: int,
        time: int,
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        scored: ScoredRow,
        level: float,
        mode: str | None,
    ) -> Changes:
        """News that one row brings; ``level`` is its score on the scale of the alarm line, NaN without one."""
        status = scored.status
        if status < DUPLICATE and self._monitor is not None:
            if self._held:
                self._let_go()
            self._monitor.follow(time, slot, level)
        if status >= DUPLICATE or self._pass_over(time, slot, level):
            about_data = self._live_row(slot, time, values, flaw, status, scored.reason)
            if not about_data and self._quality.version == self._version:
                return ()
            return self._news_of(slot, about_data)
        closed = self._builder.update(self._block_of(scored, time, slot, mode))
        if self._monitor is not None:
            self._monitor.count(closed)
        return self._news_of(slot, closed + self._live_row(slot, time, values, flaw, status, scored.reason))

    def many(
        self, scores: ScoreBlock, slots: NDArray[np.int64], values: NDArray[np.float32], flaw: NDArray[np.uint8] | None
    ) -> Changes:
        """News that one tick brings."""
        closed = self._builder.update(scores)
        if self._monitor is not None:
            self._monitor.count(closed)
            self._hold(scores, slots)
        closed += self._quality.live_rows(slots, scores.time, values, flaw, scores.status, scores.reason)
        is_quiet = not closed and self._builder.n_open == 0 and self._watch.n_open == 0
        return () if is_quiet and self._quality.version == self._version else self._news(closed)

    def ongoing(self) -> list[Event]:
        """Events that are open, as they stand."""
        return sorted(
            [*self._builder.ongoing(), *self._quality.ongoing()], key=lambda event: (event.start, event.group)
        )

    def verdict(self) -> StaleVerdict | None:
        """What the rows so far say of the calibration."""
        self._let_go()
        return None if self._monitor is None else self._monitor.verdict()

    def finish(self) -> Changes:
        """News of all that is closed by the end of the log."""
        closed = self._builder.finish()
        self._let_go()
        if self._monitor is not None:
            self._monitor.end(closed)
        return tuple(self._watch.changes([*closed, *self._quality.finish()], []))

    def state(self) -> dict[str, Any]:
        """What the rows so far have left, for a restart."""
        self._let_go()
        return {
            "builder": self._builder.state(),
            "quality": self._quality.state(),
            "watch": self._watch.state(),
            "monitor": None if self._monitor is None else self._monitor.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; raises `ArtefactError` where it does not fit."""
        self._builder.restore(part_in(state, "builder"))
        self._quality.restore(part_in(state, "quality"))
        self._watch.restore(part_in(state, "watch"))
        if "monitor" not in state or (state["monitor"] is not None and self._monitor is None):
            raise misfit("what it says of the calibration")
        if self._monitor is not None and state["monitor"] is not None:
            self._monitor.restore(part_in(state, "monitor"))
        self._version = -1  # of no monitor
        self._look_at_data()

    def _hold(self, scores: ScoreBlock, slots: NDArray[np.int64]) -> None:
        """Keep a tick of machines ``slots`` (N,) for the monitor, which takes many at once for the price of one."""
        line, kept = self._builder.line, counted_rows(scores)
        level = line.comparable(scores.score, scores.mode, scores.mode_names)
        rows = slice(None) if kept is None else kept
        self._held.append((scores.time[rows].copy(), slots[rows].copy(), level[rows].copy()))
        self._n_held += len(slots)
        if self._n_held >= MOST_HELD or len(self._held) >= MOST_TICKS:
            self._let_go()

    def _let_go(self) -> None:
        if self._n_held and self._monitor is not None:
            time, slots, level = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
            if len(time):
                self._monitor.follow_many(time, slots, level)
        self._held.clear()
        self._n_held = 0

    def _news_of(self, slot: int, closed: list[Event]) -> Changes:
        """News that a row of one machine brings: what is open on others costs nothing."""
        self._look_at_data()
        name = self._quality.group_names[slot]
        ongoing = [*self._builder.ongoing([slot]), *self._about_data.get(name, ())]
        return tuple(self._watch.changes(closed, ongoing, [name]))

    def _news(self, closed: list[Event]) -> Changes:
        self._look_at_data()
        about_data = chain.from_iterable(self._about_data.values())
        return tuple(self._watch.changes(closed, [*self._builder.ongoing(), *about_data]))

    def _look_at_data(self) -> None:
        if self._quality.version == self._version:
            return
        self._version, self._about_data = self._quality.version, {}
        for event in self._quality.ongoing():
            self._about_data.setdefault(event.group, []).append(event)

"""The inside of a stream: rows of numbered machines in their turn, scored and followed."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events import EventBuilder, QualityMonitor
from sensorad.events.state_parts import array_in, misfit, names_in, part_in, whole_in
from sensorad.monitoring import CalibrationMonitor
from sensorad.scoring import ScoringEngine
from sensorad.streaming.feed import Changes, EventFeed
from sensorad.streaming.quarantine import Quarantine
from sensorad.streaming.results import FAR, ScoredRow
from sensorad.streaming.scale import LevelScale
from sensorad.streaming.scorer import RowScorer
from sensorad.streaming.stamps import SECOND
from sensorad.streaming.values import Cells
from sensorad.streaming.waiting import WaitingRow
from sensorad.types import STATUSES, ScoreBlock

__all__ = ["Name", "StreamCore", "Taken", "machine_name", "name_of"]

Name = str | int | None
"""A machine or an operating mode; None where there are none."""

Taken = tuple[ScoredRow, float, Changes]
"""A scored row, its score on the scale of the alarm line (NaN without one), and the news that it brings."""


class StreamCore:
    """Scores rows, hands them to all that look for events, and sets rows aside that are too far ahead.

    Parameters
    ----------
    engine, builder, quality, monitor
        Fresh ones of a detector; the last is None where its calibration keeps no baseline.
    lateness_ns
        How far rows may have been out of order before they got here.
    horizon_ns
        How far ahead of its machine a row may be.
    """

    def __init__(
        self,
        engine: ScoringEngine,
        builder: EventBuilder,
        quality: QualityMonitor,
        monitor: CalibrationMonitor | None,
        lateness_ns: int,
        horizon_ns: int,
    ) -> None:
        self.schema_names = builder.schema_names
        self.line = builder.line
        self.scorer = RowScorer(engine)
        self.feed = EventFeed(builder, quality, monitor, self._block_of)
        self.far = Quarantine(horizon_ns, engine.timing.gap_seconds * SECOND, lateness_ns)
        self.slots: dict[Name, int] = {}
        self.group_names = self.scorer.group_names
        self.n_by_status = [0] * len(STATUSES)
        self.n_far = 0
        self.is_over = False
        self._quality = quality
        self._scale = LevelScale(builder.line)
        self._has_modes = self._scale.has_modes
        self._horizon_ns = self.far.horizon_ns
        self._one = self.scorer.one
        self._follow = self.feed.one
        self._mode_names: list[str] = []
        self._modes: dict[str, int] = {}
        self._fleet: list[Name] = []
        self._fleet_slots = np.zeros(0, np.int64)

    def take(
        self, slot: int, time: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None, mode: str | None
    ) -> Taken:
        """Score one row, or set it aside."""
        far = self.far
        ahead, reach = time + self._horizon_ns, far.reach[slot]
        if time > reach:
            return self._take_far(WaitingRow(time, 0, slot, values, flaw, self.code_of(mode), is_told=True))
        if ahead > reach:
            far.reach[slot] = ahead
        if far.held:
            far.held.pop(slot, None)
        scored = self._one(slot, time, values, flaw)
        self.n_by_status[scored.status] += 1
        level = self._scale.level(scored.score, mode) if self._has_modes else scored.score
        return scored, level, self._follow(slot, time, values, flaw, scored, level, mode)

    def score(self, row: WaitingRow) -> Taken:
        """Score one row whose time is believed; it is not counted."""
        scored = self._one(row.slot, row.time, row.values, row.flaw)
        mode = self.mode_of(row.mode)
        level = self._scale.level(scored.score, mode)
        return scored, level, self._follow(row.slot, row.time, row.values, row.flaw, scored, level, mode)

    def _take_far(self, row: WaitingRow) -> Taken:
        """Set a row aside that is too far ahead, unless it shows that others and itself are not."""
        believed = self.far.agree(row)
        if not believed:
            return self.set_aside()
        taken = [self.score(other) for other in believed]
        scored, level, _ = taken[-1]
        self.n_by_status[scored.status] += 1
        return scored, level, tuple(change for _, _, changes in taken for change in changes)

    def set_aside(self) -> Taken:
        """Count and name a row that is too far ahead."""
        self.n_by_status[FAR.status] += 1
        self.n_far += 1
        return FAR, nan, ()

    def take_tick(
        self, slots: NDArray[np.int64], time: NDArray[np.int64], cells: Cells, modes: list[str | None]
    ) -> tuple[ScoreBlock, Changes]:
        """Score rows of many machines; those that cannot go with the others go one by one, behind them."""
        codes = None
        if self._has_modes:
            codes = np.array([self.code_of(mode) for mode in modes or [None] * len(slots)], np.int32)
        is_odd = (time > self.far.limit[slots]) | (np.bincount(slots, minlength=1)[slots] > 1)
        if not is_odd.any():
            return self._take_together(slots, time, cells, codes)
        plain, odd = np.flatnonzero(~is_odd), np.flatnonzero(is_odd)
        values, flaw = cells
        parts: list[ScoreBlock] = []
        changes: Changes = ()
        if len(plain):
            rest = values[plain], None if flaw is None else flaw[plain]
            part, changes = self._take_together(
                slots[plain], time[plain], rest, None if codes is None else codes[plain]
            )
            parts.append(part)
        for row in odd.tolist():
            slot, stamp, mode = int(slots[row]), int(time[row]), modes[row] if modes else None
            own = None if flaw is None or not flaw[row].any() else flaw[row]
            scored, _, news = self.take(slot, stamp, values[row], own, mode)
            parts.append(self._block_of(scored, stamp, slot, mode))
            changes += news
        return ScoreBlock.joined(parts).take(np.argsort(np.concatenate([plain, odd]))), changes

    def _take_together(
        self, slots: NDArray[np.int64], time: NDArray[np.int64], cells: Cells, codes: NDArray[np.int32] | None
    ) -> tuple[ScoreBlock, Changes]:
        far = self.far
        far.limit[slots] = np.maximum(far.limit[slots], time + far.horizon_ns)
        for slot in far.held.keys() & set(slots.tolist()) if far.held else ():
            del far.held[slot]
        scores = self.scorer.many(slots, time, *cells)
        if codes is not None:
            scores.mode, scores.mode_names = codes, self._mode_names
        for status, n_rows in enumerate(np.bincount(scores.status).tolist()):
            self.n_by_status[status] += n_rows
        return scores, self.feed.many(scores, slots, *cells)

    def slot_of(self, group: Name, time: int) -> int:
        """Number of a machine that may be new: then its clock starts with this row."""
        if self.is_over:
            raise UsageError("the stream is over", hint="make another one for more rows")
        name = machine_name(group)
        n_known = len(self.group_names)
        slot = self.scorer.slot(name)
        if slot == n_known:
            if self._quality.slot(name) != slot:
                raise RuntimeError("the parts of a stream number machines in different ways")
            self.far.start(slot, time)
        self.slots[group] = slot
        return slot

    def slots_of(self, groups: list[Name], time: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) numbers of machines; a fleet sends the same list over and over."""
        if groups != self._fleet or self.is_over:
            for group in groups:
                machine_name(group)  # before the first new machine is taken in
            stamps = zip(groups, time.tolist(), strict=True)
            slots = [
                self.slots[group] if group in self.slots else self.slot_of(group, stamp) for group, stamp in stamps
            ]
            self._fleet, self._fleet_slots = groups, np.array(slots, np.int64)
        return self._fleet_slots

    def _block_of(self, scored: ScoredRow, time: int, slot: int, mode: str | None) -> ScoreBlock:
        """One row as a block; operating modes only where they matter."""
        code = self.code_of(mode) if self._has_modes else None
        return scored.block(time, slot, self.group_names, code, self._mode_names)

    def code_of(self, mode: str | None) -> int:
        """Number of an operating mode; none is the mode ""."""
        name = mode or ""
        code = self._modes.get(name)
        if code is None:
            code = self._modes[name] = len(self._mode_names)
            self._mode_names.append(name)
        return code

    def mode_of(self, code: int) -> str | None:
        """The inverse of `code_of`."""
        return self._mode_names[code] or None

    @property
    def n_modes(self) -> int:
        """Operating modes met so far, none counted as one."""
        return len(self._mode_names)

    def state(self) -> dict[str, Any]:
        """Everything that is remembered, for a restart."""
        return {
            "scorer": self.scorer.state() if self.group_names else {},
            "feed": self.feed.state(),
            "far": self.far.state(len(self.group_names)),
            "modes": list(self._mode_names),
            "by_status": np.array(self.n_by_status, np.int64),
            "n_far": self.n_far,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; raises `ArtefactError` where it does not fit."""
        scorer = part_in(state, "scorer")
        if scorer:  # before the first row there is nothing to remember
            self.scorer.restore(scorer)
        self.feed.restore(part_in(state, "feed"))
        names = self.group_names = self.scorer.group_names
        if list(self._quality.group_names) != list(names):
            raise misfit("its parts name different machines")
        self.slots = {name: slot for slot, name in enumerate(names)}
        self._mode_names = names_in(state, "modes")
        self.far.restore(part_in(state, "far"), len(self.schema_names), len(names), self.n_modes)
        self._modes = {name: code for code, name in enumerate(self._mode_names)}
        self.n_by_status = array_in(state, "by_status", np.int64, (len(STATUSES),), low=0).tolist()
        self.n_far = whole_in(state, "n_far", 0)


def machine_name(group: Name) -> str:
    """Name of a machine as text, "" for none; raises `DataError` where it is no name."""
    return "" if group is None else name_of(group, "machine")


def name_of(value: Name, what: str) -> str:
    """A name as text; raises `DataError` where it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    raise DataError(f"expected the name of a {what}, got {str(value)[:40]!r}", hint="give text or a whole number")

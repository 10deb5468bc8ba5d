"""Follows machines by single rows and by ticks; a row that decides nothing costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_clock import FAR_FUTURE, OUT_OF_ORDER, RATE
from sensorad.events.quality_drafts import Draft
from sensorad.events.quality_limits import SEGMENT_STEPS
from sensorad.events.quality_machine import MachineQuality, Yardstick
from sensorad.events.quality_pattern import OUTAGE, RowPattern
from sensorad.events.quality_pending import PendingRows
from sensorad.events.quality_room import PendingRoom
from sensorad.events.quality_runs import NEVER
from sensorad.events.quality_stack import QualityStack
from sensorad.types import STATUSES

__all__ = ["LiveQuality"]

FIRST_ODD_STATUS = STATUSES.index("duplicate")
FIRST_ODD_REASON = min(RATE, OUT_OF_ORDER, FAR_FUTURE)

Closed = Sequence[Sequence[Draft]]


class LiveQuality:
    """The rows of ``M`` machines as they come; what they close is what `MachineQuality.follow` closes row by row.

    A row that looks like the one before it, in order and at the usual pace, only makes runs and events longer until a
    run comes to its limit. How many rows that takes at least is known beforehand, so these rows are kept unread and
    taken in together. Any other row is followed at once.
    """

    def __init__(self, yardstick: Yardstick, stack: QualityStack) -> None:
        self.version = 0
        self.open: set[int] = set()  # machines with drafts
        self._yardstick = yardstick
        self._stack = stack
        self._machines: list[MachineQuality] = []
        self._low, self._high = yardstick.cell_low, yardstick.cell_high
        self._has_ranges = yardstick.has_ranges
        self._is_outside = np.zeros((2, stack.n_sensors), bool)  # below and above, of the row at hand
        self._is_below, self._is_above = self._is_outside
        self._no_flaw, self._none_outside = bytes(stack.n_sensors), bytes(2 * stack.n_sensors)
        step_seconds = yardstick.rule.step_seconds
        self._step_ns = np.inf if step_seconds is None else step_seconds * 1e9
        self._most_steps = min(SEGMENT_STEPS, yardstick.gap_steps)

        self._pending = PendingRows(stack, yardstick.flat)
        self._most = self._pending.most
        self._room = PendingRoom(stack, self._pending, yardstick.flat)
        self._flaws: list[bytes] = []
        self._outsides: list[bytes] = []
        self._patterns: list[RowPattern | None] = []  # None = flawless, nothing open
        self._watched: list[tuple[tuple[int, float], ...]] = []
        self._touched: list[tuple[tuple[str, int], ...] | None] = []  # None = not known
        self._make(stack.size)

    def add(self, machine: MachineQuality) -> None:
        """The next machine; the stack may have grown for it."""
        self._machines.append(machine)
        self._flaws.append(self._no_flaw)
        self._outsides.append(self._none_outside)
        self._patterns.append(None)
        self._watched.append(())
        self._touched.append(None)
        if len(self._deadline) < self._stack.size:
            n_old, old = len(self._deadline), (self._deadline, self._is_odd, self._is_watched, self._outside)
            self._pending.grow()
            self._room.grow()
            self._make(self._stack.size)
            new = self._deadline, self._is_odd, self._is_watched, self._outside
            for before, after in zip(old, new, strict=True):
                after[:n_old] = before

    def row(
        self,
        slot: int,
        time: int,
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: int,
        reason: int,
    ) -> Closed:
        """What the next row of a machine closes."""
        if status < FIRST_ODD_STATUS and reason < FIRST_ODD_REASON:
            elapsed = time - self._times[slot]
            steps = elapsed / self._step_ns
            if elapsed > 0 and steps <= self._most_steps:
                position = self._positions[slot] + (1 if steps < 1.5 else round(steps))
                n = self._n_pending[slot]
                if position <= self._deadlines[slot] and self._is_alike(slot, values, flaw):
                    if n >= self._rooms[slot]:
                        n = self._relax(slot, n)
                    if n >= 0:
                        self._views[slot][n + 1] = values
                        place = slot * self._most + n
                        self._pending_times[place] = self._times[slot] = time
                        self._pending_positions[place] = self._positions[slot] = position
                        self._n_pending[slot] = n + 1
                        return ()
        return self._step(slot, time, values, flaw, status, reason)

    def rows(
        self,
        slots: NDArray[np.int64],
        time: NDArray[np.int64],
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: NDArray[np.uint8],
        reason: NDArray[np.uint8],
    ) -> list[tuple[int, Closed]]:
        """What a tick closes, machine by machine; rows of one machine in the order given."""
        self._turns[slots] = turn = np.arange(len(slots))
        if (self._turns[slots] != turn).any():  # a machine is there twice
            is_alike = np.zeros(len(slots), bool)
        else:
            is_alike = self._take(slots, time, values, flaw, status, reason)
        if is_alike.all():
            return []
        closed = []
        for i in np.flatnonzero(~is_alike).tolist():
            slot = int(slots[i])
            cells = None if flaw is None else flaw[i]
            if found := self.row(slot, int(time[i]), values[i], cells, int(status[i]), int(reason[i])):
                closed.append((slot, found))
        return closed

    def settle(self, slots: Iterable[int]) -> None:
        """Take in all pending rows of these machines."""
        pending = np.array([slot for slot in slots if self._n_pending[slot]], np.intp)
        if len(pending):
            self._take_in(pending)

    def forget(self, slot: int) -> None:
        """A machine without pending rows has been followed by other means: its next row is looked at."""
        self._rooms[slot] = 0
        self._touched[slot] = None
        self.version += 1
        self._note_open(slot)

    def _is_alike(self, slot: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None) -> bool:
        """Whether a row has the flaws, the cells outside their range and the watched values of the one before it."""
        if (self._no_flaw if flaw is None else flaw.tobytes()) != self._flaws[slot]:
            return False
        if self._has_ranges and self._outside_bytes(values) != self._outsides[slot]:
            return False
        watched = self._watched[slot]
        return not watched or all(values.item(column) == value for column, value in watched)

    def _outside_bytes(self, values: NDArray[np.float32]) -> bytes:
        np.less(values, self._low, self._is_below)
        np.greater(values, self._high, self._is_above)
        return self._is_outside.tobytes()

    def _take(
        self,
        slots: NDArray[np.int64],
        time: NDArray[np.int64],
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: NDArray[np.uint8],
        reason: NDArray[np.uint8],
    ) -> NDArray[np.bool_]:
        """Keep the rows of a tick that decide nothing, (N,) True; each machine at most once."""
        pending, stack = self._pending, self._stack
        elapsed = time - stack.time[slots]
        steps = elapsed / self._step_ns
        position = stack.position[slots] + np.maximum(np.rint(steps).astype(np.int64), 1)
        is_alike = (status < FIRST_ODD_STATUS) & (reason < FIRST_ODD_REASON)
        is_alike &= (elapsed > 0) & (steps <= self._most_steps) & (position <= self._deadline[slots])
        is_odd = self._is_odd[slots]
        has_odd = bool(is_odd.any())
        if flaw is not None or has_odd:
            cells = np.zeros(values.shape, np.uint8) if flaw is None else flaw
            is_alike &= (cells == pending.flaw[slots]).all(axis=1)
        if self._has_ranges:
            for side, is_beyond in enumerate((values < self._low, values > self._high)):
                if has_odd:
                    is_beyond ^= self._outside[slots, side]
                if is_beyond.any():
                    is_alike &= ~is_beyond.any(axis=1)
        n = pending.n_rows[slots]
        if has_odd:
            is_moved = (values != pending.values[slots, n]) & self._is_watched[slots]
            is_alike &= ~is_moved.any(axis=1)
        is_full = n >= self._room.rows[slots]
        if is_full.any():
            self._relax_all(slots[is_full])
            n = pending.n_rows[slots]
            is_alike &= n < self._room.rows[slots]
        if not is_alike.all():
            kept = np.flatnonzero(is_alike)
            slots, time, values, position, n = slots[kept], time[kept], values[kept], position[kept], n[kept]
        pending.values[slots, n + 1] = values
        pending.time[slots, n] = stack.time[slots] = time
        pending.position[slots, n] = stack.position[slots] = position
        pending.n_rows[slots] = n + 1
        return is_alike

    def _relax(self, slot: int, n: int) -> int:
        """Pending rows, ``n`` at present, once there is room for another; -1 = the next row must be looked at."""
        if n == 0:
            return -1
        if self._room.widen(slot, n, self._views[slot]):
            return n
        self._take_in_one(slot)
        return 0 if self._rooms[slot] > 0 else -1

    def _relax_all(self, slots: NDArray[np.intp]) -> None:
        """Make room for another pending row where there can be."""
        slots = slots[self._pending.n_rows[slots] > 0]
        is_wider = self._room.widen_all(slots)
        if not is_wider.all():
            self._take_in(slots[~is_wider])

    def _take_in(self, slots: NDArray[np.intp]) -> None:
        """Make the pending rows, at least one of each machine, part of its runs and drafts."""
        n_rows = self._pending.n_rows[slots]
        self._pending.take_in(slots)
        for i in np.flatnonzero(self._is_odd[slots]).tolist():
            self._prolong(int(slots[i]), int(n_rows[i]))
        n_held = self._room.n_held[slots]
        self._room.n_held[slots] = np.where(n_held == NEVER, NEVER, n_held - n_rows)
        self._room.measure_all(slots)

    def _take_in_one(self, slot: int) -> None:
        """`_take_in` for one machine."""
        pending, runs, n = self._pending, self._machines[slot].runs, self._n_pending[slot]
        has_flaw = self._flaws[slot] != self._no_flaw
        pending.take_in_one(slot, runs, pending.flaw[slot] > 0 if has_flaw else None)
        if self._is_odd[slot]:
            self._stack.held_n[slot] += n * (self._stack.held_n[slot] > 0)
            self._prolong(slot, n)
            if self._room.n_held[slot] != NEVER:
                self._room.n_held[slot] -= n
        self._room.measure(slot, runs.flat_n, bool(self._is_odd[slot]))

    def _prolong(self, slot: int, n_rows: int) -> None:
        """Add pending rows that are part of the runs of a machine to its drafts."""
        pattern = self._patterns[slot]
        if pattern is not None and pattern.touched:
            rows = self._pending.values[slot, 1 : n_rows + 1]
            pattern.prolong(self._machines[slot], rows, self._pending.flaw[slot])

    def _step(
        self,
        slot: int,
        time: int,
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
        status: int,
        reason: int,
    ) -> Closed:
        """Follow a row at once, and find out how long rows like it decide nothing."""
        if self._n_pending[slot]:
            self._take_in_one(slot)
        machine = self._machines[slot]
        number, n_changes = machine.number, machine.book.n_changes
        closed = machine.follow_row(time, values, flaw, status, reason)
        touched = self._touched[slot]
        is_known = touched is not None
        if machine.number > number:
            self._flaws[slot] = self._no_flaw if flaw is None else flaw.tobytes()
            if flaw is None:
                self._pending.flaw[slot] = 0
            else:
                self._pending.flaw[slot] = flaw
            if self._has_ranges:
                self._outsides[slot] = self._outside_bytes(values)
                self._outside[slot] = self._is_outside
            is_known = True
        if is_known:
            self._look(slot)
        now = self._touched[slot]
        is_changed = bool(now) if touched is None else now != touched
        # Cells lost in an outage may also change the order of its sensors.
        if is_changed or machine.book.n_changes > n_changes or (now is not None and OUTAGE in now):
            self.version += 1
        self._note_open(slot)
        return closed

    def _look(self, slot: int) -> None:
        """Work out what the newest row of a machine without pending rows looks like."""
        machine = self._machines[slot]
        is_plain = self._flaws[slot] == self._no_flaw and self._outsides[slot] == self._none_outside
        if is_plain and machine.book.is_empty:
            pattern = None
            self._touched[slot] = self._watched[slot] = ()
            self._room.n_held[slot] = self._deadlines[slot] = NEVER
            self._room.exempt[slot] = self._room.is_never
        else:
            pattern = RowPattern.of(machine, self._pending.flaw[slot], self._outside[slot].any(axis=0))
            self._touched[slot], self._watched[slot] = pattern.touched, pattern.watched
            self._room.n_held[slot], self._deadlines[slot] = pattern.n_rows, pattern.deadline
            self._room.exempt[slot] = pattern.exempt
            self._is_watched[slot] = False
            self._is_watched[slot, [column for column, _ in pattern.watched]] = True
        self._patterns[slot] = pattern
        self._is_odd[slot] = pattern is not None
        self._room.measure(slot, machine.runs.flat_n, pattern is not None)
        self._views[slot][0] = machine.runs.flat_value

    def _note_open(self, slot: int) -> None:
        if self._machines[slot].book.is_empty:
            self.open.discard(slot)
        else:
            self.open.add(slot)

    def _make(self, size: int) -> None:
        c, stack, pending = self._stack.n_sensors, self._stack, self._pending
        self._deadline = np.full(size, NEVER, np.int64)
        self._is_odd = np.zeros(size, bool)  # has a pattern
        self._is_watched = np.zeros((size, c), bool)
        self._outside = np.zeros((size, 2, c), bool)
        self._turns = np.zeros(size, np.int64)
        # Single rows read and write numbers through memoryviews, three times as fast as through arrays.
        self._rooms, self._deadlines = self._room.rows.data, self._deadline.data
        self._times, self._positions, self._n_pending = stack.time.data, stack.position.data, pending.n_rows.data
        self._pending_times, self._pending_positions = pending.time.reshape(-1).data, pending.position.reshape(-1).data
        self._views = list(pending.values)

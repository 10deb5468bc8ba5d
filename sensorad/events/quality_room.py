"""How many rows of a machine may be pending before a run can come to its limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_pending import PendingRows
from sensorad.events.quality_runs import NEVER
from sensorad.events.quality_stack import QualityStack

__all__ = ["PendingRoom"]

RECENT = 3
"""Rows to look back for changes of sensors with coarse steps: these repeat a value now and then, but not for long."""

TURNS = 3
"""More turns would make even ticks of a fleet, but every turn has a price of its own."""


class PendingRoom:
    """What is known of the runs of ``M`` machines without reading their pending rows.

    Attributes
    ----------
    rows : (M,) int64
        A machine with fewer pending rows may have another; 0 = its next row must be looked at.
    cap : (M,) int64
        The most that ``rows`` can become before the pending rows are taken in.
    n_held : (M,) int64
        Rows after the last one taken in until a run of missing cells may come to its limit; NEVER = there is none.
    is_slow, exempt : (M, C) bool
        Columns with a run of equal values that is far from its limit, and those in which no run can come to it.
    """

    def __init__(self, stack: QualityStack, pending: PendingRows, limits: NDArray[np.int64]) -> None:
        self._stack = stack
        self._pending = pending
        self._limits = limits
        self._least = int(limits.min(initial=NEVER))
        self._far = min(2 * self._least, NEVER)
        self._is_anew = np.zeros(len(limits), bool)
        self._all_anew = np.ones(len(limits), bool).tobytes()
        self.is_never = limits == NEVER
        self._has_never = bool(self.is_never.any())
        self._make(0)
        self.grow()

    def grow(self) -> None:
        """Room for as many machines as the stack has."""
        n_old, old = len(self.rows), (self.rows, self.cap, self.n_held, self.is_slow, self.exempt)
        self._make(self._stack.size)
        for before, after in zip(old, (self.rows, self.cap, self.n_held, self.is_slow, self.exempt), strict=True):
            after[:n_old] = before

    def widen(self, slot: int, n: int, values: NDArray[np.float32]) -> bool:
        """Whether the newest of ``n`` pending rows make room for another; ``values`` are those of `PendingRows`."""
        room = min(n + self._least - 2, self._caps[slot])
        if room <= n:
            return False
        is_anew = self._is_anew
        np.not_equal(values[n], values[n - 1], is_anew)
        np.logical_or(is_anew, self.is_slow[slot], is_anew)
        if is_anew.tobytes() != self._all_anew:  # not all other runs began with the newest row, but perhaps recently
            room -= RECENT - 1
            if n < RECENT or room <= n:
                return False
            recent = values[n - RECENT + 1 : n + 1] != values[n - RECENT : n]
            if not (np.logical_or.reduce(recent) | is_anew).all():
                return False
        self.rows[slot] = room
        return True

    def widen_all(self, slots: NDArray[np.intp]) -> NDArray[np.bool_]:
        """`widen` for machines with pending rows, (S,) -> (S,); changes before the newest row are not looked at."""
        values, n = self._pending.values, self._pending.n_rows[slots]
        room = np.minimum(n + (self._least - 2), self.cap[slots])
        is_anew = (values[slots, n] != values[slots, n - 1]) | self.is_slow[slots]
        is_wider: NDArray[np.bool_] = (room > n) & is_anew.all(axis=1)
        self.rows[slots[is_wider]] = room[is_wider]
        return is_wider

    def measure(self, slot: int, flat_n: NDArray[np.int64], is_exempt: bool) -> None:
        """Start anew for a machine without pending rows; ``flat_n`` (C,) is the length of its runs."""
        limits = np.where(self.exempt[slot], NEVER, self._limits) if is_exempt or self._has_never else self._limits
        n_left = limits - flat_n  # (C,)
        cap = min(self.n_held.item(slot), self._most.item(slot))
        is_slow = n_left >= self._far
        if is_slow.any():
            cap = min(cap, int(n_left[is_slow].min()) - 1)
        self.is_slow[slot] = is_slow
        self._caps[slot] = cap
        self.rows[slot] = min(int(n_left.min(initial=NEVER)) - 1, cap)

    def measure_all(self, slots: NDArray[np.intp]) -> None:
        """`measure` for many machines, (S,)."""
        n_left = np.where(self.exempt[slots], NEVER, self._limits) - self._stack.flat_n[slots]  # (S, C)
        self.is_slow[slots] = is_slow = n_left >= self._far
        cap = np.where(is_slow, n_left, NEVER).min(axis=1, initial=NEVER) - 1
        self.cap[slots] = cap = np.minimum(np.minimum(cap, self.n_held[slots]), self._most[slots])
        self.rows[slots] = np.minimum(n_left.min(axis=1, initial=NEVER) - 1, cap)

    def _make(self, size: int) -> None:
        # Machines that march in step take their rows in one after the other, so that no tick has to do all the work.
        self._most = self._pending.most - np.arange(size) % TURNS * (self._pending.most // (2 * TURNS))
        self.rows = np.zeros(size, np.int64)
        self.cap = np.zeros(size, np.int64)
        self.n_held = np.full(size, NEVER, np.int64)
        self.is_slow = np.zeros((size, len(self._limits)), bool)
        self.exempt = np.tile(self.is_never, (size, 1))
        self._caps = self.cap.data  # read by single rows

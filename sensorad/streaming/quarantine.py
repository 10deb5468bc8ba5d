"""Rows with a time far ahead of their machine: a broken clock, unless the rows after them agree."""

from __future__ import annotations

from bisect import insort
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.events.state_parts import array_in, part_in
from sensorad.streaming.waiting import WaitingRow, rows_of, stored_rows

__all__ = ["AGREEING", "Quarantine"]

AGREEING = 3
"""Rows that have to agree before a pause longer than the horizon is believed: one wrong stamp is common, and a clock
that was set once gives two."""


class Quarantine:
    """Knows how far each machine has got, and holds rows back that are too far ahead of that.

    So many rows that agree show that time really is that late: their times differ and lie within a gap of each other.
    Any other row far ahead takes their place, and a row of the right time shows that they were wrong.

    Parameters
    ----------
    horizon_ns
        How far ahead of its machine's newest row a row may be.
    gap_ns
        Longest pause within a segment.
    reorder_ns
        How far rows may be out of order and still agree; without it their times must rise.

    Attributes
    ----------
    limit : (M,) int64
        Latest time that each machine may send without being held back; ``reach`` gives and takes the same as Python's
        own integers, which is faster for single rows.
    """

    def __init__(self, horizon_ns: int, gap_ns: float, reorder_ns: int = 0) -> None:
        self.horizon_ns = max(horizon_ns, round(gap_ns))  # what is no gap yet is not far either
        self._gap_ns = gap_ns
        self._reorder_ns = reorder_ns
        self.held: dict[int, list[WaitingRow]] = {}
        self._make_room(8)

    def start(self, slot: int, time: int) -> None:
        """The clock of a machine, known for the first time by this row."""
        if slot >= len(self.limit):
            self._make_room(2 * slot)
        self.reach[slot] = time + self.horizon_ns

    def advance(self, slot: int, time: int) -> None:
        """A machine has got to a time that is not too far ahead: what is held was wrong."""
        self.reach[slot] = max(self.reach[slot], time + self.horizon_ns)
        self.held.pop(slot, None)

    def agree(self, row: WaitingRow) -> list[WaitingRow]:
        """Rows that are believed now, in time order, ``row`` among them; empty while there are too few."""
        held = self.held.setdefault(row.slot, [])
        if any(row.time == other.time for other in held):
            return []  # the same row delivered twice is no further witness
        newest = held[-1].time if held else row.time
        if not -self._reorder_ns <= row.time - newest <= self._gap_ns:
            held.clear()
        insort(held, row)
        if len(held) < AGREEING or any(b.time - a.time > self._gap_ns for a, b in pairwise(held)):
            del held[:-AGREEING]
            return []
        self.advance(row.slot, held[-1].time)
        return held

    def newest(self, n_slots: int) -> NDArray[np.int64]:
        """(M,) newest time of each machine."""
        return self.limit[:n_slots] - self.horizon_ns

    def state(self, n_slots: int) -> dict[str, Any]:
        """How far all have got and what is held, for a restart."""
        return {
            "newest": self.newest(n_slots),
            "held": stored_rows([row for rows in self.held.values() for row in rows]),
        }

    def restore(self, state: dict[str, Any], n_sensors: int, n_slots: int, n_modes: int) -> None:
        """Go on where `state` was taken; raises `ArtefactError` where it does not fit."""
        newest = array_in(state, "newest", np.int64, (n_slots,))
        rows = rows_of(part_in(state, "held"), n_sensors, n_slots, n_modes)
        self._make_room(n_slots)
        self.limit[:n_slots] = newest + self.horizon_ns
        self.held = {}
        for row in rows:
            insort(self.held.setdefault(row.slot, []), row)

    def _make_room(self, n_slots: int) -> None:
        before: NDArray[np.int64] = getattr(self, "limit", np.zeros(0, np.int64))
        self.limit = np.zeros(max(n_slots, len(before)), np.int64)
        self.limit[: len(before)] = before
        self.reach = self.limit.data

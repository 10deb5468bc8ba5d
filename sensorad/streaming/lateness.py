"""Brings rows of each machine into time order, as far as they are late by no more than a bound."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

from sensorad.streaming.waiting import WaitingRow, rows_of, stored_rows

__all__ = ["ReorderBuffer"]


class ReorderBuffer:
    """Keeps each row until its machine has sent one that is newer by ``lateness_ns``.

    So rows come out in time order, however they were mixed within the bound. A row that comes later than that comes
    out at once, behind newer ones, and it is for the scorer to call it late.
    """

    def __init__(self, lateness_ns: int) -> None:
        self.lateness_ns = lateness_ns
        self.n_waiting = self.n_untold = 0
        self._waiting: dict[int, list[WaitingRow]] = {}
        self._newest: dict[int, int] = {}

    @property
    def is_in_use(self) -> bool:
        """Whether rows have to come this way: they may overtake each other, or some still wait."""
        return self.lateness_ns > 0 or self.n_waiting > 0

    def push(self, row: WaitingRow) -> None:
        """Take a row in."""
        heappush(self._waiting.setdefault(row.slot, []), row)
        self._newest[row.slot] = max(row.time, self._newest.get(row.slot, row.time))
        self.n_waiting += 1
        self.n_untold += not row.is_told

    def due(self, slot: int) -> list[WaitingRow]:
        """Rows of one machine whose time has come, in time order."""
        return self._taken(slot, self._newest[slot] - self.lateness_ns)

    def rest(self) -> list[WaitingRow]:
        """All rows that still wait, of all machines, in time order."""
        return sorted(row for slot in list(self._waiting) for row in self._taken(slot, None))

    def _taken(self, slot: int, until: int | None) -> list[WaitingRow]:
        waiting = self._waiting[slot]
        taken = []
        while waiting and (until is None or waiting[0].time <= until):
            taken.append(heappop(waiting))
        if not waiting:
            del self._waiting[slot]
        self.n_waiting -= len(taken)
        self.n_untold -= sum(not row.is_told for row in taken)
        return taken

    def state(self) -> dict[str, Any]:
        """What waits, for a restart."""
        return stored_rows([row for rows in self._waiting.values() for row in rows])

    def restore(self, state: Any, n_sensors: int, n_modes: int, newest: dict[int, int]) -> None:
        """Go on where `state` was taken; ``newest`` has the newest time that each machine has sent."""
        rows = rows_of(state, n_sensors, len(newest), n_modes)
        self._waiting, self._newest = {}, dict(newest)
        self.n_waiting, self.n_untold = len(rows), sum(not row.is_told for row in rows)
        for row in rows:
            self._waiting.setdefault(row.slot, []).append(row)
        for waiting in self._waiting.values():
            heapify(waiting)

"""What a scorer remembers of its machines: stacked arrays, so that a thousand of them are written and read at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError
from sensorad.streaming.rings import SLACK, Ring, Table, fitting

__all__ = ["Machines"]

COUNTERS = ("newest", "n_rows", "hole", "n_blind", "place", "blind")
STORED = {"rows": np.dtype(np.float32), "present": np.dtype(np.bool_)}
"""Smaller numbers that hold the same."""

NEVER = -(2**62)
"""Newest time of a machine that has not sent a row."""


class Machines:
    """Rows and counters of each machine.

    Parameters
    ----------
    n_cells
        Sensors in the schema.
    rows : Ring
        Filled deviations of the used sensors.
    n_times
        Times that are remembered.
    others
        What else is remembered of the rows of a segment; forgotten where a new one starts.

    Attributes
    ----------
    newest : memoryview of int64
        Time of the newest row.
    n_rows
        Rows of the running segment.
    hole
        The newest of them that has a missing cell (counted from 1); 0 if none of those in a window has.
    n_blind
        Rows without enough sensors directly before the next one.
    blind
        The newest row of the segment without enough sensors; 0 if none is.
    place
        Where in the rings the newest row lies.
    cells : (M, C_schema) float32
        Values of the newest row, NaN where missing.
    """

    def __init__(self, n_cells: int, rows: Ring, n_times: int, others: Mapping[str, Ring | Table]) -> None:
        self.names: list[str] = []
        self._slots: dict[str, int] = {}
        self.rows = rows
        self.times = Ring(n_times, 1, np.int64)
        # 1 beyond the newest row, so that nobody has to say so of every whole row.
        self.present = Ring(rows.n_rows, rows.width, np.float64, fill=1)
        self.others = dict(others)
        self.cells = np.full((1, n_cells), np.nan, np.float32)
        self._hold(np.array([[NEVER], *[[0]] * (len(COUNTERS) - 1)], np.int64))

    def _hold(self, counters: NDArray[np.int64]) -> None:
        """(6, M); a memoryview of them reads and writes one number in a quarter of the time an array takes."""
        self.counters = counters
        views = (memoryview(row) for row in counters)
        self.newest, self.n_rows, self.hole, self.n_blind, self.place, self.blind = views

    @property
    def _rings(self) -> dict[str, Ring | Table]:
        return {"rows": self.rows, "times": self.times, "present": self.present, **self.others}

    def slot(self, name: str) -> int:
        """Number of a machine; a new one is added."""
        found = self._slots.get(name)
        if found is None:
            found = self._slots[name] = len(self.names)
            self.names.append(name)
            if found == len(self.cells):
                self._grow(2 * found)
        return found

    def _grow(self, capacity: int) -> None:
        for ring in self._rings.values():
            ring.grow(capacity)
        had = len(self.cells)
        cells = np.full((capacity, self.cells.shape[1]), np.nan, np.float32)
        cells[:had] = self.cells
        self.cells = cells
        counters = np.zeros((len(COUNTERS), capacity), np.int64)
        counters[0] = NEVER
        counters[:, :had] = self.counters
        self._hold(counters)

    def start(self, slot: int) -> None:
        """A new segment: what lies before it is forgotten."""
        self.n_rows[slot] = 0
        self.n_blind[slot] = 0
        if self.hole[slot]:
            self.present.clear(slot)
            self.hole[slot] = self.blind[slot] = 0
        for ring in self.others.values():
            ring.clear(slot)

    def move_back(self, slot: int) -> None:
        """Every ring of a machine goes back to the front."""
        self.rows.move_back(slot)
        self.times.move_back(slot)
        for ring in self.others.values():
            ring.move_back(slot)
        if self.hole[slot]:
            self._move_holes_back(slot)

    def _move_holes_back(self, slot: int) -> None:
        hole = self.hole[slot]
        if hole > self.n_rows[slot] - self.present.newest:
            self.present.move_back(slot)
            self.present.array[slot, self.present.newest :] = 1.0
        else:
            self.present.clear(slot)
            self.hole[slot] = 0

    def move_all_back(self, slots: NDArray[np.integer]) -> None:
        """`move_back` of many machines (N,)."""
        first = int(slots[0])
        in_a_row = len(slots) - 1 == int(slots[-1]) - first and bool((np.diff(slots) == 1).all())
        at = slice(first, first + len(slots)) if in_a_row else slots
        for ring in (self.rows, self.times, *self.others.values()):
            ring.move_back(at)
        for slot in slots[self.counters[COUNTERS.index("hole"), slots] > 0].tolist():
            self._move_holes_back(slot)

    def state(self) -> dict[str, Any]:
        """Copies of all that is remembered."""
        n = len(self.names)
        places = self.counters[COUNTERS.index("place"), :n]
        taken = {name: ring.taken(places) for name, ring in self._rings.items()}
        taken |= {name: taken[name].astype(dtype) for name, dtype in STORED.items()}
        return {
            "names": list(self.names),
            "counters": self.counters[:, :n].copy(),
            "cells": self.cells[:n].copy(),
            "rings": taken,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; of this object nothing is kept."""
        names, rings = state.get("names"), state.get("rings")
        if not isinstance(names, list) or not isinstance(rings, dict) or len(set(map(str, names))) != len(names):
            raise ArtefactError("the state of the scorer does not fit: it has no machines")
        n = len(names)
        counters = fitting(state, "counters", (len(COUNTERS), n), "i")
        cells = fitting(state, "cells", (n, self.cells.shape[1]), "f")
        places = counters[COUNTERS.index("place")]
        if ((places < 0) | (places >= SLACK)).any():
            raise ArtefactError("the state of the scorer does not fit: a window lies outside its ring")
        windows = {
            name: fitting(rings, name, (n, ring.n_rows, ring.width), STORED.get(name, ring.array.dtype).kind)
            for name, ring in self._rings.items()
        }
        self.names[:], self._slots = [], {}  # the list stays the one that others hold
        self.counters[0], self.counters[1:] = NEVER, 0
        for name in names:
            self.slot(str(name))
        self.counters[:, :n], self.cells[:n] = counters, cells
        for name, ring in self._rings.items():
            ring.clear(slice(None))
            ring.put(places, windows[name])

"""What the quality of each machine is judged from, one array over all machines for each thing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorad.events.state_parts import array_in

__all__ = ["QualityStack", "RunRow"]

HELD = MISSING, OVERFLOW, OUTSIDE, BLIND = range(4)
"""What may hold of cells or, `BLIND`, of whole rows: blocks of columns of ``held_n`` in this order."""


class RunRow(NamedTuple):
    """Rows of a `QualityStack` that belong to one machine."""

    flat_value: NDArray[np.float32]
    flat_n: NDArray[np.int64]
    flat_first: NDArray[np.int64]
    flat_last: NDArray[np.int64]
    missing_n: NDArray[np.int64]
    overflow_n: NDArray[np.int64]
    outside_n: NDArray[np.int64]
    blind_n: NDArray[np.int64]
    missing_first: NDArray[np.int64]
    overflow_first: NDArray[np.int64]
    outside_first: NDArray[np.int64]
    blind_first: NDArray[np.int64]


class QualityStack:
    """Arrays over ``M`` machines that grow as machines come; machine ``m`` works on row ``m`` of each.

    Attributes
    ----------
    time, position, number : (M,) int64
        The newest row in order: when it was, where it lies, and how many rows in order came before it; the number is
        -1 where none was seen.
    cells : (M, C) float32
        That row, NaN where flawed.
    flat_value, flat_n, flat_first, flat_last
        Open runs of equal values: (M, C) value and number of cells, (M, C, 3) places of the first and last cell.
    held_n, held_first
        Open runs of missing cells, overflow, cells outside their range and blind rows: (M, 3 C + 1) number of rows,
        (M, 3 C + 1, 3) place of the first.
    """

    def __init__(self, n_sensors: int) -> None:
        self.n_sensors = n_sensors
        self.size = 0
        self._make(0)

    def grow(self, size: int) -> None:
        """Room for at least ``size`` machines; views of rows are those of the old arrays after it."""
        if size <= self.size:
            return
        old, n_old = {name: getattr(self, name) for name in self.layout()}, self.size
        self._make(max(size, 2 * n_old))  # doubled, so that machines joining one by one cost little
        for name, array in old.items():
            getattr(self, name)[:n_old] = array

    def row(self, machine: int) -> RunRow:
        """Views of one machine's runs."""
        held_n, held_first = self.held_n[machine], self.held_first[machine]
        parts = [self._held(what) for what in HELD]
        return RunRow(
            self.flat_value[machine],
            self.flat_n[machine],
            self.flat_first[machine],
            self.flat_last[machine],
            *(held_n[part] for part in parts),
            *(held_first[part] for part in parts),
        )

    def _held(self, what: int) -> slice:
        """Columns of ``held_n`` that belong to one of `HELD`."""
        c = self.n_sensors
        return slice(what * c, what * c + (1 if what == BLIND else c))

    def layout(self) -> dict[str, tuple[type[np.generic], tuple[int, ...], float]]:
        """Type, shape for one machine, and value before its first row, of each array."""
        c = self.n_sensors
        return {
            "time": (np.int64, (), 0),
            "position": (np.int64, (), -1),
            "number": (np.int64, (), -1),
            "cells": (np.float32, (c,), np.nan),
            "flat_value": (np.float32, (c,), np.nan),
            "flat_n": (np.int64, (c,), 0),
            "flat_first": (np.int64, (c, 3), 0),
            "flat_last": (np.int64, (c, 3), 0),
            "held_n": (np.int64, (3 * c + 1,), 0),
            "held_first": (np.int64, (3 * c + 1, 3), 0),
        }

    def state(self, n_machines: int) -> dict[str, Any]:
        """Copies of the first ``n_machines`` rows."""
        return {name: getattr(self, name)[:n_machines].copy() for name in self.layout()}

    def restore(self, state: dict[str, Any], n_machines: int) -> None:
        """Take the rows of `state`; machines work on other rows than before after this.

        Raises
        ------
        ArtefactError
            An array is missing, or of another type or shape.
        """
        rows = {
            name: array_in(state, name, dtype, (n_machines, *shape), low=fill if dtype is np.int64 else None)
            for name, (dtype, shape, fill) in self.layout().items()
            if name not in ("time", "flat_first", "flat_last", "held_first")
        } | {
            name: array_in(state, name, np.int64, (n_machines, *self.layout()[name][1]))
            for name in ("time", "flat_first", "flat_last", "held_first")
        }
        self._make(n_machines)
        for name, array in rows.items():
            getattr(self, name)[:] = array

    def _make(self, size: int) -> None:
        def full(name: str) -> NDArray[Any]:
            dtype, shape, fill = self.layout()[name]
            return np.full((size, *shape), fill, dtype)

        self.size = size
        self.time: NDArray[np.int64] = full("time")
        self.position: NDArray[np.int64] = full("position")
        self.number: NDArray[np.int64] = full("number")
        self.cells: NDArray[np.float32] = full("cells")
        self.flat_value: NDArray[np.float32] = full("flat_value")
        self.flat_n: NDArray[np.int64] = full("flat_n")
        self.flat_first: NDArray[np.int64] = full("flat_first")
        self.flat_last: NDArray[np.int64] = full("flat_last")
        self.held_n: NDArray[np.int64] = full("held_n")
        self.held_first: NDArray[np.int64] = full("held_first")

"""What a scoring engine remembers of its machines: stacked arrays, one row for each machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError

__all__ = ["NEVER", "SegmentMemory"]

NEVER = -(2**62)
"""Newest time of a machine that has not sent a row."""

COUNTERS = ("newest", "n_rows", "n_blind")
STACKS = ("cells", "rows", "usable", "is_blind", "time", "steps")


class SegmentMemory:
    """The last rows of the running segment of each machine.

    Parameters
    ----------
    n_cells, n_used
        Sensors in the schema, and those that enter the model.
    n_kept
        Rows kept for the errors of later rows.
    n_steps
        Rows whose one-step errors are kept for the scores of later rows.

    Attributes
    ----------
    names : list of str
        Machines in the order in which they were met; a slot is a position in it.
    newest : (M,) int64
        Newest time, whatever became of its row.
    n_rows : (M,) int64
        Rows of the running segment, as far as they are kept.
    n_blind : (M,) int64
        Rows without enough sensors directly before the next one.
    cells : (M, C) float32
        The newest row as it came, NaN where missing.
    rows : (M, n_kept, C_used) float32
        Filled compressed deviations, newest last.
    usable : (M, n_kept, C_used) bool
    is_blind, time : (M, n_kept)
    steps : (M, n_steps, C_used) float64
        One-step errors, newest last.
    """

    def __init__(self, n_cells: int, n_used: int, n_kept: int, n_steps: int) -> None:
        self.names: list[str] = []
        self.n_kept, self.n_steps = n_kept, n_steps
        self._slots: dict[str, int] = {}
        self.newest = np.full(1, NEVER, np.int64)
        self.n_rows = np.zeros(1, np.int64)
        self.n_blind = np.zeros(1, np.int64)
        self.cells = np.full((1, n_cells), np.nan, np.float32)
        self.rows = np.zeros((1, n_kept, n_used), np.float32)
        self.usable = np.zeros((1, n_kept, n_used), np.bool_)
        self.is_blind = np.zeros((1, n_kept), np.bool_)
        self.time = np.zeros((1, n_kept), np.int64)
        self.steps = np.zeros((1, n_steps, n_used))

    def slots(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Slots of the machines; new ones are added."""
        found = []
        for name in names:
            slot = self._slots.setdefault(name, len(self.names))
            if slot == len(self.names):
                self.names.append(name)
            found.append(slot)
        self._make_room(len(self.names))
        return np.array(found, np.int64)

    def keep(
        self,
        name: str,
        slots: NDArray[np.int64],
        values: NDArray[Any],
        ends: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        """Replace the stack ``name`` of each of ``slots`` (m,) by the last of its ``counts`` values before ``ends``."""
        stack = getattr(self, name)
        n_kept = stack.shape[1]
        if len(slots) == 1:
            slot, end, n_new = int(slots[0]), int(ends[0]), min(int(counts[0]), n_kept)
            stack[slot, : n_kept - n_new] = 0
            stack[slot, n_kept - n_new :] = values[end - n_new : end]
            return
        back = np.arange(n_kept, 0, -1)
        last = values[np.maximum(ends[:, None] - back, 0)]  # (m, n_kept, ...)
        last[back > counts[:, None]] = 0
        stack[slots] = last

    def state(self) -> dict[str, Any]:
        """A copy of everything."""
        n_machines = len(self.names)
        parts = {name: getattr(self, name)[:n_machines].copy() for name in (*COUNTERS, *STACKS)}
        return {"names": list(self.names), **parts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`.

        Raises
        ------
        ArtefactError
            Of other sensors, another window, or no such state at all.
        """
        names = state.get("names") if isinstance(state, Mapping) else None
        if not isinstance(names, list) or len(set(names)) < len(names):
            raise _unfit("names of machines")
        for name in (*COUNTERS, *STACKS):
            array, own = state.get(name), getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != own.dtype:
                raise _unfit(name)
            if array.shape != (len(names), *own.shape[1:]):
                raise _unfit(name)
        if ((state["n_rows"] < 0) | (state["n_blind"] < 0)).any():
            raise _unfit("counts of rows")
        self.names = [str(name) for name in names]
        self._slots = {name: slot for slot, name in enumerate(self.names)}
        for name in (*COUNTERS, *STACKS):
            setattr(self, name, state[name].copy())
        self._make_room(1)

    def _make_room(self, n_machines: int) -> None:
        n_held = len(self.newest)
        if n_machines <= n_held:
            return
        n_more = max(n_machines, 2 * n_held) - n_held
        for name in (*COUNTERS, *STACKS):
            array = getattr(self, name)
            fill = {"newest": NEVER, "cells": np.nan}.get(name, 0)
            more = np.full((n_more, *array.shape[1:]), fill, array.dtype)
            setattr(self, name, np.concatenate([array, more]))


def _unfit(what: str) -> ArtefactError:
    return ArtefactError(
        f"the state of scoring does not fit this detector: {what}", hint="go on with the detector that wrote it"
    )

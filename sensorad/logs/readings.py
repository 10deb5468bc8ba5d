"""Readings of a long log, (time, tag, value) triples, and how they become wide rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.types import FLAWS

__all__ = ["Readings", "WideRows", "pivot", "run_numbers"]

MISSING = FLAWS.index("missing")


@dataclass(slots=True)
class Readings:
    """Rows of a long log as arrays of equal length; ``tag`` is the position in the schema."""

    time: NDArray[np.int64]
    group: NDArray[np.int32]
    tag: NDArray[np.int64]
    value: NDArray[np.float32]
    flaw: NDArray[np.uint8]
    mode: NDArray[np.int32] | None
    label: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Any) -> Readings:
        """The readings chosen by a slice, a mask or positions."""
        return Readings(
            time=self.time[rows],
            group=self.group[rows],
            tag=self.tag[rows],
            value=self.value[rows],
            flaw=self.flaw[rows],
            mode=None if self.mode is None else self.mode[rows],
            label=None if self.label is None else self.label[rows],
        )

    @classmethod
    def join(cls, parts: Sequence[Readings]) -> Readings:
        """Several stretches of readings as one."""
        modes = [part.mode for part in parts if part.mode is not None]
        labels = [part.label for part in parts if part.label is not None]
        return cls(
            time=np.concatenate([part.time for part in parts]),
            group=np.concatenate([part.group for part in parts]),
            tag=np.concatenate([part.tag for part in parts]),
            value=np.concatenate([part.value for part in parts]),
            flaw=np.concatenate([part.flaw for part in parts]),
            mode=np.concatenate(modes) if modes else None,
            label=np.concatenate(labels) if labels else None,
        )


@dataclass(slots=True)
class WideRows:
    """Wide rows: time, group (T,), values, flaw (T, C), mode and label (T,) or None."""

    time: NDArray[np.int64]
    group: NDArray[np.int32]
    values: NDArray[np.float32]
    flaw: NDArray[np.uint8]
    mode: NDArray[np.int32] | None
    label: NDArray[np.bool_] | None


def run_numbers(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the run of equal neighbouring times that each reading belongs to, from 0."""
    return np.cumsum(np.diff(time, prepend=time[:1]) != 0)


def pivot(readings: Readings, n_sensors: int) -> WideRows:
    """One row for each group in each run of equal times, in order of first appearance.

    A repeated reading is dropped where it says the same, and else opens a further row with the same time,
    for the policy on duplicate times to judge: nothing is overwritten here. A row takes its mode from its
    first reading, and is labelled if any of its readings is.
    """
    row = _rows_of(readings)
    order, start = _repeats(row * n_sensors + readings.tag)
    if (start < np.arange(len(order))).any():
        first = order[start]
        is_same = (readings.value[order] == readings.value[first]) & (readings.flaw[order] == readings.flaw[first])
        readings = readings.take(np.sort(order[~is_same | (first == order)]))
        row = _rows_of(readings)
        order, start = _repeats(row * n_sensors + readings.tag)
        occurrence = np.empty(len(order), np.int64)
        occurrence[order] = np.arange(len(order)) - start
        row = np.unique(row * (occurrence.max() + 1) + occurrence, return_inverse=True)[1]
    n_rows = int(row.max(initial=-1)) + 1
    rows = WideRows(
        time=np.empty(n_rows, np.int64),
        group=np.empty(n_rows, np.int32),
        values=np.zeros((n_rows, n_sensors), np.float32),
        flaw=np.full((n_rows, n_sensors), MISSING, np.uint8),
        mode=None if readings.mode is None else np.empty(n_rows, np.int32),
        label=None if readings.label is None else np.bincount(row, readings.label, n_rows) > 0,
    )
    rows.time[row] = readings.time
    rows.group[row] = readings.group
    rows.values[row, readings.tag] = readings.value
    rows.flaw[row, readings.tag] = readings.flaw
    if rows.mode is not None and readings.mode is not None:
        rows.mode[row[::-1]] = readings.mode[::-1]  # the last assignment stays: backwards, that is the first reading
    return rows


def _rows_of(readings: Readings) -> NDArray[np.int64]:
    """Row number of each reading: pairs of run and group, numbered by first appearance."""
    pair = run_numbers(readings.time) * (int(readings.group.max(initial=0)) + 1) + readings.group
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _repeats(cell: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stable order of the cells, and for each place in that order the place where its cell starts."""
    order = np.argsort(cell, kind="stable")
    is_first = np.diff(cell[order], prepend=-1) != 0
    return order, np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))

"""A row that has been read and is not scored yet, and how many of them are kept in a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError

__all__ = ["WaitingRow", "rows_of", "stored_rows"]


@dataclass(order=True, slots=True)
class WaitingRow:
    """One row of one machine; rows are ordered by time, rows of one time by their arrival.

    Attributes
    ----------
    time : int
        Nanoseconds since 1970 in UTC.
    arrival : int
        Number of the row among all rows that came.
    slot : int
        Number of the machine.
    values : (C,) float32
    flaw : (C,) uint8 or None
    mode : int
        Number of the operating mode.
    is_told : bool
        What became of the row was said when it came: it is scored, but gives no second output row.
    """

    time: int
    arrival: int
    slot: int = field(compare=False)
    values: NDArray[np.float32] = field(compare=False)
    flaw: NDArray[np.uint8] | None = field(compare=False)
    mode: int = field(compare=False)
    is_told: bool = field(compare=False, default=False)


NUMBERS = ("time", "arrival", "slot", "mode", "is_told")


def stored_rows(rows: Sequence[WaitingRow]) -> dict[str, Any]:
    """The rows as arrays, one column for each part."""
    state: dict[str, Any] = {name: np.array([getattr(row, name) for row in rows], np.int64) for name in NUMBERS}
    if rows:
        no_flaw = np.zeros(len(rows[0].values), np.uint8)
        state["values"] = np.array([row.values for row in rows], np.float32)
        state["flaw"] = np.array([no_flaw if row.flaw is None else row.flaw for row in rows], np.uint8)
    return state


def rows_of(state: Any, n_sensors: int, n_slots: int, n_modes: int) -> list[WaitingRow]:
    """The rows of `stored_rows`.

    Raises
    ------
    ArtefactError
        They are not those of a stream with so many sensors, machines and operating modes.
    """
    try:
        numbers = [state[name] for name in NUMBERS]
        n_rows = len(numbers[0])
        if any(column.shape != (n_rows,) or column.dtype != np.int64 for column in numbers):
            raise ValueError("columns differ in length")
        if n_rows == 0:
            return []
        values, flaw, slot = state["values"], state["flaw"], state["slot"]
        if values.shape != (n_rows, n_sensors) or flaw.shape != values.shape:
            raise ValueError(f"rows of {values.shape[-1]} sensors")
        if values.dtype != np.float32 or flaw.dtype != np.uint8 or not (0 <= slot.min() <= slot.max() < n_slots):
            raise ValueError("rows of unknown machines")
        if not 0 <= state["mode"].min() <= state["mode"].max() < n_modes:
            raise ValueError("rows of unknown operating modes")
        return [
            WaitingRow(time, arrival, machine, row, cells if cells.any() else None, mode, bool(is_told))
            for time, arrival, machine, mode, is_told, row, cells in zip(
                *(column.tolist() for column in numbers), values, flaw, strict=True
            )
        ]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as err:
        raise ArtefactError(f"the state of the waiting rows does not fit: {err}", hint="start without a state") from err

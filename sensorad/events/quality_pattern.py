"""What the newest row of a machine looks like to quality, and for how long rows that look like it decide nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_drafts import WHOLE_ROW, Draft
from sensorad.events.quality_machine import MISSING, MachineQuality
from sensorad.events.quality_runs import NEVER

__all__ = ["OUTAGE", "RowPattern"]

OUTAGE = "missing", WHOLE_ROW
"""Reason and column of drafts of rows in which most sensors are missing."""


@dataclass(frozen=True, slots=True)
class RowPattern:
    """A row with the same flaws and cells outside their range only makes runs and events longer, as long as it ...

    Attributes
    ----------
    touched : tuple of (str, int)
        ... belongs to the same drafts, by reason and column.
    watched : tuple of (int, float)
        ... keeps these values in these columns.
    n_rows : int
        ... is not more than so many rows later; NEVER = no matter how many.
    deadline : int
        ... lies at this position or before it; NEVER = wherever it lies.
    exempt : (C,) bool
        ... and no run of equal values comes to its limit in any other column.
    """

    touched: tuple[tuple[str, int], ...]
    watched: tuple[tuple[int, float], ...]
    n_rows: int
    deadline: int
    exempt: NDArray[np.bool_]

    @classmethod
    def of(cls, machine: MachineQuality, flaw: NDArray[np.uint8], is_outside: NDArray[np.bool_]) -> RowPattern:
        """The pattern of the newest row in order, of which ``flaw`` and ``is_outside`` (C,) speak."""
        yardstick, runs = machine.yardstick, machine.runs
        is_flawed = flaw > 0
        is_told = ~is_flawed & (runs.flat_n >= yardstick.flat)
        touched = [("flat", column) for column in is_told.nonzero()[0].tolist()]
        watched = [column for _, column in touched]
        n_rows = deadline = NEVER
        if is_flawed.any():
            is_missing = flaw == MISSING
            if yardstick.is_outage(is_missing):
                touched.append(OUTAGE)
                lost = machine.book.open[OUTAGE].cells
                if lost is not None and lost[~is_missing].any():
                    n_rows = 0  # sensors that this row has lost may overtake those that it has not
            else:
                for column in is_missing.nonzero()[0].tolist():
                    n_more = int(yardstick.missing[column] - runs.missing_n[column])
                    if n_more <= 0:
                        touched.append(("missing", column))
                    else:
                        n_rows = min(n_rows, n_more - 1)
            touched += [("overflow", column) for column in (flaw > MISSING).nonzero()[0].tolist()]
        touched += [("out_of_range", column) for column in (is_outside & ~is_flawed).nonzero()[0].tolist()]
        position = machine.position
        for key, draft in machine.book.open.items():
            reach = draft.last[1] + machine.book.merge_gap + 1
            if key in touched or draft.is_last:
                continue
            if position <= reach:
                deadline = min(deadline, reach)
            elif draft.reason == "flat" and not is_flawed[draft.column]:
                watched.append(draft.column)  # a run that began in time keeps it open
        return cls(
            tuple(touched),
            tuple((column, float(runs.flat_value[column])) for column in watched),
            n_rows,
            deadline,
            (yardstick.flat == NEVER) | is_flawed | is_told,
        )

    def prolong(self, machine: MachineQuality, rows: NDArray[np.float32], flaw: NDArray[np.uint8]) -> None:
        """Add rows like this, (R, C), which the runs have in already, to the drafts they belong to."""
        yardstick, runs = machine.yardstick, machine.runs
        for key in self.touched:
            reason, column = key
            draft = machine.book.open[key]
            later = Draft(reason, column, draft.first, machine.newest, n_cells=len(rows))
            if reason == "flat":
                later.longest, later.value = int(runs.flat_n[column]), float(runs.flat_value[column])
            elif reason == "overflow":
                later.longest = int(runs.overflow_n[column])
            elif reason == "out_of_range":
                later.longest = int(runs.outside_n[column])
                later.value, later.expected = yardstick.worst(column, rows[:, column])
            elif column == WHOLE_ROW:
                later.longest = int(runs.blind_n[0])
                later.cells = len(rows) * (flaw == MISSING).astype(np.int64)
            else:
                later.longest = int(runs.missing_n[column])
            draft.add(later)

"""The columns of a row that are not sensors: time, machine, mode and label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.logs.casting import labels_of
from sensorad.logs.failures import Place
from sensorad.logs.format import LogFormat
from sensorad.logs.names import NameTable
from sensorad.logs.times import evenly_spaced, times_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KeyReader", "RowKeys"]


@dataclass(slots=True)
class RowKeys:
    """Time (T,) int64 ns, group (T,) int32, mode (T,) int32 or None, label (T,) bool or None."""

    time: NDArray[np.int64]
    group: NDArray[np.int32]
    mode: NDArray[np.int32] | None
    label: NDArray[np.bool_] | None


class KeyReader:
    """Reads the keys of consecutive batches; remembers names and, with a time step, how far each group has come."""

    def __init__(self, form: LogFormat, time: str | None) -> None:
        self.groups = NameTable()
        self.modes = NameTable()
        self._form = form
        self._time = time
        self._n_rows = np.zeros(0, np.int64)

    @property
    def group_names(self) -> tuple[str, ...]:
        return self.groups.names if self._form.group is not None else ("",)

    def read(self, batch: pa.RecordBatch, place: Place) -> RowKeys:
        form = self._form
        if form.group is None:
            group = np.zeros(len(batch), np.int32)
        else:
            group = self.groups.encode(batch.column(form.group), form.group, place)
        if self._time is None:
            time = evenly_spaced(self._row_numbers(group), form)
        else:
            time = times_of(batch.column(self._time), form, self._time, place)
        return RowKeys(
            time=time,
            group=group,
            # A row may be without a mode (between two, or not logged); it is never without a machine.
            mode=None if form.mode is None else self.modes.encode(batch.column(form.mode), form.mode, place, ""),
            label=None if form.label is None else labels_of(batch.column(form.label), form.label, place),
        )

    def _row_numbers(self, group: NDArray[np.int32]) -> NDArray[np.int64]:
        """Position of each row among all rows of its group so far."""
        n_groups = len(self.group_names)
        self._n_rows = np.pad(self._n_rows, (0, n_groups - len(self._n_rows)))
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=n_groups)
        starts = np.cumsum(counts) - counts
        rows = np.empty(len(group), np.int64)
        rows[order] = np.arange(len(group)) - np.repeat(starts, counts)
        rows += self._n_rows[group]
        self._n_rows += counts
        return rows

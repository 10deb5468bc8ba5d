"""What `inject` did: in words, as JSON, and as a table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensorad.augment.faults import Fault, fault_kind

__all__ = ["Done", "when", "write_labels"]


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it came out.

    ``start`` and ``end`` are the times in ns of the first and last row that it changed, ``unit`` that of its severity.
    ``amount`` is its size in the unit of its only sensor; None where it has several, or counts in no such unit.
    """

    fault: Fault
    sensors: tuple[str, ...]
    machine: str
    start: int
    end: int
    n_cells: int
    unit: str
    amount: float | None = None

    @property
    def direction(self) -> str:
        if not fault_kind(self.fault.kind).is_signed or self.fault.variant == "dropout":
            return ""
        return "up" if self.fault.sign > 0 else "down"

    def in_words(self) -> str:
        size = f"{self.fault.severity:.3g} {self.unit}"
        size += f" (amount {self.amount:.4g})" if self.amount is not None else ""
        size += f" {self.direction}" if self.direction else ""
        size += f", {self.fault.variant}" if self.fault.variant else ""
        where = ", ".join(self.sensors) + (f" of {self.machine}" if self.machine else "")
        return f"{where}, {when(self.start)} to {when(self.end)}: {size}"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.fault.kind,
            "sensors": list(self.sensors),
            "machine": self.machine or None,
            "start": when(self.start),
            "end": when(self.end),
            "severity": self.fault.severity,
            "unit": self.unit,
            "amount": self.amount,
            "direction": self.direction or None,
            "form": self.fault.variant or None,
            "cells": self.n_cells,
        }


def write_labels(target: Path, done: Sequence[Done], group_name: str | None, *, force: bool) -> None:
    """One row for each fault: start, end, group, kind, sensors, severity, unit, amount, direction, form."""
    import pyarrow as pa

    from sensorad.logs.atomic import NewFile
    from sensorad.logs.score_columns import finest_unit, time_in
    from sensorad.logs.table_sink import open_sink

    times = {name: np.array([getattr(one, name) for one in done], np.int64) for name in ("start", "end")}
    unit = finest_unit(np.concatenate(list(times.values())))
    columns = {name: time_in(time, unit) for name, time in times.items()}
    columns |= {
        "kind": pa.array([one.fault.kind for one in done], pa.string()),
        "sensors": pa.array([list(one.sensors) for one in done], pa.list_(pa.string())),
        "severity": pa.array([one.fault.severity for one in done], pa.float64()),
        "unit": pa.array([one.unit for one in done], pa.string()),
        "amount": pa.array([one.amount for one in done], pa.float64()),
        "direction": pa.array([one.direction for one in done], pa.string()),
        "form": pa.array([one.fault.variant for one in done], pa.string()),
    }
    if group_name is not None:
        # Who reads labels looks for the log's own name first, then for "group".
        name = "group" if group_name in columns else group_name
        columns[name] = pa.array([one.machine for one in done], pa.string())
    batch = pa.RecordBatch.from_pydict(columns)
    with NewFile(target, force) as temporary:
        sink = open_sink(target, temporary, batch.schema, {})
        sink.write(batch)
        sink.close(complete=True)


def when(time: int) -> str:
    text = np.datetime_as_string(np.datetime64(time, "ns"))
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}Z"

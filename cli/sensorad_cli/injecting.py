"""Faults into the machines of a log: rows in order of time, and statistics of each machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults import (
    FAULTS,
    Fault,
    SensorStatistics,
    amount_of,
    fault_kind,
    inject,
    inject_random,
    severity_of,
)
from sensorad.errors import DataError, TimeError, UsageError, unknown_name
from sensorad_cli.fault_labels import Done, when
from sensorad_cli.fault_options import FaultOptions

if TYPE_CHECKING:
    from sensorad.logs import LogFormat, SensorLog
    from sensorad.types import RowBlock
    from sensorad_cli.log_table import LogTable

__all__ = ["FaultedLog", "moment"]

LENGTHS = (10, 240)
"""Rows of random faults, where nobody says how long."""

GAP_ROWS = 30
"""Rows between random faults: as many as an event bridges by default, so that each is an event of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class _Machine:
    """The rows of one machine in order of time; ``rows`` are positions in the file.

    ``is_still`` (C,) says which sensors never move in the rows that the statistics are of.
    """

    name: str
    rows: NDArray[np.int64]
    time: NDArray[np.int64]
    values: NDArray[np.float64]
    statistics: SensorStatistics
    is_still: NDArray[np.bool_]

    @property
    def step(self) -> int:
        """Usual time between rows, in ns."""
        steps = np.diff(self.time)
        steps = steps[steps > 0]
        return int(np.median(steps)) if len(steps) else 1


class FaultedLog:
    """A log that gets faults; its table keeps all that is not a sensor.

    Parameters
    ----------
    table, log
        The same file, as a table and as rows of the sensors that may have faults.
    normal
        Rows of normal operation that sizes are measured by; None takes those of the log, without labelled ones.
    """

    def __init__(self, table: LogTable, log: SensorLog, normal: SensorLog | None = None) -> None:
        self._table = table
        self._where = str(table.path)
        self.names = log.schema.names
        self.has_machines = log.group_name is not None
        self._block = _whole(log, self._where)
        self._before = np.column_stack([table.numbers(name) for name in self.names])  # (T, C)
        self._before[self._block.flaw != 0] = np.nan
        self._after = self._before.copy()
        self._mask = np.zeros(self._before.shape, np.bool_)
        self._resolution = np.array([table.resolution(name) for name in self.names])
        self._normal_where = "" if normal is None else ", ".join(normal.files) or "--normal"
        self._normal = None if normal is None else _whole(normal, self._normal_where)
        self._planned: list[tuple[Fault, _Machine]] = []

    @property
    def n_repeated(self) -> int:
        """Rows of the same time as another, whatever their machine."""
        return len(self._block) - len(np.unique(self._block.time))

    @property
    def label(self) -> NDArray[np.bool_]:
        """(T,) rows that were labelled before."""
        return np.zeros(len(self._block), np.bool_) if self._block.label is None else self._block.label

    def put_described(self, options: FaultOptions, start: int, generator: np.random.Generator) -> None:
        """The fault that the options describe, from ``start`` (ns) on."""
        machine = self._machine(self._only_machine(options.machine))
        rows = self._stretch(machine, options, start)
        faults = list(self._described(machine, options, rows))
        if options.amount is not None:
            machine = replace(machine, statistics=_measurable(machine.statistics))
        else:
            self._refuse_unmeasured(machine, options)
        injected = inject(
            machine.values, faults, machine.statistics, generator, resolution=self._resolution, names=self.names
        )
        self._keep(machine, faults, injected.rows, injected.mask)

    def put_some(self, options: FaultOptions, generator: np.random.Generator) -> None:
        """Faults at random, to machines by their number of rows."""
        known = self._block.group_names
        names = known if options.machine is None else [self._only_machine(options.machine)]
        counts = np.array([np.count_nonzero(self._block.group == known.index(name)) for name in names])
        n_faults = options.random or 0
        sensors = [c for c, name in enumerate(self.names) if options.sensor or not self._table.is_flag(name)]
        for name, n in zip(names, generator.multinomial(n_faults, counts / counts.sum()), strict=True):
            if not n:
                continue
            machine = self._machine(name)
            room = len(machine.rows) // int(n)
            longest = max(LENGTHS[0], min(LENGTHS[1], room // 4))
            if options.duration is not None:
                longest = max(1, round(options.duration * 1e9 / machine.step))
            moving = [c for c in sensors if machine.statistics.sigma[c] > 0]
            faults, injected = inject_random(
                machine.values,
                int(n),
                machine.statistics,
                generator,
                options.kinds or tuple(FAULTS),
                min(GAP_ROWS, room // 8),
                lengths=(min(longest, LENGTHS[0]), longest),
                severities=options.severities(),
                sensors=moving,
                resolution=self._resolution,
                names=self.names,
            )
            self._keep(machine, faults, injected.rows, injected.mask)

    def finish(self) -> tuple[list[Done], NDArray[np.bool_]]:
        """Write the cells into the table; returns what was done and (T,) the rows with a faulty cell."""
        for c in np.flatnonzero(self._mask.any(axis=0)):
            held = self._table.replace(self.names[c], self._after[:, c], self._mask[:, c])
            self._mask[:, c] &= held != self._before[:, c]  # what rounding to the column's type left as it was
        done = [self._outcome(fault, machine) for fault, machine in self._planned]
        return sorted(done, key=lambda one: (one.start, one.machine)), np.asarray(self._mask.any(axis=1))

    def _outcome(self, fault: Fault, machine: _Machine) -> Done:
        at = slice(fault.start, fault.start + fault.length)
        mask = self._mask[np.ix_(machine.rows[at], np.array(fault.sensors))]
        if not mask.any(axis=0).all():
            raise UsageError(
                "the fault changes nothing once it is rounded to the type of its column",
                where=f"{self._where}, {fault.describe(self.names)}",
                hint="make it more severe",
            )
        rows = np.flatnonzero(mask.any(axis=1))
        time = machine.time[at][rows]
        sensors = tuple(self.names[c] for c in fault.sensors)
        kind, amount = fault_kind(fault.kind), None
        if kind.in_engineering_units and len(sensors) == 1:
            amount = amount_of(fault.kind, fault.severity, machine.statistics, fault.sensors[0], fault.sign)
        unit = "of its unit" if machine.is_still[list(fault.sensors)].any() else kind.unit_of_severity
        return Done(fault, sensors, machine.name, int(time[0]), int(time[-1]), int(mask.sum()), unit, amount)

    def _keep(
        self, machine: _Machine, faults: Sequence[Fault], rows: NDArray[np.floating], mask: NDArray[np.bool_]
    ) -> None:
        self._after[machine.rows] = rows
        self._mask[machine.rows] = mask
        self._planned += [(fault, machine) for fault in faults]

    def _only_machine(self, name: str | None) -> str:
        known = self._block.group_names
        if name is None and len(known) > 1:
            hint = f"choose one with --machine: {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}"
            raise UsageError(f"the log holds {len(known)} machines", where=self._where, hint=hint)
        if name is not None and not self.has_machines:
            hint = "leave out --machine, or name the column of machines with --group"
            raise UsageError(f"the log is not read as one of several machines, got --machine {name}", hint=hint)
        if name is not None and name not in known:
            error = unknown_name("machine", name, known)
            raise DataError(error.what, where=self._where, hint=error.hint)
        return known[0] if name is None else name

    def _machine(self, name: str) -> _Machine:
        rows = np.flatnonzero(self._block.group == self._block.group_names.index(name))
        rows = rows[np.argsort(self._block.time[rows], kind="stable")]
        statistics = self._statistics(name, rows)
        return _Machine(name, rows, self._block.time[rows], self._before[rows], statistics, statistics.sigma == 0)

    def _statistics(self, name: str, rows: NDArray[np.int64]) -> SensorStatistics:
        if self._normal is None:
            chosen = rows[~self.label[rows]]
            if not len(chosen):
                hint = "name a log of normal operation with --normal"
                raise DataError("all rows are labelled anomalous, none measures a fault", where=self._where, hint=hint)
            return SensorStatistics.fit(self._before[chosen])
        block = self._normal
        if self.has_machines and name not in block.group_names:
            known = ", ".join(block.group_names[:8])
            raise DataError(f"machine {name!r} has no rows there", where=self._normal_where, hint=f"it holds {known}")
        own = block.group == block.group_names.index(name) if self.has_machines else np.ones(len(block), np.bool_)
        values = np.where(block.flaw == 0, block.values, np.nan)
        return SensorStatistics.fit(values[np.flatnonzero(own)[np.argsort(block.time[own], kind="stable")]])

    def _stretch(self, machine: _Machine, options: FaultOptions, start: int) -> tuple[int, int]:
        """First row and number of rows of the time that was asked for."""
        time, step = machine.time, machine.step
        of = f"{self._where}, machine {machine.name}" if machine.name else self._where
        span = f"its rows go from {when(int(time[0]))} to {when(int(time[-1]))}"
        if not time[0] <= start <= time[-1]:
            raise DataError(f"--start {when(start)} is outside the log", where=of, hint=span)
        first = int(np.searchsorted(time, start))
        if options.duration is None:
            return first, 1
        end = start + round(options.duration * 1e9)
        if end > time[-1] + step:
            raise DataError(f"the fault ends at {when(end)}, after the log", where=of, hint=span)
        length = int(np.searchsorted(time, end)) - first
        if length < 1:
            hint = f"rows are {step / 1e9:g} s apart; choose another time or a longer --duration"
            raise DataError(f"no row lies between {when(start)} and {when(end)}", where=of, hint=hint)
        return first, length

    def _described(self, machine: _Machine, options: FaultOptions, rows: tuple[int, int]) -> list[Fault]:
        start, length = rows
        positions = [self.names.index(name) for name in options.sensor]
        period = 0.0 if options.period is None else options.period * 1e9 / machine.step

        def fault(sensors: tuple[int, ...], severity: float | None) -> Fault:
            size = float(length) if severity is None else severity
            return Fault(options.kind.name, sensors, start, length, size, options.sign, options.form or "", period)

        if options.amount is None:
            return [fault(tuple(positions), options.severity)]
        # An amount is another severity at each sensor.
        known = _measurable(machine.statistics)
        sizes = [severity_of(options.kind.name, options.amount, known, c, options.sign) for c in positions]
        return [fault((c,), size) for c, size in zip(positions, sizes, strict=True)]

    def _refuse_unmeasured(self, machine: _Machine, options: FaultOptions) -> None:
        for name in options.sensor:
            if machine.is_still[self.names.index(name)] and options.kind.in_engineering_units:
                raise UsageError(
                    f"sensor {name!r} never moves, so nothing measures a severity",
                    where=self._normal_where or self._where,
                    hint="say --amount in the unit of the sensor, or name a log in which it moves with --normal",
                )


def moment(text: str, form: LogFormat) -> int:
    """A time of the command line in ns, read as those of the log are; ISO 8601 text will always do."""
    import pyarrow as pa

    from sensorad.logs.columns import is_number_text
    from sensorad.logs.failures import Place
    from sensorad.logs.times import times_of

    if not is_number_text(text.strip()):
        form = replace(form, time_origin=None)
    try:
        return int(times_of(pa.array([text]), form, "--start", Place())[0])
    except TimeError as error:
        raise UsageError(f"--start {text}: {error.what}", hint=error.hint) from error


def _whole(log: SensorLog, where: str) -> RowBlock:
    """All rows of a log at once; raises `DataError` where there are none."""
    from sensorad.types import RowBlock

    blocks = list(log.blocks())
    if not blocks:
        raise DataError("the log has no rows", where=where, hint="faults need rows to be put into")
    last = blocks[-1]
    return RowBlock(
        index=np.concatenate([block.index for block in blocks]),
        time=np.concatenate([block.time for block in blocks]),
        values=np.concatenate([block.values for block in blocks]),
        flaw=np.concatenate([block.flaw for block in blocks]),
        group=np.concatenate([block.group for block in blocks]),
        group_names=last.group_names,
        label=None if last.label is None else np.concatenate([b.label for b in blocks if b.label is not None]),
    )


def _measurable(statistics: SensorStatistics) -> SensorStatistics:
    """Statistics in which a sensor that never moved is measured in its own unit."""
    still = statistics.sigma == 0
    one = np.where(still, 1.0, 0.0)
    return replace(
        statistics,
        sigma=statistics.sigma + one,
        residual_sigma=np.where(still, 1.0, statistics.residual_sigma),
        high=statistics.high + one,
    )

"""The data quality of one machine: which of its cells are bad, and what they add to open events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_clock import ClockWatch
from sensorad.events.quality_drafts import WHOLE_ROW, Draft, DraftBook
from sensorad.events.quality_equal_runs import EqualRuns
from sensorad.events.quality_limits import BLIND_SHARE, QualityLimits
from sensorad.events.quality_runs import NEVER, HoldingRuns, Place, RowPlaces, Strand
from sensorad.events.quality_stack import QualityStack
from sensorad.events.rule import EventRule
from sensorad.types import FLAWS, RowBlock, SensorSchema

__all__ = ["MachineQuality", "Yardstick"]

MISSING = FLAWS.index("missing")


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What all machines are measured by, as arrays.

    Attributes
    ----------
    flat, missing : (C,) int64
        Rows until a run is told; `NEVER` for sensors that are not judged.
    blind : (1,) int64
        The same for rows in which most sensors are missing.
    low, high : (C,) float64
        Declared ranges, infinite where there is none.
    cell_low, cell_high : (C,) float32
        The same rounded as cells are, so that a value on the bound is inside.
    """

    flat: NDArray[np.int64]
    missing: NDArray[np.int64]
    blind: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    cell_low: NDArray[np.float32]
    cell_high: NDArray[np.float32]
    gap_steps: float
    rule: EventRule

    @classmethod
    def of(cls, schema: SensorSchema, limits: QualityLimits, rule: EventRule) -> Yardstick:
        def array(rows_until: list[int | None]) -> NDArray[np.int64]:
            return np.array([NEVER if n is None else n for n in rows_until], np.int64)

        low = np.array([-np.inf if sensor.low is None else sensor.low for sensor in schema.sensors], np.float64)
        high = np.array([np.inf if sensor.high is None else sensor.high for sensor in schema.sensors], np.float64)
        with np.errstate(over="ignore"):
            cell_low, cell_high = low.astype(np.float32), high.astype(np.float32)
        return cls(
            flat=array([limits.rows_until_flat(c) for c in range(len(schema))]),
            missing=array([limits.rows_until_missing(c) for c in range(len(schema))]),
            blind=array([limits.rows_until_blind]),
            low=low,
            high=high,
            cell_low=cell_low,
            cell_high=cell_high,
            gap_steps=limits.gap_steps,
            rule=rule,
        )

    @property
    def has_ranges(self) -> bool:
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def is_outage(self, is_missing: NDArray[np.bool_]) -> bool:
        """Whether a row with these missing cells (C,) is told of as a whole."""
        return bool(self.blind[0] != NEVER and is_missing.mean() > BLIND_SHARE)

    def outside(self, values: NDArray[np.float32], is_flawed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Cells outside their declared range, shaped like ``values``; None = no cell is."""
        is_outside: NDArray[np.bool_] = values < self.cell_low
        is_outside |= values > self.cell_high
        if is_flawed is not None:
            is_outside &= ~is_flawed
        return is_outside if is_outside.any() else None

    def worst(self, column: int, cells: NDArray[np.float32]) -> tuple[float, float]:
        """The first of the cells (R,) furthest outside the range of a column, and the bound that it crosses."""
        low, high = float(self.low[column]), float(self.high[column])
        exact = cells.astype(np.float64)
        value = float(exact[np.argmax(np.maximum(low - exact, exact - high))])
        return value, low if low - value > value - high else high


class MachineQuality:
    """Follows the rows of one machine; ``book`` holds the events that are open."""

    def __init__(self, yardstick: Yardstick, stack: QualityStack, machine: int) -> None:
        gap = yardstick.rule.merge_gap_rows
        at_once = np.ones(len(yardstick.flat), np.int64)
        self.book = DraftBook(gap)
        self.yardstick = yardstick
        self._clock = ClockWatch(yardstick.rule, yardstick.gap_steps, stack, machine)
        self._flat = EqualRuns(yardstick.flat, gap)
        self._missing = HoldingRuns(yardstick.missing, gap)
        self._blind = HoldingRuns(yardstick.blind, gap)
        self._overflow = HoldingRuns(at_once, gap)
        self._outside = HoldingRuns(at_once, gap)
        self._has_ranges = yardstick.has_ranges
        self._stack = stack
        self._machine = machine
        self.bind()

    def bind(self) -> None:
        """Work on the machine's rows of the stack, which are others after the stack has grown."""
        self.runs = row = self._stack.row(self._machine)
        self._flat.bind(row.flat_value, row.flat_n, row.flat_first, row.flat_last)
        self._missing.bind(row.missing_n, row.missing_first)
        self._overflow.bind(row.overflow_n, row.overflow_first)
        self._outside.bind(row.outside_n, row.outside_first)
        self._blind.bind(row.blind_n, row.blind_first)

    @property
    def position(self) -> int:
        """Where the newest row in order lies; -1 = there was none."""
        return int(self._stack.position[self._machine])

    @property
    def number(self) -> int:
        """How many rows in order came before the newest; -1 = there was none."""
        return int(self._stack.number[self._machine])

    @property
    def newest(self) -> Place:
        """The newest row in order, where there was one."""
        stack, m = self._stack, self._machine
        return int(stack.time[m]), int(stack.position[m]), int(stack.number[m])

    def follow(
        self, rows: RowBlock, status: NDArray[np.uint8] | None, reason: NDArray[np.uint8] | None
    ) -> list[list[Draft]]:
        """Drafts that the machine's next rows close, joined over sensors; at least one row."""
        in_order, places, found = self._clock.follow(rows, status, reason)
        for draft in found:
            self.book.add(draft)
        if len(in_order) and len(self.yardstick.flat):
            is_flawed = in_order.flaw > 0 if in_order.flaw.any() else None
            self._follow_flaws(None if is_flawed is None else in_order.flaw, places)
            if self._has_ranges:
                self._follow_ranges(in_order.values, is_flawed, places)
            usable = None if is_flawed is None else ~is_flawed
            for strand in self._flat.follow(in_order.values, usable, places):
                self._add("flat", strand, value=strand.value)
        newest = self._clock.newest
        if newest is None or self.book.is_empty:
            return []
        return self.book.close(newest[1], self._since)

    def follow_row(
        self, time: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None, status: int, reason: int
    ) -> list[list[Draft]]:
        """`follow` for one row, at a tenth of the cost; ``values`` (C,), ``flaw`` (C,) or None = no cell has one."""
        place, is_start, found = self._clock.follow_row(time, values, flaw, status, reason)
        if found is not None:
            self.book.add(found)
        if place is not None and len(self.yardstick.flat):
            is_flawed = None if flaw is None else flaw > 0
            self._follow_flaws_of_row(flaw, place, is_start)
            if self._has_ranges:
                is_outside = self.yardstick.outside(values, is_flawed)
                columns = None if is_outside is None else is_outside.nonzero()[0]
                for strand in self._outside.follow_row(columns, place, is_start):
                    value, bound = self.yardstick.worst(strand.column, values[strand.column, None])
                    self._add("out_of_range", strand, value=value, expected=bound)
            usable = None if is_flawed is None else ~is_flawed
            for strand in self._flat.follow_row(values, usable, place, is_start):
                self._add("flat", strand, value=strand.value)
        if self.book.is_empty:
            return []
        return self.book.close(self.position, self._since)

    def _follow_flaws_of_row(self, flaw: NDArray[np.uint8] | None, place: Place, is_start: bool) -> None:
        missing = overflow = blind = None
        if flaw is not None:
            is_missing = flaw == MISSING
            missing, overflow = is_missing.nonzero()[0], (flaw > MISSING).nonzero()[0]
            blind = np.zeros(int(len(missing) / len(flaw) > BLIND_SHARE), np.intp)
            if len(blind) and self.yardstick.blind[0] != NEVER:
                missing = None
        for strand in self._blind.follow_row(blind, place, is_start):
            self._add("missing", strand, column=WHOLE_ROW, cells=is_missing.astype(np.int64))
        for strand in self._missing.follow_row(missing, place, is_start):
            self._add("missing", strand)
        for strand in self._overflow.follow_row(overflow, place, is_start):
            self._add("overflow", strand)

    def _follow_flaws(self, flaw: NDArray[np.uint8] | None, places: RowPlaces) -> None:
        """Cells without a number; ``flaw`` is (T, C), None = there are none."""
        is_missing = is_overflow = is_blind = None
        if flaw is not None:
            is_missing, is_overflow = flaw == MISSING, flaw > MISSING
            is_blind = is_missing.mean(axis=1, keepdims=True) > BLIND_SHARE  # (T, 1)
            if self.yardstick.blind[0] != NEVER:  # an outage is told of as such, not sensor by sensor
                is_missing = is_missing & ~is_blind
        for strand in self._blind.follow(is_blind, places):
            if flaw is not None and is_blind is not None:
                lost = is_blind[strand.rows] & (flaw[strand.rows] == MISSING)
                self._add("missing", strand, column=WHOLE_ROW, cells=lost.sum(axis=0))
        for strand in self._missing.follow(is_missing, places):
            self._add("missing", strand)
        for strand in self._overflow.follow(is_overflow, places):
            self._add("overflow", strand)

    def _follow_ranges(
        self, values: NDArray[np.float32], is_flawed: NDArray[np.bool_] | None, places: RowPlaces
    ) -> None:
        is_outside = self.yardstick.outside(values, is_flawed)
        for strand in self._outside.follow(is_outside, places):
            cells = values[strand.rows, strand.column]
            if is_outside is not None:
                cells = cells[is_outside[strand.rows, strand.column]]
            value, bound = self.yardstick.worst(strand.column, cells)
            self._add("out_of_range", strand, value=value, expected=bound)

    def _add(
        self,
        reason: str,
        strand: Strand,
        *,
        column: int | None = None,
        value: float = np.nan,
        expected: float = np.nan,
        cells: NDArray[np.int64] | None = None,
    ) -> None:
        self.book.add(
            Draft(
                reason=reason,
                column=strand.column if column is None else column,
                first=strand.first,
                last=strand.last,
                n_cells=strand.n_cells,
                n_runs=strand.n_runs,
                longest=strand.longest,
                value=value,
                expected=expected,
                cells=cells,
            )
        )

    def _since(self, draft: Draft) -> int:
        """Position of the first row of a run that is not told yet and may come to continue the draft."""
        if draft.column == WHOLE_ROW or draft.reason not in ("flat", "missing"):
            return NEVER  # these are told at once
        return (self._flat if draft.reason == "flat" else self._missing).since(draft.column)

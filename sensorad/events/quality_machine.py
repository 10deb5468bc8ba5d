"""The data quality of one machine: which of its cells are bad, and what they add to open events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.events.quality_clock import ClockWatch
from sensorad.events.quality_drafts import WHOLE_ROW, Draft, DraftBook
from sensorad.events.quality_limits import BLIND_SHARE, QualityLimits
from sensorad.events.quality_runs import NEVER, EqualRuns, HoldingRuns, RowPlaces, Strand
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
    """

    flat: NDArray[np.int64]
    missing: NDArray[np.int64]
    blind: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    gap_steps: float
    rule: EventRule

    @classmethod
    def of(cls, schema: SensorSchema, limits: QualityLimits, rule: EventRule) -> Yardstick:
        def array(rows_until: list[int | None]) -> NDArray[np.int64]:
            return np.array([NEVER if n is None else n for n in rows_until], np.int64)

        return cls(
            flat=array([limits.rows_until_flat(c) for c in range(len(schema))]),
            missing=array([limits.rows_until_missing(c) for c in range(len(schema))]),
            blind=array([limits.rows_until_blind]),
            low=np.array([-np.inf if sensor.low is None else sensor.low for sensor in schema.sensors], np.float64),
            high=np.array([np.inf if sensor.high is None else sensor.high for sensor in schema.sensors], np.float64),
            gap_steps=limits.gap_steps,
            rule=rule,
        )

    @property
    def has_ranges(self) -> bool:
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def outside(self, values: NDArray[np.float32], is_flawed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """(T, C) cells outside their declared range, None = no cell is.

        Bounds are rounded as the cells are, so that a value on the bound is inside.
        """
        with np.errstate(over="ignore"):
            low, high = self.low.astype(np.float32), self.high.astype(np.float32)
        is_outside: NDArray[np.bool_] = values < low
        is_outside |= values > high
        if is_flawed is not None:
            is_outside &= ~is_flawed
        return is_outside if is_outside.any() else None


class MachineQuality:
    """Follows the rows of one machine; ``book`` holds the events that are open."""

    def __init__(self, yardstick: Yardstick) -> None:
        gap = yardstick.rule.merge_gap_rows
        at_once = np.ones(len(yardstick.flat), np.int64)
        self.book = DraftBook(gap)
        self._yardstick = yardstick
        self._clock = ClockWatch(yardstick.rule, yardstick.gap_steps)
        self._flat = EqualRuns(yardstick.flat, gap)
        self._missing = HoldingRuns(yardstick.missing, gap)
        self._blind = HoldingRuns(yardstick.blind, gap)
        self._overflow = HoldingRuns(at_once, gap)
        self._outside = HoldingRuns(at_once, gap)
        self._has_ranges = yardstick.has_ranges

    def follow(
        self, rows: RowBlock, status: NDArray[np.uint8] | None, reason: NDArray[np.uint8] | None
    ) -> list[list[Draft]]:
        """Drafts that the machine's next rows close, joined over sensors; at least one row."""
        in_order, places, found = self._clock.follow(rows, status, reason)
        for draft in found:
            self.book.add(draft)
        if len(in_order) and len(self._yardstick.flat):
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

    def _follow_flaws(self, flaw: NDArray[np.uint8] | None, places: RowPlaces) -> None:
        """Cells without a number; ``flaw`` is (T, C), None = there are none."""
        is_missing = is_overflow = is_blind = None
        if flaw is not None:
            is_missing, is_overflow = flaw == MISSING, flaw > MISSING
            is_blind = is_missing.mean(axis=1, keepdims=True) > BLIND_SHARE  # (T, 1)
            if self._yardstick.blind[0] != NEVER:  # an outage is told of as such, not sensor by sensor
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
        is_outside = self._yardstick.outside(values, is_flawed)
        for strand in self._outside.follow(is_outside, places):
            low, high = float(self._yardstick.low[strand.column]), float(self._yardstick.high[strand.column])
            cells = values[strand.rows, strand.column].astype(np.float64)
            beyond = np.maximum(low - cells, cells - high)
            if is_outside is not None:
                beyond[~is_outside[strand.rows, strand.column]] = -np.inf
            worst = float(cells[np.argmax(beyond)])
            self._add("out_of_range", strand, value=worst, expected=low if low - worst > worst - high else high)

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

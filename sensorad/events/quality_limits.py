"""How long a sensor may stand still or stay silent: learned from normal data, because slow sensors stand still too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError
from sensorad.types import FLAWS, RowBlock, Sensor, SensorSchema

__all__ = ["BLIND_SHARE", "SEGMENT_STEPS", "QualityLimits"]

GROWTH = 3
"""A run must be so many times longer than the longest on normal data: a later log is longer than the one learned from,
and its longest run is longer too. Measured on seven benchmark sets (400 to 28,000 rows to learn from, 720,000 to test;
without one sensor whose test part is rounded otherwise), all sensors together: runs of at least ten equal values and 1,
2, 3 or 5 times the longest normal run turned up 15, 4, 2 and 1 times in 10,000 rows."""

LEAST_FLAT = 10
"""Equal values in a row are never told before so many: noise repeats itself, and ramps have steps."""

LEAST_MISSING = 5
"""Missing cells in a row likewise; so many rows are also bridged by filled values when rows are scored."""

LEAST_CHANGES = 20
"""A sensor that changed its value less often on normal data has no longest run worth the name."""

FEW_LEVELS = 5
"""A sensor with no more values than this is a state (a stage, a mode) unless it is restless."""

RESTLESS = 10.0
"""A few-valued sensor that on average keeps a value for fewer rows is a measurement with coarse steps."""

BLIND_SHARE = 0.5
"""A row in which more than this share of the sensors is missing is blind."""

SEGMENT_STEPS = 6.0
"""A pause longer than this many usual steps is a gap in time and ends every run, as it ends a segment when rows are
scored (`sensorad.data.timing.GAP_STEPS`; neighbours on one floor do not import each other, a test compares them)."""

ROWS_PER_GAP = 10_000
"""Gaps of a length that normal data show more often than once in so many rows are the way of the log."""

MISSING = FLAWS.index("missing")


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What normal data show of still and silent sensors, and from which row on more than that is told.

    A limit is the longest run on normal data times `GROWTH`, and at least a floor: `LEAST_FLAT` equal values,
    `LEAST_MISSING` missing cells. So a sensor in steps of 0.5 that keeps a value for an hour on normal data may keep
    it for three, and one that never repeats itself is reported within ten rows. What normal data never showed
    moving (constants), only between few levels (switches, stages) or hardly ever (set points) can keep a value for
    ever: it is never called flat, and ``still`` says why.

    Attributes
    ----------
    longest_flat : (C,) tuple of int
        Longest run of equal neighbouring values, in rows that have a value; 0 where nothing was seen.
    longest_missing : (C,) tuple of int or None
        Longest run of missing cells; None where a missing cell says nothing: no value was ever seen, or nothing is
        known.
    still : (C,) tuple of str
        Why a sensor is never called flat: "constant", "two values", "few values", "rarely moves", "state" (declared),
        "never seen", "unknown"; "" where it is judged.
    longest_blind : int
        Longest run of blind rows. Where normal data have none, a blind row is told at once; where they have some, each
        sensor is judged by itself only.
    gap_steps : float
        Pauses of more usual steps than this are told.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.column_stack([rng.normal(size=600), np.repeat(rng.normal(size=50), 12)]).astype(np.float32)
    >>> rows = RowBlock(np.arange(600), np.arange(600) * 10**9, values, np.zeros((600, 2), np.uint8),
    ...                 np.zeros(600, np.int32))
    >>> limits = QualityLimits.fit([rows], SensorSchema((Sensor("TI-1"), Sensor("AI-7"))), step_seconds=1.0)
    >>> limits.longest_flat, limits.rows_until_flat(0), limits.rows_until_flat(1), limits.rows_until_missing(0)
    ((1, 12), 10, 36, 5)
    >>> QualityLimits.from_json(limits.to_json()) == limits
    True
    """

    longest_flat: tuple[int, ...]
    longest_missing: tuple[int | None, ...]
    still: tuple[str, ...]
    longest_blind: int = 0
    gap_steps: float = SEGMENT_STEPS

    def __len__(self) -> int:
        return len(self.still)

    @classmethod
    def fit(
        cls, machines: Iterable[RowBlock], schema: SensorSchema, step_seconds: float | None = None
    ) -> QualityLimits:
        """Learn from normal rows, machine by machine; only one machine's rows are held at a time.

        Parameters
        ----------
        machines
            All rows of one machine each, in time order and each time once. Rows labelled anomalous are left out.
        schema
            A declared kind beats what the values look like: a "state" is never flat, a "measurement" with few values
            can be.
        step_seconds
            Usual time between two rows; None = gaps in time are not looked for.
        """
        sensors = schema.sensors
        seen = [_Seen() for _ in sensors]
        longest_blind, n_rows, pauses = 0, 0, [np.zeros(0)]
        for rows in machines:
            n_rows += len(rows)
            segment = np.zeros(len(rows), np.int64)
            if step_seconds is not None:
                steps = np.diff(rows.time, prepend=rows.time[:1]) / (step_seconds * 1e9)  # (T,)
                segment += np.cumsum(steps > SEGMENT_STEPS)
                pauses.append(steps[steps > SEGMENT_STEPS])
            values, flaw = rows.values, rows.flaw
            if rows.label is not None and rows.label.any():
                segment += np.cumsum(np.diff(rows.label, prepend=False))
                values, flaw, segment = values[~rows.label], flaw[~rows.label], segment[~rows.label]
            is_missing = flaw == MISSING
            is_blind = is_missing.mean(axis=1) > BLIND_SHARE if len(sensors) else np.zeros(len(flaw), bool)
            longest_blind = max(longest_blind, _longest_true(is_blind, segment))
            for c, one in enumerate(seen):
                one.add(values[:, c], flaw[:, c] == 0, is_missing[:, c], segment)
        return cls(
            longest_flat=tuple(one.longest_flat for one in seen),
            longest_missing=tuple(one.longest_missing if one.n_cells else None for one in seen),
            still=tuple(one.still(sensor) for one, sensor in zip(seen, sensors, strict=True)),
            longest_blind=longest_blind,
            gap_steps=_usual_gap(np.concatenate(pauses), n_rows),
        )

    @classmethod
    def unknown(cls, n_sensors: int) -> QualityLimits:
        """Limits of a detector saved without them: blind rows, overflow, declared ranges and the clock are judged."""
        return cls((0,) * n_sensors, (None,) * n_sensors, ("unknown",) * n_sensors)

    def rows_until_flat(self, sensor: int) -> int | None:
        """Rows with equal values after which sensor number ``sensor`` is reported as flat; None = never."""
        return None if self.still[sensor] else max(LEAST_FLAT, GROWTH * self.longest_flat[sensor])

    def rows_until_missing(self, sensor: int) -> int | None:
        """Rows without a value after which the sensor is reported as missing; None = never by itself."""
        longest = self.longest_missing[sensor]
        return None if longest is None else max(LEAST_MISSING, GROWTH * longest)

    @property
    def rows_until_blind(self) -> int | None:
        """Rows with most sensors missing after which an outage is reported: the first, or None = never as such."""
        return None if self.longest_blind else 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, a few numbers for each sensor."""
        return {
            "longest_flat": list(self.longest_flat),
            "longest_missing": list(self.longest_missing),
            "still": list(self.still),
            "longest_blind": self.longest_blind,
            "gap_steps": self.gap_steps,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> QualityLimits:
        """The limits of `to_json`.

        Raises
        ------
        ArtefactError
            Names, types or lengths are not those of limits.
        """
        names = {entry.name for entry in fields(cls)}
        if set(values) != names:
            raise _damaged(f"expected {sorted(names)}, got {sorted(values)}")
        for name, allows in (("longest_flat", _is_count), ("longest_missing", _is_count_or_none), ("still", _is_text)):
            if not isinstance(values[name], list) or not all(allows(entry) for entry in values[name]):
                raise _damaged(f"{name} holds other values than those of a limit")
        if len({len(values[name]) for name in ("longest_flat", "longest_missing", "still")}) > 1:
            raise _damaged("the lists are not of one length")
        gap = values["gap_steps"]
        is_number = isinstance(gap, (int, float)) and not isinstance(gap, bool)
        if not _is_count(values["longest_blind"]) or not is_number or not 0 < gap < np.inf:
            raise _damaged("longest_blind or gap_steps is not a number in its range")
        return cls(
            tuple(values["longest_flat"]),
            tuple(values["longest_missing"]),
            tuple(values["still"]),
            values["longest_blind"],
            float(gap),
        )


@dataclass(slots=True)
class _Seen:
    """What normal rows have shown of one sensor so far."""

    n_cells: int = 0
    n_runs: int = 0
    n_changes: int = 0
    longest_flat: int = 0
    longest_missing: int = 0
    levels: set[float] = field(default_factory=set)

    def add(
        self,
        values: NDArray[np.float32],
        is_usable: NDArray[np.bool_],
        is_missing: NDArray[np.bool_],
        segment: NDArray[np.int64],
    ) -> None:
        """Take in one column (T,) of one machine; missing cells neither end nor lengthen a run of equal values."""
        self.longest_missing = max(self.longest_missing, _longest_true(is_missing, segment))
        if not is_usable.all():
            values, segment = values[is_usable], segment[is_usable]
        if len(values) == 0:
            return
        heads, lengths = _runs(values, segment)
        self.n_cells += len(values)
        self.n_runs += len(heads)
        self.n_changes += len(heads) - len(np.unique(segment[heads]))
        self.longest_flat = max(self.longest_flat, int(lengths.max()))
        met = values[heads]
        for part in (met[: 4 * LEAST_CHANGES], met):  # most sensors show in a few rows that they have many levels
            if len(self.levels) <= FEW_LEVELS:
                self.levels.update(np.unique(part)[: FEW_LEVELS + 1].tolist())

    def still(self, sensor: Sensor) -> str:
        """Why this sensor is never called flat; "" = it is judged."""
        n_levels = len(self.levels)
        is_measurement = sensor.kind == "measurement"
        if n_levels <= 1:
            return "constant" if n_levels else "never seen"
        if sensor.kind == "state":
            return "state"
        if n_levels <= 2 and not is_measurement:
            return "two values"
        if n_levels <= FEW_LEVELS and not is_measurement and self.n_cells > RESTLESS * self.n_runs:
            return "few values"
        return "rarely moves" if self.n_changes < LEAST_CHANGES else ""


def _runs(values: NDArray[Any], segment: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First places and lengths of the runs of equal neighbours within segments, (T,) -> (R,), (R,)."""
    is_head = np.append(True, (values[1:] != values[:-1]) | (segment[1:] != segment[:-1]))
    heads = np.flatnonzero(is_head)
    return heads, np.diff(heads, append=len(values))


def _longest_true(holds: NDArray[np.bool_], segment: NDArray[np.int64]) -> int:
    if not holds.any():
        return 0
    heads, lengths = _runs(holds, segment)
    return int(lengths[holds[heads]].max())


def _usual_gap(pauses: NDArray[np.float64], n_rows: int) -> float:
    """The longest pause, in steps, that normal data exceed no more than once, and once in `ROWS_PER_GAP` rows."""
    n_exceeding = max(1, n_rows // ROWS_PER_GAP)
    if len(pauses) <= n_exceeding:
        return SEGMENT_STEPS
    return float(np.partition(pauses, -n_exceeding - 1)[-n_exceeding - 1])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_count_or_none(value: object) -> bool:
    return value is None or _is_count(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _damaged(what: str) -> ArtefactError:
    return ArtefactError(f"quality limits cannot be read: {what}", hint="restore or refit the detector")

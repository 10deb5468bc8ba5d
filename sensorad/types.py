"""The plain objects that travel between all parts: sensors, blocks of rows, blocks of scores, events.

Only numpy is needed here. One alphabet for shapes everywhere: ``N`` windows, ``L`` time steps in a
window, ``T`` rows, ``C`` sensors, ``K`` blamed sensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FLAWS",
    "REASONS",
    "STATUSES",
    "TOP_SENSORS",
    "Event",
    "RowBlock",
    "ScoreBlock",
    "Sensor",
    "SensorSchema",
    "WindowSpec",
]

STATUSES = ("scored", "warmup", "degraded", "unscorable", "duplicate", "late")
"""What became of a row; stored as the position in this tuple."""

REASONS = ("", "missing", "infinite", "overflow", "segment_start", "same_time", "rate", "out_of_order", "far_future")
"""Why a row is not plainly scored; stored as the position in this tuple."""

FLAWS = ("", "missing", "infinite", "overflow")
"""What is wrong with a cell: nothing, null or NaN, +-infinity, beyond float32; stored as the position."""

TOP_SENSORS = 5
"""How many blamed sensors a scored row names at most."""

SensorKind = Literal["measurement", "state"]
EventKind = Literal["point", "interval", "quality"]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor column: its name, unit and declared range.

    ``kind`` is "state" for commands and statuses (switches, modes), "measurement" for readings and None
    where nobody declared it.
    """

    name: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    kind: SensorKind | None = None


@dataclass(frozen=True, slots=True)
class SensorSchema:
    """The sensors of a log, in the order in which a detector sees them.

    Examples
    --------
    >>> schema = SensorSchema((Sensor("TI-101", unit="degC"), Sensor("PI-7")))
    >>> schema.names
    ('TI-101', 'PI-7')
    >>> SensorSchema.from_json(schema.to_json()) == schema
    True
    """

    sensors: tuple[Sensor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sensor.name for sensor in self.sensors)

    def __len__(self) -> int:
        return len(self.sensors)

    def to_json(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in asdict(sensor).items() if v is not None} for sensor in self.sensors]

    @classmethod
    def from_json(cls, rows: Sequence[dict[str, Any]]) -> SensorSchema:
        return cls(tuple(Sensor(**row) for row in rows))


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Windows of ``length`` rows, one every ``stride`` rows."""

    length: int = 30
    stride: int = 1

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise ValueError(f"window length and stride must be positive, got {self.length} and {self.stride}")


@dataclass(slots=True)
class RowBlock:
    """Consecutive rows of a log as read: input order, nothing sorted or dropped.

    Attributes
    ----------
    index : (T,) int64
        Position of each row in the whole input, counted from 0 over all files.
    time : (T,) int64
        Nanoseconds since 1970 in UTC.
    values : (T, C) float32
        Sensor values in the units of the schema; 0 wherever ``flaw`` is not 0, so that sums stay finite.
    flaw : (T, C) uint8
        Position in `FLAWS`: 0 is a usable number.
    group : (T,) int32
        Position in ``group_names`` (machine id); all 0 in a log without groups.
    group_names : sequence of str
        Names met so far; ("",) in a log without groups. Grows from block to block, never reordered.
    mode, mode_names
        The same for the operating mode; None and () where the log has no mode column.
    label : (T,) bool, optional
        True = labelled anomalous, where the log has a label column.
    """

    index: NDArray[np.int64]
    time: NDArray[np.int64]
    values: NDArray[np.float32]
    flaw: NDArray[np.uint8]
    group: NDArray[np.int32]
    group_names: Sequence[str] = ("",)
    mode: NDArray[np.int32] | None = None
    mode_names: Sequence[str] = ()
    label: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Any) -> RowBlock:
        """The rows chosen by a slice, a mask or positions, with everything that belongs to them."""
        return RowBlock(
            index=self.index[rows],
            time=self.time[rows],
            values=self.values[rows],
            flaw=self.flaw[rows],
            group=self.group[rows],
            group_names=self.group_names,
            mode=None if self.mode is None else self.mode[rows],
            mode_names=self.mode_names,
            label=None if self.label is None else self.label[rows],
        )


@dataclass(slots=True)
class ScoreBlock:
    """Scores of consecutive rows, in input order, one for every row that was read.

    Attributes
    ----------
    index, time, group, group_names
        As in `RowBlock`.
    score : (T,) float64
        Higher is more anomalous; NaN inside, null in files, where the row has no score.
    row_surprise : (T,) float32
        How unusual the newest row is by itself: -log10 of the tail probability of its one-step error; NaN as above.
    status, reason : (T,) uint8
        Positions in `STATUSES` and `REASONS`.
    top_sensors : (T, K) int16
        Positions in the schema, most blamed first, -1 where there are fewer.
    top_shares : (T, K) float32
        Share of the blame, in [0, 1]; 0 where the sensor is -1.
    top_expected, top_actual : (T, K) float32
        Expected and measured value of each blamed sensor, in its unit; NaN where unknown.
    mode, mode_names
        Operating mode as in `RowBlock`; None and () where the log has no mode column.
    """

    index: NDArray[np.int64]
    time: NDArray[np.int64]
    group: NDArray[np.int32]
    group_names: Sequence[str]
    score: NDArray[np.float64]
    row_surprise: NDArray[np.float32]
    status: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    top_sensors: NDArray[np.int16]
    top_shares: NDArray[np.float32]
    top_expected: NDArray[np.float32]
    top_actual: NDArray[np.float32]
    mode: NDArray[np.int32] | None = None
    mode_names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Any) -> ScoreBlock:
        """The rows chosen by a slice, a mask or positions, with everything that belongs to them."""
        arrays = {name: getattr(self, name)[rows] for name in _SCORE_ARRAYS}
        mode = None if self.mode is None else self.mode[rows]
        return ScoreBlock(group_names=self.group_names, mode=mode, mode_names=self.mode_names, **arrays)

    @classmethod
    def joined(cls, blocks: Sequence[ScoreBlock]) -> ScoreBlock:
        """All rows in one block, in the order given; names only ever grow, so the longest list knows all."""
        arrays = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in _SCORE_ARRAYS}
        modes = [block.mode for block in blocks if block.mode is not None]
        return cls(
            group_names=max((block.group_names for block in blocks), key=len),
            mode=np.concatenate(modes) if modes else None,
            mode_names=max((block.mode_names for block in blocks), key=len),
            **arrays,
        )

    @classmethod
    def empty_for(cls, block: RowBlock) -> ScoreBlock:
        """A block for the same rows in which nothing is scored yet: status "unscorable", score NaN."""
        n_rows = len(block)
        nan = np.full((n_rows, TOP_SENSORS), np.nan, np.float32)
        return cls(
            index=block.index,
            time=block.time,
            group=block.group,
            group_names=block.group_names,
            score=np.full(n_rows, np.nan),
            row_surprise=np.full(n_rows, np.nan, np.float32),
            status=np.full(n_rows, STATUSES.index("unscorable"), np.uint8),
            reason=np.zeros(n_rows, np.uint8),
            top_sensors=np.full((n_rows, TOP_SENSORS), -1, np.int16),
            top_shares=np.zeros((n_rows, TOP_SENSORS), np.float32),
            top_expected=nan,
            top_actual=nan.copy(),
            mode=block.mode,
            mode_names=block.mode_names,
        )


_SCORE_ARRAYS = tuple(name for name in ScoreBlock.__slots__ if name not in ("group_names", "mode", "mode_names"))


@dataclass(frozen=True, slots=True)
class Event:
    """One finding: when, how bad, which sensors.

    Times are nanoseconds since 1970 in UTC; ``end`` is the time of the last row that belongs to the event.
    ``severity`` is peak score / threshold, so 1.0 is the alarm line, and ``return_days`` says how rare that is:
    normal operation reaches such a score once in so many machine-days (None where the calibration cannot tell).
    ``sensors``, ``shares``, ``expected``, ``actual`` and ``onsets`` run in parallel, most blamed first; an onset is
    the time of the event's first row that blames the sensor.

    A "quality" event speaks of the data and not of the plant: ``reason`` says what is wrong with it ("missing",
    "flat", "out_of_range", "overflow", "clock"), score and severity are NaN, and no alarm budget counts it.
    """

    event_id: str
    group: str
    start: int
    end: int
    peak: int
    kind: EventKind
    severity: float
    score: float
    n_rows: int
    sensors: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()
    actual: tuple[float, ...] = ()
    note: str = field(default="")
    return_days: float | None = None
    onsets: tuple[int, ...] = ()
    reason: str = ""

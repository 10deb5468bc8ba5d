"""What every threshold method takes and gives: normal scores in, an alarm line that explains itself out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, counted_rows
from sensorad.types import ScoreBlock

__all__ = [
    "ECHO",
    "NORMAL",
    "SECONDS_PER_DAY",
    "CalibrationScores",
    "ThresholdMethod",
    "ThresholdResult",
    "checked_scores",
]

SECONDS_PER_DAY = 86_400.0

NORMAL = -1
"""In `CalibrationScores.fault`: a row of normal operation."""

ECHO = -2
"""In `CalibrationScores.fault`: a row whose score still remembers a fault."""


@dataclass(frozen=True, slots=True)
class CalibrationScores:
    """Scores of rows that the weights never saw; each machine's rows in time order, in any interleaving.

    Rows are normal unless ``fault`` says otherwise.

    Attributes
    ----------
    time : (T,) int64
        Nanoseconds since 1970 in UTC.
    score : (T,) float64
        NaN where a row has no score.
    group : (T,) int32
        Machine.
    step_seconds : float
        Usual time between two rows of a machine.
    fault : (T,) int32, optional
        Number of the labelled fault that a row belongs to, `NORMAL` (-1) elsewhere, and `ECHO` (-2) on rows after a
        fault whose scores still remember it: they are neither normal nor faulty.
    mode : (T,) int32, optional
        Operating mode, a position in ``mode_names``.
    group_names : sequence of str
        Machines by number, where they are known.

    Raises
    ------
    DataError
        Shapes differ, or the step is not positive.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(4) * 10**9, np.array([1.0, np.nan, 2.0, 3.0]), np.zeros(4, np.int32), 1.0)
    >>> scores.n_scored, round(scores.days * 86_400)
    (3, 3)
    >>> replace(scores, fault=np.array([-1, -1, 0, -2], np.int32)).normal().n_scored
    1
    """

    time: NDArray[np.int64]
    score: NDArray[np.float64]
    group: NDArray[np.int32]
    step_seconds: float
    fault: NDArray[np.int32] | None = None
    mode: NDArray[np.int32] | None = None
    mode_names: Sequence[str] = ()
    group_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns = (self.time, self.score, self.group, self.fault, self.mode)
        shapes = {column.shape for column in columns if column is not None}
        if len(shapes) > 1 or self.time.ndim != 1:
            raise DataError(f"time, score and group must be columns of one length, got shapes {sorted(shapes)}")
        if not isfinite(self.step_seconds) or self.step_seconds <= 0:
            raise DataError(f"the time between rows must be positive, got {self.step_seconds!r} s")

    @classmethod
    def from_blocks(cls, blocks: Iterable[ScoreBlock], step_seconds: float) -> CalibrationScores:
        """The rows of ``blocks`` that take part in events, one after another."""
        times, scores, groups = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.int32)]
        modes: list[NDArray[np.int32]] = []
        mode_names: Sequence[str] = ()
        group_names: Sequence[str] = ()
        for block in blocks:
            kept = counted_rows(block)
            rows: Any = slice(None) if kept is None else kept
            times.append(block.time[rows])
            scores.append(block.score[rows])
            groups.append(block.group[rows])
            group_names = block.group_names
            if block.mode is not None:
                modes.append(block.mode[rows])
                mode_names = block.mode_names
        return cls(
            time=np.concatenate(times),
            score=np.concatenate(scores),
            group=np.concatenate(groups),
            step_seconds=step_seconds,
            mode=np.concatenate(modes) if modes else None,
            mode_names=mode_names,
            group_names=group_names,
        )

    def normal(self) -> CalibrationScores:
        """The same rows, with no score on those that are faulty or remember a fault."""
        if self.fault is None:
            return self
        return replace(self, score=np.where(self.fault == NORMAL, self.score, np.nan), fault=None)

    def of_mode(self, name: str) -> CalibrationScores:
        """The same rows, with no score on those of other operating modes, as a log without modes."""
        if self.mode is None or name not in self.mode_names:
            raise UsageError(f"the calibration scores know no mode {name!r}")
        is_kept = self.mode == list(self.mode_names).index(name)
        return replace(self, score=np.where(is_kept, self.score, np.nan), mode=None, mode_names=())

    def comparable(self, line: AlarmLine) -> CalibrationScores:
        """The same rows on the scale of ``line.threshold``, as a log without modes."""
        score = line.comparable(self.score, self.mode, self.mode_names)
        return replace(self, score=score, mode=None, mode_names=())

    @property
    def finite(self) -> NDArray[np.float64]:
        """Scores of the rows that have one."""
        return self.score[np.isfinite(self.score)]

    @property
    def n_scored(self) -> int:
        """Rows with a score."""
        return int(np.isfinite(self.score).sum())

    @property
    def days(self) -> float:
        """Machine-days observed: time covered by scored rows, summed over machines."""
        return self.n_scored * self.step_seconds / SECONDS_PER_DAY

    @property
    def n_machines(self) -> int:
        """Machines with at least one scored row."""
        return len(np.unique(self.group[np.isfinite(self.score)]))


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """An alarm line with what it means, what it rests on and what it takes for granted.

    Attributes
    ----------
    threshold : float
        Alarm where score > threshold.
    method : str
        Name in the registry.
    parameters : dict
        Settings and what was found on the way, plain values only.
    expected_events_per_day : float
        Alarm events per machine-day on the calibration scores, counted by the event builder.
    interval : (float, float)
        Interval of that rate at ``confidence``.
    calibration_days : float
        Machine-days of scored rows.
    n_rows : int
        Scored rows.
    assumptions : tuple of str
        What must hold for the figures to carry over to new data.
    is_extrapolated : bool
        The line lies beyond what the data alone supports.
    is_promised : bool
        The method guarantees its rate at its confidence; otherwise the rate is only what was counted.
    modes : dict of str to ThresholdResult
        Operating modes with a line of their own; all others share ``threshold``.
    """

    threshold: float
    method: str
    parameters: dict[str, Any]
    expected_events_per_day: float
    interval: tuple[float, float]
    confidence: float
    calibration_days: float
    n_rows: int
    assumptions: tuple[str, ...] = ()
    is_extrapolated: bool = False
    is_promised: bool = False
    modes: Mapping[str, ThresholdResult] = field(default_factory=dict)

    @property
    def line(self) -> AlarmLine:
        """The threshold of each row."""
        return AlarmLine(self.threshold, {name: result.threshold for name, result in self.modes.items()})

    def statement(self) -> str:
        """What the line means, in plain words for the people who get the alarms."""
        low, high = self.interval
        rate = _rate(self.expected_events_per_day)
        parts = [
            f"Alarm line {self.threshold:.4g} (method {self.method}).",
            f"On {self.calibration_days:.3g} machine-days of normal data ({self.n_rows:,} rows) it would have raised "
            f"{rate}.",
        ]
        if self.is_promised:
            allowed = self.parameters.get("events_per_machine_day")
            limit = "the stated budget" if allowed is None else _rate(allowed)
            parts.append(f"Promise: no more than {limit} per machine, with {self.confidence:.0%} confidence.")
        else:
            parts.append(
                f"The true rate lies between {_rate(low)} and {_rate(high)}, with {self.confidence:.0%} confidence; "
                "this method promises nothing for new data."
            )
        if self.is_extrapolated:
            parts.append("The line was extrapolated beyond the calibration data.")
        if self.modes:
            lines = ", ".join(f"{name} {result.threshold:.4g}" for name, result in self.modes.items())
            parts.append(f"Operating modes with lines of their own: {lines}; every other mode has the first line.")
        if self.assumptions:
            parts.append("Taken for granted: " + "; ".join(self.assumptions) + ".")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {
            "parameters": dict(self.parameters),
            "interval": list(self.interval),
            "assumptions": list(self.assumptions),
            "modes": {name: result.to_json() for name, result in self.modes.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ThresholdResult:
        """The result of `to_json`; unknown names are refused."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"unknown threshold settings {unknown}", where="threshold result")
        low, high = values["interval"]
        assumptions = tuple(values.get("assumptions", ()))
        modes = {str(name): cls.from_json(result) for name, result in values.get("modes", {}).items()}
        return cls(**{**values, "interval": (low, high), "assumptions": assumptions, "modes": modes})


class ThresholdMethod(Protocol):
    """Chooses an alarm line from normal scores, or refuses; settings are stored, never learned values."""

    @property
    def name(self) -> str:
        """As in the registry."""

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line for events under ``rule``; raises `DataError` rather than guess."""


def checked_scores(scores: CalibrationScores, method: str) -> CalibrationScores:
    """The normal scores, after the refusals that all methods share.

    Raises
    ------
    TooLittleDataError
        No normal row has a score.
    DataError
        A score is infinite, or all scores are equal.
    """
    normal = scores.normal()
    if np.isinf(normal.score).any():
        raise DataError("scores must be finite, got infinity", where=f"threshold method {method}")
    finite = normal.finite
    if len(finite) == 0 and scores.n_scored:
        raise TooLittleDataError(
            f"all {scores.n_scored:,} scored calibration rows are labelled as faults or follow one",
            where=f"threshold method {method}",
            hint="a threshold rests on normal operation: add normal data, or check the labels",
        )
    if len(finite) == 0:
        raise TooLittleDataError(
            f"none of the {len(scores.score):,} calibration rows has a score",
            where=f"threshold method {method}",
            hint="give normal data longer than the warm-up, with few missing cells",
        )
    if finite.min() == finite.max():
        raise DataError(
            f"all {len(finite):,} calibration scores equal {finite[0]:g}, so no line can separate anything",
            where=f"threshold method {method}",
            hint="check that the sensors vary and that the detector was fitted",
        )
    return normal


def _rate(per_day: float) -> str:
    """A rate in the unit in which it is easiest to picture."""
    if per_day == 0:
        return "no alarm event"
    for days, unit in ((1, "day"), (7, "week"), (30, "month")):
        if per_day * days >= 0.995 or unit == "month":
            break
    number = f"{per_day * days:.3g}"
    return f"{number} alarm event{'' if number == '1' else 's'} a {unit}"

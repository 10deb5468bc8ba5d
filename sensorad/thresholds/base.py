"""What every threshold method takes and gives: normal scores in, an alarm line that explains itself out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, counted_rows
from sensorad.types import ScoreBlock

__all__ = ["SECONDS_PER_DAY", "NormalScores", "ThresholdMethod", "ThresholdResult", "checked_scores"]

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class NormalScores:
    """Scores of normal rows that the weights never saw; each machine's rows in time order, in any interleaving.

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

    Raises
    ------
    DataError
        Shapes differ, or the step is not positive.

    Examples
    --------
    >>> scores = NormalScores(np.arange(4) * 10**9, np.array([1.0, np.nan, 2.0, 3.0]), np.zeros(4, np.int32), 1.0)
    >>> scores.n_scored, round(scores.days * 86_400)
    (3, 3)
    """

    time: NDArray[np.int64]
    score: NDArray[np.float64]
    group: NDArray[np.int32]
    step_seconds: float

    def __post_init__(self) -> None:
        shapes = {self.time.shape, self.score.shape, self.group.shape}
        if len(shapes) > 1 or self.time.ndim != 1:
            raise DataError(f"time, score and group must be columns of one length, got shapes {sorted(shapes)}")
        if not isfinite(self.step_seconds) or self.step_seconds <= 0:
            raise DataError(f"the time between rows must be positive, got {self.step_seconds!r} s")

    @classmethod
    def from_blocks(cls, blocks: Iterable[ScoreBlock], step_seconds: float) -> NormalScores:
        """The rows of ``blocks`` that take part in events, one after another."""
        times, scores, groups = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.int32)]
        for block in blocks:
            kept = counted_rows(block)
            rows: Any = slice(None) if kept is None else kept
            times.append(block.time[rows])
            scores.append(block.score[rows])
            groups.append(block.group[rows])
        return cls(np.concatenate(times), np.concatenate(scores), np.concatenate(groups), step_seconds)

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
        if self.assumptions:
            parts.append("Taken for granted: " + "; ".join(self.assumptions) + ".")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for JSON."""
        return asdict(self) | {"interval": list(self.interval), "assumptions": list(self.assumptions)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ThresholdResult:
        """The result of `to_json`; unknown names are refused."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"unknown threshold settings {unknown}", where="threshold result")
        low, high = values["interval"]
        assumptions = tuple(values.get("assumptions", ()))
        return cls(**{**values, "interval": (low, high), "assumptions": assumptions})


class ThresholdMethod(Protocol):
    """Chooses an alarm line from normal scores, or refuses; settings are stored, never learned values."""

    name: ClassVar[str]

    def fit(self, scores: NormalScores, rule: EventRule) -> ThresholdResult:
        """The alarm line for events under ``rule``; raises `DataError` rather than guess."""


def checked_scores(scores: NormalScores, method: str) -> NDArray[np.float64]:
    """The finite scores, after the refusals that all methods share.

    Raises
    ------
    TooLittleDataError
        No row has a score.
    DataError
        A score is infinite, or all scores are equal.
    """
    if np.isinf(scores.score).any():
        raise DataError("scores must be finite, got infinity", where=f"threshold method {method}")
    finite = scores.score[np.isfinite(scores.score)]
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
    return finite


def _rate(per_day: float) -> str:
    """A rate in the unit in which it is easiest to picture."""
    if per_day == 0:
        return "no alarm event"
    for days, unit in ((1, "day"), (7, "week"), (30, "month")):
        if per_day * days >= 0.995 or unit == "month":
            break
    number = f"{per_day * days:.3g}"
    return f"{number} alarm event{'' if number == '1' else 's'} a {unit}"

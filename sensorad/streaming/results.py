"""What a stream says of a row, and of a tick of many machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.events import EventChange
from sensorad.streaming.stamps import text_of
from sensorad.types import REASONS, STATUSES, RowBlock, ScoreBlock

__all__ = ["FAR", "RowOfBlock", "RowScale", "ScoredRow", "StreamRow", "StreamTick"]


class ScoredRow(Protocol):
    """What a scorer says of one row, as numbers."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> int: ...

    @property
    def score(self) -> float: ...

    @property
    def surprise(self) -> float: ...

    @property
    def top_sensors(self) -> NDArray[np.int16]: ...

    @property
    def top_shares(self) -> NDArray[np.float32]: ...

    @property
    def top_expected(self) -> NDArray[np.float32]: ...

    @property
    def top_actual(self) -> NDArray[np.float32]: ...

    def block(
        self, time: int, slot: int, names: Sequence[str], mode: int | None = None, mode_names: Sequence[str] = ()
    ) -> ScoreBlock:
        """The row as a block of one."""


class RowScale(NamedTuple):
    """What all rows of a stream are read by: the alarm line, and the names of the sensors."""

    threshold: float
    names: tuple[str, ...]


class StreamRow:
    """One row of a machine with its score; what nobody asks for is not worked out.

    Attributes
    ----------
    time : int
        Nanoseconds since 1970 in UTC.
    group : str
        Machine; "" in a stream without machines.
    mode : str or None
        Operating mode as it was given.
    changes : tuple of EventChange
        Events that this row opened, changed or closed, of any machine.
    """

    __slots__ = ("_level", "_scale", "_scored", "changes", "group", "mode", "time")

    def __init__(
        self,
        time: int,
        group: str,
        mode: str | None,
        scored: ScoredRow,
        level: float,
        scale: RowScale,
        changes: tuple[EventChange, ...],
    ) -> None:
        self.time = time
        self.group = group
        self.mode = mode
        self.changes = changes
        self._scored = scored
        self._level = level
        self._scale = scale

    @property
    def score(self) -> float | None:
        """Higher is more anomalous; None where the row has no score."""
        score = self._scored.score
        return score if score == score else None  # only NaN differs from itself

    @property
    def severity(self) -> float | None:
        """Score as a multiple of the alarm line of the row's operating mode; None without a score."""
        level = self._level
        return level / self._scale.threshold if level == level else None

    @property
    def alarm(self) -> bool | None:
        """Whether the score is above the alarm line; None without a score."""
        level = self._level
        return level > self._scale.threshold if level == level else None

    @property
    def status(self) -> str:
        """One of `sensorad.types.STATUSES`."""
        return STATUSES[self._scored.status]

    @property
    def reason(self) -> str:
        """One of `sensorad.types.REASONS`: why the row is not plainly scored."""
        return REASONS[self._scored.reason]

    @property
    def row_surprise(self) -> float | None:
        """-log10 of the tail probability of the row's own one-step error; None without a score."""
        surprise = float(self._scored.surprise)
        return surprise if surprise == surprise else None

    @property
    def top_sensors(self) -> tuple[str, ...]:
        """Blamed sensors, most blamed first; none without a score."""
        names = self._scale.names
        return tuple(names[sensor] for sensor in self._scored.top_sensors.tolist() if sensor >= 0)

    @property
    def top_shares(self) -> tuple[float, ...]:
        """Share of the blame of each of `top_sensors`."""
        return tuple(self._scored.top_shares.tolist()[: len(self.top_sensors)])

    @property
    def top_expected(self) -> tuple[float | None, ...]:
        """Expected value of each of `top_sensors`, in its unit."""
        return _known(self._scored.top_expected.tolist()[: len(self.top_sensors)])

    @property
    def top_actual(self) -> tuple[float | None, ...]:
        """Measured value of each of `top_sensors`; None where the cell is missing."""
        return _known(self._scored.top_actual.tolist()[: len(self.top_sensors)])

    def to_json(self) -> dict[str, Any]:
        """The row as plain values; blame with seven digits, which is what float32 holds."""
        row: dict[str, Any] = {"time": text_of(self.time)}
        if self.group:
            row["group"] = self.group
        if self.mode is not None:
            row["mode"] = self.mode
        return row | {
            "score": self.score,
            "severity": self.severity,
            "alarm": self.alarm,
            "status": self.status,
            "reason": self.reason,
            "top_sensors": list(self.top_sensors),
            "top_shares": _rounded(self.top_shares),
            "top_expected": _rounded(self.top_expected),
            "top_actual": _rounded(self.top_actual),
            "row_surprise": _rounded([self.row_surprise])[0],
        }

    def __repr__(self) -> str:
        said = f"score={self.score:.4g}, severity={self.severity:.3g}" if self.score is not None else self.reason
        return f"StreamRow({text_of(self.time)}, {self.group!r}, {self.status}, {said})"


class StreamTick(Sequence[StreamRow]):
    """Rows of many machines with their scores, as columns; ``tick[i]`` is one of them as a `StreamRow`.

    Attributes
    ----------
    scores : ScoreBlock
        All columns as numbers.
    modes : sequence of str or None
        Operating modes as they were given; empty = none were.
    changes : tuple of EventChange
        Events that these rows opened, changed or closed.
    """

    __slots__ = ("_level", "_scale", "changes", "modes", "scores")

    def __init__(
        self,
        scores: ScoreBlock,
        modes: Sequence[str | None],
        line: AlarmLine,
        names: tuple[str, ...],
        changes: tuple[EventChange, ...] = (),
    ) -> None:
        self.scores = scores
        self.modes = modes
        self.changes = changes
        self._level = line.comparable(scores.score, scores.mode, scores.mode_names)
        self._scale = RowScale(line.threshold, names)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, at: Any) -> Any:
        """One row; of the changes it has those of its own machine."""
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(f"the tick has {len(self)} rows, there is no row {at}")
        at = at % len(self)
        group = self.scores.group_names[self.scores.group[at]]
        return StreamRow(
            int(self.scores.time[at]),
            group,
            self.modes[at] if self.modes else None,
            RowOfBlock(self.scores, at),
            float(self._level[at]),
            self._scale,
            tuple(change for change in self.changes if change.event.group == group),
        )

    def __iter__(self) -> Iterator[StreamRow]:
        return (self[at] for at in range(len(self)))

    @property
    def time(self) -> NDArray[np.int64]:
        """(N,) nanoseconds since 1970 in UTC."""
        return self.scores.time

    @property
    def group(self) -> list[str]:
        """Machine of each row."""
        return [self.scores.group_names[slot] for slot in self.scores.group.tolist()]

    @property
    def score(self) -> NDArray[np.float64]:
        """(N,) NaN where a row has no score."""
        return self.scores.score

    @property
    def severity(self) -> NDArray[np.float64]:
        """(N,) score as a multiple of the alarm line, NaN as above."""
        return self._level / self._scale.threshold

    @property
    def alarm(self) -> NDArray[np.bool_]:
        """(N,) whether the score is above the alarm line; False where there is none."""
        return self._level > self._scale.threshold

    @property
    def status(self) -> list[str]:
        """One of `sensorad.types.STATUSES` for each row."""
        return [STATUSES[code] for code in self.scores.status.tolist()]

    @property
    def reason(self) -> list[str]:
        """One of `sensorad.types.REASONS` for each row."""
        return [REASONS[code] for code in self.scores.reason.tolist()]

    @property
    def row_surprise(self) -> NDArray[np.float32]:
        """(N,) -log10 of the tail probability of each row's own one-step error, NaN as above."""
        return self.scores.row_surprise


class RowOfBlock:
    """One row of a block of scores, as a `ScoredRow`."""

    __slots__ = ("_at", "_scores", "reason", "score", "status")

    def __init__(self, scores: ScoreBlock, at: int = 0) -> None:
        self._scores = scores
        self._at = at
        self.status = int(scores.status[at])
        self.reason = int(scores.reason[at])
        self.score = float(scores.score[at])

    @property
    def surprise(self) -> float:
        return float(self._scores.row_surprise[self._at])

    @property
    def top_sensors(self) -> NDArray[np.int16]:
        return np.asarray(self._scores.top_sensors[self._at])

    @property
    def top_shares(self) -> NDArray[np.float32]:
        return np.asarray(self._scores.top_shares[self._at])

    @property
    def top_expected(self) -> NDArray[np.float32]:
        return np.asarray(self._scores.top_expected[self._at])

    @property
    def top_actual(self) -> NDArray[np.float32]:
        return np.asarray(self._scores.top_actual[self._at])

    def block(
        self, time: int, slot: int, names: Sequence[str], mode: int | None = None, mode_names: Sequence[str] = ()
    ) -> ScoreBlock:
        return replace(
            self._scores.take([self._at]),
            time=np.array([time], np.int64),
            group=np.array([slot], np.int32),
            group_names=names,
            mode=None if mode is None else np.array([mode], np.int32),
            mode_names=mode_names,
        )


def _far_row() -> RowOfBlock:
    one = np.zeros(1, np.int64)
    cells = np.zeros((1, 0), np.float32)
    scores = ScoreBlock.empty_for(RowBlock(one, one, cells, cells.astype(np.uint8), one.astype(np.int32)))
    scores.reason[:] = REASONS.index("far_future")
    return RowOfBlock(scores)


FAR: ScoredRow = _far_row()
"""What is said of any row with a time too far ahead."""


def _known(values: list[float]) -> tuple[float | None, ...]:
    return tuple(value if value == value else None for value in values)


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.7g}") for value in values]

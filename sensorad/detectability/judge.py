"""What a card needs of a detector: scores, an alarm line, and a rule for events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.alarm_line import AlarmLine
from sensorad.errors import UsageError
from sensorad.events import EventRule
from sensorad.types import STATUSES, RowBlock, ScoreBlock, SensorSchema

__all__ = ["FunctionJudge", "Judge", "Scorer"]

RowFunction = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Rows (T, C) of one machine in order of time, NaN where missing, to their scores (T,)."""


class Scorer(Protocol):
    """Scores blocks of rows, each machine by itself, and can go back to an earlier moment.

    `sensorad.scoring.ScoringEngine` is one.
    """

    def score(self, block: RowBlock) -> ScoreBlock:
        """Scores of the next rows of each machine."""

    def state(self) -> Any:
        """A copy of all that later scores depend on."""

    def restore(self, state: Any) -> None:
        """Go on from a `state`; it stays as it is."""


class Judge(Protocol):
    """Scores rows, and says which scores are alarms. `sensorad.Detector` is one."""

    @property
    def schema_(self) -> SensorSchema:
        """The sensors, in the order of the columns."""

    @property
    def line_(self) -> AlarmLine:
        """Alarm where the score is above it."""

    @property
    def rule_(self) -> EventRule:
        """How rows above the line make an alarm event."""

    @property
    def context_rows_(self) -> int:
        """Rows before a row that its score depends on."""

    def engine(self) -> Scorer:
        """A fresh scorer."""


class FunctionJudge:
    """A judge made of a function from rows to scores: whatever can be written in NumPy gets a card.

    Parameters
    ----------
    schema
        The sensors.
    function
        Rows (T, C) of one machine in order of time, NaN where missing, to scores (T,); higher = more anomalous, NaN
        where there is none. A score may look at the row and the ``context_rows`` rows before it.
    threshold
        Alarm where the score is above it.
    context_rows
        How far back a score looks.
    rule
        How rows above the line make events; by default each run of them is one.

    Examples
    --------
    >>> from sensorad.types import Sensor
    >>> judge = FunctionJudge(SensorSchema((Sensor("flow"),)), lambda rows: np.abs(rows[:, 0] - 50.0), threshold=4.0)
    >>> judge.line_.threshold, judge.context_rows_
    (4.0, 0)
    """

    def __init__(
        self,
        schema: SensorSchema,
        function: RowFunction,
        threshold: float,
        *,
        context_rows: int = 0,
        rule: EventRule | None = None,
    ) -> None:
        if context_rows < 0:
            raise UsageError(f"context_rows must not be negative, got {context_rows}")
        self.schema_ = schema
        self.function = function
        self.line_ = AlarmLine(threshold)
        self.rule_ = rule or EventRule(merge_gap_rows=0, release=1.0)
        self.context_rows_ = context_rows

    def engine(self) -> Scorer:
        """A fresh scorer, which keeps the last ``context_rows`` rows of each machine."""
        return _FunctionScorer(self.function, self.context_rows_)


class _FunctionScorer:
    def __init__(self, function: RowFunction, n_kept: int) -> None:
        self._function = function
        self._n_kept = n_kept
        self._kept: dict[str, NDArray[np.float32]] = {}

    def score(self, block: RowBlock) -> ScoreBlock:
        result = ScoreBlock.empty_for(block)
        cells = np.where(block.flaw == 0, block.values, np.float32(np.nan))  # (T, C)
        order = np.argsort(block.group, kind="stable")
        codes, heads = np.unique(block.group[order], return_index=True)
        for code, own in zip(codes.tolist(), np.split(order, heads[1:]), strict=True):
            name = block.group_names[code]
            before = self._kept.get(name, cells[:0])
            rows = np.concatenate([before, cells[own]])
            result.score[own] = np.asarray(self._function(rows), np.float64)[len(before) :]
            self._kept[name] = rows[max(0, len(rows) - self._n_kept) :]
        result.status[np.isfinite(result.score)] = STATUSES.index("scored")
        return result

    def state(self) -> Mapping[str, NDArray[np.float32]]:
        return dict(self._kept)  # the arrays are never written to

    def restore(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        self._kept = dict(state)

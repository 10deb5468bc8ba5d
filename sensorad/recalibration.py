"""A new alarm line for a fitted detector, from logs or from stored scores, without touching a weight."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.calibration import Calibration, threshold_method
from sensorad.data import Timing
from sensorad.errors import DataError, SchemaError
from sensorad.events import EventRule, counted_rows
from sensorad.logs import Labels, LogFormat, SortedLog, StoredScores, is_score_file, read_labels, read_scores
from sensorad.scoring import ScoringEngine
from sensorad.thresholds import (
    CalibrationScores,
    LabelledScores,
    ThresholdMethod,
    ThresholdResult,
    labelled,
    labelled_by_rows,
)
from sensorad.types import RowBlock, ScoreBlock, SensorSchema

__all__ = ["Recalibration"]


class Recalibration(ABC):
    """The part of a detector that chooses and replaces its alarm line.

    What it needs of the rest stands here without a body.
    """

    schema_: SensorSchema
    format_: LogFormat
    notes_: list[str]
    _timing: Timing
    _calibration: Calibration | None

    @abstractmethod
    def _fitted(self) -> Calibration: ...

    @abstractmethod
    def engine(self, *, on_conflict: str = "first") -> ScoringEngine: ...

    @abstractmethod
    def open_log(self, source: Any, *, format: LogFormat | None = None) -> SortedLog: ...

    @abstractmethod
    def later_format(self, *, with_modes: bool | None = None) -> LogFormat: ...

    @abstractmethod
    def score_pairs(
        self, log: SortedLog, *, engine: ScoringEngine | None = None
    ) -> Iterable[tuple[RowBlock, ScoreBlock]]: ...

    @property
    @abstractmethod
    def context_rows_(self) -> int: ...

    @property
    @abstractmethod
    def scorer_(self) -> dict[str, str]: ...

    def calibrate(
        self,
        log: Any,
        *,
        budget: str | None = None,
        confidence: float | None = None,
        method: str | ThresholdMethod = "budget",
        labels: Any = None,
        events: EventRule | None = None,
        pooled: bool = False,
        format: LogFormat | None = None,
        **options: Any,
    ) -> ThresholdResult:
        """Set a new alarm line from another log of normal operation, or from its stored scores; no weight changes.

        Parameters
        ----------
        log
            As for `score`, or the path of a Parquet file that `sensorad score` wrote: then no model runs.
        budget, confidence
            Of the methods that keep a budget; "1/day" and 0.9 unless given.
        method
            Name in `sensorad.thresholds.THRESHOLDS`, with its settings as ``options``, or a ready object.
        labels
            Known faults, a table or file as for `read_labels`; a label column of ``format`` does the same. Rows of
            faults, and rows whose scores remember them, are not normal; method "fbeta" learns from them.
        events
            Another rule for events; it is kept.
        pooled
            One line for all operating modes, although the log has a column of modes.

        Raises
        ------
        TooLittleDataError
            The log is too short for what was asked; says how much is missing.
        """
        self._fitted()
        if is_score_file(log):
            scores = self.stored_scores(log)
        else:
            form = self.later_format(with_modes=not pooled) if format is None else format
            scores = self.calibration_scores(self.open_log(log, format=form))
        return self.calibrate_scores(
            scores,
            budget=budget,
            confidence=confidence,
            method=method,
            labels=labels,
            events=events,
            pooled=pooled,
            **options,
        )

    def calibrate_scores(
        self,
        scores: CalibrationScores,
        *,
        budget: str | None = None,
        confidence: float | None = None,
        method: str | ThresholdMethod = "budget",
        labels: Any = None,
        events: EventRule | None = None,
        pooled: bool = False,
        **options: Any,
    ) -> ThresholdResult:
        """The same from scores that this detector has already given; refused, it leaves everything as it was."""
        current = self._fitted()
        chosen = threshold_method(method, budget=budget, confidence=confidence, **options)
        notes: tuple[str, ...] = ()
        if labels is not None:
            marked = self.with_labels(scores, labels)
            scores, notes = marked.scores, marked.notes
        if pooled:
            scores = replace(scores, mode=None, mode_names=())
        self._calibration = Calibration.fit(current.scheme, scores, events or current.rule, chosen)
        self.notes_ += [note for note in notes if note not in self.notes_]
        return self._calibration.threshold

    def calibration_scores(
        self, log: SortedLog, *, engine: ScoringEngine | None = None, progress: Callable[[int], None] | None = None
    ) -> CalibrationScores:
        """Scores of a log as threshold methods take them; a label column marks faults.

        ``progress`` is called with the number of rows of each block.
        """
        is_labelled: list[NDArray[np.bool_]] = []

        def scored() -> Iterator[ScoreBlock]:
            for rows, scores in self.score_pairs(log, engine=engine):
                if rows.label is not None:
                    kept = counted_rows(scores)
                    is_labelled.append(rows.label if kept is None else rows.label[kept])
                if progress is not None:
                    progress(len(rows))
                yield scores

        gathered = CalibrationScores.from_blocks(scored(), self._timing.step_seconds)
        if not is_labelled:
            return gathered
        return labelled_by_rows(gathered, np.concatenate(is_labelled), echo_rows=self.context_rows_)

    def stored_scores(self, path: str | os.PathLike[str]) -> CalibrationScores:
        """Scores that this detector has stored, as threshold methods take them."""
        blocks = self.open_scores(path).blocks_in_order(with_blame=False)
        return CalibrationScores.from_blocks(blocks, self._timing.step_seconds)

    def open_scores(self, path: str | os.PathLike[str]) -> StoredScores:
        """A score file, once it is found to come from these weights and this way of scoring.

        Raises
        ------
        DataError
            No score file, damaged, or made by another detector.
        """
        self._fitted()
        stored = read_scores(path)
        if stored.sensor_names != self.schema_.names:
            raise _foreign("other sensors", path)
        # Scores that a script wrote with a bare ScoreWriter do not say; their sensors must do.
        if stored.metadata.get("detector", self.scorer_) != self.scorer_:
            raise _foreign("other weights or another way of scoring", path)
        return stored

    def with_labels(self, scores: CalibrationScores, labels: Any, *, format: LogFormat | None = None) -> LabelledScores:
        """The scores with the faults of a label table marked; raises `DataError` where labels and log do not fit.

        ``format`` says how the table's times are to be read. Its machines stand in the column that it names, else in
        one of the log's own name, else in "group".
        """
        form = LogFormat(time_zone=self.format_.time_zone) if format is None else format
        table = labels if isinstance(labels, Labels) else _read_labels(labels, form, self.format_.group)
        return labelled(scores, scores.group_names or ("",), table, echo_rows=self.context_rows_)


def _read_labels(source: Any, form: LogFormat, group: str | None) -> Labels:
    if form.group is None and group is not None:
        with suppress(SchemaError):  # it has no such column, or what else is wrong with it is found again below
            return read_labels(source, replace(form, group=group))
    return read_labels(source, form)


def _foreign(what: str, path: str | os.PathLike[str]) -> DataError:
    hint = "name the detector that made them, or score the log again"
    return DataError(f"these scores come from a detector with {what}", where=os.fspath(path), hint=hint)

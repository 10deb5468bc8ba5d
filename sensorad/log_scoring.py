"""The part of a detector that opens later logs, scores them and finds events in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sensorad.alarm_line import AlarmLine
from sensorad.calibration import Calibration
from sensorad.errors import SchemaError
from sensorad.findings import Findings
from sensorad.logs import KeptRow, LogFormat, SensorLog, SortedLog, event_table, score_table
from sensorad.scoring import ScoringEngine
from sensorad.types import Event, RowBlock, ScoreBlock, SensorSchema

__all__ = ["LogScoring"]


class LogScoring(ABC):
    """Scores logs by a fitted detector; what it needs of the rest stands here without a body."""

    schema_: SensorSchema
    format_: LogFormat

    @abstractmethod
    def _fitted(self) -> Calibration: ...

    @abstractmethod
    def engine(self) -> ScoringEngine: ...

    @abstractmethod
    def findings(self) -> Findings: ...

    @property
    @abstractmethod
    def line_(self) -> AlarmLine: ...

    def later_format(self, *, with_modes: bool | None = None) -> LogFormat:
        """The learned format for a later log, which need not have labels.

        Operating modes are read where they have alarm lines of their own, or as ``with_modes`` says.
        """
        has_modes = bool(self.line_.by_mode) if with_modes is None else with_modes
        return replace(self.format_, sensors=None, label=None, mode=self.format_.mode if has_modes else None)

    def open_log(
        self,
        source: Any,
        *,
        format: LogFormat | None = None,
        allow_missing: int = 0,
        strict: bool = False,
        skip_bad_files: bool = False,
        keep: KeptRow = "first",
    ) -> SortedLog:
        """A log read against the learned schema, by default in the learned format.

        Of several rows with one time the ``keep`` one is scored, "first" or "last"; the others are duplicates.
        """
        self._fitted()
        if isinstance(source, SortedLog):
            if source.schema.names != self.schema_.names:
                raise SchemaError(
                    f"expected a log opened for the sensors {self.schema_.names}, got {source.schema.names}",
                    hint="open it with Detector.open_log, which matches sensors by name",
                )
            return source
        log = SensorLog(
            source,
            self.later_format() if format is None else format,
            schema=self.schema_,
            allow_missing=allow_missing,
            strict=strict,
            skip_bad_files=skip_bad_files,
        )
        return SortedLog(log, strict=strict, keep=keep)

    def score_pairs(
        self, log: SortedLog, *, engine: ScoringEngine | None = None
    ) -> Iterator[tuple[RowBlock, ScoreBlock]]:
        """Rows and their scores, block by block, in bounded memory."""
        running = engine or self.engine()
        for block in log.blocks():
            yield block, running.score(block)

    def score_blocks(self, log: SortedLog, *, engine: ScoringEngine | None = None) -> Iterator[ScoreBlock]:
        """Scores block by block, in bounded memory."""
        return (scores for _, scores in self.score_pairs(log, engine=engine))

    def score(self, log: Any, **options: Any) -> Any:
        """One output row for every input row, as the kind of table that came in (Arrow for files).

        ``options`` are those of `open_log`.
        """
        source = self.open_log(log, **options)
        return score_table(
            self.score_blocks(source),
            self.schema_,
            source.log.time_name,
            source.log.group_name,
            self.line_,
            source.log.kind,
            mode_name=source.log.format.mode,
        )

    def detect(self, log: Any, **options: Any) -> Any:
        """One row for every event, as the kind of table that came in; ``options`` are those of `open_log`."""
        source = self.open_log(log, **options)
        return event_table(self.find_events(source), source.log.group_name, source.log.kind)

    def find_events(self, log: SortedLog) -> list[Event]:
        """Events in order of their start."""
        findings = self.findings()
        events = [event for rows, scores in self.score_pairs(log) for event in findings.update(scores, rows)]
        return sorted([*events, *findings.finish()], key=lambda event: (event.start, event.group))

"""One pass over a log: scores to a file block by block, counts and events on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorad_cli.output import Progress
from sensorad_cli.tally import Tally

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.logs import SortedLog
    from sensorad.monitoring import StaleVerdict
    from sensorad.scoring import ScoringEngine
    from sensorad.types import Event

__all__ = ["ScoringRun", "in_order", "score_to_files"]


@dataclass
class ScoringRun:
    """What came out of scoring a log, beside the files."""

    tally: Tally
    events: list[Event] = field(default_factory=list)
    stale: StaleVerdict | None = None

    @property
    def alarms(self) -> list[Event]:
        """Events about the plant; the others speak of the data."""
        return [event for event in self.events if event.kind != "quality"]


def score_to_files(
    detector: Detector,
    log: SortedLog,
    scores: Path,
    events: Path | None = None,
    *,
    engine: ScoringEngine | None = None,
    force: bool = False,
    progress: Progress,
) -> ScoringRun:
    """Write the scores of every row, and the events if a path is given; both files are complete or absent.

    Memory does not depend on the length of a log that is in time order.

    Parameters
    ----------
    engine
        Where other rules for doubled rows are wanted; by default the detector's own.
    """
    from sensorad.logs import ScoreWriter, write_events

    run = ScoringRun(Tally(detector.line_))
    findings = detector.findings()
    reader = log.log
    with ScoreWriter(
        scores,
        log.schema,
        reader.time_name,
        reader.group_name,
        detector.line_,
        extra_metadata=_origin(detector, log),
        force=force,
        sort_back=log.n_unsorted > 0,
        time_unit=reader.time_unit,
        mode_name=reader.format.mode,
    ) as writer:
        for rows, block in detector.score_pairs(log, engine=engine):
            writer.write(block)
            run.tally.add(block)
            run.events += findings.update(block, rows)
            progress("scoring", run.tally.n_rows / reader.n_rows if reader.n_rows else None)
        run.events += findings.finish()
        run.events.sort(key=in_order)
        run.stale = findings.stale
        writer.quality_events = [event for event in run.events if event.kind == "quality"]
        run.tally.check(None if reader.bad_files else reader.n_rows)
        # Inside: scores without the events that were asked for would look like a finished run.
        if events is not None:
            write_events(events, run.events, reader.group_name, force=force)
    return run


def in_order(event: Event) -> tuple[int, str, str]:
    """Key that puts events in the order in which they are written, whatever order they were found in."""
    return event.start, event.group, event.event_id


def _origin(detector: Detector, log: SortedLog) -> dict[str, Any]:
    """What a reader of the scores should know: which weights made them, from which files, in which order."""
    return {
        "files": list(log.log.files),
        "bad_files": {name: str(error) for name, error in log.log.bad_files.items()},
        "n_unsorted": log.n_unsorted,
        "rule": detector.rule_.to_json(),
        "detector": detector.scorer_,
    }

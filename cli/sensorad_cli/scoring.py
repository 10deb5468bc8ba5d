"""One pass over a log: scores to a file block by block, counts and events on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorad_cli.output import Progress
from sensorad_cli.tally import Tally

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.findings import Findings
    from sensorad.logs import SortedLog
    from sensorad.monitoring import StaleVerdict
    from sensorad.scoring import ScoringEngine
    from sensorad.types import Event, RowBlock, ScoreBlock
    from sensorad_cli.unfinished import UnfinishedRun

__all__ = ["ScoringRun", "in_order", "score_to_files"]

PART_ROWS = 2**19
"""Rows between two checkpoints of a run that can go on: about a second of work."""

FLEET_ROWS = 2**15
"""Rows of a block where a log has several machines: what is done once for each machine is then done for more rows."""


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
    unfinished: UnfinishedRun | None = None,
) -> ScoringRun:
    """Write the scores of every row, and the events if a path is given; both files are complete or absent.

    Memory does not depend on the length of a log that is in time order.

    Parameters
    ----------
    engine
        Where other rules for doubled rows are wanted; by default the detector's own.
    unfinished
        Where finished parts are kept until all is done, and found again; the files are the same bytes as without.
    """
    from sensorad.logs import ScoreWriter, write_events

    run = ScoringRun(Tally(detector.line_))
    findings = detector.findings()
    reader = log.log
    engine = engine or detector.engine()
    origin = _origin(detector, log)
    if unfinished is None:
        blocks = _scored(log, engine, findings, run)
    else:
        _finish_parts(log, engine, findings, run, unfinished, progress)
        blocks = unfinished.blocks()
    stage = "scoring" if unfinished is None else "writing"
    with ScoreWriter(
        scores,
        log.schema,
        reader.time_name,
        reader.group_name,
        detector.line_,
        extra_metadata=origin,
        force=force,
        sort_back=log.n_unsorted > 0,
        time_unit=reader.time_unit,
        mode_name=reader.format.mode,
    ) as writer:
        for block in blocks:
            writer.write(block)
            run.tally.add(block)
            progress(stage, run.tally.n_rows / reader.n_rows if reader.n_rows else None)
        run.events += findings.finish()
        run.events.sort(key=in_order)
        run.stale = findings.stale
        writer.quality_events = [event for event in run.events if event.kind == "quality"]
        run.tally.check(None if reader.bad_files else reader.n_rows)
        # Inside: scores without the events that were asked for would look like a finished run.
        if events is not None:
            write_events(events, run.events, reader.group_name, force=force)
    return run


def _scored(log: SortedLog, engine: ScoringEngine, findings: Findings, run: ScoringRun) -> Iterator[ScoreBlock]:
    """The scores, with what they give rise to gathered on the way."""
    for rows in _blocks(log):
        block = engine.score(rows)
        run.events += findings.update(block, rows)
        yield block


def _blocks(log: SortedLog) -> Iterator[RowBlock]:
    """The rows in blocks of a size that suits their machines."""
    return log.blocks() if log.log.group_name is None else log.blocks(FLEET_ROWS)


def _finish_parts(
    log: SortedLog,
    engine: ScoringEngine,
    findings: Findings,
    run: ScoringRun,
    unfinished: UnfinishedRun,
    progress: Progress,
) -> None:
    """Score what is not finished, with a checkpoint every `PART_ROWS` rows and behind the last."""
    from sensorad.events.stored_events import events_of, stored_events

    def state() -> dict[str, Any]:
        return {"engine": engine.state(), "findings": findings.state(), "events": stored_events(run.events)}

    if unfinished.state is not None:
        engine.restore(unfinished.state["engine"])
        findings.restore(unfinished.state["findings"])
        run.events = events_of(unfinished.state["events"])
    n_finished, n_read, n_since = unfinished.n_rows, 0, 0
    for rows in _blocks(log):
        n_known = min(len(rows), n_finished - n_read)
        n_read += len(rows)
        if n_known == len(rows):  # read again for the names of machines and modes, and for files that turn out bad
            continue
        if n_known > 0:
            rows = rows.take(slice(n_known, None))
        block = engine.score(rows)
        unfinished.add(block)
        run.events += findings.update(block, rows)
        n_since += len(block)
        progress("scoring", float(rows.index[-1]) / log.log.n_rows if log.log.n_rows and len(rows) else None)
        if n_since >= PART_ROWS:
            unfinished.checkpoint(state())
            n_since = 0
    if n_since:
        unfinished.checkpoint(state())


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

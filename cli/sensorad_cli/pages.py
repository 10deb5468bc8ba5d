"""What a report shows, collected from a detector, its stored scores and the log behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.report import LabelInterval, ReportData, SnippetSampler, TimelineSampler, TraceSampler
from sensorad_cli.blocks import paired

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.findings import Findings
    from sensorad.logs import Labels, SensorLog, StoredScores
    from sensorad.types import Event
    from sensorad_cli.output import Progress

__all__ = ["calibration_figures", "label_intervals", "report_on_detector", "report_on_scores"]

ROWS = 16_384
CURVE_POINTS = 120


def report_on_detector(detector: Detector, title: str) -> ReportData:
    """The model card and the alarm line."""
    return ReportData(
        title=title,
        subtitle="What the detector has learned, and what its alarm line promises",
        card=detector.describe(),
        threshold=_threshold(detector),
        calibration=calibration_figures(detector),
        calibration_scores=detector.normal_quantiles_,
        notes=detector.notes_,
    )


def report_on_scores(
    stored: StoredScores,
    events: Sequence[Event],
    *,
    title: str,
    detector: Detector | None = None,
    log: SensorLog | None = None,
    labels: Sequence[LabelInterval] = (),
    runtime: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
    progress: Progress,
) -> ReportData:
    """Scores over time and events; with the log also the sensors' values, with the detector what it promises.

    Parameters
    ----------
    log
        The log that was scored: sensors are drawn from it, in a pass of its own.

    Raises
    ------
    DataError
        The log is not the one that was scored.
    """
    timeline = TimelineSampler(line=stored.line)
    findings = None if detector is None else detector.findings()
    is_unsorted = bool(stored.metadata.get("n_unsorted"))
    steps: list[float] = []
    for block in stored.blocks(ROWS):
        timeline.add(block)
        if findings is not None and not is_unsorted:
            findings.update(block)
        steps += _step_seconds(block.time, block.group)
        progress("reading scores", sum(timeline.status_counts.values()) / max(1, stored.n_rows))
    if findings is not None and is_unsorted:
        for block in stored.blocks_in_order(with_blame=False):
            findings.update(block)
    traces = TraceSampler(stored.schema)
    row_seconds = float(np.median(steps)) if steps else 60.0
    snippets = SnippetSampler(stored.schema, events, row_seconds=row_seconds, line=stored.line)
    if log is not None:
        n_rows = 0
        for rows, scores in paired(log.blocks(ROWS), stored.blocks(ROWS), ", ".join(log.files)):
            traces.add(rows)
            snippets.add(rows, scores)
            n_rows += len(rows)
            progress("reading the log", n_rows / max(1, stored.n_rows))
    if detector is not None:
        threshold = _threshold(detector)
    else:
        threshold = {} if stored.line is None else {"threshold": stored.line.threshold}
    return ReportData(
        title=title,
        subtitle=_subtitle(stored),
        card=detector.describe() if detector is not None else {"sensors": stored.schema.to_json()},
        threshold=threshold,
        timeline=timeline.result(),
        events=events,
        sensor_traces=traces.result() if log is not None else (),
        snippets=snippets.result(),
        event_scores=snippets.scores(),
        status_counts=timeline.status_counts,
        reason_counts=timeline.reason_counts,
        labels=labels,
        calibration={} if detector is None else calibration_figures(detector),
        calibration_scores=None if detector is None else detector.normal_quantiles_,
        bands={} if detector is None else detector.bands_,
        stale={} if findings is None else _stale(findings),
        runtime=runtime or {},
        notes=[*notes, *(detector.notes_ if detector is not None else [])],
        warnings=[f"{name} was not scored: {error}" for name, error in stored.metadata.get("bad_files", {}).items()],
    )


def calibration_figures(detector: Detector) -> dict[str, Any]:
    """What the calibration says about other lines and rarer scores, as `ReportData.calibration` has it."""
    result, returns = detector.threshold_result_, detector.returns_
    if returns is None:
        return {}
    line = result.threshold
    levels = np.geomspace(min(line, float(returns.levels[0])), max(2.0 * line, float(returns.levels[-1])), CURVE_POINTS)
    days = returns.days(levels)
    is_told = days < returns.longest_days
    counted = returns.levels[1.0 / returns.rates <= returns.n_days / 3]
    return {
        "curve": {"threshold": levels[is_told].tolist(), "events_per_day": (1.0 / days[is_told]).tolist()},
        "tail": {
            "score": levels[is_told].tolist(),
            "return_days": days[is_told].tolist(),
            "calibration_days": returns.n_days,
            "cap_days": returns.longest_days,
            "points": [[float(level), float(returns.days(level))] for level in counted],
        },
    }


def _stale(findings: Findings) -> dict[str, Any]:
    findings.finish()
    verdict = findings.stale
    if verdict is None:
        return {}
    return {
        "is_stale": verdict.is_stale,
        "statement": verdict.statement(),
        "since": None if verdict.since is None else f"{np.datetime64(verdict.since, 'ns').astype('datetime64[s]')}Z",
        "weeks": [
            {"start": week.start // 10**6, "n_events": week.n_events, "upper": week.upper, "days": week.days_observed}
            for week in verdict.weeks
        ],
    }


def label_intervals(labels: Labels) -> list[LabelInterval]:
    """Labels of a table as the report draws them."""
    rows = zip(labels.start.tolist(), labels.end.tolist(), labels.kind, labels.group, strict=True)
    return [LabelInterval(start, end, kind, group) for start, end, kind, group in rows]


def _subtitle(stored: StoredScores) -> str:
    names = [Path(name).name for name in stored.metadata.get("files", [])]
    if not names:
        return ""
    return f"Scores of {names[0]}" + (f" and {len(names) - 1} more files" if len(names) > 1 else "")


def _threshold(detector: Detector) -> dict[str, Any]:
    result = detector.threshold_result_
    budget = {"budget": result.parameters["budget"]} if "budget" in result.parameters else {}
    return result.to_json() | {"statement": result.statement()} | budget


def _step_seconds(time: np.ndarray[Any, np.dtype[np.int64]], group: np.ndarray[Any, np.dtype[np.int32]]) -> list[float]:
    """The usual step within the block, as a list of one or none."""
    order = np.lexsort((time, group))
    steps = np.diff(time[order])[np.diff(group[order]) == 0]
    steps = steps[steps > 0]
    return [float(np.median(steps)) / 1e9] if len(steps) else []

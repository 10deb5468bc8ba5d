"""``sensorad report``: one self-contained HTML file about a detector, or about scores and the events in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensorad.errors import UsageError
from sensorad_cli.detectability_options import card_of
from sensorad_cli.files import STANDARD, claim_output
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output
from sensorad_cli.tally import event_rows

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.logs import StoredScores
    from sensorad.types import Event

__all__ = ["command"]


@make_command("report")
@click.argument("source", metavar="MODEL|SCORES")
@click.option("-o", "--output", "target", required=True, metavar="FILE.html", help="File to write.")
@click.option(
    "-m", "--model", metavar="MODEL", help="Detector that made the scores: adds what it learned and promises."
)
@click.option("--events", "events_path", metavar="EVENTS", help="Events to show; by default they are built again.")
@click.option(
    "--log", "logs", multiple=True, metavar="LOG", help="The log that was scored: adds sensor curves; repeatable."
)
@click.option("--labels", metavar="FILE", help="Known faults to draw beside the events (start, end[, group][, kind]).")
@click.option("--card", metavar="FILE.json", help="Detectability card of the detector: adds the faults it would find.")
@click.option("--title", metavar="TEXT", help="Headline of the page.")
@click.option("--force", is_flag=True, help="Replace output that exists.")
@log_options()
@click.pass_obj
def command(
    output: Output,
    source: str,
    target: str,
    model: str | None,
    events_path: str | None,
    logs: tuple[str, ...],
    labels: str | None,
    card: str | None,
    title: str | None,
    force: bool,
    log_options: LogOptions,
) -> None:
    """Write one HTML file that needs nothing else: no network, no other file.

    \b
    sensorad report pump.sensorad -o model.html
    sensorad report scores.parquet -m pump.sensorad --log new.parquet -o report.html
    """
    import sensorad
    from sensorad.logs import SensorLog, read_labels, read_scores
    from sensorad.report import write_report
    from sensorad_cli.pages import label_intervals, report_on_detector, report_on_scores

    if target == STANDARD:
        raise UsageError("a report is a file", hint="write it with -o report.html")
    claim_output(target, force=force, inputs=[source, *logs, *filter(None, [model, events_path, labels, card])])
    detector = None
    if Path(source).is_dir():
        if model or events_path or logs or labels:
            raise UsageError(
                f"{source} is a detector: the other inputs belong to scores", hint="name a score file first"
            )
        detector = sensorad.load(source)
        data = report_on_detector(detector, title or Path(source).name)
    else:
        detector = None if model is None else sensorad.load(model)
        stored = read_scores(source) if detector is None else detector.open_scores(source)
        events = _events(stored, detector, events_path)
        log = None
        if logs:
            learned = None if detector is None else detector.later_format()
            form = log_options.log_format(learned)
            log = SensorLog(list(logs), form, schema=stored.schema, allow_missing=len(stored.schema))
        known = [] if labels is None else label_intervals(read_labels(labels, log_options.label_format()))
        with output.progress() as progress:
            data = report_on_scores(
                stored,
                events,
                title=title or Path(source).name,
                detector=detector,
                log=log,
                labels=known,
                progress=progress,
            )
        for note in [] if log is None else log.notes:
            output.warn(note)
    if card is not None:
        data = replace(data, detectability=card_of(card, detector))
    write_report(target, data, force=force)
    rows = event_rows(data.events, detector) if data.n_rows else []
    rows.append(("open", target))
    output.summary("Report", rows, {"report": target, "rows": data.n_rows, "events": len(data.alarms)})


def _events(stored: StoredScores, detector: Detector | None, path: str | None) -> list[Event]:
    """The events given, or those of the scores under the detector's rule, or the rule stored with them."""
    from sensorad.events import EventBuilder, EventRule
    from sensorad.logs import read_events

    if path is not None:
        return read_events(path)
    if detector is not None:
        builder = detector.event_builder()
    elif stored.line is not None:
        rule = EventRule.from_json(stored.metadata.get("rule", {}))
        builder = EventBuilder(stored.sensor_names, stored.line, rule)
    else:
        return []
    events = [event for block in stored.blocks_in_order() for event in builder.update(block)]
    return [*events, *builder.finish(), *stored.quality_events]

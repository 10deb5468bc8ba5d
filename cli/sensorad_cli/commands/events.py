"""``sensorad events``: stored scores judged again with another threshold or event rule, without a model run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sensorad_cli.event_options import EventOptions, event_options
from sensorad_cli.files import STANDARD, claim_output, written
from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output
from sensorad_cli.scoring import in_order
from sensorad_cli.tally import Tally, event_rows

if TYPE_CHECKING:
    from sensorad.events import EventRule

__all__ = ["command"]


@make_command("events")
@click.argument("scores", metavar="SCORES")
@click.option("-m", "--model", required=True, metavar="MODEL", help="Detector that made the scores.")
@click.option(
    "-o", "--output", "target", required=True, metavar="EVENTS", help="Parquet, or CSV by its name; - is stdout."
)
@click.option(
    "--threshold", type=click.FloatRange(min=0, min_open=True), help="Another alarm line than the detector's."
)
@click.option("--force", is_flag=True, help="Replace output that exists.")
@event_options
@click.pass_context
def command(
    ctx: click.Context,
    scores: str,
    model: str,
    target: str,
    threshold: float | None,
    force: bool,
    event_options: EventOptions,
) -> None:
    """Turn the scores that `score` wrote into events.

    Without other options the events are those that `score --events` wrote.
    """
    import sensorad
    from sensorad.alarm_line import AlarmLine
    from sensorad.logs import write_events

    output = ctx.ensure_object(Output)
    output.stdout_is_data = target == STANDARD
    path = claim_output(target, force=force, inputs=[scores, model])
    detector = sensorad.load(model, has_model=False)
    rule = event_options.rule(detector.rule_)
    line = None if threshold is None else AlarmLine(threshold)
    stored = detector.open_scores(scores)
    builder = detector.event_builder(line, rule)
    tally = Tally(line or detector.line_)
    events = []
    with output.progress() as progress:
        for block in stored.blocks_in_order():
            tally.add(block)
            events += builder.update(block)
            progress("reading scores", tally.n_rows / max(1, stored.n_rows))
    events = sorted([*events, *builder.finish(), *stored.quality_events], key=in_order)
    tally.check(stored.n_rows)
    with written(path, "events.csv") as table:
        write_events(table, events, stored.group_name, force=force)
    rows = [*tally.rows(), *event_rows(events, detector), ("rule", _rule_in_words(rule)), ("written", target)]
    data = tally.to_json() | {
        "events": len(events) - len(stored.quality_events),
        "quality_events": len(stored.quality_events),
        "threshold": tally.line.threshold,
        "rule": rule.to_json(),
        "outputs": {"events": target},
    }
    output.summary(f"Events of {scores}", rows, data)


def _rule_in_words(rule: EventRule) -> str:
    rest = f", none within {rule.refractory_rows} rows after another" if rule.refractory_rows else ""
    return (
        f"at least {rule.min_rows} row(s) above the line, pauses up to {rule.merge_gap_rows} rows bridged, "
        f"ends below {rule.release:.0%} of the line{rest}"
    )

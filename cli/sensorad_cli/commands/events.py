"""``sensorad events``: events from stored scores under another threshold or rule, or from the state of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import UsageError
from sensorad_cli.event_options import EventOptions, event_options
from sensorad_cli.files import STANDARD, claim_output, written
from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output
from sensorad_cli.scoring import in_order
from sensorad_cli.tally import Tally, event_rows

if TYPE_CHECKING:
    from pathlib import Path

    from sensorad.events import EventRule

__all__ = ["command"]


@make_command("events")
@click.argument("scores", required=False, metavar="[SCORES]")
@click.option("-m", "--model", metavar="MODEL", help="Detector that made the scores.")
@click.option("--state", metavar="DIR", help="Instead of scores and detector: the state directory of a stream.")
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
    scores: str | None,
    model: str | None,
    state: str | None,
    target: str,
    threshold: float | None,
    force: bool,
    event_options: EventOptions,
) -> None:
    """Turn the scores that `score` wrote into events, or fetch the events that a stream has committed.

    Without other options the events are those that `score --events` wrote. Those of a stream are as of its last
    commit, open ones as they stood then; the stream may go on meanwhile.
    """
    output = ctx.ensure_object(Output)
    output.stdout_is_data = target == STANDARD
    inputs = [name for name in (scores, model, state) if name is not None]
    path = claim_output(target, force=force, inputs=inputs)
    if state is not None:
        if scores is not None or model is not None or threshold is not None or event_options != EventOptions():
            what = "--state gives the events that a stream has committed, under its own line and rule"
            raise UsageError(what, hint="leave out everything but -o and --force")
        _from_state(output, state, path, target, force=force)
    elif scores is None or model is None:
        raise UsageError("which events?", hint="name SCORES and their detector with -m, or a stream's --state DIR")
    else:
        _from_scores(output, scores, model, path, target, threshold, event_options, force=force)


def _from_state(output: Output, state: str, path: Path | None, target: str, *, force: bool) -> None:
    from sensorad.logs import write_events
    from sensorad_cli.stream_store import committed_events

    events, n_open, group_name = committed_events(state)
    events.sort(key=in_order)
    with written(path, "events.csv") as table:
        write_events(table, events, group_name, force=force)
    n_quality = sum(event.kind == "quality" for event in events)
    data: dict[str, Any] = {
        "events": len(events) - n_quality,
        "quality_events": n_quality,
        "open": n_open,
        "outputs": {"events": target},
    }
    rows = [*event_rows(events), ("open", f"{n_open:,} of them"), ("written", target)]
    output.summary(f"Events of the stream in {state}", rows, data)


def _from_scores(
    output: Output,
    scores: str,
    model: str,
    path: Path | None,
    target: str,
    threshold: float | None,
    event_options: EventOptions,
    *,
    force: bool,
) -> None:
    import sensorad
    from sensorad.alarm_line import AlarmLine
    from sensorad.logs import write_events

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

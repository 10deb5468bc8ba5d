"""``sensorad label``: what an operator says of an event, kept for the next calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensorad.errors import DataError, UsageError
from sensorad_cli.files import refuse_among_inputs
from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output

if TYPE_CHECKING:
    from sensorad.types import Event

__all__ = ["command"]

LEAST_PREFIX = 4
"""Shortest beginning of an id that may stand for it; a shorter one fits by chance in a file of some hundred events."""
MOST_SHOWN = 3


@make_command("label")
@click.argument("events", metavar="EVENTS")
@click.argument("name", metavar="ID")
@click.argument("text", metavar="VERDICT")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="LABELS",
    help="CSV file to add the label to.  [default: EVENTS with the ending .labels.csv]",
)
@click.pass_obj
def command(output: Output, events: str, name: str, text: str, target: str | None) -> None:
    """Say of an event that it was a fault or a false alarm.

    ID is the event's id or the first 4 or more characters of it; VERDICT is false-alarm, fault or fault:CODE, with a
    code of your own. The label is added to a file that calibrate takes as --labels. An event may be labelled again:
    the last label counts, and the file keeps all.

    \b
    sensorad label events.parquet 2a96b438b81b fault:BRG-2
    sensorad label events.parquet 2a96 false-alarm
    """
    from sensorad.logs import read_events
    from sensorad.logs.feedback import Verdict, append_verdict

    verdict = Verdict.parse(text)
    if target is not None:
        refuse_among_inputs(target, [events])
        if not target.lower().endswith(".csv"):
            raise UsageError(f"-o {target} does not end with .csv", hint="labels are lines of text: name a CSV file")
    event = _chosen(read_events(events), name, events)
    path = Path(events).with_suffix(".labels.csv") if target is None else Path(target)
    line = append_verdict(path, event, verdict)
    rows = [("verdict", line.kind), ("from", line.start), ("to", line.end)]
    rows += [("machine", line.group)] if line.group else []
    rows += [("added to", str(path))]
    output.summary(f"Labelled {line.event_id}", rows, asdict(line) | {"outputs": {"labels": str(path)}})


def _chosen(events: Sequence[Event], name: str, where: str) -> Event:
    """The event with this id, or the only one whose id begins like this."""
    if not events:
        raise DataError("there is no event to label", where=where)
    found = [event for event in events if event.event_id == name]
    if not found and len(name) >= LEAST_PREFIX:
        found = [event for event in events if event.event_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    ids = [event.event_id for event in events]
    if found:
        begun = [event.event_id for event in found]
        raise UsageError(f"{name!r} fits {len(begun)} events", where=where, hint=f"write more of it: {_listed(begun)}")
    close = get_close_matches(name, ids, n=MOST_SHOWN, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"its ids are {_listed(ids)}"
    if len(name) < LEAST_PREFIX:
        hint += f" (a beginning needs at least {LEAST_PREFIX} characters)"
    raise UsageError(f"there is no event {name!r}", where=where, hint=hint)


def _listed(ids: Sequence[str]) -> str:
    rest = len(ids) - MOST_SHOWN
    return ", ".join(ids[:MOST_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")

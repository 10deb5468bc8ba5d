"""``sensorad diff``: events that one calibration finds in stored scores and another does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.types import Event
    from sensorad_cli.output import Progress

__all__ = ["command"]

SHOWN = 50
"""Events listed on either side; --json has all."""


@make_command("diff")
@click.argument("before", metavar="CAL_A")
@click.argument("after", metavar="CAL_B")
@click.argument("scores", metavar="SCORES")
@click.pass_obj
def command(output: Output, before: str, after: str, scores: str) -> None:
    """List the events that would be gained and lost by going from detector CAL_A to CAL_B.

    Both must have the weights that made SCORES: then only alarm lines and event rules differ, and no model runs.

    \b
    sensorad calibrate may.parquet -m pump.sensorad --budget 1/week -o pump2.sensorad
    sensorad diff pump.sensorad pump2.sensorad scores.parquet
    """
    import sensorad
    from sensorad.events import event_difference

    found: list[list[Event]] = []
    detectors = [sensorad.load(path, has_model=False) for path in (before, after)]
    with output.progress() as progress:
        for name, detector in zip((before, after), detectors, strict=True):
            found.append(_events(detector, scores, name, progress))
    difference = event_difference(*found)
    one, other = (detector.threshold_result_ for detector in detectors)
    rows = [
        ("alarm line", f"{one.threshold:.4g} ({one.method}) -> {other.threshold:.4g} ({other.method})"),
        *(
            (f"  {name}", f"{_line(detectors[0], name):.4g} -> {_line(detectors[1], name):.4g}")
            for name in sorted(set(one.modes) | set(other.modes))
        ),
        ("events", f"{len(found[0]):,} -> {len(found[1]):,}: {len(difference.kept):,} kept"),
        *_listed("gained", difference.gained),
        *_listed("lost", difference.lost),
    ]
    data = {
        "before": {"model": before, "threshold": one.threshold, "events": len(found[0])},
        "after": {"model": after, "threshold": other.threshold, "events": len(found[1])},
        "gained": [_plain(event) for event in difference.gained],
        "lost": [_plain(event) for event in difference.lost],
        "kept": [[left.event_id, right.event_id] for left, right in difference.kept],
    }
    output.result("Difference", rows, data)


def _events(detector: Detector, scores: str, name: str, progress: Progress) -> list[Event]:
    stored = detector.open_scores(scores)
    builder = detector.event_builder()
    events, n_done = [], 0
    for block in stored.blocks_in_order():
        events += builder.update(block)
        n_done += len(block)
        progress(f"events of {name}", n_done / max(1, stored.n_rows))
    return events + builder.finish()


def _line(detector: Detector, mode: str) -> float:
    return detector.line_.by_mode.get(mode, detector.threshold_)


def _listed(what: str, events: tuple[Event, ...]) -> list[tuple[str, str]]:
    rows = [(what, f"{len(events):,}")]
    for event in events[:SHOWN]:
        machine = f" {event.group}" if event.group else ""
        blamed = ", ".join(event.sensors[:3]) or "no sensor"
        rows.append(("", f"{event.event_id}{machine} {_stamp(event.start)} {event.severity:.2f} x the line, {blamed}"))
    if len(events) > SHOWN:
        rows.append(("", f"and {len(events) - SHOWN:,} more: --json lists all"))
    return rows


def _stamp(time: int) -> str:
    return f"{np.datetime_as_string(np.datetime64(time, 'ns'), unit='s')}Z"


def _plain(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "group": event.group,
        "start": _stamp(event.start),
        "end": _stamp(event.end),
        "severity": event.severity,
        "sensors": list(event.sensors),
    }

"""``sensorad inspect``: a detector in words, or as JSON."""

from __future__ import annotations

import click

from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output

__all__ = ["command"]


@make_command("inspect")
@click.argument("model", metavar="MODEL")
@click.option("--card", metavar="FILE.json", help="Its detectability card: adds the faults that it would find.")
@click.pass_obj
def command(output: Output, model: str, card: str | None) -> None:
    """Say what a detector was learned from, its sensors and units, and what its alarm line promises.

    Everything in the directory is verified first; nothing in it is ever run.
    """
    import sensorad
    from sensorad_cli.card import card_json, card_rows, sensor_rows
    from sensorad_cli.detectability_options import card_of

    detector = sensorad.load(model)
    detectability = None if card is None else card_of(card, detector)
    if output.as_json:
        found = {} if detectability is None else {"detectability": detectability.to_json()}
        output.result(model, [], card_json(detector) | found)
        return
    rule = detector.rule_
    rows = card_rows(detector)
    rows.append(
        ("events", f"pauses up to {rule.merge_gap_rows} rows bridged, at least {rule.min_rows} row(s) above the line")
    )
    rows += [("note", note) for note in detector.notes_]
    rows += [("data", f"sha256 {detector.training_['fingerprint']}"), ("weights", f"sha256 {detector.weights_hash_}")]
    output.result(model, rows, None)
    output.result("Sensors", sensor_rows(detector), None)
    if detectability is not None:
        from sensorad.detectability import summary_lines

        notes = [("note", note) for note in detectability.notes]
        output.result("Would find", [*summary_lines(detectability), *notes], None)

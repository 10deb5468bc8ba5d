"""``sensorad demo``: the whole job on a simulated plant, told as a short story."""

from __future__ import annotations

import click

from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output

__all__ = ["command"]


@make_command("demo")
@click.option(
    "-o", "--output", "directory", default="sensorad-demo", show_default=True, metavar="DIR", help="Directory to make."
)
@click.option(
    "--model",
    type=click.Choice(["linear", "lstm", "transformer"]),
    default="linear",
    show_default=True,
    help="Kind of model to fit.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same plant and faults."
)
@click.option("--force", is_flag=True, help="Replace the files of an earlier demo.")
@click.pass_obj
def command(output: Output, directory: str, model: str, seed: int, force: bool) -> None:
    """Simulate a plant, learn it, set an alarm line within a budget, find the faults, write a report.

    Needs no input and no network. Takes seconds with the linear model, about a minute with a network.
    """
    from sensorad_cli.walkthrough import run_demo

    with output.progress() as progress:
        result = run_demo(directory, model=model, seed=seed, force=force, say=output.step, progress=progress)
    if output.as_json:
        output.summary("", [], result.to_json())
        return
    output.note("")
    output.note("The same by hand:")
    for line in result.by_hand:
        output.note(f"  {line}")
    output.note("")
    output.note(f"Open {result.files.report} in a browser.")

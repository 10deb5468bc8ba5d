"""``sensorad fit``: a calibrated detector from a log of normal operation."""

from __future__ import annotations

from pathlib import Path

import click

from sensorad_cli.card import card_rows
from sensorad_cli.files import claim_output, log_paths
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output
from sensorad_cli.params import DURATION

__all__ = ["command"]


@make_command("fit")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-o", "--output", "target", required=True, metavar="MODEL", help="Directory to write the detector to.")
@click.option("--model", default="linear", show_default=True, metavar="KIND", help="linear, lstm or transformer.")
@click.option("--score", default="fused", show_default=True, metavar="NAME", help="fused, mahalanobis, sse, topk or max.")
@click.option("--objective", metavar="NAME", help="What a network is trained for: reconstruction, denoising, masked.")
@click.option("--linear-part/--no-linear-part", default=True, help="Give a network a linear part to work beside, or not.")
@click.option("--window", type=click.IntRange(min=2), metavar="ROWS", help="Rows in a window.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Most passes over the training data.")
@click.option("--time-limit", type=DURATION, metavar="DURATION", help="Training stops after this long, as 10min.")
@click.option("--budget", metavar="RATE", help="Acceptable false alarms: 1/day, 2/week, 3/month.")
@click.option("--confidence", type=float, default=0.9, show_default=True, help="Confidence with which the budget is kept.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed and data, same detector.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1.")
@click.option("--checkpoint", metavar="DIR", help="Where an interrupted fit resumes from.  [default: MODEL.checkpoint]")
@click.option("--loss-curve", metavar="FILE.svg", help="Write the training curve of a network as a figure.")
@click.option("--force", is_flag=True, help="Replace a detector that exists.")
@log_options(learning=True)
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    target: str,
    model: str,
    score: str,
    objective: str | None,
    linear_part: bool,
    window: int | None,
    epochs: int | None,
    time_limit: float | None,
    budget: str | None,
    confidence: float,
    seed: int,
    device: str,
    checkpoint: str | None,
    loss_curve: str | None,
    force: bool,
    log_options: LogOptions,
) -> None:
    """Learn what normal looks like, and set an alarm line on rows that the learning never saw.

    An interrupted fit of a network goes on where it stopped when the same command runs again.
    """

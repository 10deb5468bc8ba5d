"""``sensorad calibrate``: a new alarm line from normal logs or stored scores; no weight changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import UsageError
from sensorad_cli.files import STANDARD, log_paths, refuse_among_inputs
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output
from sensorad_cli.stored import is_score_file, open_scores, stored_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensorad.detector import Detector
    from sensorad.types import ScoreBlock
    from sensorad_cli.output import Progress

__all__ = ["command"]


@make_command("calibrate")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-m", "--model", required=True, metavar="MODEL", help="Detector to give a new alarm line.")
@click.option("--budget", metavar="RATE", help="Acceptable false alarms: 1/day, 2/week, 3/month.")
@click.option("--confidence", type=float, help="Confidence with which the budget is kept.  [default: 0.9]")
@click.option("--method", default="budget", show_default=True, metavar="NAME", help="budget or quantile.")
@click.option("--q", type=float, help="quantile: share of normal rows below the line, as 0.99.")
@click.option(
    "-o", "--output", "target", metavar="MODEL2", help="Write a new detector; without it, --force changes MODEL."
)
@click.option("--force", is_flag=True, help="Replace the detector that exists.")
@log_options()
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    model: str,
    budget: str | None,
    confidence: float | None,
    method: str,
    q: float | None,
    target: str | None,
    force: bool,
    log_options: LogOptions,
) -> None:
    """Set the alarm line from logs of normal operation that the detector was not fitted on.

    A LOG may also be a file that `score` wrote: then no model runs. Says how many alarm events a day to expect,
    and how much data that rests on; refuses where the data are too few for what was asked.

    \b
    sensorad calibrate may.parquet -m pump.sensorad --budget 2/week -o pump2.sensorad
    sensorad calibrate may.parquet -m pump.sensorad --method quantile --q 0.999 --force
    """
    import sensorad
    from sensorad.artefact import check_target

    output = ctx.ensure_object(Output)
    if target is None and not force:
        hint = "write a new detector with -o MODEL2, or change this one with --force"
        raise UsageError(f"{model} would be changed", hint=hint)
    chosen = target or model
    refuse_among_inputs(chosen, logs)
    check_target(chosen, force=force)
    if budget is not None:
        sensorad.Budget.parse(budget)
    detector = sensorad.load(model)
    before = detector.threshold_
    options: dict[str, Any] = {"budget": budget, "confidence": confidence, "q": q}
    options = {name: value for name, value in options.items() if value is not None}
    with output.progress() as progress:
        blocks = _blocks(ctx, detector, logs, log_options, progress)
        result = detector.calibrate_scores(blocks, method=method, **options)
    detector.save(chosen, force=force)
    low, high = result.interval
    rows = [
        ("alarm line", f"{result.threshold:.4g} (was {before:.4g}), method {result.method}"),
        (
            "expected",
            f"{result.expected_events_per_day:.3g} alarm events a day "
            f"({low:.3g} to {high:.3g} at {result.confidence:.0%} confidence)",
        ),
        ("rests on", f"{result.calibration_days:.3g} machine-days, {result.n_rows:,} scored rows"),
        ("in words", result.statement()),
        ("written", chosen),
    ]
    data = result.to_json() | {
        "statement": result.statement(),
        "previous_threshold": before,
        "outputs": {"model": chosen},
    }
    output.result("Calibrated", rows, data)


def _blocks(
    ctx: click.Context, detector: Detector, logs: tuple[str, ...], log_options: LogOptions, progress: Progress
) -> Iterator[ScoreBlock]:
    """Scores of the normal rows: stored ones as they are, logs scored now."""
    stored = [path != STANDARD and is_score_file(path) for path in logs]
    if all(stored):
        if len(logs) > 1:
            raise UsageError("several score files cannot be joined", hint="score their logs together, then calibrate")
        scores = open_scores(logs[0], detector)
        n_done = 0
        for block in stored_blocks(scores):
            n_done += len(block)
            progress("reading scores", n_done / max(1, scores.n_rows))
            yield block
        return
    if any(stored):
        raise UsageError("logs and score files cannot be mixed", hint="name one or the other")
    log = detector.open_log(
        log_paths(ctx, logs),
        format=log_options.log_format(detector.format_),
        allow_missing=log_options.allow_missing,
        strict=log_options.strict,
    )
    n_done = 0
    for block in detector.normal_blocks(log, engine=detector.engine(on_conflict=log_options.duplicates)):
        n_done += len(block)
        progress("scoring", n_done / log.log.n_rows if log.log.n_rows else None)
        yield block
    for note in log.notes:
        ctx.ensure_object(Output).warn(note)

"""``sensorad fit``: a calibrated detector from a log of normal operation."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from sensorad.errors import SensoradError, UsageError
from sensorad_cli.card import card_json, card_rows
from sensorad_cli.class_options import ClassOptions, class_options
from sensorad_cli.detectability_options import CardOptions, card_in_words, card_options
from sensorad_cli.files import claim_output, log_paths, refuse_among_inputs, write_text
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.objective_options import ObjectiveOptions, objective_options
from sensorad_cli.output import Output
from sensorad_cli.params import DURATION

if TYPE_CHECKING:
    from sensorad.detector import Detector

__all__ = ["command"]


@make_command("fit")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-o", "--output", "target", required=True, metavar="MODEL", help="Directory to write the detector to.")
@click.option(
    "--model",
    metavar="KIND",
    help="linear, auto, lstm, transformer, variational, adversarial, ensemble, shape, cross, classifier or randnet.  "
    "[default: that of --init, else linear]",
)
@click.option(
    "--score", default="fused", show_default=True, metavar="NAME", help="fused, mahalanobis, sse, topk or max."
)
@click.option("--objective", metavar="NAME", help="What a network is trained for: plain, denoising, dropout or masked.")
@objective_options
@class_options
@click.option(
    "--linear-part/--no-linear-part", default=True, help="Give a network a linear part to work beside, or not."
)
@click.option("--init", metavar="MODEL", help="Start from this detector of other machines with the same sensors.")
@click.option("--window", type=click.IntRange(min=2), metavar="ROWS", help="Rows in a window.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Most passes over the training data.")
@click.option("--time-limit", type=DURATION, metavar="DURATION", help="Training stops after this long, as 10min.")
@click.option("--budget", metavar="RATE", help="Acceptable false alarms: 1/day, 2/week, 3/month.")
@click.option(
    "--confidence", type=float, default=0.9, show_default=True, help="Confidence with which the budget is kept."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed and data, same detector."
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1.")
@click.option("--checkpoint", metavar="DIR", help="Where an interrupted fit resumes from.  [default: MODEL.checkpoint]")
@click.option("--loss-curve", metavar="FILE.svg", help="Write the training curve of a network as a figure.")
@card_options
@click.option("--force", is_flag=True, help="Replace a detector that exists.")
@log_options(learning=True)
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    target: str,
    model: str | None,
    score: str,
    objective: str | None,
    linear_part: bool,
    init: str | None,
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
    objective_options: ObjectiveOptions,
    class_options: ClassOptions,
    card_options: CardOptions,
    log_options: LogOptions,
) -> None:
    """Learn what normal looks like, and set an alarm line on rows that the learning never saw.

    An interrupted fit of a network goes on where it stopped when the same command runs again.

    \b
    sensorad fit normal.parquet -o pump.sensorad --time time --budget 1/week
    sensorad fit logs/ -o plant.sensorad --model transformer --group machine --time-limit 10min
    """
    import sensorad
    from sensorad.artefact import check_target
    from sensorad.logs import SensorLog, SortedLog
    from sensorad.models import model_kind

    output = ctx.ensure_object(Output)
    began = perf_counter()
    start = None if init is None else sensorad.load(init)
    if model is None:
        model = "linear" if start is None else start.config_.model
    refuse_among_inputs(target, logs)
    check_target(target, force=force)
    card_options.check(logs, force=force)
    figure = claim_output(loss_curve, force=force, inputs=logs, option="--loss-curve") if loss_curve else None
    detector = sensorad.Detector(
        model,
        score=score,
        objective=objective,
        linear_part="default" if linear_part else None,
        **objective_options.settings(),
        **class_options.settings(),
        window=window,
        epochs=epochs,
        time_limit_seconds=time_limit,
        device=device,
        random_state=seed,
    )
    if budget is not None:
        sensorad.Budget.parse(budget)  # before the work, not after it
    is_network = model_kind(model).is_trained
    if figure is not None and not is_network:
        raise UsageError(f"a {model} model has no training curve", hint="leave --loss-curve out, or fit a network")
    log = SortedLog(
        SensorLog(log_paths(ctx, logs), log_options.log_format(), schema=None if start is None else start.schema_),
        strict=log_options.strict,
    )
    detector.config.check_sensors(log.schema.names)
    card_options.check_sensors(log.schema)
    folder = None if not is_network else Path(checkpoint or f"{target.rstrip('/')}.checkpoint")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with output.progress() as progress:
        detector.fit(log, budget=budget, confidence=confidence, init=start, checkpoint=folder, progress=progress)
    detector.save(target, force=force)
    if folder is not None:
        _remove_checkpoints(folder)
    if figure is not None:
        _write_loss_curve(figure, detector, force)
    rows, drawn = card_rows(detector), []
    if card_options.is_wanted:
        try:
            with output.progress() as progress:
                card = card_options.make(detector, log, log_options, init=start, progress=progress)
        except SensoradError:
            output.warn(f"the detector is written, {target}, but there is no card of what it would find")
            raise
        drawn = card_options.write(card, force=force)
        rows.append(("would find", card_in_words(card)))
    seconds = perf_counter() - began
    rows += [("seconds", f"{seconds:.1f}"), ("written", ", ".join([target, *drawn]))]
    for note in detector.notes_:
        output.warn(note)
    outputs = {"model": target, "loss_curve": loss_curve, **card_options.outputs}
    data = card_json(detector) | {"seconds": round(seconds, 3), "outputs": outputs}
    output.summary("Fitted", rows, data)


def _remove_checkpoints(folder: Path) -> None:
    """The run is safe in the detector now; files that are not the trainer's stay, and so does their directory."""
    for path in folder.rglob("*.checkpoint"):
        path.unlink()
    for part in (*folder.glob("member-*"), folder):  # members of an ensemble have folders of their own
        with suppress(OSError):
            part.rmdir()


def _write_loss_curve(path: Path, detector: Detector, force: bool) -> None:
    """The curve of the run that was judged on rows of its own, as in the model card."""
    from sensorad.training import TrainingRecord, loss_curve_svg

    records = [TrainingRecord.from_json(row) for row in detector.training_["records"]]
    shown = next((record for record in records if record.validation_losses), records[-1])
    write_text(path, loss_curve_svg(shown), force=force)

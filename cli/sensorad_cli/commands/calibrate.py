"""``sensorad calibrate``: a new alarm line from normal logs or stored scores; no weight changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensorad.errors import SensoradError, UsageError
from sensorad_cli.event_options import EventOptions, event_options
from sensorad_cli.files import STANDARD, claim_output, log_paths, refuse_among_inputs, write_text
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.method_options import MethodOptions, method_options
from sensorad_cli.output import Output

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.events import EventRule
    from sensorad.thresholds import CalibrationScores, ThresholdResult
    from sensorad_cli.output import Progress

__all__ = ["command"]

MARK = "<- in force"


@make_command("calibrate")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-m", "--model", required=True, metavar="MODEL", help="Detector to give a new alarm line.")
@method_options
@click.option(
    "--labels",
    metavar="FILE",
    help="Known faults (start, end[, group][, kind]), or what `label` wrote: these rows are not normal.",
)
@click.option("--pooled", is_flag=True, help="One line for all operating modes.")
@click.option("--what-if", is_flag=True, help="Change nothing: show alarms a day at many lines.")
@click.option("--figure", metavar="FILE.svg", help="With --what-if: also draw it.")
@click.option(
    "-o", "--output", "target", metavar="MODEL2", help="Write a new detector; without it, --force changes MODEL."
)
@click.option("--force", is_flag=True, help="Replace what exists.")
@event_options
@log_options()
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    model: str,
    method_options: MethodOptions,
    labels: str | None,
    pooled: bool,
    what_if: bool,
    figure: str | None,
    target: str | None,
    force: bool,
    event_options: EventOptions,
    log_options: LogOptions,
) -> None:
    """Set the alarm line from logs of normal operation that the detector was not fitted on.

    A LOG may also be a file that `score` wrote: then no model runs. Says how many alarm events a day to expect,
    and how much data that rests on; refuses where the data are too few for what was asked.

    \b
    sensorad calibrate may.parquet -m pump.sensorad --budget 2/week -o pump2.sensorad
    sensorad calibrate may.parquet -m pump.sensorad --method quantile --q 0.999 --force
    sensorad calibrate scores.parquet -m pump.sensorad --labels events.labels.csv --method fbeta --force
    sensorad calibrate scores.parquet -m pump.sensorad --what-if --figure what-if.svg
    """
    import sensorad
    from sensorad.artefact import check_target
    from sensorad.calibration import threshold_method
    from sensorad.logs import is_score_file

    output = ctx.ensure_object(Output)
    if what_if and target is not None:
        raise UsageError("--what-if changes nothing, so there is nothing to write to -o", hint="leave one of them out")
    if figure is not None and not what_if:
        raise UsageError("--figure draws what --what-if shows", hint="add --what-if")
    if not what_if and target is None and not force:
        hint = "write a new detector with -o MODEL2, or change this one with --force"
        raise UsageError(f"{model} would be changed", hint=hint)
    threshold_method(**method_options.settings())  # what cannot be chosen is refused before any work
    inputs = [*logs, *([labels] if labels else [])]
    chosen = target or model
    drawing = None
    if figure is not None:
        drawing = claim_output(figure, force=force, inputs=[*inputs, model], option="--figure")
    if not what_if:
        refuse_among_inputs(chosen, inputs)
        check_target(chosen, force=force)
    is_stored = [path != STANDARD and is_score_file(path) for path in logs]
    detector = sensorad.load(model, has_model=not all(is_stored))
    rule = event_options.rule(detector.rule_)
    with output.progress() as progress:
        scores = _scores(ctx, detector, logs, is_stored, log_options, pooled, progress)
        if labels is not None:
            progress("reading labels", None)
            marked = detector.with_labels(scores, labels, format=log_options.label_format())
            scores = marked.scores
            for note in marked.notes:
                output.warn(note)
        if what_if:
            _show_lines(output, detector, scores, rule, drawing, force=force)
            return
        progress("choosing the line", None)
        before, weights = detector.threshold_, detector.weights_hash_
        result = detector.calibrate_scores(scores, events=rule, pooled=pooled, **method_options.settings())
        detector.save(chosen, force=force)
        _prove_untouched(chosen, weights)
    _report(output, result, before, weights, chosen)


def _scores(
    ctx: click.Context,
    detector: Detector,
    logs: tuple[str, ...],
    is_stored: list[bool],
    log_options: LogOptions,
    pooled: bool,
    progress: Progress,
) -> CalibrationScores:
    """Scores of the rows: stored ones as they are, logs scored now."""
    if all(is_stored):
        if len(logs) > 1:
            raise UsageError("several score files cannot be joined", hint="score their logs together, then calibrate")
        progress("reading scores", None)
        return detector.stored_scores(logs[0])
    if any(is_stored):
        raise UsageError("logs and score files cannot be mixed", hint="name one or the other")
    log = detector.open_log(
        log_paths(ctx, logs),
        format=log_options.log_format(detector.later_format(with_modes=not pooled)),
        allow_missing=log_options.allow_missing,
        strict=log_options.strict,
        keep=log_options.keep,
    )
    n_done = 0

    def count(n_rows: int) -> None:
        nonlocal n_done
        n_done += n_rows
        progress("scoring", n_done / log.log.n_rows if log.log.n_rows else None)

    engine = detector.engine(on_conflict=log_options.on_conflict)
    scores = detector.calibration_scores(log, engine=engine, progress=count)
    for note in log.notes:
        ctx.ensure_object(Output).warn(note)
    return scores


def _prove_untouched(target: str, weights: str) -> None:
    """Read back what was written: its weights must be those that the detector came with."""
    import sensorad

    written = sensorad.load(target, has_model=False).weights_hash_
    if written != weights:
        raise SensoradError(f"calibration changed weights: {weights[:16]} became {written[:16]}", where=target)


def _report(output: Output, result: ThresholdResult, before: float, weights: str, target: str) -> None:
    low, high = result.interval
    rows = [
        ("alarm line", f"{result.threshold:.4g} (was {before:.4g}), method {result.method}"),
        *((f"  {name}", f"{own.threshold:.4g}, {_rate_in_words(own)}") for name, own in result.modes.items()),
        (
            "expected",
            f"{result.expected_events_per_day:.3g} alarm events a day "
            f"({low:.3g} to {high:.3g} at {result.confidence:.0%} confidence)",
        ),
        ("rests on", f"{result.calibration_days:.3g} machine-days, {result.n_rows:,} scored rows"),
        ("in words", result.statement()),
        ("weights", f"unchanged, sha256 {weights[:16]}"),
        ("written", target),
    ]
    data = result.to_json() | {
        "statement": result.statement(),
        "previous_threshold": before,
        "weights_sha256": weights,
        "outputs": {"model": target},
    }
    output.result("Calibrated", rows, data)


def _rate_in_words(result: ThresholdResult) -> str:
    return f"{result.expected_events_per_day:.3g} alarm events a day on {result.calibration_days:.3g} days of this mode"


def _show_lines(
    output: Output,
    detector: Detector,
    scores: CalibrationScores,
    rule: EventRule,
    figure: Path | None,
    *,
    force: bool,
) -> None:
    from sensorad.thresholds import what_if, what_if_svg

    line = detector.threshold_
    table = what_if(scores.comparable(detector.line_), rule, line)
    if figure is not None:
        write_text(figure, what_if_svg(table, line), force=force)
    title = f"{'line':>10}  {'alarms/day':>10}  {'interval':>15}" + (f"  {'found':>9}" if table.n_faults else "")
    rows = []
    for place, at in enumerate(table.threshold):
        interval = f"{table.low[place]:.3g} to {table.high[place]:.3g}"
        text = f"{table.per_day[place]:>10.3g}  {interval:>15}"
        if table.n_found is not None:
            text += f"  {table.n_found[place]:>3} of {table.n_faults:>2}"
        rows.append((f"{at:.4g}", text + (f"  {MARK}" if at == line else "")))
    if output.as_json:
        output.result(
            "", [], table.to_json() | {"line": line, "outputs": {"figure": None if figure is None else str(figure)}}
        )
        return
    output.result(title, rows, None)
    by_mode = ", in units of the line of each operating mode" if detector.line_.by_mode else ""
    output.note(f"{table.days:.3g} machine-days of normal rows; interval at {table.confidence:.0%} confidence{by_mode}")
    if figure is not None:
        output.note(f"drawn in {figure}")

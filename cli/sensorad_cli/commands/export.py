"""``sensorad export``: a detector, or its network alone, as one ONNX file that was compared with it."""

from __future__ import annotations

import click

from sensorad.errors import UsageError
from sensorad_cli.files import STANDARD, claim_output, log_paths
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output

__all__ = ["command"]


@make_command("export")
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", "target", required=True, metavar="FILE.onnx", help="File to write.")
@click.option(
    "--part",
    type=click.Choice(["detector", "network"]),
    default="detector",
    show_default=True,
    help="detector: values in the sensors' units in, expectations and errors out. network: what scores without torch.",
)
@click.option(
    "--check", "logs", multiple=True, metavar="LOG", help="Also compare on every window of this log; repeatable."
)
@click.option("--opset", type=click.IntRange(18, 23), default=20, show_default=True, help="Version of the operations.")
@click.option("--force", is_flag=True, help="Replace output that exists.")
@log_options()
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    target: str,
    part: str,
    logs: tuple[str, ...],
    opset: int,
    force: bool,
    log_options: LogOptions,
) -> None:
    """Write an ONNX file, and compare what it computes with the detector before it gets its name.

    Needs the extra: pip install 'sensorad[onnx]'. The number of windows is free, their length is the detector's.

    \b
    sensorad export pump.sensorad -o pump.onnx --check new.parquet
    sensorad export pump.sensorad -o network.onnx --part network
    """
    import sensorad
    from sensorad.export import export_onnx

    output = ctx.ensure_object(Output)
    if target == STANDARD:
        raise UsageError("an export is a file", hint="write it with -o model.onnx")
    claim_output(target, force=force, inputs=[model, *logs])
    detector = sensorad.load(model)
    log = None
    if logs:
        log = detector.open_log(
            log_paths(ctx, logs),
            format=log_options.log_format(detector.later_format()),
            allow_missing=log_options.allow_missing,
            strict=log_options.strict,
        )
    with output.progress() as progress:
        written = export_onnx(
            detector,
            target,
            part=part,
            opset=opset,
            check=() if log is None else log.blocks(),
            force=force,
            progress=lambda n: progress("comparing", min(1.0, n / log.log.n_rows) if log and log.log.n_rows else None),
        )
    for note in [] if log is None else log.notes:
        output.warn(note)
    facts, parity = written.facts, written.parity
    rows = [
        ("model", f"{facts.model}, windows of {facts.window} rows x {len(facts.sensors)} sensors"),
        *((f"input {name}", shape) for name, shape in written.inputs.items()),
        *((f"output {name}", shape) for name, shape in written.outputs.items()),
        ("compared", f"{parity.n_windows:,} windows in batches of different sizes"),
        ("largest difference", f"{parity.worst:.2g} deviations"),
        ("weights", f"sha256 {facts.weights}"),
        ("written", f"{target}, {written.n_bytes:,} bytes, opset {opset}"),
    ]
    data = {
        "output": target,
        "part": facts.part,
        "model": facts.model,
        "window": facts.window,
        "sensors": list(facts.sensors),
        "units": list(facts.units),
        "step_seconds": facts.step_seconds,
        "weights": facts.weights,
        "opset": opset,
        "bytes": written.n_bytes,
        "inputs": written.inputs,
        "outputs": written.outputs,
        "compared_windows": parity.n_windows,
        "largest_difference": parity.largest,
    }
    output.summary(f"Exported the {facts.part}", rows, data)

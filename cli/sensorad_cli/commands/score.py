"""``sensorad score``: one score for every row of a log, block by block, and the events among them."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from sensorad.errors import DataError, UsageError
from sensorad_cli.files import STANDARD, claim_output, log_paths, written
from sensorad_cli.group import command as make_command
from sensorad_cli.log_options import LogOptions, log_options
from sensorad_cli.output import Output
from sensorad_cli.own_process import settle

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad.logs import SortedLog
    from sensorad.scoring import ScoringEngine
    from sensorad_cli.scoring import ScoringRun
    from sensorad_cli.unfinished import UnfinishedRun

__all__ = ["command"]

ALARMS_FOUND = 10


@make_command("score")
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option("-m", "--model", required=True, metavar="MODEL", help="Detector made by fit.")
@click.option(
    "-o", "--output", "target", required=True, metavar="SCORES", help="Parquet, or CSV by its name; - is stdout."
)
@click.option("--events", "events_target", metavar="EVENTS", help="Also write the events: Parquet, or CSV by its name.")
@click.option("--exit-code", is_flag=True, help=f"End with code {ALARMS_FOUND} when there are alarm events.")
@click.option(
    "--skip-bad/--no-skip-bad",
    default=True,
    show_default=True,
    help="Of several files, score the good ones, name the bad ones and end with code 3; or stop at a bad one.",
)
@click.option("--force", is_flag=True, help="Replace output that exists.")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep finished parts beside SCORES until all is done; the same command goes on where a killed run ended.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Networks: numbers of the products; bfloat16 is faster where the processor has it, and less exact.",
)
@click.option(
    "--network", metavar="FILE", help="Networks: run the ONNX file made by 'export --part network', no torch."
)
@log_options()
@click.pass_context
def command(
    ctx: click.Context,
    logs: tuple[str, ...],
    model: str,
    target: str,
    events_target: str | None,
    exit_code: bool,
    skip_bad: bool,
    force: bool,
    resume: bool,
    precision: Literal["float32", "bfloat16"],
    network: str | None,
    log_options: LogOptions,
) -> int:
    """Score every row of a log: Parquet or CSV files, directories, - for stdin.

    Each input row gets one output row with a status; a log of any length is streamed. Columns are matched by
    name and checked before the first row is scored.
    """
    settle()
    import sensorad
    from sensorad_cli.scoring import score_to_files

    output = ctx.ensure_object(Output)
    output.stdout_is_data = STANDARD in (target, events_target)
    scores = claim_output(target, force=force, inputs=logs)
    events = claim_output(events_target, force=force, inputs=logs, option="--events") if events_target else None
    if target == events_target:
        raise UsageError(f"scores and events cannot both go to {target}", hint="write one of them elsewhere")
    if resume and STANDARD in (target, *logs):
        raise UsageError("--resume needs files", hint="name the log and the scores instead of -")
    detector = sensorad.load(model, has_model=network is None)
    engine = _engine(detector, log_options.on_conflict, precision, network)
    sources = log_paths(ctx, logs)
    log = detector.open_log(
        sources,
        format=log_options.log_format(detector.later_format()),
        allow_missing=log_options.allow_missing,
        strict=log_options.strict,
        keep=log_options.keep,
        skip_bad_files=skip_bad and (len(sources) > 1 or Path(sources[0]).is_dir()),
    )
    with ExitStack() as stack:
        scores_table = stack.enter_context(written(scores, "scores.csv"))
        events_table = stack.enter_context(written(events, "events.csv")) if events_target else None
        progress = stack.enter_context(output.progress())
        unfinished = None
        if resume:
            settings = {"duplicates": log_options.duplicates, "precision": precision, "network": network}
            unfinished = stack.enter_context(_unfinished(scores_table, detector, model, log, settings))
        run = score_to_files(
            detector,
            log,
            scores_table,
            events_table,
            engine=engine,
            force=force,
            progress=progress,
            unfinished=unfinished,
        )
    _summarise(output, detector, log, run, target, events_target)
    _refuse_bad_files(log)
    return ALARMS_FOUND if exit_code and run.alarms else 0


def _engine(
    detector: Detector, on_conflict: str, precision: Literal["float32", "bfloat16"], network: str | None
) -> ScoringEngine:
    from sensorad.models import model_kind

    if not model_kind(detector.config.model).is_trained and (network is not None or precision != "float32"):
        said = "--network" if network is not None else "--precision"
        raise UsageError(f"{said} is for networks, this detector is {detector.config.model}", hint="leave it out")
    return detector.engine(on_conflict=on_conflict, network=network or "torch", precision=precision)


def _unfinished(
    target: Path, detector: Detector, model: str, log: SortedLog, settings: dict[str, Any]
) -> UnfinishedRun:
    """Where parts are kept, for this log and this detector as they are now."""
    from sensorad import __version__
    from sensorad_cli.unfinished import UnfinishedRun, fingerprints

    parts = sorted(path for path in Path(model).iterdir() if path.is_file())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.name.encode() + hashlib.sha256(part.read_bytes()).digest())
    networks = [] if settings["network"] is None else [settings["network"]]
    plan = {
        "program": __version__,
        "detector": digest.hexdigest(),
        "files": fingerprints(log.log.files),
        "networks": fingerprints(networks),
        "format": log.log.format.to_json(),
        "settings": {**settings, "n_unsorted": log.n_unsorted, "schema": list(log.schema.names)},
    }
    return UnfinishedRun(target, plan)


def _summarise(
    output: Output, detector: Detector, log: SortedLog, run: ScoringRun, target: str, events_target: str | None
) -> None:
    from sensorad_cli.tally import event_rows, stale_rows

    bad = {name: str(error) for name, error in log.log.bad_files.items()}
    rows = [*run.tally.rows(), *event_rows(run.events, detector), *stale_rows(run.stale)]
    rows.append(("written", target if events_target is None else f"{target}, {events_target}"))
    data = run.tally.to_json() | {
        "events": len(run.alarms),
        "quality_events": len(run.events) - len(run.alarms),
        "calibration": None if run.stale is None else run.stale.to_json(),
        "threshold": run.tally.line.threshold,
        "files": list(log.log.files),
        "skipped": bad,
        "notes": log.notes,
        "outputs": {"scores": target, "events": events_target},
    }
    for note in log.notes:
        output.warn(note)
    if run.stale is not None and run.stale.is_stale:
        output.warn(run.stale.statement())
    if not run.tally.n_scored:
        output.warn(
            f"no row could be scored: {run.tally.n_rows:,} rows read; a first score needs a whole window of rows"
        )
    output.summary(f"Scored {max(1, len(log.log.files)):,} file(s)", rows, data)


def _refuse_bad_files(log: SortedLog) -> None:
    bad, n_good = log.log.bad_files, len(log.log.files)
    if bad:
        raise DataError(
            f"{len(bad)} of {n_good + len(bad)} files could not be scored",
            where=", ".join(bad),
            hint="the summary says why; the others were scored",
        )

"""``sensorad stream``: rows as they come, scores and news of events as JSON lines, through restarts."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from sensorad.errors import DataError
from sensorad_cli.files import STANDARD
from sensorad_cli.group import command as make_command
from sensorad_cli.output import Output
from sensorad_cli.params import DURATION
from sensorad_cli.stream_options import StreamLog, stream_log_options
from sensorad_cli.tally import stale_rows

if TYPE_CHECKING:
    from sensorad_cli.stream_run import RunCounts, StreamRun

__all__ = ["command"]

ALARMS_FOUND = 10


@make_command("stream")
@click.argument("log", default=STANDARD, metavar="[LOG]")
@click.option("-m", "--model", required=True, metavar="MODEL", help="Detector made by fit.")
@click.option(
    "--state",
    metavar="DIR",
    help="Directory that keeps buffers, place in the log and events; a rerun goes on where the last one was.",
)
@click.option("--events-only", is_flag=True, help="Print events, no score rows.")
@click.option("--follow", is_flag=True, help="Wait for more at the end of the file, also after it was rotated.")
@click.option(
    "--finish", is_flag=True, help="With --state: the log is complete; score rows that wait and close open events."
)
@click.option(
    "--lateness", type=DURATION, default=0.0, metavar="DURATION", help="Wait this long for rows that are out of order."
)
@click.option("--heartbeat", type=DURATION, metavar="DURATION", help="Counts as a JSON line on stderr, this often.")
@click.option(
    "--commit-every",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Most rows between two commits to the state.",
)
@click.option(
    "--commit-seconds",
    type=DURATION,
    default=1.0,
    show_default=True,
    metavar="DURATION",
    help="Longest time between two commits; news of an event is committed at once.",
)
@click.option("--network", metavar="FILE.onnx", help="Run the detector's network from this export instead of torch.")
@click.option("--strict", is_flag=True, help="End with code 3 if there were lines that cannot be scored.")
@click.option("--exit-code", is_flag=True, help=f"End with code {ALARMS_FOUND} when there are alarm events.")
@stream_log_options
@click.pass_context
def command(
    ctx: click.Context,
    log: str,
    model: str,
    state: str | None,
    events_only: bool,
    follow: bool,
    finish: bool,
    lateness: float,
    heartbeat: float | None,
    commit_every: int,
    commit_seconds: float,
    network: str | None,
    strict: bool,
    exit_code: bool,
    stream_log: StreamLog,
) -> int:
    """Score rows as they come: JSON or CSV lines on stdin or in a file, or a stored log replayed.

    A line is {"time": ..., "group": ..., "values": {...}}, or flat with the sensors beside the time, or a line of CSV
    under a header. Answers are JSON lines on stdout. SIGTERM and SIGINT end the run in good order, with code 0.
    """
    import sensorad
    from sensorad_cli.stream_output import LineWriter
    from sensorad_cli.stream_run import Pace, StreamRun
    from sensorad_cli.stream_stop import Stop
    from sensorad_cli.stream_store import StateDirectory

    output = ctx.ensure_object(Output)
    output.stdout_is_data = True
    stream_log.check(log, follow=follow)
    detector = sensorad.load(model, has_model=False)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        sink = None if state is None else stack.enter_context(StateDirectory(state))
        committed = None if sink is None else sink.committed()
        stream = detector.stream(
            None if committed is None else committed.state, lateness_seconds=lateness, network=network
        )
        source = stream_log.open(
            log, detector, stop, output.warn, follow=follow, place=None if committed is None else committed.source
        )
        run = StreamRun(
            stream,
            source,
            sink,
            LineWriter(sys.stdout.fileno(), stop),
            stop,
            Pace(commit_every, commit_seconds, heartbeat or 0.0),
            writes_rows=not events_only,
            is_last=finish,
            lateness_seconds=lateness,
            warn=output.warn,
        )
        counts = run.run()
        was_stopped = stop.is_set
    _summarise(output, log, run, state)
    if strict and counts.broken:
        hint = "each is named above; without --strict they are only counted"
        raise DataError(f"{counts.broken:,} lines could not be scored", where=log, hint=hint)
    return ALARMS_FOUND if exit_code and counts.alarms and not was_stopped else 0


def _summarise(output: Output, log: str, run: StreamRun, state: str | None) -> None:
    counts = run.counts
    rows = [("rows", _rows_in_words(counts)), ("events", f"{counts.opened:,} opened, {counts.closed:,} closed")]
    if counts.seen:
        rows.append(("seen before", f"{counts.seen:,} rows, passed over"))
    if counts.broken:
        rows.append(("broken", f"{counts.broken:,} lines, not scored"))
        output.warn(f"{counts.broken:,} lines could not be scored")
    rows += stale_rows(run.verdict)
    if state is not None:
        rows.append(("state", state))
    data = counts.to_json() | {
        "state": state,
        "calibration": None if run.verdict is None else run.verdict.to_json(),
    }
    output.summary(f"Streamed {'stdin' if log == STANDARD else log}", rows, data)


def _rows_in_words(counts: RunCounts) -> str:
    parts = [f"{n:,} {name}" for name, n in counts.status.items() if n]
    parts += [f"{counts.held:,} waiting"] if counts.held else []
    return f"{counts.rows:,}" + (f" = {' + '.join(parts)}" if parts else "")

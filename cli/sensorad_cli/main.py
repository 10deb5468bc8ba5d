"""Entry point of the ``sensorad`` command: parses, runs one command, turns every failure into one line.

>>> main(["--version"])  # doctest: +ELLIPSIS
sensorad ...
0
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import click

import sensorad
from sensorad_cli.failures import PIPE_CLOSED, OutputClosed, Terminated, failure_of
from sensorad_cli.group import HELP_NAMES, LazyGroup, output_options
from sensorad_cli.output import Output

__all__ = ["cli", "main"]

EPILOG = """\
Every option can also come from the environment (SENSORAD_FIT_MODEL is --model of fit) or from a TOML file
(--config); the command line wins over the environment, and the environment over the file.

\b
Shell completion:
  bash   eval "$(_SENSORAD_COMPLETE=bash_source sensorad)"     in ~/.bashrc
  zsh    eval "$(_SENSORAD_COMPLETE=zsh_source sensorad)"      in ~/.zshrc
  fish   _SENSORAD_COMPLETE=fish_source sensorad | source      in config.fish

\b
Exit codes: 0 done, 1 unexpected failure, 2 usage, 3 data, 4 artefact (detector), 5 input/output,
10 alarms found (only with --exit-code of score and stream).
"""


@click.group(
    cls=LazyGroup,
    params=[*output_options(), click.Option(["--version"], is_flag=True, help="Print the version and stop.")],
    context_settings={**HELP_NAMES, "auto_envvar_prefix": "SENSORAD"},
    epilog=EPILOG,
    invoke_without_command=True,
)
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """Learn what normal looks like from multi-sensor plant logs, and alarm within a stated budget.

    \b
    sensorad demo                                          the whole job on a simulated plant
    sensorad fit normal.parquet -o pump.sensorad --time time --budget 1/week
    sensorad score new.parquet -m pump.sensorad -o scores.parquet --events events.parquet
    sensorad report scores.parquet -m pump.sensorad -o report.html
    """
    if version:
        click.echo(f"sensorad {sensorad.__version__}")
        ctx.exit(0)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but `SystemExit` from the interpreter ever leaves."""
    output = Output()
    previous = _install_handlers(output)
    try:
        result = cli.main(args, prog_name="sensorad", standalone_mode=False, obj=output)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except SystemExit as asked:  # click's shell completion ends this way
        code = asked.code if isinstance(asked.code, int) else 1
    except BaseException as error:
        if isinstance(error, BrokenPipeError):
            error = OutputClosed()
        failure = failure_of(error)
        if failure.code:
            _say(failure.line)
            if failure.exit_code == 1:
                output.trace(error)
        code = failure.exit_code
    finally:
        _restore_handlers(previous)
    if code == PIPE_CLOSED:
        _forget_stdout()
    return code


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # where nobody listens on stderr, the exit code still tells
        print(line, file=sys.stderr, flush=True)


def _install_handlers(output: Output) -> tuple[Any, Any]:
    """Make SIGTERM an exception, so that temporary files go, and each Python warning one plain line."""
    show = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: output.warn(str(message))
    if threading.current_thread() is not threading.main_thread():
        return show, None
    return show, signal.signal(signal.SIGTERM, _terminate)


def _restore_handlers(previous: tuple[Any, Any]) -> None:
    warnings.showwarning, handler = previous
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Point stdout at nothing: the interpreter flushes it once more at exit and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

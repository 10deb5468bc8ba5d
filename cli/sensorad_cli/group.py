"""The command group that loads a command only when it is asked for, and what all commands share.

``sensorad --help`` must answer within half a second, so the short help of each command stands here in a
table (a test compares it with the commands) and nothing heavy is imported.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any

import click

from sensorad.errors import UsageError
from sensorad_cli.config import defaults_for
from sensorad_cli.failures import OutputClosed
from sensorad_cli.output import Output

__all__ = ["COMMANDS", "Command", "CommandGroup", "LazyGroup", "command", "output_options"]

COMMANDS = {
    "demo": "Show the whole job on a simulated plant.",
    "fit": "Learn a detector from a log of normal operation.",
    "score": "Score every row of a log.",
    "stream": "Score rows as they come, through restarts.",
    "calibrate": "Set a new threshold without retraining.",
    "events": "Turn stored scores into events without a model run.",
    "diff": "List the events that another calibration would gain and lose.",
    "label": "Say of an event that it was a fault or a false alarm.",
    "inspect": "Say what a detector has learned and promises.",
    "export": "Write a detector as one ONNX file.",
    "data": "List, fetch or make data sets.",
    "inject": "Put synthetic faults into a log.",
    "report": "Write one self-contained HTML file.",
    "bench": "Measure detectors beside simple baselines.",
    "image": "Run published image experiments on the same trainer.",
}

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def output_options() -> list[click.Parameter]:
    """The options that stand before or after the command's name alike."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE.toml",
            is_eager=True,
            expose_value=False,
            callback=_use_config,
            help="Take options from a TOML file: top-level keys for all commands, a table for each.",
        ),
        click.Option(
            ["--json", "as_json"], is_flag=True, expose_value=False, callback=_use_json, help="Print results as JSON."
        ),
        click.Option(["-v", "--verbose"], count=True, expose_value=False, callback=_louder, help="Say more."),
        click.Option(
            ["-q", "--quiet"], count=True, expose_value=False, callback=_quieter, help="Say nothing but errors."
        ),
    ]


def _use_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    output = ctx.ensure_object(Output)
    output.config = value or output.config
    # The group's own context only remembers the file; the command's context reads it, being processed first of
    # all its options.
    if output.config and ctx.parent is not None and not ctx.resilient_parsing:
        ctx.default_map = defaults_for(ctx, output.config)


def _use_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Output).as_json |= value


def _louder(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.ensure_object(Output).verbosity += value


def _quieter(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.ensure_object(Output).verbosity -= value


class Command(click.Command):
    """A command with the shared output options at its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **kwargs)
        self.params.extend(output_options())


class CommandGroup(click.Group):
    """A command with subcommands, such as ``data``; its subcommands carry the shared options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **kwargs)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Decorator that makes a function one of the commands; its short help comes from `COMMANDS`."""
    return click.command(name, cls=Command, short_help=COMMANDS[name], **kwargs)


class LazyGroup(click.Group):
    """The group of all commands; the module of each is imported when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"sensorad_cli.commands.{cmd_name}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise UsageError(f"there is no command {name!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would end the process with code 1 here
            raise OutputClosed from error

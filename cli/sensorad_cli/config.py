"""Options from a TOML file: top-level keys for every command, one table for each command.

::

    time = "datetime"            # for each command that has --time
    [fit]
    sensors = ["TI-101", "PI-7"]
    budget = "1/week"
    [data.make]
    days = 14

What is given on the command line or in the environment wins over the file. A key that no command
knows is refused, so that a misspelt option never goes unnoticed.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from sensorad.errors import StorageError, UsageError
from sensorad_cli.params import parse_names

__all__ = ["defaults_for", "read_config"]


def read_config(path: str) -> dict[str, Any]:
    """The file as tables; `StorageError` when unreadable, `UsageError` when it is no TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read the configuration: {error.strerror}", where=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration is not valid TOML: {error}", where=path) from error


def defaults_for(ctx: click.Context, path: str) -> dict[str, Any]:
    """Default values by parameter name for the command of ``ctx``, from the file at ``path``."""
    root = ctx.find_root()
    table = read_config(path)
    shared = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    _check_shared(shared, root, path)
    values = [_find(ctx.command, key, value, path) for key, value in shared.items()]
    place = ""
    for parent in reversed([step for step in _chain(ctx) if step is not root]):
        name = str(parent.info_name)
        siblings = _children(parent.parent.command, root) if parent.parent else {}
        if unknown := [key for key, value in table.items() if isinstance(value, Mapping) and key not in siblings]:
            raise UsageError(
                f"there is no command [{place}{unknown[0]}]", where=path, hint=_closest(unknown[0], siblings)
            )
        table = table.get(name, {})
        if not isinstance(table, Mapping):
            raise UsageError(f"[{place}{name}] must be a table of options", where=path)
        place += f"{name}."
    subcommands = _children(ctx.command, root)
    for key, value in table.items():
        if key in subcommands:
            continue
        found = _find(ctx.command, key, value, path)
        if found is None:
            hint = _closest(key, _keys(ctx.command))
            raise UsageError(f"[{place[:-1]}] has no option {key!r}", where=path, hint=hint)
        values.append(found)
    return dict(value for value in values if value is not None)


def _check_shared(shared: Mapping[str, Any], root: click.Context, path: str) -> None:
    if not shared:
        return
    commands = list(_descendants(root.command, root))
    for key, value in shared.items():
        if not any(_find(command, key, value, path) for command in commands):
            hint = _closest(key, {name for command in commands for name in _keys(command)})
            raise UsageError(f"no command has the option {key!r}", where=path, hint=hint)


def _chain(ctx: click.Context) -> Iterator[click.Context]:
    step: click.Context | None = ctx
    while step is not None:
        yield step
        step = step.parent


def _children(command: click.Command, root: click.Context) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    found = {name: command.get_command(root, name) for name in command.list_commands(root)}
    return {name: child for name, child in found.items() if child is not None}


def _descendants(command: click.Command, root: click.Context) -> Iterator[click.Command]:
    for child in _children(command, root).values():
        yield child
        yield from _descendants(child, root)


def _options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and p.name != "config"]


def _keys(command: click.Command) -> list[str]:
    flags = (flag for option in _options(command) for flag in (*option.opts, *option.secondary_opts))
    return [flag[2:] for flag in flags if flag.startswith("--")]


def _find(command: click.Command, key: str, value: Any, path: str) -> tuple[str, Any] | None:
    """Parameter name and value for a key such as ``merge-gap``, ``merge_gap`` or ``no-linear-part``."""
    flag = "--" + key.replace("_", "-")
    for option in _options(command):
        if option.name is None:
            continue
        if flag in option.opts:
            return option.name, _value(option, value, path)
        if flag in option.secondary_opts:
            return option.name, not value
    return None


def _value(option: click.Option, value: Any, path: str) -> Any:
    flag = max(option.opts, key=len)
    if isinstance(value, Mapping):
        raise UsageError(f"option {flag} takes a value, not a table", where=path)
    if option.multiple:
        return (
            list(parse_names([value])) if isinstance(value, str) else [*value] if isinstance(value, list) else [value]
        )
    if isinstance(value, list):
        raise UsageError(f"option {flag} takes one value, not a list", where=path)
    return value


def _closest(word: str, known: Iterable[str]) -> str:
    candidates = sorted(set(known))
    near = difflib.get_close_matches(word.replace("_", "-"), candidates, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(candidates)}"

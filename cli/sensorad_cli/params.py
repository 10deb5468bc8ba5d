"""Kinds of option values that several commands share: name lists, renames, durations."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.core import ParameterSource

__all__ = ["DURATION", "Duration", "names", "parse_names", "parse_renames"]

SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
}


class Duration(click.ParamType[float]):
    """A length of time: a number of seconds, or a number with one of ms, s, min, h, d, w.

    Examples
    --------
    >>> Duration().convert("1.5h", None, None)
    5400.0
    """

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*([a-z]*)\s*", str(value), flags=re.IGNORECASE)
            unit = (match[2].lower() or "s") if match else ""
            scale = 1e-3 if unit == "ms" else SECONDS.get(unit, SECONDS.get(unit.rstrip("s")))
            if match is None or scale is None:
                self.fail(
                    f"{value!r} is no length of time; write seconds, or for example 90s, 10min, 2h, 1d", param, ctx
                )
            seconds = float(match[1]) * scale
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no length of time; it must be finite and not negative", param, ctx)
        return seconds


DURATION = Duration()


class _OneString(click.ParamType[str]):
    """A string that an environment variable gives whole: click would split it at blanks, which names may contain."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


def parse_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Names from comma-separated texts; a name with a comma is written in double quotes.

    Examples
    --------
    >>> parse_names(["TI-101,PI-7", '"flow, raw"'])
    ('TI-101', 'PI-7', 'flow, raw')
    """
    rows = csv.reader(texts, skipinitialspace=True, strict=False)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def parse_renames(texts: Iterable[str]) -> dict[str, str]:
    """Pairs ``OLD=NEW``: the column OLD of the log is the one that the detector knows as NEW."""
    pairs: dict[str, str] = {}
    for text in texts:
        old, sign, new = text.partition("=")
        if not (sign and old.strip() and new.strip()):
            raise click.BadParameter(f"{text!r} is not of the form OLD=NEW", param_hint="'--rename'")
        if old.strip() in pairs:
            raise click.BadParameter(f"{old.strip()!r} is renamed twice", param_hint="'--rename'")
        pairs[old.strip()] = new.strip()
    return pairs


def names(flag: str, *, help: str) -> Any:
    """An option for a list of names: repeated, comma-separated, or an exact list in a configuration file."""

    def split(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        if param.name is not None and ctx.get_parameter_source(param.name) is ParameterSource.DEFAULT_MAP:
            return value
        return parse_names(value)

    return click.option(flag, multiple=True, type=_OneString(), callback=split, metavar="NAME,...", help=help)

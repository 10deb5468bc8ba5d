"""The options of the event rule: when scores become an event, and when it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import UsageError
from sensorad_cli.params import Duration

if TYPE_CHECKING:
    from sensorad.events import EventRule

__all__ = ["EventOptions", "RowsOrDuration", "event_options"]


class RowsOrDuration(click.ParamType["int | float"]):
    """A number of rows, or a length of time with its unit: 30 is rows, 30min is time."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        if isinstance(value, int | float):
            return value
        text = str(value).strip()
        if text.isdecimal():
            return int(text)
        seconds: float = Duration().convert(text, param, ctx)
        return seconds


@dataclass(frozen=True, slots=True)
class EventOptions:
    """What the user said about events; None where nothing was said. A float is in seconds, an int in rows."""

    min_rows: int | None = None
    merge_gap: int | float | None = None
    release: float | None = None
    refractory: int | float | None = None

    def rule(self, learned: EventRule) -> EventRule:
        """The detector's rule, changed where the user said something else."""
        said: dict[str, Any] = {"min_rows": self.min_rows, "release": self.release}
        said["merge_gap_rows"] = _in_rows(self.merge_gap, "--merge-gap", learned.step_seconds)
        said["refractory_rows"] = _in_rows(self.refractory, "--refractory", learned.step_seconds)
        return replace(learned, **{name: value for name, value in said.items() if value is not None})


def _in_rows(length: int | float | None, option: str, step_seconds: float | None) -> int | None:
    """Whole rows in a length of time."""
    if not isinstance(length, float):
        return length
    if step_seconds is None:
        raise UsageError("the detector knows no time between rows", hint=f"give {option} in rows, as 30")
    return int(length / step_seconds + 1e-6)  # 0.7 s are 7 rows of 0.1 s, although 0.7 / 0.1 is less than 7


def event_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``event_options=EventOptions(...)``."""

    @click.option(
        "--min-rows", type=click.IntRange(min=1), metavar="N", help="Rows above the threshold that an event needs."
    )
    @click.option(
        "--merge-gap",
        type=RowsOrDuration(),
        metavar="GAP",
        help="Longest pause bridged within an event: 30 (rows) or 30min.",
    )
    @click.option("--release", type=float, metavar="SHARE", help="Share of the threshold below which an event ends.")
    @click.option(
        "--refractory",
        type=RowsOrDuration(),
        metavar="GAP",
        help="Time after an event in which the same machine opens no other: 60 (rows) or 1h.",
    )
    @functools.wraps(function)
    def packed(
        *args: Any,
        min_rows: int | None,
        merge_gap: int | float | None,
        release: float | None,
        refractory: int | float | None,
        **kwargs: Any,
    ) -> Any:
        return function(*args, event_options=EventOptions(min_rows, merge_gap, release, refractory), **kwargs)

    return packed

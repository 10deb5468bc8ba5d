"""The options that say how a log is to be read, composed once for every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import click

from sensorad_cli.params import DURATION, names, parse_renames

if TYPE_CHECKING:
    from sensorad.logs import LogFormat

__all__ = ["LogOptions", "log_options"]

TIME_UNITS = ("s", "ms", "us", "ns", "min", "h")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the user said about a log; None or empty where nothing was said."""

    time: str | None = None
    sensors: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    group: str | None = None
    mode: str | None = None
    label: str | None = None
    layout: str | None = None
    tag: str | None = None
    value: str | None = None
    quality: str | None = None
    time_zone: str | None = None
    time_unit: str | None = None
    time_step: float | None = None
    time_origin: str | None = None
    rename: tuple[str, ...] = ()
    allow_missing: int = field(default=0)
    duplicates: str = field(default="first")
    strict: bool = field(default=False)

    @property
    def keep(self) -> Literal["first", "last"]:
        """Which of several rows of one time is scored."""
        return "last" if self.duplicates == "last" else "first"

    @property
    def on_conflict(self) -> str:
        """What scoring does with rows of one time that differ, after `keep` has put them in order."""
        return "error" if self.duplicates == "error" else "first"

    def log_format(self, learned: LogFormat | None = None) -> LogFormat:
        """The format to read with: ``learned``, changed where the user said something else.

        Sensors, labels and modes are not taken over: the detector's schema names the sensors, and a later log need
        not have the others.
        """
        from sensorad.logs import LogFormat

        said: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("time", "group", "mode", "label", "layout", "tag", "value", "quality", "time_zone")
        }
        said |= {"time_unit": self.time_unit, "time_step_seconds": self.time_step, "time_origin": self.time_origin}
        said = {name: value for name, value in said.items() if value is not None}
        for name in ("sensors", "exclude"):
            if getattr(self, name):
                said[name] = getattr(self, name)
        if self.rename:
            said["rename"] = tuple(parse_renames(self.rename).items())
        if learned is None:
            return LogFormat(**said)
        # A time column and a time step exclude each other: what is said now replaces what was learned then.
        if "time_step_seconds" in said:
            said = {"time": None, "time_unit": None} | said
        elif "time" in said:
            said = {"time_step_seconds": None} | said
        return replace(learned, **said)

    def label_format(self) -> LogFormat:
        """The format of a label table: zone and unit of its times, name of its group column."""
        from sensorad.logs import LogFormat

        unit: Any = self.time_unit
        return LogFormat(group=self.group, time_zone=self.time_zone, time_unit=unit, time_origin=self.time_origin)


_LEARNING = (
    names("--sensors", help="Sensor columns; by default every numeric column that is not named otherwise."),
    names("--exclude", help="Numeric columns that are no sensors."),
)

_READING = (
    click.option("--time", metavar="NAME", help="Time column; by default the only one that could be it."),
    click.option("--group", metavar="NAME", help="Column of the machine id, where a log holds several machines."),
    click.option("--mode", metavar="NAME", help="Column of the operating mode."),
    click.option("--label", metavar="NAME", help="0/1 column of known anomalies; never used as a sensor."),
    click.option(
        "--layout", type=click.Choice(["wide", "long"]), help="long: one row for each reading (time, tag, value)."
    ),
    click.option("--tag", metavar="NAME", help="Long layout: column of the sensor names.  [default: tag]"),
    click.option("--value", metavar="NAME", help="Long layout: column of the values.  [default: value]"),
    click.option(
        "--quality", metavar="NAME", help="Long layout: column of the quality; bad readings count as missing."
    ),
    click.option("--time-zone", metavar="ZONE", help="Zone of times that carry none: UTC, Europe/Berlin, +02:00."),
    click.option("--time-unit", type=click.Choice(TIME_UNITS), help="Unit of times that are plain numbers."),
    click.option(
        "--time-step", type=DURATION, metavar="DURATION", help="No time column: rows are this far apart, as 60s."
    ),
    click.option("--time-origin", metavar="TIME", help="Time from which plain numbers or rows are counted."),
    click.option(
        "--rename", multiple=True, metavar="OLD=NEW", help="The log's column OLD is the sensor NEW; repeatable."
    ),
)

_SCORING = (
    click.option(
        "--allow-missing",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Score without up to N missing sensors, as 'degraded'.",
    ),
    click.option(
        "--duplicates",
        type=click.Choice(["first", "last", "error"]),
        default="first",
        show_default=True,
        help="Rows with the same time but other values: score the first or the last of them, or refuse.",
    ),
)

_STRICT = (
    click.option("--strict", is_flag=True, help="Refuse a log whose rows are not sorted, instead of sorting it."),
)


def log_options(*, learning: bool = False, scoring: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: adds the options and hands them to the function as ``log_options=LogOptions(...)``.

    Parameters
    ----------
    learning
        The command learns the sensors (``fit``); otherwise they are those of the detector, and some may be
        allowed to be missing.
    scoring
        The log is scored; without it, and without ``learning``, sensors are no matter of these options.
    """
    if learning:
        options = (*_READING[:1], *_LEARNING, *_READING[1:], *_STRICT)
    else:
        options = (*_READING, *(_SCORING if scoring else ()), *_STRICT)
    known = {entry.name for entry in fields(LogOptions)}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def packed(*args: Any, **kwargs: Any) -> Any:
            said = {name: kwargs.pop(name) for name in known & kwargs.keys()}
            return function(*args, log_options=LogOptions(**said), **kwargs)

        for option in reversed(options):
            packed = option(packed)
        return packed

    return decorate

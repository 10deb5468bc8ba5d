"""The options that say how the rows of a stream are to be read, and the source that they lead to."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sensorad.errors import UsageError
from sensorad_cli.files import STANDARD
from sensorad_cli.log_options import TIME_UNITS, LogOptions

if TYPE_CHECKING:
    from sensorad.detector import Detector
    from sensorad_cli.stream_sources import Source
    from sensorad_cli.stream_stop import Stop

__all__ = ["StreamLog", "stream_log_options"]

STORED_ENDINGS = (".parquet", ".pq", ".gz")
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class StreamLog:
    """What the user said about the rows; None or empty where nothing was said."""

    kind: str | None = None
    time: str | None = None
    group: str | None = None
    mode: str | None = None
    time_zone: str | None = None
    time_unit: str | None = None
    time_origin: str | None = None
    rename: tuple[str, ...] = ()
    allow_missing: int = 0

    def check(self, log: str, *, follow: bool) -> None:
        """Refuse what cannot be streamed, before a detector is loaded."""
        if log == STANDARD:
            if sys.stdin.isatty():
                raise UsageError(
                    "stdin (-) is a terminal", hint="pipe JSON or CSV lines into the command, or name a file"
                )
            if follow:
                raise UsageError("--follow is for files; stdin is read until its writer closes it")
        elif follow and _is_stored(log):
            raise UsageError(f"{log} is a stored log, which does not grow", hint="leave out --follow")

    def open(
        self,
        log: str,
        detector: Detector,
        stop: Stop,
        warn: Callable[[str], None],
        *,
        follow: bool,
        place: dict[str, Any] | None,
    ) -> Source:
        """The rows of ``log``, behind ``place`` where an earlier run stopped in the same log."""
        from sensorad.logs import SensorLog
        from sensorad_cli.stream_lines import PipeBytes, open_bytes
        from sensorad_cli.stream_sources import LineSource, ReplaySource

        said = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "kind"}
        form = LogOptions(**said).log_format(detector.later_format())
        if log != STANDARD and _is_stored(log):
            stored = SensorLog(log, form, schema=detector.schema_, allow_missing=self.allow_missing)
            for note in stored.notes:
                warn(note)
            return ReplaySource(stored, log, place=place)
        if form.time_step_seconds is not None:
            raise UsageError("a stream of lines needs times, a time step cannot replace them", hint="name them: --time")
        return LineSource(
            PipeBytes(sys.stdin.fileno()) if log == STANDARD else open_bytes(log, follows=follow),
            detector.schema_.names,
            form,
            stop,
            warn,
            label="stdin" if log == STANDARD else log,
            kind=self.kind,
            allow_missing=self.allow_missing,
            place=place,
        )


_OPTIONS = (
    click.option(
        "--format", "kind", type=click.Choice(["json", "csv"]), help="Of lines; by default told by the first."
    ),
    click.option(
        "--time", metavar="NAME", help="Key or column of the time; by default as in the training log, or time."
    ),
    click.option("--group", metavar="NAME", help="Key or column of the machine; by default as for --time, or group."),
    click.option("--mode", metavar="NAME", help="Key or column of the operating mode."),
    click.option("--time-zone", metavar="ZONE", help="Zone of times that carry none: UTC, Europe/Berlin, +02:00."),
    click.option("--time-unit", type=click.Choice(TIME_UNITS), help="Unit of times that are plain numbers."),
    click.option("--time-origin", metavar="TIME", help="Time from which plain numbers are counted."),
    click.option(
        "--rename", multiple=True, metavar="OLD=NEW", help="The key or column OLD is the sensor NEW; repeatable."
    ),
    click.option(
        "--allow-missing",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Columns: score without up to N missing sensors, as 'degraded'.",
    ),
)


def stream_log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``stream_log=StreamLog(...)``."""
    known = {entry.name for entry in fields(StreamLog)}

    @functools.wraps(function)
    def packed(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in known & kwargs.keys()}
        return function(*args, stream_log=StreamLog(**said), **kwargs)

    for option in reversed(_OPTIONS):
        packed = option(packed)
    return packed


def _is_stored(log: str) -> bool:
    """Whether the log is read by columns and replayed: Parquet, compressed files, directories of files."""
    path = Path(log)
    if path.is_dir() or path.name.lower().endswith(STORED_ENDINGS):
        return True
    if not path.is_file():
        return False
    with path.open("rb") as content:
        return content.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC

"""Every way in which a command can fail, as one line on stderr and an exit code.

::

    error[E_SCHEMA]: column 'TI-101' is missing (june.parquet): did you mean 'TI101'?

The line is always one line: control characters in names and messages are shown as escapes, so a
hostile column name can neither break the line nor move the cursor of a terminal.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import click

from sensorad.errors import DataError, SensoradError, StorageError, UsageError

__all__ = [
    "INTERRUPTED",
    "PIPE_CLOSED",
    "TERMINATED",
    "Failure",
    "OutputClosed",
    "Terminated",
    "failure_of",
    "one_line",
]

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED = 141  # 128 + SIGPIPE
TERMINATED = 143  # 128 + SIGTERM
LONGEST_LINE = 2000  # characters; a longer message is cut in its middle, where the endless names are


class OutputClosed(Exception):  # noqa: N818
    """The reader of stdout went away, as in ``sensorad data list | head -1``: not worth a word."""


class Terminated(BaseException):
    """SIGTERM arrived: raised in the main thread, so that temporary files are removed on the way out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What to print (nothing when ``code`` is empty) and with which code to exit."""

    exit_code: int
    code: str = ""
    message: str = ""

    @property
    def line(self) -> str:
        return f"error[{self.code}]: {one_line(self.message)}"


def one_line(text: str) -> str:
    r"""The text as one printable line of bounded length.

    Examples
    --------
    >>> print(one_line("bad\nname \x1b[2J"))
    bad name \x1b[2J
    """
    spaced = " ".join(part.strip() for part in text.splitlines() if part.strip()) if "\n" in text else text
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in spaced)
    if len(safe) <= LONGEST_LINE:
        return safe
    half = LONGEST_LINE // 2
    return f"{safe[:half]} ... {safe[-half:]}"


def failure_of(error: BaseException) -> Failure:
    """The line and exit code for whatever ended a command."""
    if isinstance(error, SensoradError):
        return Failure(error.exit_code, error.code, str(error))
    if isinstance(error, click.ClickException):
        return _usage_failure(error)
    if isinstance(error, OutputClosed):
        return Failure(PIPE_CLOSED)
    if isinstance(error, Terminated):
        return Failure(TERMINATED, "E_TERMINATED", "stopped by SIGTERM; nothing partial was left behind")
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure(INTERRUPTED, "E_INTERRUPTED", "interrupted; nothing partial was left behind")
    if isinstance(error, OSError):
        return _storage_failure(error)
    if isinstance(error, MemoryError):
        return Failure(DataError.exit_code, DataError.code, "not enough memory: score or fit fewer sensors at once")
    kind = type(error).__name__
    message = (
        f"unexpected {kind}: {error}: this is a fault in sensorad; run again with -v for the traceback, and report it"
    )
    return Failure(SensoradError.exit_code, SensoradError.code, message)


def _usage_failure(error: click.ClickException) -> Failure:
    message = error.format_message().rstrip(".")
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "sensorad"
    hint = f"see '{command} --help'"
    return Failure(UsageError.exit_code, UsageError.code, f"{message} ({command}): {hint}")


def _storage_failure(error: OSError) -> Failure:
    if error.errno == errno.EPIPE:
        return Failure(PIPE_CLOSED)
    where = f" ({error.filename})" if error.filename else ""
    hint = {
        errno.ENOSPC: "free some space and run the same command again",
        errno.EACCES: "check the permissions",
        errno.ENOENT: "check the path",
        errno.EISDIR: "name a file instead of a directory",
    }.get(error.errno or 0, "check the path and the disk")
    what = error.strerror or str(error)
    return Failure(StorageError.exit_code, StorageError.code, f"{what}{where}: {hint}")

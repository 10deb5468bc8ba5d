"""What commands do with files before the work starts: refuse what would be lost, take a log from stdin."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sensorad.errors import StorageError, UsageError

__all__ = ["STANDARD", "claim_output", "log_paths", "refuse_among_inputs", "write_text", "written"]

STANDARD = "-"  # stdin or stdout, by the usual convention


def claim_output(path: str, *, force: bool, inputs: Sequence[str] = (), option: str = "-o") -> Path | None:
    """The path to write to, checked before any work; None stands for stdout.

    Raises
    ------
    StorageError
        The path exists and ``force`` is off, or its directory is missing or cannot be written to.
    UsageError
        Writing there would replace an input or put a result among the inputs.
    """
    if path == STANDARD:
        return None
    target = Path(path)
    refuse_among_inputs(path, inputs, option)
    if target.exists() and not force:
        raise StorageError(
            "the output exists already", where=path, hint="choose another name, or replace it with --force"
        )
    if not target.parent.is_dir():
        raise StorageError("the directory of the output does not exist", where=str(target.parent), hint="make it first")
    if not os.access(target.parent, os.W_OK):
        raise StorageError("the directory of the output cannot be written to", where=str(target.parent))
    return target


def refuse_among_inputs(path: str, inputs: Sequence[str], option: str = "-o") -> None:
    """Raise `UsageError` where a result would replace an input or lie in a directory that is one."""
    for source in inputs:
        if source != STANDARD and _is_or_holds(Path(source), Path(path)):
            hint = "write it elsewhere, or the next run would read it as a log"
            raise UsageError(f"{option} {path} is among the input", where=source, hint=hint)


def _is_or_holds(source: Path, target: Path) -> bool:
    inside = target.resolve()
    outside = source.resolve()
    return inside == outside or (outside.is_dir() and outside in inside.parents)


def write_text(path: Path, text: str, *, force: bool) -> None:
    """A text file that is complete or absent."""
    from sensorad.logs.atomic import NewFile

    with NewFile(path, force) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def written(path: Path | None, name: str) -> Iterator[Path]:
    """The path to write to; for None a temporary file of that name, copied to stdout once it is complete."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="sensorad-") as folder:
        table = Path(folder) / name
        yield table
        with table.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def log_paths(ctx: click.Context, paths: Sequence[str]) -> list[str]:
    """The same paths, with ``-`` replaced by a temporary copy of stdin (CSV or Parquet, told by its first bytes).

    A log is read more than once (roles, order, rows), which a pipe cannot do. The copy goes when ``ctx`` closes.
    """
    if paths.count(STANDARD) > 1:
        raise UsageError("stdin (-) is named twice", hint="name it once")
    return [_spool_stdin(ctx) if path == STANDARD else path for path in paths]


def _spool_stdin(ctx: click.Context) -> str:
    if sys.stdin.isatty():
        raise UsageError("stdin (-) is a terminal", hint="pipe a CSV or Parquet log into the command")
    folder = ctx.with_resource(tempfile.TemporaryDirectory(prefix="sensorad-stdin-"))
    stream = sys.stdin.buffer
    head = stream.read(4)
    path = Path(folder) / ("stdin.parquet" if head == b"PAR1" else "stdin.csv")
    with path.open("wb") as copy:
        copy.write(head)
        shutil.copyfileobj(stream, copy, 1 << 20)
    return str(path)

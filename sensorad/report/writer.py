"""Putting a report on disk: complete or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from sensorad.errors import StorageError
from sensorad.report.data import ReportData
from sensorad.report.html import render_report

__all__ = ["write_report"]


def write_report(path: str | os.PathLike[str], data: ReportData, force: bool = False) -> Path:
    """Write the report as one HTML file, absent or complete at every moment.

    Parameters
    ----------
    path
        File to write; its directory must exist.
    data
        What to show.
    force
        Replace an existing file.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StorageError
        The file exists (without ``force``), or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(Path(folder) / "report.html", ReportData(title="Pump 7"))
    ...     page.name, page.read_text(encoding="ascii").startswith("<!DOCTYPE html>")
    ('report.html', True)
    """
    path = Path(path)
    temporary = path.parent / f".sensorad-{secrets.token_hex(6)}.tmp"
    try:
        _check_target(path, force)
        content = render_report(data).encode("ascii")
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _check_target(path, force)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise StorageError(
            f"the report could not be written: {error.strerror or error}",
            where=str(path),
            hint="check that the directory is writable and the disk has room",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def _check_target(path: Path, force: bool) -> None:
    if path.is_dir():
        raise StorageError("a file name was expected, got a directory", where=str(path), hint="add a name to it")
    if not path.parent.is_dir():
        raise StorageError("the directory does not exist", where=str(path.parent), hint="create it first")
    if path.exists() and not force:
        raise StorageError("the file exists already", where=str(path), hint="choose another name or use --force")


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable; some systems cannot open a directory and need no such call."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

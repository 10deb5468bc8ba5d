"""Paths given by a user to the files of a log, in a stable order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sensorad.errors import DataError, StorageError
from sensorad.logs.csv_files import CsvPart
from sensorad.logs.failures import reading
from sensorad.logs.parquet_files import ParquetPart
from sensorad.logs.sources import LogPart

__all__ = ["find_files", "open_file"]

PARQUET_ENDINGS = (".parquet", ".pq")
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def find_files(paths: Sequence[Path]) -> Iterator[Path | StorageError]:
    """Every file of the paths in the order given; directories recursively, sorted by name.

    Hidden files, and those that start with "_" as unfinished outputs do, are passed over inside directories.
    A path that leads nowhere is given back as the error it deserves, so that the others can still be used.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            found = sorted(_walk(path))
        except OSError as err:
            yield StorageError(f"directory cannot be listed: {err.strerror}", where=str(err.filename or path))
            continue
        if not found:
            endings = ", ".join(PARQUET_ENDINGS + CSV_ENDINGS)
            yield StorageError("directory holds no log files", where=str(path), hint=f"expected {endings}")
        yield from found


def open_file(path: Path, rename: Mapping[str, str]) -> LogPart:
    """The file as a part of a log, its columns read and checked for duplicates, its rows not yet read."""
    name = path.name.lower()
    if not name.endswith(PARQUET_ENDINGS + CSV_ENDINGS):
        with reading(str(path)):
            path.stat()
        raise DataError(
            f"unknown kind of log file {path.suffix!r}",
            where=str(path),
            hint=f"expected {', '.join(PARQUET_ENDINGS + CSV_ENDINGS)}",
        )
    return CsvPart(path, rename) if name.endswith(CSV_ENDINGS) else ParquetPart(path, rename)


def _walk(root: Path) -> Iterator[Path]:
    def fail(err: OSError) -> None:
        raise err

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            if name.lower().endswith(PARQUET_ENDINGS + CSV_ENDINGS) and not name.startswith((".", "_")):
                yield Path(folder) / name

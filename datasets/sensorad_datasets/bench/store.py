"""Rows of results in one growing file: a benchmark that was stopped goes on where it stood.

One line of ``rows.jsonl`` is one row. Rows are only ever added; of two with the same key the later one counts.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sensorad.errors import DataError, StorageError

from .tasks import Task

__all__ = ["ResultStore", "plain"]

FILE_NAME = "rows.jsonl"

Key = tuple[str, str, str, int]


class ResultStore:
    """The rows in one directory.

    Parameters
    ----------
    directory
        Made if it does not exist.

    Attributes
    ----------
    rows : list of dict
        The latest row of each key, in the order of first writing.

    Raises
    ------
    StorageError
        The directory or the file cannot be made, read or written.
    DataError
        A line in the middle of the file is damaged.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory) / FILE_NAME
        self._rows: dict[Key, dict[str, Any]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self._read()
            else:
                self.path.touch()
        except OSError as error:
            raise StorageError(f"cannot use the results: {error.strerror}", where=str(self.path)) from error

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self._rows.values())

    def has(self, task: Task) -> bool:
        """Whether every row of the task is there."""
        return all(key in self._rows for key in task.keys)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows of one task, on the disk when this returns."""
        clean = [plain(row) for row in rows]
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in clean)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"cannot keep a result: {error.strerror}", where=str(self.path)) from error
        self._rows.update((_key(row), row) for row in clean)

    def _read(self) -> None:
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                self._rows[_key(row)] = row
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    "a line is no row of results", where=f"{self.path}, line {number}", hint="remove the line"
                ) from error
        if len(whole) < len(text):
            # The end of a run that was killed while writing: that task is run again.
            os.truncate(self.path, len(whole))


def plain(value: Any) -> Any:
    """The value as strict JSON knows it: NaN and infinity become null, numpy types their Python twins."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _key(row: Mapping[str, Any]) -> Key:
    return (str(row["set"]), str(row["series"]), str(row["method"]), int(row["seed"]))

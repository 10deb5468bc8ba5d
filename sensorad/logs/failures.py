"""Where a problem is, and how failures of files become errors that name the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sensorad.errors import DataError, StorageError

__all__ = ["Place", "reading", "writing"]


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a file or table; ``first_row`` counts from 0 within it.

    Examples
    --------
    >>> Place("log.csv", first_row=100).at("TI-101", 7)
    "log.csv, column 'TI-101', row 107"
    """

    file: str = ""
    first_row: int = 0

    def at(self, column: str | None = None, row: int | None = None) -> str:
        """The file, the column and the row (counted from 0, the header not counted)."""
        parts = [self.file] if self.file else []
        if column is not None:
            parts.append(f"column {column!r}")
        if row is not None:
            parts.append(f"row {self.first_row + int(row)}")
        return ", ".join(parts)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what pyarrow and the system raise while ``path`` is read into a `StorageError` or `DataError`."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as err:
        raise StorageError("file does not exist", where=path, hint="check the path") from err
    except PermissionError as err:
        raise StorageError("no permission to read", where=path, hint="check owner and mode of the file") from err
    except IsADirectoryError as err:
        raise StorageError("expected a file, found a directory", where=path) from err
    # Arrow reports damaged content as OSError without errno, as ArrowInvalid, or (names in a footer) as bad UTF-8.
    except (OSError, pa.ArrowException, UnicodeDecodeError, KeyError, OverflowError, EOFError, zlib.error) as err:
        if isinstance(err, OSError) and err.errno is not None:
            raise StorageError(f"cannot be read: {err.strerror or err}", where=path) from err
        raise DataError(
            f"file is damaged, cut short or of another kind: {_first_line(err)}",
            where=path,
            hint="copy or export it again",
        ) from err


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn what pyarrow and the system raise while ``path`` is written into a `StorageError`."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as err:
        raise StorageError("directory does not exist", where=path, hint="create it first") from err
    except PermissionError as err:
        raise StorageError("no permission to write", where=path) from err
    except (OSError, pa.ArrowException) as err:
        raise StorageError(f"cannot be written: {_first_line(err)}", where=path, hint="check the free space") from err


def _first_line(err: BaseException) -> str:
    text = str(err).strip() or type(err).__name__
    line = text.splitlines()[0].rstrip(". ")
    return line if len(line) <= 200 else line[:200] + "..."

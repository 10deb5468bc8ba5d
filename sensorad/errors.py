"""Every error that sensorad raises on purpose, as one tree.

::

    SensoradError                 exit code 1   E_INTERNAL
    ├── UsageError                exit code 2   E_USAGE       wrong option or argument
    ├── DataError                 exit code 3   E_DATA        a log cannot be used as it is
    │   ├── SchemaError                         E_SCHEMA      missing, duplicated or mistyped columns
    │   ├── TimeError                           E_TIME        naive, ambiguous or impossible times
    │   ├── TooLittleDataError                  E_TOO_LITTLE  not enough rows for what was asked
    │   └── TrainingError                       E_TRAINING    training ended without usable weights
    ├── ArtefactError             exit code 4   E_ARTEFACT    damaged, foreign or newer artefact
    └── StorageError              exit code 5   E_IO          unreadable, unwritable or existing files

A message says what was expected, what came, where (file, column, row, time) and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ArtefactError",
    "DataError",
    "SchemaError",
    "SensoradError",
    "StorageError",
    "TimeError",
    "TooLittleDataError",
    "TrainingError",
    "UsageError",
    "unknown_name",
]


class SensoradError(Exception):
    """Base class: ``except SensoradError`` catches everything sensorad raises on purpose.

    Parameters
    ----------
    what
        What was expected and what came instead.
    where
        File, column, row or time, as far as known.
    hint
        What the user can do next.

    Examples
    --------
    >>> print(SchemaError("column 'TI-101' is missing", where="log.parquet", hint="did you mean 'TI101'?"))
    column 'TI-101' is missing (log.parquet): did you mean 'TI101'?
    """

    code = "E_INTERNAL"
    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        message = what
        if where:
            message += f" ({where})"
        if hint:
            message += f": {hint}"
        super().__init__(message)


class UsageError(SensoradError):
    """An option or argument is wrong, whatever the data."""

    code = "E_USAGE"
    exit_code = 2


class DataError(SensoradError):
    """A log cannot be used as it is."""

    code = "E_DATA"
    exit_code = 3


class SchemaError(DataError):
    """Columns are missing, duplicated or of a type that has no exact meaning as a number."""

    code = "E_SCHEMA"


class TimeError(DataError):
    """Times are naive, ambiguous, without a unit or outside 2000-2100."""

    code = "E_TIME"


class TooLittleDataError(DataError):
    """There are fewer rows, days or labels than the question needs; the message says how many are needed."""

    code = "E_TOO_LITTLE"


class TrainingError(DataError):
    """Training could not end with finite weights."""

    code = "E_TRAINING"


class ArtefactError(SensoradError):
    """A saved detector or state is damaged, foreign, tampered with or newer than this program."""

    code = "E_ARTEFACT"
    exit_code = 4


class StorageError(SensoradError):
    """A file or directory cannot be read or written, or exists already."""

    code = "E_IO"
    exit_code = 5


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that no registry has, with the closest one that it has.

    Examples
    --------
    >>> print(unknown_name("model", "lstn", ["linear", "lstm"]))
    there is no model 'lstn': did you mean 'lstm'?
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(names)}"
    return UsageError(f"there is no {kind} {name!r}", hint=hint)

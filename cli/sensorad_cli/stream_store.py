"""The state directory of a stream: buffers, source offset and events of one moment, committed together in SQLite.

Whoever is killed at any time leaves the last commit behind, whole. One process at a time writes; others may read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sensorad.errors import ArtefactError, StorageError
from sensorad.types import Event

__all__ = ["Committed", "StateDirectory", "committed_events"]

DATABASE = "stream.sqlite"
LOCK = "lock"
APPLICATION = 0x53454E53
"""Written into the header of the database, so that no other one is taken for ours."""

VERSION = 1
WAIT_SECONDS = 10.0
SEAL_DIGITS = 16

LISTS = ("sensors", "shares", "expected", "actual", "onsets")
REALS = ("severity", "score", "return_days")
WHOLES = ("start", "end", "peak", "n_rows")
COLUMNS = tuple(field.name for field in fields(Event))


def _declared(name: str) -> str:
    kind = "REAL" if name in REALS else "INTEGER" if name in WHOLES else "TEXT"
    return f'"{name}" {kind}{" PRIMARY KEY" if name == "event_id" else ""}'


_NAMES = ", ".join([*(f'"{name}"' for name in COLUMNS), "is_open", "seal"])
_READ = f"SELECT {_NAMES} FROM events"  # noqa: S608
_WRITE = f"INSERT OR REPLACE INTO events ({_NAMES}) VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"  # noqa: S608

TABLES = f"""
CREATE TABLE progress (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    state BLOB NOT NULL,
    source TEXT NOT NULL,
    group_name TEXT,
    seal TEXT NOT NULL
);
CREATE TABLE events ({", ".join(map(_declared, COLUMNS))}, is_open INTEGER NOT NULL, seal TEXT NOT NULL);
CREATE INDEX open_events ON events (is_open) WHERE is_open;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


class Committed(NamedTuple):
    """What a restart needs: the state of the stream, and the place in its source."""

    state: bytes
    source: dict[str, Any]


class StateDirectory:
    """Holds the directory for one process; made if it is not there.

    Raises
    ------
    StorageError
        Another process holds it, or it cannot be written.
    ArtefactError
        It holds something else, something damaged, or the work of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _make(self.path)
        self._lock = self._locked()
        try:
            with _telling(self.path):
                self._database = self._opened()
                found = self._database.execute("SELECT event_id FROM events WHERE is_open").fetchall()
            # What is in the table as open; most of a fleet's open events stay as they are from commit to commit.
            self._open: Mapping[str, Event | None] = {name: None for (name,) in found}
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> StateDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        os.close(self._lock)

    def committed(self) -> Committed | None:
        """What the last commit left; None before the first."""
        with _telling(self.path):
            row = self._database.execute("SELECT state, source, group_name, seal FROM progress").fetchone()
            if row is None:
                return None
            _check_seal(row[1:])
            return Committed(bytes(row[0]), dict(json.loads(row[1])))

    def commit(
        self,
        state: bytes,
        source: dict[str, Any],
        closed: Iterable[Event],
        ongoing: Iterable[Event],
        group_name: str | None,
    ) -> None:
        """Put everything in place at once, on the disk when this returns.

        Parameters
        ----------
        closed
            Events that are over since the last commit.
        ongoing
            All events that are open now; those that were open before and are in neither are forgotten.
        """
        is_open = {event.event_id: event for event in ongoing}
        rows = [_sealed(*_stored(event), 0) for event in closed]
        rows += [_sealed(*_stored(event), 1) for name, event in is_open.items() if event != self._open.get(name)]
        gone = [(name,) for name in self._open if name not in is_open]
        with _telling(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany("DELETE FROM events WHERE event_id = ? AND is_open", gone)
                self._database.executemany(_WRITE, rows)
                progress = (state, *_sealed(json.dumps(source), group_name))
                self._database.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?, ?)", progress)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        self._open = is_open

    def _locked(self) -> int:
        path = self.path / LOCK
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as err:
            raise StorageError(f"cannot be written: {err.strerror}", where=str(path)) from err
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(lock)
            hint = "stop it, or give each stream a directory of its own"
            raise StorageError("locked: another process streams into it", where=str(self.path), hint=hint) from err
        return lock

    def _opened(self) -> sqlite3.Connection:
        path = self.path / DATABASE
        is_new = not path.exists()
        database = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            if not is_new and (database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] or _mark(database)):
                _check(database, self.path)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if not _mark(database):
                database.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
                _sync(self.path)
        except BaseException:
            database.close()
            raise
        return database


def committed_events(path: str | os.PathLike[str]) -> tuple[list[Event], int, str | None]:
    """The events of the last commit, how many of them were open then, and the name of the machine's column.

    A stream may go on meanwhile.

    Raises
    ------
    StorageError
        There is no such directory.
    ArtefactError
        It holds something else, something damaged, or the work of a newer version.
    """
    folder = Path(path)
    if not (folder / DATABASE).is_file():
        hint = "name the directory that stream --state wrote"
        raise StorageError("there is no state of a stream", where=str(folder), hint=hint)
    with _telling(folder):
        database = sqlite3.connect(folder / DATABASE, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] and not _mark(database):
                return [], 0, None  # killed before its tables were made
            _check(database, folder)
            database.execute("BEGIN")  # both tables as of one moment
            rows = database.execute(_READ).fetchall()
            progress = database.execute("SELECT source, group_name, seal FROM progress").fetchall()
        finally:
            database.close()
        for row in (*rows, *progress):
            _check_seal(row)
        events = [_event(row[:-2]) for row in rows]
    return events, sum(row[-2] for row in rows), progress[0][1] if progress else None


def _make(path: Path) -> None:
    if not path.exists():
        try:
            path.mkdir()
        except OSError as err:
            raise StorageError(f"the state directory cannot be made: {err.strerror}", where=str(path)) from err
        _sync(path.parent)
    elif not path.is_dir():
        raise StorageError("expected a directory for the state, found a file", where=str(path))
    elif not (path / DATABASE).exists() and any(entry.name != LOCK for entry in path.iterdir()):
        hint = "give the stream a directory of its own"
        raise StorageError("the directory holds other files and no state of a stream", where=str(path), hint=hint)


def _sync(folder: Path) -> None:
    """Make sure that the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA application_id").fetchone()[0])


def _check(database: sqlite3.Connection, path: Path) -> None:
    if _mark(database) != APPLICATION:
        raise ArtefactError("this is no state of a stream", where=str(path / DATABASE), hint="name another directory")
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        what = f"the state has version {version}, this program knows up to {VERSION}"
        raise ArtefactError(what, where=str(path), hint="use the newer sensorad that wrote it")
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into our errors."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.IntegrityError) as err:
        hint = "check the free space and the permissions; the last commit is intact"
        raise StorageError(f"the state cannot be read or written: {err}", where=str(path), hint=hint) from err
    except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as err:
        hint = "start again with another directory, or restore it from a copy"
        raise ArtefactError(f"the state is damaged: {err}", where=str(path), hint=hint) from err


def _sealed(*values: Any) -> tuple[Any, ...]:
    """The values, and what tells later whether they still are the same: SQLite guards its own structure only."""
    return (*values, hashlib.sha256(json.dumps(values).encode()).hexdigest()[:SEAL_DIGITS])


def _check_seal(row: tuple[Any, ...]) -> None:
    if _sealed(*row[:-1]) != row:
        raise ValueError("the seal of a row does not match")


def _stored(event: Event) -> list[Any]:
    """One value for each column; lists as JSON, unknown numbers as null."""
    values = {name: getattr(event, name) for name in COLUMNS}
    values |= {name: json.dumps([_plain(value) for value in values[name]], allow_nan=False) for name in LISTS}
    values |= {name: None if values[name] is None else _plain(float(values[name])) for name in REALS}
    return list(values.values())


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _event(row: tuple[Any, ...]) -> Event:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in LISTS:
        values[name] = tuple(math.nan if value is None else value for value in json.loads(values[name]))
    for name in ("severity", "score"):
        values[name] = math.nan if values[name] is None else values[name]
    return Event(**values)

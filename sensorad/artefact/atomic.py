"""A directory that appears whole or not at all, also when the process is killed or the disk fills up.

Everything is written into a hidden sibling, flushed to the disk, and then renamed. Where an older directory is to be
replaced, Linux can exchange two names in one step, so that at every instant one complete directory stands under the
name. Elsewhere two renames follow each other; a kill between them leaves both complete versions under hidden names,
and a reader is told which.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sensorad.errors import StorageError

__all__ = ["check_replaceable", "displaced_versions", "fresh_directory", "write_durably"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# file systems and kernels that lack the exchange answer with one of these
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY}


@contextmanager
def fresh_directory(target: Path, *, force: bool, owned: Collection[str]) -> Iterator[Path]:
    """Yield an empty directory that becomes ``target`` when the block ends without an exception.

    Parameters
    ----------
    target
        Where the directory shall be. Missing parents are made.
    force
        Replace an existing directory, if it holds nothing but files named in ``owned``.
    owned
        The file names that this kind of directory consists of.

    Raises
    ------
    StorageError
        ``target`` exists without ``force``, or is something that must not be replaced.
    OSError
        The file system refused; ``target`` is then as it was before.
    """
    check_replaceable(target, force=force, owned=owned)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")
    staging.mkdir()
    try:
        with _locked(staging):
            yield staging
            _sync(staging)
            check_replaceable(target, force=force, owned=owned)
            _publish(staging, target)
            _sync(target.parent)
    finally:
        # what failed, or after an exchange what was replaced
        shutil.rmtree(staging, ignore_errors=True)
    _sweep(target)


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk; some file systems report a full disk only then."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def check_replaceable(target: Path, *, force: bool, owned: Collection[str]) -> None:
    """Refuse a target that cannot or must not be written: call it before hours of work, not only after."""
    where = str(target)
    if target.name in ("", "..") or "\0" in where:
        raise StorageError("the path has no name of its own", where=where, hint="name a new directory")
    if target.is_symlink():
        raise StorageError("is a symbolic link, expected a directory or nothing", where=where, hint="name its target")
    if target.exists():
        if not force:
            raise StorageError(
                "exists already", where=where, hint="choose another name, or replace it by force (--force)"
            )
        if not target.is_dir():
            raise StorageError("is a file, expected a directory or nothing", where=where, hint="choose another name")
        foreign = sorted(entry.name for entry in target.iterdir() if entry.name not in owned)
        if foreign:
            raise StorageError(
                f"holds {foreign[0]!r}, which is not part of what would be replaced",
                where=where,
                hint="nothing was deleted; move that file away or choose another name",
            )
    parent = next(folder for folder in target.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise StorageError("no permission to write here", where=str(parent), hint="choose another directory")


def displaced_versions(target: Path) -> list[Path]:
    """Complete older versions of a missing ``target``, left by a kill between two renames."""
    return [path for path in _leftovers(target) if ".old-" in path.name]


def _publish(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
    elif not _exchange(staging, target):
        aside = target.with_name(f".{target.name}.old-{secrets.token_hex(4)}")
        with _locked(target):
            target.rename(aside)
            try:
                staging.rename(target)
            except OSError:
                aside.rename(target)
                raise
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # C libraries older than the call
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _sync(directory: Path) -> None:
    """Make the names in a directory durable; without it a power cut can undo a rename."""
    if sys.platform == "win32":  # directories cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Hold a lock that dies with the process: so what a killed writer left can be told from what is being written."""
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _leftovers(target: Path) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(?:partial|old)-[0-9a-f]{{8}}")
    if not target.parent.is_dir():
        return []
    return sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name))


def _sweep(target: Path) -> None:
    """Delete what killed writers of the same target left behind; a complete version stands under its name by now."""
    for path in _leftovers(target):
        try:
            with _locked(path) as is_abandoned:
                if is_abandoned:
                    shutil.rmtree(path, ignore_errors=True)
        except OSError:  # its writer has just finished with it
            continue

"""Read an artefact that may be damaged, truncated, swapped, newer than this program, or made to do harm."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorad.artefact.atomic import displaced_versions
from sensorad.artefact.contents import (
    CALIBRATION,
    CALIBRATION_ARRAYS,
    CARD,
    DETECTOR,
    FILES,
    FORMAT,
    FORMAT_VERSION,
    HEAD_KEYS,
    SUMS,
    WEIGHTS,
    ArtefactContents,
    weights_hash,
)
from sensorad.artefact.migrations import migrate
from sensorad.artefact.strict_json import parse_object
from sensorad.artefact.tensors import HEADER_PREFIX, cut_arrays, header_length, parse_header
from sensorad.errors import ArtefactError, StorageError

__all__ = ["read_artefact"]

_MAX_BYTES = {
    SUMS: 4096,
    DETECTOR: 16 * 2**20,
    CALIBRATION: 16 * 2**20,
    CARD: 2**20,
    WEIGHTS: 2**30,
    CALIBRATION_ARRAYS: 2**30,
}
_CHUNK = 2**20
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.005
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")


def read_artefact(path: str | os.PathLike[str]) -> ArtefactContents:
    """Read and verify a directory written by `write_artefact`; any flipped bit is refused.

    Sums, names, sizes and headers are checked before memory is set aside for the arrays, every number must be
    finite, and nothing from the directory is ever executed. Files that are not part of the format are never opened.
    What the arrays must be called and shaped like follows from the configuration: see `check_arrays`.

    Raises
    ------
    ArtefactError
        A file is missing, truncated, damaged, from other weights, or not of this format; or the artefact was made
        by a newer sensorad. The message names the file.
    StorageError
        There is nothing at the path, or it cannot be read.
    """
    root = Path(path)
    for _ in range(_ATTEMPTS - 1):
        before = _identity(root)
        try:
            return _read(root)
        except (ArtefactError, StorageError):
            # a writer may have replaced the directory between two of our files: then the new one is read
            if before == _identity(root) and not displaced_versions(root):
                raise
            time.sleep(_PAUSE_SECONDS)
    return _read(root)


def _read(root: Path) -> ArtefactContents:
    _check_directory(root)
    sums = _parse_sums(_read_bytes(root, SUMS, None), str(root / SUMS))
    detector = parse_object(_read_bytes(root, DETECTOR, sums), where=str(root / DETECTOR))
    version = _check_version(detector, str(root / DETECTOR))
    # only now: a newer format may have files of which this program knows nothing
    if sums.keys() != set(FILES):
        odd = sorted(sums.keys() ^ set(FILES))[0]
        raise ArtefactError(f"{odd!r} is {'not a known file' if odd in sums else 'not listed'}", where=str(root / SUMS))
    weights = _read_arrays(root, WEIGHTS, sums)
    calibration = parse_object(_read_bytes(root, CALIBRATION, sums), where=str(root / CALIBRATION))
    calibration_arrays = _read_arrays(root, CALIBRATION_ARRAYS, sums)
    _read_bytes(root, CARD, sums)

    hashed = weights_hash(weights)
    for name, members in ((DETECTOR, detector), (CALIBRATION, calibration)):
        if members.get("weights_hash") != hashed:
            raise ArtefactError(
                "belongs to other weights", where=str(root / name), hint=f"{name} or {WEIGHTS} was swapped"
            )
    contents = ArtefactContents(
        detector=_without_head(detector),
        weights=weights,
        calibration=_without_head(calibration),
        calibration_arrays=calibration_arrays,
        hashes=sums,
        weights_hash=hashed,
        format_version=version,
        sensorad_version=str(detector.get("sensorad_version", "unknown")),
    )
    return migrate(contents, where=str(root / DETECTOR))


def _without_head(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key not in HEAD_KEYS}


def _check_version(detector: dict[str, Any], where: str) -> int:
    if detector.get("format") != FORMAT:
        raise ArtefactError(f"not a detector: format is {str(detector.get('format'))[:40]!r}", where=where)
    version = detector.get("format_version")
    if type(version) is not int or version < 1:
        raise ArtefactError(f"format_version is {str(version)[:40]!r}, expected a whole number", where=where)
    if version > FORMAT_VERSION:
        release = str(detector.get("sensorad_version", "unknown"))[:40]
        raise ArtefactError(
            f"made by a newer sensorad ({release}, format {version}; this program reads up to {FORMAT_VERSION})",
            where=where,
            hint="upgrade sensorad, or fit again with this version",
        )
    return version


def _parse_sums(data: bytes, where: str) -> dict[str, str]:
    sums: dict[str, str] = {}
    lines = data.decode("ascii", errors="replace").split("\n")
    if lines.pop() != "":
        raise ArtefactError("the last line is incomplete", where=where, hint="the file is truncated")
    for line in lines:
        match = _SUM_LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise ArtefactError(f"cannot use the line {line[:100]!r}", where=where, hint="the file is damaged")
        sums[match[2]] = match[1]
    return sums


def _read_bytes(root: Path, name: str, sums: dict[str, str] | None) -> bytes:
    with _opened(root, name) as (descriptor, size):
        if sums is not None:
            _check_sum(descriptor, size, sums, root / name)
        return _read_exactly(descriptor, size, root / name)


def _read_arrays(root: Path, name: str, sums: dict[str, str]) -> dict[str, NDArray[Any]]:
    where = str(root / name)
    with _opened(root, name) as (descriptor, size):
        _check_sum(descriptor, size, sums, root / name)
        prefix = _read_exactly(descriptor, min(size, HEADER_PREFIX), root / name)
        length = header_length(prefix, size, where=where)
        header = _read_exactly(descriptor, length, root / name)
        body_bytes = size - HEADER_PREFIX - length
        entries = parse_header(header, body_bytes, where=where)
        return cut_arrays(_read_exactly(descriptor, body_bytes, root / name), entries, where=where)


@contextmanager
def _opened(root: Path, name: str) -> Iterator[tuple[int, int]]:
    """Descriptor and size of a regular file within its cap; links and devices are refused, a pipe never blocks."""
    path = root / name
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():  # O_NOFOLLOW covers the instant after, where the system has it
        raise ArtefactError("is a symbolic link, expected a file", where=str(path), hint="copy the artefact whole")
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise ArtefactError("file is missing", where=str(path), hint="the artefact is incomplete or foreign") from None
    except OSError as error:
        raise StorageError(f"cannot read: {error.strerror}", where=str(path)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ArtefactError("is not a regular file", where=str(path))
        if status.st_size > _MAX_BYTES[name]:
            raise ArtefactError(f"has {status.st_size} bytes, at most {_MAX_BYTES[name]} are allowed", where=str(path))
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def _check_sum(descriptor: int, size: int, sums: dict[str, str], path: Path) -> None:
    """Compare the SHA-256 in small pieces, then go back to the start."""
    if path.name not in sums:
        raise ArtefactError(f"{path.name!r} is not listed", where=str(path.with_name(SUMS)), hint="the file is damaged")
    digest = hashlib.sha256()
    for start in range(0, size, _CHUNK):
        digest.update(_read_exactly(descriptor, min(_CHUNK, size - start), path))
    if digest.hexdigest() != sums[path.name]:
        raise ArtefactError(f"does not match its line in {SUMS}", where=str(path), hint="damaged or changed by hand")
    os.lseek(descriptor, 0, os.SEEK_SET)


def _read_exactly(descriptor: int, size: int, path: Path) -> bytes:
    pieces = []
    while size:
        try:
            piece = os.read(descriptor, size)
        except OSError as error:
            raise StorageError(f"cannot read: {error.strerror}", where=str(path)) from error
        if not piece:
            raise ArtefactError("ended while being read", where=str(path), hint="the file is truncated")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _check_directory(root: Path) -> None:
    try:
        if root.is_dir():
            return
    except OSError as error:
        raise StorageError(f"cannot read: {error.strerror}", where=str(root)) from error
    if root.exists():
        raise ArtefactError("is a file, expected an artefact directory", where=str(root))
    displaced = displaced_versions(root)
    if displaced:
        raise StorageError(
            "a replacement was interrupted",
            where=str(root),
            hint=f"the former artefact is whole: rename {displaced[-1]}",
        )
    raise StorageError("no such artefact", where=str(root))


def _identity(root: Path) -> tuple[int, int, int] | None:
    try:
        status = root.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns

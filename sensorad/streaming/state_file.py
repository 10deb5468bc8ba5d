"""The state of a stream as one run of bytes, and in one file: whole, checked, and never executed.

::

    16 bytes   "sensorad stream\\n"
     4 bytes   version of the format, little-endian
    32 bytes   SHA-256 of all that follows
     8 bytes   length of the JSON object that follows
               JSON: whose state it is, and the state itself, with ``{"array": number, "dtype": name}`` for each array
               safetensors: the arrays "0", "1", ...; floats as whole numbers of the same bits, because NaN and
               infinities are no strangers in a state
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact.strict_json import dump_object, parse_object
from sensorad.artefact.tensors import HEADER_PREFIX, cut_arrays, encode_arrays, header_length, parse_header
from sensorad.errors import ArtefactError, StorageError

__all__ = ["FORMAT_VERSION", "pack", "read_state", "unpack", "write_state"]

MAGIC = b"sensorad stream\n"
FORMAT_VERSION = 2
"""1 = states that knew nothing of the calibration; what they hold is taken, and watching it starts anew."""
HEAD_BYTES = len(MAGIC) + 4 + 32 + 8
MAX_BYTES = 2**31
MAX_JSON_BYTES = 2**28
"""Names of a million machines fit."""

BITS = {"float64": "uint64", "float32": "uint32", "float16": "uint16"}
NEW_STREAM = "start a new stream without it"
OWNERS = {"model": "another model", "calibration": "another calibration of the model"}


def pack(state: Mapping[str, Any], owner: Mapping[str, str]) -> bytes:
    """The bytes of a state; ``owner`` has the hashes of "model" and "calibration" that it belongs to."""
    arrays: dict[str, NDArray[Any]] = {}
    text = dump_object({"owner": dict(owner), "state": _without_arrays(state, arrays)}, where="stream state")
    body = len(text).to_bytes(8, "little") + text + encode_arrays(arrays, where="stream state")
    return MAGIC + FORMAT_VERSION.to_bytes(4, "little") + hashlib.sha256(body).digest() + body


def unpack(data: bytes, owner: Mapping[str, str], *, where: str = "stream state") -> dict[str, Any]:
    """The state in ``data``, once it is found whole and to belong to ``owner``.

    Raises
    ------
    ArtefactError
        No state, damaged, made by a newer version, or with another model or calibration; says which.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise ArtefactError("not the state of a stream", where=where, hint=NEW_STREAM)
    at = len(MAGIC)
    version = int.from_bytes(data[at : at + 4], "little")
    if version > FORMAT_VERSION:
        raise ArtefactError(
            f"made by a newer sensorad (format {version}; this program reads up to {FORMAT_VERSION})",
            where=where,
            hint="upgrade sensorad, or start a new stream",
        )
    if version < 1 or len(data) < HEAD_BYTES or hashlib.sha256(data[at + 36 :]).digest() != data[at + 4 : at + 36]:
        raise ArtefactError("the state is damaged: its checksum does not match", where=where, hint=NEW_STREAM)
    length = int.from_bytes(data[at + 36 : HEAD_BYTES], "little")
    if length > min(MAX_JSON_BYTES, len(data) - HEAD_BYTES):
        raise ArtefactError(f"claims {length} bytes of JSON", where=where, hint=NEW_STREAM)
    found = parse_object(data[HEAD_BYTES : HEAD_BYTES + length], where=where)
    stored = found.get("owner")
    for name, what in OWNERS.items():
        if not isinstance(stored, dict) or stored.get(name) != owner[name]:
            raise ArtefactError(
                f"belongs to {what}", where=where, hint="use the detector that it was made with, or start a new stream"
            )
    state = _with_arrays(found.get("state"), _arrays(data[HEAD_BYTES + length :], where), where)
    if not isinstance(state, dict):
        raise ArtefactError("holds no state", where=where, hint=NEW_STREAM)
    if version == 1:
        core = state.get("core")
        feed = core.get("feed") if isinstance(core, dict) else None
        if isinstance(feed, dict):
            feed.setdefault("monitor", None)
    return state


def write_state(path: str | os.PathLike[str], data: bytes) -> None:
    """Write the file, or leave the one that was there: flushed to the disk, then renamed."""
    target = Path(path)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as err:  # ValueError: a NUL in the path
        reason = getattr(err, "strerror", None) or err
        raise StorageError(f"cannot write the state: {reason}", where=str(target), hint="choose another place") from err


def read_state(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, of a size that a state may have."""
    source = Path(path)
    try:
        with source.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ArtefactError("is not a regular file", where=str(source))
            if status.st_size > MAX_BYTES:
                raise ArtefactError(f"has {status.st_size} bytes, at most {MAX_BYTES} are allowed", where=str(source))
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        raise StorageError("there is no such state", where=str(source), hint="check the path") from None
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise StorageError(f"cannot read the state: {reason}", where=str(source)) from err


def _without_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The same value with a reference in the place of each array, which goes into ``arrays``."""
    if isinstance(value, np.ndarray):
        name, dtype = str(len(arrays)), value.dtype.name
        arrays[name] = np.asarray(value, order="C").view(BITS[dtype]) if dtype in BITS else value
        return {"array": name, "dtype": dtype, "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {key: _without_arrays(part, arrays) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(part, arrays) for part in value]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, NDArray[Any]], where: str) -> Any:
    if isinstance(value, list):
        return [_with_arrays(part, arrays, where) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {"array", "dtype", "shape"}:
        return {key: _with_arrays(part, arrays, where) for key, part in value.items()}
    name, dtype = value["array"], value["dtype"]
    array = arrays.get(name) if isinstance(name, str) else None
    if array is None or not isinstance(dtype, str) or array.dtype.name != BITS.get(dtype, dtype):
        raise ArtefactError(f"array {str(name)[:40]!r} is missing or of another type", where=where, hint=NEW_STREAM)
    restored = array.view(dtype) if dtype in BITS else array
    if list(restored.shape) != value["shape"]:
        raise ArtefactError(f"array {name!r} has another shape", where=where, hint=NEW_STREAM)
    return restored


def _arrays(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    length = header_length(data[:HEADER_PREFIX], len(data), where=where)
    body = HEADER_PREFIX + length
    entries = parse_header(data[HEADER_PREFIX:body], len(data) - body, where=where)
    return cut_arrays(data[body:], entries, where=where)


def _sync(directory: Path) -> None:
    """Make the new name durable; some systems cannot open a directory."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

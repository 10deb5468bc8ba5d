"""Named arrays as safetensors bytes, read only after every number in the header has been checked.

The library itself runs no code but checks little: NaN weights, hostile names and 600,000 empty tensors pass. So the
header is read here, under caps, and the arrays are cut out of the bytes where the checked offsets say.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact.strict_json import parse_object
from sensorad.errors import ArtefactError

__all__ = [
    "HEADER_PREFIX",
    "MAX_HEADER_BYTES",
    "MAX_TENSORS",
    "TensorEntry",
    "cut_arrays",
    "encode_arrays",
    "header_length",
    "parse_header",
]

HEADER_PREFIX = 8  # bytes: little-endian length of the JSON header that follows
MAX_TENSORS = 4096
MAX_HEADER_BYTES = 2 * 2**20  # 4096 entries with the longest names fit
_MAX_DIMENSIONS = 8
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One checked line of the header: bytes ``start`` to ``end`` after the header are the array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def encode_arrays(arrays: Mapping[str, NDArray[Any]], *, where: str) -> bytes:
    """The arrays as the bytes of a safetensors file that `parse_header` and `cut_arrays` read back exactly.

    Raises
    ------
    ArtefactError
        A name, dtype or shape is not allowed, or an array holds a non-finite number.
    """
    from safetensors.numpy import save

    ready = {}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ArtefactError(f"{name!r} is a {type(array).__name__}, expected a numpy array", where=where)
        if array.dtype.name not in _DTYPES.values():
            raise ArtefactError(f"array {name!r} has dtype {array.dtype}, which has no place in a file", where=where)
        # the library copies memory from the data pointer: a strided view would be written as other numbers
        ready[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        _check_finite(ready[name], name, where)
    data = save(ready)
    # what could not be read back must not be written
    header = header_length(data[:HEADER_PREFIX], len(data), where=where)
    body = HEADER_PREFIX + header
    parse_header(data[HEADER_PREFIX:body], len(data) - body, where=where)
    return data


def header_length(prefix: bytes, file_bytes: int, *, where: str) -> int:
    """Length of the JSON header, after checking that it fits both the cap and the file."""
    if len(prefix) < HEADER_PREFIX:
        raise ArtefactError(f"{file_bytes} bytes is too short for arrays", where=where, hint="the file is truncated")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise ArtefactError(f"the header claims {length} bytes, at most {MAX_HEADER_BYTES} are allowed", where=where)
    if length > file_bytes - HEADER_PREFIX:
        raise ArtefactError(
            f"the header claims {length} bytes, the file has {file_bytes}", where=where, hint="the file is truncated"
        )
    return length


def parse_header(header: bytes, body_bytes: int, *, where: str) -> list[TensorEntry]:
    """Check every entry of a safetensors header against the caps, and all of them against the size of the body.

    Raises
    ------
    ArtefactError
        Too many tensors, a name, dtype or shape that is not allowed, offsets that overlap, leave holes, or do not
        end where the file ends.

    Examples
    --------
    >>> head = b'{"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}'
    >>> parse_header(head, 24, where="weights.safetensors")
    [TensorEntry(name='w', dtype='float32', shape=(2, 3), start=0, end=24)]
    >>> parse_header(head, 23, where="weights.safetensors")
    Traceback (most recent call last):
    ...
    sensorad.errors.ArtefactError: arrays need 24 bytes, the file has 23 (weights.safetensors): the file is damaged
    """
    # every entry has one "data_offsets": counting them refuses 600,000 tensors before a single one is parsed
    n_tensors = header.count(b'"data_offsets"')
    members = parse_object(header, where=where) if n_tensors <= MAX_TENSORS else {}
    if max(n_tensors, len(members)) > MAX_TENSORS:
        raise ArtefactError(f"more than {MAX_TENSORS} arrays", where=where)
    entries = sorted(
        (_entry(name, member, where) for name, member in members.items()), key=lambda entry: (entry.start, entry.end)
    )
    starts_at_zero = not entries or entries[0].start == 0
    if not starts_at_zero or any(left.end != right.start for left, right in pairwise(entries)):
        raise ArtefactError("arrays overlap or leave holes", where=where, hint="the file is damaged")
    needed = entries[-1].end if entries else 0
    if needed != body_bytes:
        raise ArtefactError(
            f"arrays need {needed} bytes, the file has {body_bytes}", where=where, hint="the file is damaged"
        )
    return entries


def cut_arrays(body: bytes | bytearray, entries: list[TensorEntry], *, where: str) -> dict[str, NDArray[Any]]:
    """Copy each array out of the body: writable, native byte order, finite."""
    arrays: dict[str, NDArray[Any]] = {}
    for entry in entries:
        stored = np.dtype(entry.dtype).newbyteorder("<")
        flat = np.frombuffer(body, np.uint8, entry.end - entry.start, entry.start)
        if entry.dtype == "bool" and flat.size and flat.max() > 1:
            raise ArtefactError(f"array {entry.name!r} holds a byte that is neither true nor false", where=where)
        array = flat.view(stored).reshape(entry.shape).astype(stored.newbyteorder("="), copy=True)
        _check_finite(array, entry.name, where)
        arrays[entry.name] = array
    return arrays


def _entry(name: str, member: Any, where: str) -> TensorEntry:
    if not _NAME.fullmatch(name):
        raise ArtefactError(f"array name {name[:80]!r} is not allowed", where=where)
    if not isinstance(member, dict) or member.keys() != {"dtype", "shape", "data_offsets"}:
        raise ArtefactError(f"array {name!r} needs exactly dtype, shape and data_offsets", where=where)
    dtype = _DTYPES.get(member["dtype"]) if isinstance(member["dtype"], str) else None
    if dtype is None:
        raise ArtefactError(
            f"array {name!r} has dtype {str(member['dtype'])[:40]!r}, which is not allowed", where=where
        )
    shape, offsets = member["shape"], member["data_offsets"]
    if not _are_counts(shape) or len(shape) > _MAX_DIMENSIONS or not _are_counts(offsets) or len(offsets) != 2:
        raise ArtefactError(f"array {name!r} has an impossible shape or offsets", where=where)
    item = np.dtype(dtype).itemsize
    # Python integers do not overflow; a zero beside huge lengths must not hide them either
    if math.prod(max(length, 1) for length in shape) * item > sys.maxsize:
        raise ArtefactError(f"array {name!r} has an impossible shape", where=where)
    start, end = offsets
    if end - start != math.prod(shape) * item:
        raise ArtefactError(f"array {name!r} does not fill its bytes: shape {shape}, {end - start} bytes", where=where)
    return TensorEntry(name, dtype, tuple(shape), start, end)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(length) is int and 0 <= length <= sys.maxsize for length in value)


def _check_finite(array: NDArray[Any], name: str, where: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArtefactError(f"array {name!r} holds NaN or an infinity", where=where)

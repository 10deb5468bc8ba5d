"""Read IDX files, the format in which MNIST and Fashion-MNIST are published: bytes in an array of known shape."""

from __future__ import annotations

import gzip
import io
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError

__all__ = ["read_idx", "unpacked"]

_GZIP_START = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_MOST_BYTES = 1 << 30
"""Far above the 47 MB of the training images of MNIST: what unpacks to more is refused before it fills the memory."""


def unpacked(content: bytes, where: str | None = None) -> bytes:
    """The bytes of a plain or gzip-compressed file; DataError where it is damaged or would unpack to over 1 GiB."""
    if not content.startswith(_GZIP_START):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            plain = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot unpack: {error}", where=where, hint="obtain the file again") from error
    if len(plain) > _MOST_BYTES:
        raise DataError("unpacks to over 1 GiB", where=where, hint="this is not a file of an image set")
    return plain


def read_idx(content: bytes, where: str | None = None) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, plain or gzip-compressed.

    Parameters
    ----------
    content
        Two bytes 0, one byte for the type (8 = unsigned byte), one for the number of dimensions, each dimension as a
        big-endian 32-bit number, then the values in row-major order.
    where
        The file's name for errors.

    Raises
    ------
    DataError
        Where the content is not of this format, of another type or of another length than it says.

    Examples
    --------
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    array([7, 8, 9], dtype=uint8)
    """
    content = unpacked(content, where)
    if len(content) < 4 or content[:2] != b"\0\0" or content[3] == 0:
        raise DataError("not an IDX file", where=where, hint="obtain the file again")
    if content[2] != _UNSIGNED_BYTE:
        raise DataError(
            f"IDX values of type 0x{content[2]:02x}, expected unsigned bytes (0x08)",
            where=where,
            hint="not an image set",
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError("the IDX header is cut off", where=where, hint="obtain the file again")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{len(content) - start:,} values follow an IDX header of shape {shape}",
            where=where,
            hint="obtain the file again",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()

"""JSON in the footer of our Parquet files, with a checksum: page checksums do not cover the footer."""

from __future__ import annotations

import json
import zlib
from typing import Any

from sensorad.errors import DataError, UsageError

__all__ = ["FORMAT", "sealed", "unsealed"]

FORMAT = 1
KEY = b"sensorad"
SEAL = b"sensorad.crc32"


def sealed(values: dict[str, Any]) -> dict[bytes, bytes]:
    """File metadata that carries ``values``."""
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=False, sort_keys=True).encode()
    except (TypeError, ValueError) as err:
        raise UsageError(f"metadata must be plain JSON: {err}") from err
    return {KEY: text, SEAL: b"%08x" % zlib.crc32(text)}


def unsealed(metadata: dict[bytes, bytes] | None, *, kind: str, label: str) -> dict[str, Any]:
    """The values, once checksum, format and kind of file are found right.

    Raises
    ------
    DataError
        If the file is not ours, newer, of another kind, or its footer damaged.
    """
    text = (metadata or {}).get(KEY)
    if text is None:
        raise DataError(f"file holds no sensorad {kind}", where=label)
    if (metadata or {}).get(SEAL) != b"%08x" % zlib.crc32(text):
        raise DataError("file is damaged: its metadata fails the checksum", where=label, hint="write it again")
    values: dict[str, Any] = json.loads(text)
    if values.get("kind") != kind:
        raise DataError(f"expected {kind}, file holds {values.get('kind')}", where=label)
    if values.get("format") != FORMAT:
        raise DataError(
            f"file has format {values.get('format')}, this program reads {FORMAT}", where=label, hint="update sensorad"
        )
    return values

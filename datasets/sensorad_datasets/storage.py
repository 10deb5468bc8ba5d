"""Find, verify and read the files of benchmark sets: nothing is parsed before its checksum agrees."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorad.errors import DataError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROOT_VARIABLE", "SUMS_NAME", "SetFolder", "data_root", "natural_order"]

ROOT_VARIABLE = "SENSORAD_DATA"
SUMS_NAME = "SHA256SUMS"


def data_root(root: str | Path | None = None) -> Path:
    """The folder with one sub-folder a set: ``root``, else what the variable SENSORAD_DATA names.

    Raises
    ------
    StorageError
        Where neither is given or the folder does not exist.
    """
    chosen = root if root is not None else os.environ.get(ROOT_VARIABLE)
    if not chosen:
        raise StorageError(
            "no folder with benchmark data is known",
            hint=f"set {ROOT_VARIABLE} or give root=; 'sensorad data list' says how to obtain each set",
        )
    path = Path(chosen)
    if not path.is_dir():
        raise StorageError(
            "the folder with benchmark data does not exist", where=str(path), hint=f"check {ROOT_VARIABLE}"
        )
    return path


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key under which "omi-10" follows "omi-9"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


@dataclass(frozen=True, slots=True)
class SetFolder:
    """One set on disk, with the checksum of every file in it.

    Attributes
    ----------
    path
        The set's folder.
    sums
        File name relative to ``path``, with forward slashes -> sha256 in hex.
    """

    path: Path
    sums: dict[str, str]

    @classmethod
    def open(cls, set_name: str, root: str | Path | None = None) -> SetFolder:
        """The set's folder below the data root; StorageError where it or its SHA256SUMS is missing."""
        path = data_root(root) / set_name
        try:
            text = (path / SUMS_NAME).read_text(encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"data set {set_name!r} is not in the data folder",
                where=str(path / SUMS_NAME),
                hint="'sensorad data list' says how to obtain it",
            ) from error
        sums = {}
        for number, line in enumerate(text.splitlines(), start=1):
            digest, _, name = line.strip().partition("  ")
            if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name:
                raise DataError("not a line of sha256sum", where=f"{path / SUMS_NAME}, line {number}")
            if name.startswith("/") or ".." in name.split("/"):
                raise DataError(f"{name!r} points outside the set", where=f"{path / SUMS_NAME}, line {number}")
            sums[name] = digest
        return cls(path, sums)

    def names(self, prefix: str = "", suffix: str = ".parquet") -> list[str]:
        """Names in the set, without prefix and suffix, of the files that have both; in natural order."""
        found = [name for name in self.sums if name.startswith(prefix) and name.endswith(suffix)]
        return sorted((name[len(prefix) : -len(suffix)] for name in found), key=natural_order)

    def read(self, name: str) -> bytes:
        """The bytes of one file whose checksum agrees.

        Raises
        ------
        StorageError
            Where the file cannot be read.
        DataError
            Where SHA256SUMS does not list it or lists another checksum.
        """
        path = self.path / name
        if name not in self.sums:
            raise DataError(f"{name!r} is not listed in {SUMS_NAME}", where=str(self.path))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read a file of the data set: {error.strerror}", where=str(path)) from error
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sums[name]:
            raise DataError(
                f"sha256 is {digest[:12]}..., {SUMS_NAME} says {self.sums[name][:12]}...",
                where=str(path),
                hint="the file was changed or damaged; obtain it again",
            )
        return content

    def table(self, name: str) -> pa.Table:
        """One Parquet file as a table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        # The verified bytes are what is parsed: a file swapped between check and use cannot slip in.
        return pq.read_table(pa.BufferReader(self.read(name)), page_checksum_verification=True)

    def json(self, name: str) -> Any:
        """One JSON file."""
        return json.loads(self.read(name))

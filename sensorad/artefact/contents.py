"""What an artefact holds, by name, and how its arrays are checked against what the configuration implies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError

__all__ = [
    "CALIBRATION",
    "CALIBRATION_ARRAYS",
    "CARD",
    "DETECTOR",
    "FILES",
    "FORMAT",
    "FORMAT_VERSION",
    "HEAD_KEYS",
    "SUMS",
    "WEIGHTS",
    "ArraySpec",
    "ArtefactContents",
    "check_arrays",
    "weights_hash",
]

FORMAT = "sensorad-detector"
FORMAT_VERSION = 1
"""Raised when an older reader could misread the files; every older version then gets a step in `migrations`."""

HEAD_KEYS = ("format", "format_version", "sensorad_version", "weights_hash")
"""Keys that the artefact itself writes into its JSON files and takes out again on reading."""

DETECTOR = "detector.json"
WEIGHTS = "weights.safetensors"
CALIBRATION = "calibration.json"
CALIBRATION_ARRAYS = "calibration.safetensors"
CARD = "README.md"
SUMS = "SHA256SUMS"
FILES = (DETECTOR, WEIGHTS, CALIBRATION, CALIBRATION_ARRAYS, CARD)
"""Every file that has a line in SHA256SUMS."""

_NAMED = 3  # a message names this many arrays, then counts the rest


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Shape and dtype that an array must have; None stands for any length.

    Examples
    --------
    >>> ArraySpec((None, 8), "float32").describe()
    'float32 (*, 8)'
    """

    shape: tuple[int | None, ...]
    dtype: str

    def describe(self) -> str:
        lengths = ["*" if length is None else str(length) for length in self.shape]
        return f"{self.dtype} ({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"

    def accepts(self, array: NDArray[Any]) -> bool:
        return (
            array.dtype == np.dtype(self.dtype)
            and array.ndim == len(self.shape)
            and all(want is None or want == got for want, got in zip(self.shape, array.shape, strict=True))
        )


@dataclass(frozen=True, slots=True)
class ArtefactContents:
    """A verified artefact: what was written, and the hash of each file.

    Attributes
    ----------
    detector, calibration
        The JSON objects as they were given to `write_artefact`.
    weights, calibration_arrays
        Arrays by name: finite, writable, in native byte order.
    hashes
        SHA-256 of each file, in hexadecimal, by file name.
    weights_hash
        `weights_hash` of the weights: what a calibration, a state or a report names to say which weights it means.
    format_version
        The version found on disk, before any migration.
    sensorad_version
        The release that wrote it.
    """

    detector: dict[str, Any]
    weights: dict[str, NDArray[Any]]
    calibration: dict[str, Any]
    calibration_arrays: dict[str, NDArray[Any]]
    hashes: dict[str, str]
    weights_hash: str
    format_version: int
    sensorad_version: str


def weights_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, dtypes, shapes and values: equal weights have equal hashes, whatever file they lie in.

    Examples
    --------
    >>> import numpy as np
    >>> a = {"w": np.zeros((2, 3), np.float32), "b": np.ones(3, np.float32)}
    >>> weights_hash(a) == weights_hash(dict(reversed(a.items())))
    True
    >>> weights_hash(a) == weights_hash({**a, "b": np.zeros(3, np.float32)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        head = json.dumps([name, array.dtype.name, list(array.shape)]) + "\n"
        digest.update(head.encode())
        digest.update(np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes())
    return digest.hexdigest()


def check_arrays(
    arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, ArraySpec], *, where: str = WEIGHTS
) -> None:
    """Refuse arrays whose names, shapes or dtypes are not exactly the expected ones.

    Parameters
    ----------
    arrays
        As read from the artefact.
    expected
        What the configuration in ``detector.json`` implies: every name in it must be there, and no other.
    where
        The file to name in the message.

    Raises
    ------
    ArtefactError
        An array is missing, unknown, of another dtype or of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> check_arrays({"basis": np.zeros((4, 8))}, {"basis": ArraySpec((None, 8), "float64")})
    >>> check_arrays({"basis": np.zeros((4, 9))}, {"basis": ArraySpec((None, 8), "float64")})
    Traceback (most recent call last):
    ...
    sensorad.errors.ArtefactError: array 'basis' is float64 (4, 9), expected float64 (*, 8) (weights.safetensors)
    """
    for names, what in ((expected.keys() - arrays.keys(), "missing"), (arrays.keys() - expected.keys(), "unknown")):
        if names:
            named = ", ".join(repr(name) for name in sorted(names)[:_NAMED])
            rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise ArtefactError(f"{what} arrays: {named}{rest}", where=where, hint="the configuration needs others")
    for name, spec in expected.items():
        if not spec.accepts(arrays[name]):
            came = ArraySpec(arrays[name].shape, arrays[name].dtype.name).describe()
            raise ArtefactError(f"array {name!r} is {came}, expected {spec.describe()}", where=where)

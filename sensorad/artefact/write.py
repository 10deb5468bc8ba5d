"""Write an artefact: everything is checked and encoded first, then written as one directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sensorad import __version__
from sensorad.artefact.atomic import check_replaceable, fresh_directory, write_durably
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
    weights_hash,
)
from sensorad.artefact.strict_json import dump_object, encode_text
from sensorad.artefact.tensors import encode_arrays
from sensorad.errors import ArtefactError, StorageError

__all__ = ["check_target", "write_artefact"]

_OWNED = (*FILES, SUMS)


def write_artefact(
    path: str | os.PathLike[str],
    *,
    detector: dict[str, Any],
    weights: Mapping[str, NDArray[Any]],
    calibration: dict[str, Any],
    calibration_arrays: Mapping[str, NDArray[Any]],
    card: str,
    force: bool = False,
) -> None:
    """Write a directory that is either complete or not there.

    Parameters
    ----------
    path
        The directory to make; missing parents are made too.
    detector, calibration
        Plain JSON objects: strings as keys, finite numbers. Tuples come back as lists. The keys ``format``,
        ``format_version``, ``sensorad_version`` and ``weights_hash`` are added here and must not be given.
    weights, calibration_arrays
        Finite arrays of real numbers, integers or booleans; names of letters, digits, ``_``, ``.`` and ``-``.
    card
        The model card, Markdown.
    force
        Replace an existing artefact. It stays readable until the new one takes its place, and nothing but an
        artefact is ever replaced.

    Raises
    ------
    ArtefactError
        Something in the contents could not be read back; nothing was written.
    StorageError
        The path exists, or the file system refused; whatever was there before is still there.

    Examples
    --------
    >>> import numpy as np
    >>> write_artefact(
    ...     "pump.sensorad",
    ...     detector={"model": "linear", "window": 30},
    ...     weights={"basis": np.eye(3, dtype=np.float32)},
    ...     calibration={"threshold": 4.5},
    ...     calibration_arrays={"quantiles": np.array([0.1, 4.5])},
    ...     card="# Pump 3",
    ... )
    >>> from sensorad.artefact import read_artefact
    >>> read_artefact("pump.sensorad").calibration
    {'threshold': 4.5}
    """
    hashed = weights_hash(weights)
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "sensorad_version": __version__}
    files = {
        DETECTOR: dump_object(_with_head({**head, "weights_hash": hashed}, detector, DETECTOR), where=DETECTOR),
        WEIGHTS: encode_arrays(weights, where=WEIGHTS),
        CALIBRATION: dump_object(_with_head({"weights_hash": hashed}, calibration, CALIBRATION), where=CALIBRATION),
        CALIBRATION_ARRAYS: encode_arrays(calibration_arrays, where=CALIBRATION_ARRAYS),
        CARD: encode_text(card, where=CARD),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    target = Path(path)
    try:
        with fresh_directory(target, force=force, owned=_OWNED) as staging:
            for name, data in files.items():
                write_durably(staging / name, data)
            write_durably(staging / SUMS, sums.encode())
    except OSError as error:
        raise StorageError(
            f"cannot write the artefact: {error.strerror or error}",
            where=str(target),
            hint="free some space or choose another directory; nothing partial was left",
        ) from error


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raise now what `write_artefact` would raise about the path later: before a long fit, not after it.

    Raises
    ------
    StorageError
        The path exists without ``force``, is not an artefact, or lies where nothing can be written.

    Examples
    --------
    >>> check_target("new/pump.sensorad")
    """
    try:
        check_replaceable(Path(path), force=force, owned=_OWNED)
    except OSError as error:
        raise StorageError(f"cannot write here: {error.strerror}", where=str(path)) from error


def _with_head(head: dict[str, Any], body: dict[str, Any], where: str) -> dict[str, Any]:
    taken = [key for key in HEAD_KEYS if key in body]
    if taken:
        raise ArtefactError(f"the key {taken[0]!r} is written by the artefact itself", where=where)
    return {**head, **body}

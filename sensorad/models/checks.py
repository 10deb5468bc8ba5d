"""What is checked of a network before any of it is built: its options, and the weights that a file gives it.

Needs no torch, so that a network can run without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError, UsageError

__all__ = ["at_least", "check_weights", "checked_options"]

LARGEST_SIZE = 65_536
"""No layer of a network on windows is wider; a configuration from a file is held to it before memory is taken."""


def at_least(smallest: int, largest: int = LARGEST_SIZE, **values: int) -> None:
    """Refuse any of the named whole numbers outside [smallest, largest].

    Raises
    ------
    UsageError
        Naming the option, its value and the range.

    Examples
    --------
    >>> at_least(1, width=64)
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            raise UsageError(
                f"{name} must be a whole number from {smallest} to {largest}, got {value!r}",
                where="model configuration",
            )


def checked_options(config: type, row: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a JSON object, if ``config`` knows all of them; its lists become the tuples that they were.

    Raises
    ------
    UsageError
        Naming those that it does not know, or one that should be a list and is none.
    """
    known = {field.name: str(field.type) for field in fields(config)}
    if unknown := sorted(row.keys() - known.keys()):
        names = ", ".join(repr(name)[:60] for name in unknown[:5])
        raise UsageError(f"unknown options: {names}", where="model configuration", hint=f"known: {', '.join(known)}")
    options = dict(row)
    for name, value in row.items():
        if known[name].startswith("tuple["):
            if not isinstance(value, list | tuple):
                raise UsageError(f"{name} must be a list, got {repr(value)[:60]}", where="model configuration")
            options[name] = tuple(value)
    return options


def check_weights(arrays: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse arrays that are not exactly the weights of these names and shapes.

    Raises
    ------
    ArtefactError
        If a name is missing or unknown, or an array has another shape, another dtype than float32, or a
        value that is not finite.

    Examples
    --------
    >>> check_weights({"w": np.zeros((2, 3), np.float32)}, {"w": (2, 3)})
    """
    hint = "the artefact is damaged or belongs to another configuration"
    if missing := sorted(shapes.keys() - arrays.keys()):
        raise ArtefactError(f"weights are missing: {', '.join(missing[:5])}", hint=hint)
    if unknown := sorted(arrays.keys() - shapes.keys()):
        raise ArtefactError(f"unknown weights: {', '.join(repr(name)[:60] for name in unknown[:5])}", hint=hint)
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise ArtefactError(f"shape {shape} expected, got {array.shape}", where=f"weight {name}", hint=hint)
        if array.dtype != np.float32:
            raise ArtefactError(f"dtype float32 expected, got {array.dtype}", where=f"weight {name}", hint=hint)
        # A sum of squares in float64 cannot overflow from float32 values, and needs no boolean copy.
        flat = array.ravel()
        if not math.isfinite(float(np.dot(flat.astype(np.float64), flat))):
            raise ArtefactError("finite values expected, got NaN or infinity", where=f"weight {name}", hint=hint)

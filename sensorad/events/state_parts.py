"""Reads the parts of a saved state, and says which part does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sensorad.errors import ArtefactError

__all__ = ["array_in", "misfit", "names_in", "part_in", "part_of", "whole_in"]

HINT = "it was saved by another version or with other settings, or it is damaged"


def misfit(what: str) -> ArtefactError:
    """The error for a state that cannot be restored."""
    return ArtefactError(f"the state does not fit: {what}", hint=HINT)


def part_of(state: object, name: str) -> dict[str, Any]:
    """``state`` itself, which must be a dict."""
    if not isinstance(state, dict):
        raise misfit(f"the part {name!r} is missing")
    return state


def part_in(state: dict[str, Any], name: str) -> dict[str, Any]:
    """The dict under ``name``."""
    return part_of(state.get(name), name)


def array_in(
    state: dict[str, Any], name: str, dtype: DTypeLike, shape: tuple[int | None, ...], low: float | None = None
) -> NDArray[Any]:
    """A copy of the array under ``name``; None in ``shape`` = any length, ``low`` = the least value allowed."""
    array = state.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        raise misfit(f"{name!r} is no array of {np.dtype(dtype)}")
    if len(shape) != array.ndim or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise misfit(f"{name!r} has shape {array.shape}, expected {shape}")
    if low is not None and (array < low).any():
        raise misfit(f"{name!r} has values below {low:g}")
    return array.copy()


def names_in(state: dict[str, Any], name: str) -> list[str]:
    """A copy of the list of texts under ``name``."""
    names = state.get(name)
    if not isinstance(names, list) or not all(isinstance(text, str) for text in names):
        raise misfit(f"{name!r} is no list of names")
    return list(names)


def whole_in(state: dict[str, Any], name: str, low: int | None = None) -> int:
    """The whole number under ``name``, at least ``low``."""
    value = state.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or (low is not None and value < low):
        raise misfit(f"{name!r} is {value!r}")
    return value

"""The last rows of every machine, stacked: each window is one contiguous piece of memory, without copying it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from sensorad.errors import ArtefactError

__all__ = ["SLACK", "Ring", "Table", "fitting"]

SLACK = 32
"""Rows that fit behind a window before it is moved back to the front. Of a window of 30 rows that is one move a row."""


class Ring:
    """The last ``n_rows`` rows of ``width`` numbers, of each of ``capacity`` machines.

    Attributes
    ----------
    array : (M, n_rows - 1 + SLACK, width)
        The window at place q (0 <= q < SLACK) holds rows q .. q + n_rows - 1; the newest of them is the last.
    windows : (M, SLACK, n_rows * width)
        View of ``array``: [m, q] is the window at place q, flat.
    flat : memoryview
        Of all numbers; the first of machine m is number m * ``stride``. One number is read or written in half the time.

    Examples
    --------
    >>> ring = Ring(3, 2, np.float64)
    >>> ring.row(0, 5)[:] = [1.0, 2.0]
    >>> ring.windows[0, 5].tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]
    """

    __slots__ = ("array", "fill", "flat", "n_rows", "newest", "stride", "width", "windows")

    def __init__(self, n_rows: int, width: int, dtype: DTypeLike, fill: float = 0, capacity: int = 1) -> None:
        self.n_rows, self.width, self.fill = n_rows, width, fill
        self.newest = n_rows - 1
        self._hold(np.full((capacity, n_rows - 1 + SLACK, width), fill, dtype))

    def _hold(self, array: NDArray[Any]) -> None:
        self.array: NDArray[Any] = array
        self.flat: Any = memoryview(array.reshape(-1).data)
        self.stride = array[0].size
        machine, row, cell = array.strides
        shape = (len(array), SLACK, self.n_rows * self.width)
        self.windows: NDArray[Any] = as_strided(array, shape, (machine, row, cell))

    def row(self, slot: int, place: int) -> NDArray[Any]:
        """(width,) view of the newest row of the window at ``place``."""
        row: NDArray[Any] = self.array[slot, self.newest + place]
        return row

    def grow(self, capacity: int) -> None:
        """Room for more machines."""
        array = np.full((capacity, *self.array.shape[1:]), self.fill, self.array.dtype)
        array[: len(self.array)] = self.array
        self._hold(array)

    def move_back(self, slots: int | slice | NDArray[np.integer]) -> None:
        """The rows before place SLACK become those before place 0."""
        self.array[slots, : self.newest] = self.array[slots, SLACK:]

    def clear(self, slots: int | slice | NDArray[np.integer]) -> None:
        """Nothing is remembered any more."""
        self.array[slots] = self.fill

    def taken(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """(M, n_rows, width) copies of the windows at ``places`` (M,) of the first M machines."""
        found = self.windows[np.arange(len(places)), places]
        return found.reshape(len(places), self.n_rows, self.width)

    def put(self, places: NDArray[np.int64], windows: NDArray[Any]) -> None:
        """The inverse of `taken`."""
        self.windows[np.arange(len(places)), places] = windows.reshape(len(places), self.n_rows * self.width)


class Table:
    """``width`` numbers of each machine that are not of any row in particular; to others it looks like a `Ring`.

    Attributes
    ----------
    array : (M, width)
    """

    __slots__ = ("array", "n_rows", "width")

    def __init__(self, width: int, dtype: DTypeLike, capacity: int = 1) -> None:
        self.n_rows, self.width = 1, width
        self.array: NDArray[Any] = np.zeros((capacity, width), dtype)

    def grow(self, capacity: int) -> None:
        """Room for more machines."""
        array = np.zeros((capacity, self.width), self.array.dtype)
        array[: len(self.array)] = self.array
        self.array = array

    def move_back(self, slots: int | slice | NDArray[np.integer]) -> None:
        """Nothing has a place here."""

    def clear(self, slots: int | slice | NDArray[np.integer]) -> None:
        """Nothing is remembered any more."""
        self.array[slots] = 0

    def taken(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """(M, 1, width) copies for the first M machines."""
        return self.array[: len(places), None].copy()

    def put(self, places: NDArray[np.int64], windows: NDArray[Any]) -> None:
        """The inverse of `taken`."""
        self.array[: len(places)] = windows[:, 0]


def fitting(state: Mapping[str, Any], name: str, shape: tuple[int, ...], kind: str) -> NDArray[Any]:
    """The array of that name in a state, of that shape and kind of number ("b", "i" or "f").

    Raises
    ------
    ArtefactError
        There is none, or another one.
    """
    array = state.get(name)
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind != kind:
        raise ArtefactError(
            f"the state of the scorer does not fit: {name!r} should be an array of shape {shape}",
            hint="start without a state, or use the detector that it was saved with",
        )
    return array

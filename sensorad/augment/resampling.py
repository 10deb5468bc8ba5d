"""Windows read at other rows than their own: whole rows, or places between rows, with the mask that goes along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.checks import Mask, Windows
from sensorad.errors import UsageError

__all__ = ["INTERPOLATIONS", "between", "check_interpolation", "interpolated", "mixed_cells", "rows_taken"]

INTERPOLATIONS = ("linear", "nearest")


def rows_taken(windows: Windows, usable: Mask | None, rows: NDArray[np.integer]) -> tuple[Windows, Mask | None]:
    """Row ``rows[n, l]`` of window n becomes its row l, all sensors alike.

    Parameters
    ----------
    windows, usable : (N, L, C)
        As in `Augmentation.apply`.
    rows : (N, L)
        Rows from 0 to L - 1.

    Examples
    --------
    >>> windows = np.array([[[1.0], [2.0], [3.0]]], np.float32)
    >>> rows_taken(windows, None, np.array([[2, 2, 0]]))[0][0, :, 0]
    array([3., 3., 1.], dtype=float32)
    """
    at = _flat(rows, windows.shape[1])
    taken = windows.reshape(-1, windows.shape[2]).take(at, axis=0).reshape(windows.shape)
    if usable is None:
        return taken, None
    return taken, usable.reshape(-1, windows.shape[2]).take(at, axis=0).reshape(windows.shape)


def interpolated(
    windows: Windows, usable: Mask | None, places: NDArray[np.float32], interpolation: str = "linear"
) -> tuple[Windows, Mask | None]:
    """Windows read at ``places[n, l]`` between rows, all sensors alike.

    Parameters
    ----------
    windows, usable : (N, L, C)
        As in `Augmentation.apply`.
    places : (N, L)
        Places in rows, from 0 to L - 1.
    interpolation
        "linear" between the rows on both sides, or "nearest": the nearer row as it is.

    Examples
    --------
    >>> windows = np.array([[[1.0], [2.0], [4.0]]], np.float32)
    >>> interpolated(windows, None, np.array([[0.0, 0.5, 1.5]], np.float32))[0][0, :, 0]
    array([1. , 1.5, 3. ], dtype=float32)
    """
    if interpolation == "nearest":
        return rows_taken(windows, usable, np.floor(places + np.float32(0.5)).astype(np.intp))
    length, n_sensors = windows.shape[1:]
    left = places.astype(np.intp)  # (N, L)
    weight = (places - left.astype(np.float32)).reshape(-1, 1)  # (N L, 1), in [0, 1)
    low, high = _flat(left, length), _flat(np.minimum(left + 1, length - 1), length)
    flat = windows.reshape(-1, n_sensors)
    before = flat.take(low, axis=0)  # (N L, C)
    after = flat.take(high, axis=0)
    if usable is None:
        return between(before, after, weight).reshape(windows.shape), None
    flat_usable = usable.reshape(-1, n_sensors)
    has_before = flat_usable.take(low, axis=0)
    has_after = flat_usable.take(high, axis=0)
    mixed, both = mixed_cells(before, after, weight, has_before, has_after)
    return mixed.reshape(windows.shape), both.reshape(windows.shape)


def between(before: Windows, after: Windows, weight: NDArray[np.float32]) -> Windows:
    """``before + weight (after - before)``, bit by bit ``before`` at weight 0; written into ``after``."""
    after -= before
    after *= weight
    after += before
    return after


def mixed_cells(
    before: Windows, after: Windows, weight: NDArray[np.float32], has_before: Mask, has_after: Mask
) -> tuple[Windows, Mask]:
    """``before + weight (after - before)`` where both are usable; else missing, with the filling of the missing one.

    A weight of 0 needs ``before`` alone and a weight of 1 ``after`` alone. All arrays are broadcast to one shape.
    """
    needs_before, needs_after = weight < 1.0, weight > 0.0
    has_before = has_before | ~needs_before
    both = has_before & (has_after | ~needs_after)
    mixed = between(before, after.copy(), weight)
    if not both.all():
        np.copyto(mixed, before, where=~has_before)
        np.copyto(mixed, after, where=has_before & ~both)
    return mixed, both


def check_interpolation(interpolation: str, where: str) -> None:
    """Raise unless ``interpolation`` is one that `interpolated` knows."""
    if interpolation not in INTERPOLATIONS:
        raise UsageError(
            f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}", where=where
        )


def _flat(rows: NDArray[np.integer], length: int) -> NDArray[np.intp]:
    """Positions in (N L, C) of the rows (N, L) of each window."""
    firsts = np.arange(0, len(rows) * length, length, dtype=np.intp)[:, None]
    return np.asarray(rows + firsts, np.intp).ravel()

"""Is what an exported file computes what the detector computes? Windows in, largest difference out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler, window_view
from sensorad.types import RowBlock

__all__ = ["TOLERANCE", "Parity", "complete_windows", "random_windows"]

TOLERANCE = 1e-5
"""Largest difference of a file that is kept, relative to max(1, |value|). Networks run in float32, whose sums of a few
hundred products differ by about 1e-6 with the order of the terms; wrong graphs are off by far more."""

BATCH_WINDOWS = 512

SPREADS = (0.3, 1.0, 8.0)
"""Of random windows, in deviations: quiet, usual, and beyond the knee of the scaling."""


@dataclass(slots=True)
class Parity:
    """Largest differences so far.

    Attributes
    ----------
    n_windows
        Windows compared.
    largest : dict of str to float
        By output, in deviations, relative to max(1, |value|); infinite where shapes differ or only one is finite.

    Examples
    --------
    >>> parity = Parity()
    >>> parity.add({"output": (np.array([2.0, 1.0]), np.array([2.0, 1.5]))})
    >>> parity.n_windows, round(parity.worst, 3), parity.is_kept
    (2, 0.333, False)
    """

    n_windows: int = 0
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, pairs: dict[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Take in (exported, own) arrays (N, ...) of the same windows, by output."""
        for name, (exported, own) in pairs.items():
            self.largest[name] = max(self.largest.get(name, 0.0), _difference(exported, own))
        self.n_windows += len(own)

    @property
    def worst(self) -> float:
        return max(self.largest.values(), default=0.0)

    @property
    def is_kept(self) -> bool:
        """Whether a file that differs so much may be used."""
        return self.worst <= TOLERANCE


def random_windows(scaler: SensorScaler, length: int, n_windows: int, seed: int) -> NDArray[np.float32]:
    """(N, L, C) windows in the sensors' units, of several spreads around the centres."""
    used = scaler.used_positions
    rng = np.random.default_rng(seed)
    spread = rng.choice(SPREADS, size=(n_windows, 1, len(used)))
    deviations = rng.normal(size=(n_windows, length, len(used))) * spread
    windows: NDArray[np.float32] = (scaler.centre[used] + scaler.scale[used] * deviations).astype(np.float32)
    return windows


def complete_windows(
    blocks: Iterable[RowBlock], positions: Sequence[int] | NDArray[np.intp], length: int
) -> Iterator[NDArray[np.float32]]:
    """Batches (n, L, C) of all windows of consecutive rows of one machine in which no cell is missing.

    Parameters
    ----------
    positions : (C,)
        Sensors to take, as positions in the schema.
    """
    before: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
    for block in blocks:
        for code in np.unique(block.group):
            rows = np.flatnonzero(block.group == code)
            values = block.values[rows][:, positions]
            is_complete = (block.flaw[rows][:, positions] == 0).all(axis=1)
            name = block.group_names[code]
            if name in before:
                values = np.concatenate([before[name][0], values])  # (k + t, C)
                is_complete = np.concatenate([before[name][1], is_complete])
            keep = slice(max(0, len(values) - length + 1), None)
            before[name] = values[keep], is_complete[keep]
            windows = window_view(values, length)  # (N, L, C)
            is_whole: NDArray[np.bool_] = np.all(window_view(is_complete[:, None], length), axis=(1, 2))  # (N,)
            for first in range(0, len(windows), BATCH_WINDOWS):
                batch = slice(first, first + BATCH_WINDOWS)
                if is_whole[batch].any():
                    yield np.ascontiguousarray(windows[batch][is_whole[batch]])


def _difference(exported: NDArray[Any], own: NDArray[Any]) -> float:
    if exported.shape != own.shape or not np.array_equal(np.isfinite(exported), np.isfinite(own)):
        return float("inf")
    known = np.isfinite(own)
    difference = np.abs(exported[known] - own[known]) / np.maximum(1.0, np.abs(own[known]))
    return float(difference.max(initial=0.0))

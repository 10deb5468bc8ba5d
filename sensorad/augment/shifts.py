"""Augmentations that move or cut whole rows, for all sensors alike: shift and slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sensorad.augment.base import Augmentation
from sensorad.augment.checks import Mask, Windows, check_number, check_whole
from sensorad.augment.resampling import rows_taken

__all__ = ["Shift", "Slice"]


@dataclass(frozen=True, slots=True)
class Shift(Augmentation):
    """Moves each window by whole rows, earlier or later; rows that nobody has are the window mirrored at its edge.

    Mirrored rows move and scatter as measured ones do, and join without a jump. The edge repeated would be a stretch
    in which all sensors stand still, which is a fault, and the other end of the window would come with a jump. They run
    backwards, though, so a shift is for a few rows. A log read with a window at every row holds its own shifts already:
    this is for windows cut far apart.

    Attributes
    ----------
    rows
        Largest shift; each from -rows to rows is equally likely, 0 among them.

    Examples
    --------
    >>> windows = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    >>> Shift(rows=2)(windows, np.random.default_rng(0))[0, :, 0]
    array([2., 1., 0., 1., 2.], dtype=float32)
    """

    rows: int = 3
    name: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        check_whole("rows", self.rows, 0, self.name)

    @property
    def is_identity(self) -> bool:
        """Nothing moves."""
        return self.rows == 0

    @property
    def _fewest_rows(self) -> int:
        return self.rows + 1

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        n_windows, length, _ = windows.shape
        shift = generator.integers(-self.rows, self.rows, size=(n_windows, 1), endpoint=True)  # (N, 1), + = later
        rows = np.abs(np.arange(length) - shift)  # (N, L), mirrored at the first row
        last = length - 1
        return rows_taken(windows, usable, last - np.abs(last - rows))  # and at the last


@dataclass(frozen=True, slots=True)
class Slice(Augmentation):
    """Keeps a part of each window in its place and pads the rest with the nearest kept row, as where a log begins.

    Padded cells are not measured: where a mask is given they come back as missing.

    Attributes
    ----------
    least
        Share of the rows that is kept at least, in (0, 1]; 1 changes nothing.

    Examples
    --------
    >>> windows = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    >>> Slice(least=0.4)(windows, np.random.default_rng(1))[0, :, 0]
    array([1., 1., 2., 3., 3.], dtype=float32)
    """

    least: float = 0.8
    name: ClassVar[str] = "slice"

    def __post_init__(self) -> None:
        check_number("least", self.least, 0.01, 1.0, self.name)

    @property
    def is_identity(self) -> bool:
        """All rows are kept."""
        return self.least == 1.0

    @property
    def _fewest_rows(self) -> int:
        """Shorter windows have no row to spare."""
        return math.ceil(round(1.0 / (1.0 - self.least), 6))

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        n_windows, length, _ = windows.shape
        fewest = math.ceil(round(self.least * length, 6))
        kept = generator.integers(fewest, length, size=(n_windows, 1), endpoint=True)  # (N, 1)
        first = generator.integers(0, length - kept, endpoint=True)  # (N, 1)
        own = np.arange(length)
        rows = np.clip(own, first, first + kept - 1)  # (N, L)
        taken, moved = rows_taken(windows, usable, rows)
        if moved is not None:
            moved &= (rows == own)[:, :, None]
        return taken, moved

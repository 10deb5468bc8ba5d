"""Samples that are lost on the way and interpolated over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.base import Augmentation
from sensorad.augment.checks import Mask, Windows, check_bool, check_number
from sensorad.augment.resampling import between, mixed_cells

__all__ = ["Dropout"]


@dataclass(frozen=True, slots=True)
class Dropout(Augmentation):
    """Drops samples and puts the straight line between the nearest kept ones in their place.

    Holding the previous value instead would make short standstills look normal, and those are a fault; it would also
    tear the sensor from those that move with it. The first and the last row are never dropped.

    Attributes
    ----------
    share
        Probability that a row between them is dropped.
    per_sensor
        Each sensor loses samples of its own, in place of whole rows.

    Examples
    --------
    >>> windows = np.array([0.0, 5.0, 2.0, 7.0, 4.0], np.float32).reshape(1, 5, 1)
    >>> Dropout(share=0.5)(windows, np.random.default_rng(0))[0, :, 0]
    array([0., 5., 2., 3., 4.], dtype=float32)
    """

    share: float = 0.1
    per_sensor: bool = False
    name: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        check_number("share", self.share, 0.0, 1.0, self.name)
        check_bool("per_sensor", self.per_sensor, self.name)

    @property
    def is_identity(self) -> bool:
        """Nothing is lost."""
        return self.share == 0.0

    @property
    def _fewest_rows(self) -> int:
        return 3

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        n_windows, length, n_sensors = windows.shape
        shape = (n_windows, length, n_sensors if self.per_sensor else 1)
        dropped = generator.random(shape, dtype=np.float32) < np.float32(self.share)  # (N, L, C or 1)
        dropped[:, 0] = dropped[:, -1] = False
        step = shape[2]  # from a sample to the same in the next row, where all are in one line
        at = np.flatnonzero(dropped)
        low, high = _nearest_kept(dropped.ravel(), at, -step), _nearest_kept(dropped.ravel(), at, step)
        weight = ((at - low) / (high - low)).astype(np.float32)[:, None]  # (n, 1)
        line = (-1, 1 if self.per_sensor else n_sensors)
        changed = windows.copy()
        cells = changed.reshape(line)  # samples in one line, a view
        if usable is None:
            cells[at] = between(cells[low], cells[high], weight)
            return changed, None
        moved = usable.copy()
        is_usable = moved.reshape(line)
        value, both = mixed_cells(cells[low], cells[high], weight, is_usable[low], is_usable[high])
        # A sample that was missing before it was dropped stays missing.
        had = is_usable[at]
        cells[at] = np.where(had, value, cells[at])
        is_usable[at] = had & both
        return changed, moved


def _nearest_kept(dropped: NDArray[np.bool_], at: NDArray[np.intp], step: int) -> NDArray[np.intp]:
    """The first kept sample in steps from each dropped one; few steps, as long as few samples in a row are lost."""
    found = at + step
    while (is_dropped := dropped[found]).any():
        found[is_dropped] += step
    return found

"""Sensors that stand for each other, exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sensorad.augment.base import Augmentation
from sensorad.augment.checks import Mask, Windows, sensor_positions
from sensorad.errors import UsageError

__all__ = ["Permutation"]


@dataclass(frozen=True, slots=True)
class Permutation(Augmentation):
    """Exchanges whole sensors of a window within groups whose members stand for each other, and no others.

    Four thermocouples around one bearing, or parallel pumps under one header, are such a group; an inlet and an outlet
    temperature are not. Each order of a group is equally likely, its own among them. Values are neither mixed nor
    turned. An excluded sensor takes no part in its group.

    Attributes
    ----------
    groups
        Positions of the sensors of each group, two or more; no sensor is in two groups. () changes nothing.

    Examples
    --------
    >>> windows = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
    >>> Permutation(groups=((0, 1, 3),))(windows, np.random.default_rng(1))[0, 0]
    array([3., 0., 2., 1.], dtype=float32)
    """

    groups: tuple[tuple[int, ...], ...] = ()
    name: ClassVar[str] = "permutation"

    def __post_init__(self) -> None:
        seen: set[int] = set()
        checked = []
        if not isinstance(self.groups, (tuple, list)):
            raise UsageError(f"groups must be a list of lists of positions, got {self.groups!r}", where=self.name)
        for group in self.groups:
            positions = sensor_positions("a group", group, self.name)
            if len(positions) < 2 or len(positions) < len(group):
                raise UsageError(f"a group needs two or more different sensors, got {list(group)}", where=self.name)
            if both := sorted(seen & set(positions)):
                raise UsageError(f"sensor {both[0]} is in two groups", where=self.name, hint="join them")
            seen |= set(positions)
            checked.append(positions)
        object.__setattr__(self, "groups", tuple(checked))

    @property
    def is_identity(self) -> bool:
        """No sensors stand for each other."""
        return not self.groups

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise where a group names a sensor that windows of ``shape`` (N, L, C) do not have."""
        for group in self.groups:
            if group[-1] >= shape[2]:
                raise UsageError(
                    f"there is no sensor {group[-1]}: there are {shape[2]}", where=self.name, hint="count from 0"
                )

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        changed = windows.copy()
        moved = None if usable is None else usable.copy()
        for group in self.groups:
            # Drawn for all, so that exclusion does not change what other groups get.
            order = generator.random((len(windows), len(group)))  # (N, G)
            is_kept = ~np.isin(group, list(excluded))
            members = np.asarray(group)[is_kept]
            source = members[np.argsort(order[:, is_kept], axis=1)][:, None, :]  # (N, 1, G)
            changed[:, :, members] = np.take_along_axis(windows, source, axis=2)
            if moved is not None and usable is not None:
                moved[:, :, members] = np.take_along_axis(usable, source, axis=2)
        return changed, moved

"""What all augmentations of windows share: one check, exclusion of sensors, masks that follow the cells, JSON.

An augmentation turns normal windows into other normal windows. It is a pure function of windows, settings and the state
of a generator. What leaves one sensor normal can be a fault in another (a limit switch has no noise), so each call
takes a list of sensors that come back as they went in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from sensorad.augment.checks import Mask, Windows, check_excluded, check_windows
from sensorad.errors import UsageError

__all__ = ["Augmentation", "CellAugmentation"]


@dataclass(frozen=True, slots=True)
class Augmentation(ABC):
    """A seeded pure function from windows (N, L, C) to windows (N, L, C); excluded sensors come back bit-equal."""

    name: ClassVar[str] = ""

    def __call__(self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int] = ()) -> Windows:
        """Changed copies of ``windows`` (N, L, C); see `apply`."""
        return self.apply(windows, generator, excluded)[0]

    def apply(
        self,
        windows: Windows,
        generator: np.random.Generator,
        excluded: Sequence[int] = (),
        usable: Mask | None = None,
    ) -> tuple[Windows, Mask | None]:
        """Changed copies of windows and of the mask that goes with them.

        A missing cell is never mixed with a measured one: what would be computed from both is missing, and holds the
        filling of the missing one.

        Parameters
        ----------
        windows : (N, L, C) float32
            Finite, missing cells filled with whatever the caller fills them with.
        generator
            Source of all randomness. Sensors that are excluded do not change what the others get.
        excluded
            Positions of sensors that stay bit-equal.
        usable : (N, L, C) bool, optional
            False = the cell holds no measurement.

        Returns
        -------
        windows : (N, L, C) float32
            A new array.
        usable : (N, L, C) bool, or None where none was given
            A new array.

        Raises
        ------
        UsageError
            If a shape, a dtype or a sensor does not fit, or windows are too short to be changed that way.
        DataError
            If a value is NaN or infinite.
        """
        positions = check_excluded(excluded, check_windows(windows, usable, self.name), self.name)
        self.check_shape(windows.shape)
        return self.augmented(windows, generator, positions, usable)

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """With these settings nothing can change."""

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise where windows of ``shape`` (N, L, C) cannot be changed with these settings."""
        if shape[0] and not self.is_identity and shape[1] < self._fewest_rows:
            raise UsageError(
                f"windows of at least {self._fewest_rows} rows expected, got {shape[1]}",
                where=self.name,
                hint="choose longer windows or other settings",
            )

    def augmented(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        """`apply` to arguments that are already checked."""
        if self.is_identity or not len(windows):
            return windows.copy(), None if usable is None else usable.copy()
        changed, moved = self._transformed(windows, generator, excluded, usable)
        if len(excluded):
            kept = list(excluded)
            changed[:, :, kept] = windows[:, :, kept]
            if moved is not None and usable is not None:
                moved[:, :, kept] = usable[:, :, kept]
        return changed, moved

    def to_json(self) -> dict[str, Any]:
        """The name and the settings as plain values."""
        return {"name": self.name} | {part.name: _plain(getattr(self, part.name)) for part in fields(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The augmentation that `to_json` described; other names and unknown settings are refused."""
        settings = dict(row)
        name = settings.pop("name", None)
        if name != cls.name:
            raise UsageError(f"settings of {cls.name!r} expected, got those of {name!r}", where="augmentation")
        unknown = sorted(settings.keys() - {part.name for part in fields(cls)})
        if unknown:
            raise UsageError(f"unknown settings {unknown}", where=f"augmentation {name}")
        return cls(**settings)

    @property
    def _fewest_rows(self) -> int:
        return 1

    @abstractmethod
    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        """New arrays; excluded sensors are put back afterwards."""


@dataclass(frozen=True, slots=True)
class CellAugmentation(Augmentation):
    """Changes the values of cells where they are: missing cells stay where they were, and keep their filling."""

    @abstractmethod
    def _changed(self, windows: Windows, generator: np.random.Generator) -> Windows:
        """A new array with all cells changed."""

    def _transformed(
        self, windows: Windows, generator: np.random.Generator, excluded: Sequence[int], usable: Mask | None
    ) -> tuple[Windows, Mask | None]:
        changed = self._changed(windows, generator)
        if usable is None:
            return changed, None
        np.copyto(changed, windows, where=~usable)
        return changed, usable.copy()


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value

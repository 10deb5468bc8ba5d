"""The augmentations by name, several of them in turn, and training sets made larger with them.

Augmentation helps where there is little data: what it makes is no new measurement. Its place is training; nothing is
scored or calibrated on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from sensorad.augment.amplitude import Jitter, MagnitudeWarp, Scaling
from sensorad.augment.base import Augmentation
from sensorad.augment.checks import (
    Mask,
    Windows,
    check_excluded,
    check_number,
    check_whole,
    check_windows,
    sensor_positions,
)
from sensorad.augment.dropout import Dropout
from sensorad.augment.permutation import Permutation
from sensorad.augment.shifts import Shift, Slice
from sensorad.augment.warps import Crop, TimeWarp
from sensorad.errors import UsageError, unknown_name

__all__ = [
    "AUGMENTATIONS",
    "Augment",
    "augment_from_names",
    "augmentation_from_json",
    "enlarged",
    "enlarged_with_usable",
]

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        step.name: step
        for step in (
            Jitter(),
            Scaling(),
            MagnitudeWarp(),
            TimeWarp(),
            Shift(),
            Crop(),
            Slice(),
            Dropout(),
            Permutation(),
        )
    }
)
"""Each augmentation with its default settings."""


@dataclass(frozen=True, slots=True)
class Augment:
    """Applies each step, in turn, to each window with the same probability, drawn for each window and step.

    Attributes
    ----------
    steps
        Augmentations in the order in which they are applied.
    probability
        Chance of each step for each window. A window meets none of S steps with (1 - probability)^S.
    excluded
        Positions of sensors that no step changes.
    excluded_from
        Name of a step -> positions of sensors that this step does not change.

    Examples
    --------
    >>> windows = np.zeros((4, 30, 3), np.float32)
    >>> augment = Augment((Jitter(), TimeWarp()), excluded=(2,), excluded_from={"jitter": (0,)})
    >>> changed = augment(windows, np.random.default_rng(0))
    >>> np.flatnonzero((changed != windows).any(axis=(0, 1)))
    array([1])
    >>> Augment.from_json(augment.to_json()) == augment
    True
    """

    steps: tuple[Augmentation, ...]
    probability: float = 0.5
    excluded: tuple[int, ...] = ()
    excluded_from: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = tuple(self.steps)
        if not steps or not all(isinstance(step, Augmentation) for step in steps):
            raise UsageError(f"steps must be one or more augmentations, got {self.steps!r}", where="augment")
        check_number("probability", self.probability, 0.0, 1.0, "augment")
        excluded_from = {}
        if not isinstance(self.excluded_from, Mapping):
            raise UsageError(f"excluded_from must map names of steps, got {self.excluded_from!r}", where="augment")
        for name, sensors in self.excluded_from.items():
            if name not in (names := [step.name for step in steps]):
                raise unknown_name("step", name, names)
            excluded_from[name] = sensor_positions(f"excluded_from[{name!r}]", sensors, "augment")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "excluded", sensor_positions("excluded", self.excluded, "augment"))
        object.__setattr__(self, "excluded_from", excluded_from)

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
        """Changed copies of windows and of the mask that goes with them; as `Augmentation.apply`.

        Parameters
        ----------
        excluded
            Further sensors that stay as they are.
        """
        n_sensors = check_windows(windows, usable, "augment")
        always = check_excluded([*self.excluded, *excluded], n_sensors, "augment")
        spared = {name: check_excluded(sensors, n_sensors, name) for name, sensors in self.excluded_from.items()}
        for step in self.steps:
            step.check_shape(windows.shape)
        changed, moved = windows.copy(), None if usable is None else usable.copy()
        for step in self.steps:
            kept = always + spared.get(step.name, ())
            chosen = np.flatnonzero(generator.random(len(windows)) < self.probability)  # (n,)
            part, part_usable = step.augmented(
                changed[chosen], generator, kept, None if moved is None else moved[chosen]
            )
            changed[chosen] = part
            if moved is not None and part_usable is not None:
                moved[chosen] = part_usable
        return changed, moved

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "steps": [step.to_json() for step in self.steps],
            "probability": self.probability,
            "excluded": list(self.excluded),
            "excluded_from": {name: list(sensors) for name, sensors in self.excluded_from.items()},
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Augment:
        """What `to_json` described; unknown names are refused."""
        settings = dict(row)
        unknown = sorted(settings.keys() - {"steps", "probability", "excluded", "excluded_from"})
        if unknown:
            raise UsageError(f"unknown settings {unknown}", where="augment")
        return cls(tuple(augmentation_from_json(step) for step in settings.pop("steps", ())), **settings)


def augmentation_from_json(row: Mapping[str, Any]) -> Augmentation:
    """The augmentation that ``to_json`` described.

    Raises
    ------
    UsageError
        If the name or a setting is unknown, or a value out of range.

    Examples
    --------
    >>> augmentation_from_json({"name": "shift", "rows": 5})
    Shift(rows=5)
    """
    name = str(row.get("name"))
    if name not in AUGMENTATIONS:
        raise unknown_name("augmentation", name, AUGMENTATIONS)
    return type(AUGMENTATIONS[name]).from_json(row)


def augment_from_names(
    names: Sequence[str],
    probability: float = 0.5,
    excluded: Sequence[int] = (),
    excluded_from: Mapping[str, Sequence[int]] | None = None,
    groups: Sequence[Sequence[int]] = (),
) -> Augment:
    """The named augmentations with default settings, in that order.

    Parameters
    ----------
    names
        From `AUGMENTATIONS`.
    probability, excluded, excluded_from
        As in `Augment`.
    groups
        Sensors that stand for each other, which "permutation" needs.

    Raises
    ------
    UsageError
        If there is no name, an unknown one, or "permutation" without groups.

    Examples
    --------
    >>> augment_from_names(["jitter", "scaling"]).steps
    (Jitter(sigma=0.05), Scaling(sigma=0.1))
    """
    if isinstance(names, str):
        raise UsageError(f"names must be a list, got {names!r}", where="augment", hint=f"[{names!r}]")
    steps: list[Augmentation] = []
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", name, AUGMENTATIONS)
        steps.append(AUGMENTATIONS[name])
    if ("permutation" in names) != bool(groups):
        raise UsageError("permutation and groups of exchangeable sensors need each other", where="augment")
    exchange = Permutation(tuple(tuple(group) for group in groups))
    steps = [exchange if step.name == "permutation" else step for step in steps]
    spared = {name: tuple(sensors) for name, sensors in (excluded_from or {}).items()}
    return Augment(tuple(steps), probability, tuple(excluded), spared)


def enlarged(windows: Windows, n_fold: int, augment: Augment, generator: np.random.Generator) -> Windows:
    """The windows themselves, followed by ``n_fold - 1`` augmented copies of all of them.

    Parameters
    ----------
    windows : (N, L, C) float32
        As in `Augmentation.apply`.
    n_fold
        How many times as many windows there are to be; 1 gives a plain copy.

    Returns
    -------
    (n_fold N, L, C) float32
        Copy k of window n is at k N + n.

    Examples
    --------
    >>> windows = np.zeros((4, 30, 2), np.float32)
    >>> enlarged(windows, 3, augment_from_names(["jitter"]), np.random.default_rng(0)).shape
    (12, 30, 2)
    """
    return _enlarged(windows, None, n_fold, augment, generator)[0]


def enlarged_with_usable(
    windows: Windows, usable: Mask, n_fold: int, augment: Augment, generator: np.random.Generator
) -> tuple[Windows, Mask]:
    """`enlarged` windows and the mask that goes with them, both (n_fold N, L, C).

    Examples
    --------
    >>> windows = np.zeros((4, 30, 2), np.float32)
    >>> usable = np.ones(windows.shape, bool)
    >>> augment = augment_from_names(["slice"], probability=1.0)
    >>> large, large_usable = enlarged_with_usable(windows, usable, 3, augment, np.random.default_rng(0))
    >>> bool(large_usable[:4].all()), bool(large_usable[4:].all())
    (True, False)
    """
    large, large_usable = _enlarged(windows, usable, n_fold, augment, generator)
    return large, cast(Mask, large_usable)


def _enlarged(
    windows: Windows, usable: Mask | None, n_fold: int, augment: Augment, generator: np.random.Generator
) -> tuple[Windows, Mask | None]:
    check_whole("n_fold", n_fold, 1, "enlarged")
    check_windows(windows, usable, "enlarged")
    n_windows = len(windows)
    large = np.empty((n_fold * n_windows, *windows.shape[1:]), np.float32)
    large[:n_windows] = windows
    large_usable = None if usable is None else np.tile(usable, (n_fold, 1, 1))
    for fold in range(1, n_fold):
        place = slice(fold * n_windows, (fold + 1) * n_windows)
        changed, moved = augment.apply(windows, generator, usable=usable)
        large[place] = changed
        if large_usable is not None and moved is not None:
            large_usable[place] = moved
    return large, large_usable

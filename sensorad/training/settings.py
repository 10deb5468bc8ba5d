"""What may be said of augmentations and faults in the settings of a detector, checked without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sensorad.augment import AUGMENTATIONS, augmentation_from_json
from sensorad.augment.base import Augmentation
from sensorad.augment.faults import fault_kind
from sensorad.errors import UsageError, unknown_name

__all__ = [
    "LEAST_EXPOSED_ROWS",
    "Described",
    "check_augment",
    "check_fault_kinds",
    "named_sensors",
    "plain_exposure",
    "plain_names",
    "plain_objective",
    "plain_steps",
]

LEAST_EXPOSED_ROWS = 8
"""Rows of the shortest window that every kind of fault fits into."""


def plain_steps(steps: Sequence[str | Mapping[str, Any] | Augmentation]) -> tuple[str | dict[str, Any], ...]:
    """Augmentations as settings hold them: names where nothing else is said, plain values where there is more to say.

    Examples
    --------
    >>> from sensorad.augment import Jitter
    >>> plain_steps(["scaling", Jitter(sigma=0.2)])
    ('scaling', {'name': 'jitter', 'sigma': 0.2})
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise UsageError(f"augment must be a list, got {steps!r}", hint='such as ["jitter", "scaling"]')
    found: list[str | dict[str, Any]] = []
    for step in steps:
        if isinstance(step, Augmentation):
            found.append(step.to_json())
        else:
            found.append(dict(step) if isinstance(step, Mapping) else step)
    return tuple(found)


class Described(Protocol):
    """A ready object that says what it is: "name", and its settings."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


def plain_objective(said: str | Mapping[str, Any] | Described | None) -> str | dict[str, Any] | None:
    """An objective as settings hold it.

    Examples
    --------
    >>> from sensorad.training import Denoising
    >>> plain_objective("masked"), plain_objective(Denoising(sigma=0.2))
    ('masked', {'name': 'denoising', 'sigma': 0.2, 'dropout': 0.0})
    """
    if said is None or isinstance(said, str):
        return said
    return dict(said) if isinstance(said, Mapping) else said.to_json()


def plain_exposure(
    said: str | Mapping[str, Any] | Described | None, kinds: Sequence[str]
) -> tuple[str | None, tuple[str, ...], dict[str, Any]]:
    """An exposure as settings hold it: its name, the kinds of faults, and what else there is to say.

    Examples
    --------
    >>> from sensorad.training import Repair
    >>> plain_exposure("head", ["bias"])
    ('head', ('bias',), {})
    >>> plain_exposure(Repair(kinds=("lag",), share=0.3), ())
    ('repair', ('lag',), {'share': 0.3, 'faulty_weight': 3.0})
    """
    if said is None or isinstance(said, str):
        return said, plain_names("exposure_kinds", kinds), {}
    settings = dict(said) if isinstance(said, Mapping) else said.to_json()
    own = settings.pop("kinds", ())
    if own and kinds:
        raise UsageError("kinds of faults were named in the exposure and beside it", hint="name them once")
    return settings.pop("name", None), plain_names("exposure_kinds", own or kinds), settings


def plain_names(setting: str, names: Sequence[str]) -> tuple[str, ...]:
    """A list of names; raises `UsageError` for one text.

    Examples
    --------
    >>> plain_names("exposure_kinds", ["bias"])
    ('bias',)
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise UsageError(f"{setting} must be a list, got {names!r}", hint=f"write [{names!r}]")
    return tuple(names)


def check_augment(steps: Sequence[str | Mapping[str, Any]]) -> None:
    """Raise `UsageError` for a step that there is not, or that could not be done.

    Examples
    --------
    >>> check_augment(["jitter", {"name": "permutation", "groups": [["temp 1", "temp 2"]]}])
    """
    for step in steps:
        settings = dict(step) if isinstance(step, Mapping) else {"name": step}
        name = settings.get("name")
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", str(name), AUGMENTATIONS)
        if name == "permutation" and not settings.get("groups"):
            raise UsageError(
                "permutation needs groups of sensors that stand for each other",
                where="augment",
                hint='in Python: augment=[{"name": "permutation", "groups": [["temp 1", "temp 2"]]}]',
            )
        groups = settings.pop("groups", None)
        if groups is not None:
            _check_groups(groups)
        augmentation_from_json(settings)


def named_sensors(steps: Sequence[str | Mapping[str, Any]]) -> list[str]:
    """Names of sensors in the steps.

    Examples
    --------
    >>> named_sensors(["jitter", {"name": "permutation", "groups": [["temp 1", "temp 2"]]}])
    ['temp 1', 'temp 2']
    """
    groups = [group for step in steps if isinstance(step, Mapping) for group in step.get("groups", ())]
    return [sensor for group in groups for sensor in group if isinstance(sensor, str)]


def check_fault_kinds(kinds: Sequence[str]) -> None:
    """Raise `UsageError` for a kind of fault that there is not.

    Examples
    --------
    >>> check_fault_kinds(["bias", "lag"])
    """
    for kind in kinds:
        fault_kind(kind)


def _check_groups(groups: Any) -> None:
    is_list = isinstance(groups, list | tuple) and all(isinstance(group, list | tuple) for group in groups)
    if not is_list or any(len(set(group)) < max(2, len(group)) for group in groups):
        raise UsageError(
            f"groups must be lists of two or more different sensors, got {groups!r}", where="augment permutation"
        )

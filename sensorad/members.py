"""Members of an ensemble as settings: which may differ, and which members there are unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from sensorad.errors import UsageError
from sensorad.models import model_kind

__all__ = [
    "MEMBER_FAMILIES",
    "MEMBER_SETTINGS",
    "MOST_MEMBERS",
    "longest_window",
    "member_settings",
    "usual_members",
]

MEMBER_FAMILIES = ("linear", "network", "shape")
"""Families whose models can be members."""

MEMBER_SETTINGS = (
    "model", "window", "network", "objective", "augment", "augment_exclude", "mixup", "exposure", "exposure_kinds",
    "epochs", "stride",
)  # fmt: skip
"""Settings of a detector that a member may have for itself."""

MOST_MEMBERS = 64
"""More would not fit into the memory of a long log; a number from a file is held to it before any is built."""

SCALES = 4
"""The long windows have so many times the rows of the short ones."""

SHORT_NETWORKS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {"lstm": {"width": 32, "code": 8}, "randnet": {"width": 64, "code": 8}}
)
"""Sizes of networks that read short windows."""

UNTRAINED = {
    "objective": None, "augment": (), "augment_exclude": (), "mixup": 0.0, "exposure": None, "exposure_kinds": (),
    "epochs": None, "read_every": None,
}  # fmt: skip
"""What of the settings of the whole says nothing to a member that is not trained."""


def usual_members(length: int, has_linear_part: bool) -> tuple[dict[str, Any], ...]:
    """The members of an ensemble that was asked for without any, for windows of ``length`` rows.

    Every kind reads windows of two lengths, L and L / 4; networks of short windows are half as wide.

    Examples
    --------
    >>> [(member["model"], member["window"]) for member in usual_members(30, has_linear_part=False)]
    [('shape', 30), ('lstm', 30), ('randnet', 30), ('shape', 7), ('lstm', 7), ('randnet', 7)]
    """
    kinds = ("linear", "shape", "lstm", "randnet") if has_linear_part else ("shape", "lstm", "randnet")
    short = max(2, length // SCALES)
    long_ones = [{"model": kind, "window": length} for kind in kinds]
    short_ones = [{"model": kind, "window": short, "network": dict(SHORT_NETWORKS.get(kind, {}))} for kind in kinds]
    return (*long_ones, *short_ones)


def longest_window(members: Sequence[Mapping[str, Any]]) -> int:
    """Rows of the longest window that a member asks for; 0 where none does."""
    said = [member.get("window") for member in members if isinstance(member, Mapping)]
    return max((window for window in said if isinstance(window, int)), default=0)


def member_settings(said: Any, number: int, length: int, random_state: int) -> dict[str, Any]:
    """What makes a detector of the ensemble's settings one of its member ``number``, counted from 0.

    Raises
    ------
    UsageError
        Unknown settings, no model, one that cannot be a member, or a window longer than that of the whole.
    """
    where = f"member {number + 1} of the ensemble"
    if not isinstance(said, Mapping):
        raise UsageError(f"settings by name expected, got {said!r}", where=where, hint='such as {"model": "lstm"}')
    unknown = sorted(set(said) - set(MEMBER_SETTINGS), key=str)
    if unknown:
        raise UsageError(f"unknown settings {unknown}", where=where, hint=f"known: {', '.join(MEMBER_SETTINGS)}")
    if "model" not in said:
        raise UsageError("a model expected", where=where, hint='such as {"model": "lstm"}')
    if model_kind(str(said["model"])).family not in MEMBER_FAMILIES:
        raise UsageError(f"{said['model']} cannot be a member", where=where, hint="linear, shape or a network")
    window = said.get("window")
    if isinstance(window, int) and window > length:
        raise UsageError(
            f"its windows have {window} rows, those of the whole {length}", where=where, hint="lengthen the window"
        )
    kind = model_kind(said["model"])
    settings = {} if kind.is_trained else dict(UNTRAINED)
    settings |= {"network": {}, "window": length} | {name: value for name, value in said.items() if value is not None}
    return settings | {"random_state": int(np.random.SeedSequence((random_state, number)).generate_state(1)[0])}

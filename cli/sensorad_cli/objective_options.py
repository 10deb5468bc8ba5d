"""The options of `fit` that change windows on their way into a network, or put faults into them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import click

from sensorad_cli.params import names

__all__ = ["ObjectiveOptions", "objective_options"]


@dataclass(frozen=True, slots=True)
class ObjectiveOptions:
    """What the user said; empty where nothing was said."""

    augment: tuple[str, ...] = ()
    augment_exclude: tuple[str, ...] = ()
    mixup: float = 0.0
    exposure: str | None = None
    exposure_kind: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Arguments of `Detector`."""
        said = asdict(self)
        return said | {"exposure_kinds": said.pop("exposure_kind")}


_OPTIONS = (
    names("--augment", help="Change training windows of a network: jitter, scaling, time_warp ...; in this order."),
    names("--augment-exclude", help="Sensors that augmentations leave alone."),
    click.option(
        "--mixup",
        type=click.FloatRange(min=0.0),
        default=0.0,
        metavar="ALPHA",
        help="Mix training windows of one mode; 0.1 to 0.4 is usual.",
    ),
    click.option(
        "--exposure",
        is_flag=False,
        flag_value="repair",
        metavar="[HOW]",
        help="Train on synthetic faults: repair (where HOW is left out) or hinge for networks, head for any model.",
    ),
    names("--exposure-kind", help="Faults to train on: bias, drift ...; all unless named."),
)


def objective_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``objective_options=ObjectiveOptions(...)``."""
    known = {entry.name for entry in fields(ObjectiveOptions)}

    @functools.wraps(function)
    def wrapped(*args: Any, **values: Any) -> Any:
        said = {name: values.pop(name) for name in known}
        return function(*args, objective_options=ObjectiveOptions(**said), **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped

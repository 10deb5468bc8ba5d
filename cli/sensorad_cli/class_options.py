"""The options of `fit` for classifiers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import click

__all__ = ["ClassOptions", "class_options"]


@dataclass(frozen=True, slots=True)
class ClassOptions:
    """What the user said; empty where nothing was said."""

    labels_from: str | None = None
    class_score: str | None = None
    label_smoothing: float = 0.0

    def settings(self) -> dict[str, Any]:
        """Arguments of `Detector`."""
        said = asdict(self)
        return said | {"labels": said.pop("labels_from")}


_OPTIONS = (
    click.option(
        "--labels-from",
        metavar="WHAT",
        help="What a classifier tells apart: machine, mode, or which transform was applied to a window.  "
        "[default: what the log has]",
    ),
    click.option(
        "--class-score",
        metavar="NAME",
        help="How unsure a classifier is: msp, entropy or energy; with transforms log_probability or circular.",
    ),
    click.option(
        "--label-smoothing",
        type=click.FloatRange(0.0, 1.0, max_open=True),
        default=0.0,
        metavar="SHARE",
        help="Share of each label of a classifier that is spread over all classes.",
    ),
)


def class_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``class_options=ClassOptions(...)``."""
    known = {entry.name for entry in fields(ClassOptions)}

    @functools.wraps(function)
    def wrapped(*args: Any, **values: Any) -> Any:
        said = {name: values.pop(name) for name in known}
        return function(*args, class_options=ClassOptions(**said), **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped

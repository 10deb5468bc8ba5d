"""The options of threshold methods: which method chooses the alarm line, and its settings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from sensorad_cli.params import DURATION

__all__ = ["MethodOptions", "method_options"]

SETTINGS = {
    "q": "q",
    "k": "k",
    "risk": "risk",
    "alpha": "alpha",
    "block": "block_seconds",
    "beta": "beta",
    "unit": "unit",
    "keep_budget": "is_budget_kept",
    "extrapolate": "is_extrapolated_if_short",
    "declustered": "is_declustered",
}
"""Option -> setting of the method's class."""


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What the user said about the threshold method; None where nothing was said."""

    method: str = "budget"
    budget: str | None = None
    confidence: float | None = None
    q: float | None = None
    k: float | None = None
    risk: float | None = None
    alpha: float | None = None
    block: float | None = None
    beta: float | None = None
    unit: str | None = None
    keep_budget: bool | None = None
    extrapolate: bool | None = None
    declustered: bool | None = None

    def settings(self) -> dict[str, Any]:
        """Arguments for `Detector.calibrate`."""
        said = {"method": self.method, "budget": self.budget, "confidence": self.confidence}
        said |= {setting: getattr(self, option) for option, setting in SETTINGS.items()}
        return {name: value for name, value in said.items() if value is not None}


def method_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds the options and hands them to the function as ``method_options=MethodOptions(...)``."""
    options = (
        click.option(
            "--method",
            default="budget",
            show_default=True,
            metavar="NAME",
            help="budget, budget-mean, quantile, sigma, mad, pot, conformal or fbeta.",
        ),
        click.option("--budget", metavar="RATE", help="Acceptable false alarms: 1/day, 2/week, 3/month."),
        click.option("--confidence", type=float, help="Confidence with which the budget is kept.  [default: 0.9]"),
        click.option(
            "--extrapolate",
            is_flag=True,
            default=None,
            help="budget: with too little data, extrapolate the tail (no promise) instead of refusing.",
        ),
        click.option("--q", type=float, help="quantile: share of normal rows below the line.  [default: 0.99]"),
        click.option("--k", type=float, help="sigma, mad: deviations above the mean or median.  [default: 3 and 6]"),
        click.option("--risk", type=float, help="pot: chance of a normal row above the line.  [default: 1e-4]"),
        click.option(
            "--declustered", is_flag=True, default=None, help="pot: count alarm events and not rows in the risk."
        ),
        click.option("--alpha", type=float, help="conformal: p-value of a block that alarms.  [default: 0.01]"),
        click.option("--block", type=DURATION, metavar="DURATION", help="conformal: length of a block, as 6h."),
        click.option("--beta", type=float, help="fbeta: how much recall weighs against precision.  [default: 0.5]"),
        click.option("--unit", type=click.Choice(["event", "row"]), help="fbeta: what is counted.  [default: event]"),
        click.option(
            "--keep-budget/--no-keep-budget",
            default=None,
            help="fbeta: never below the line that keeps the budget.  [default: keep]",
        ),
    )
    known = {entry.name for entry in fields(MethodOptions)}

    @functools.wraps(function)
    def packed(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in known & kwargs.keys()}
        return function(*args, method_options=MethodOptions(**said), **kwargs)

    for option in reversed(options):
        packed = option(packed)
    return packed

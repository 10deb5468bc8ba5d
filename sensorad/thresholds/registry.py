"""Threshold methods by name: a new method is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sensorad.errors import unknown_name
from sensorad.thresholds.base import ThresholdMethod
from sensorad.thresholds.budget import BudgetThreshold
from sensorad.thresholds.budget_mean import BudgetMeanThreshold
from sensorad.thresholds.conformal import ConformalThreshold
from sensorad.thresholds.fbeta import FBetaThreshold
from sensorad.thresholds.mad import MadThreshold
from sensorad.thresholds.pot import PeaksOverThreshold
from sensorad.thresholds.quantile import QuantileThreshold
from sensorad.thresholds.sigma import SigmaThreshold

__all__ = ["THRESHOLDS", "threshold_class"]

THRESHOLDS: Mapping[str, Callable[..., ThresholdMethod]] = MappingProxyType(
    {
        "budget": BudgetThreshold,
        "budget-mean": BudgetMeanThreshold,
        "conformal": ConformalThreshold,
        "fbeta": FBetaThreshold,
        "mad": MadThreshold,
        "pot": PeaksOverThreshold,
        "quantile": QuantileThreshold,
        "sigma": SigmaThreshold,
    }
)
"""Name on the command line -> class; its dataclass fields are the options of the method."""


def threshold_class(name: str) -> Callable[..., ThresholdMethod]:
    """The class of that name.

    Raises
    ------
    UsageError
        No such method; names the closest one.

    Examples
    --------
    >>> threshold_class("quantile")(q=0.999)
    QuantileThreshold(q=0.999)
    """
    if name not in THRESHOLDS:
        raise unknown_name("threshold method", name, THRESHOLDS)
    return THRESHOLDS[name]

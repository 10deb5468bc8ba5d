"""Quantile threshold: the line that a fixed share of normal rows stays below."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from sensorad.errors import TooLittleDataError, UsageError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.counted import counted_result

__all__ = ["QuantileThreshold"]


@dataclass(frozen=True, slots=True)
class QuantileThreshold:
    """Line at the ``q`` quantile of the normal scores: about 1 - q of normal *rows* lie above it.

    Rows are not events: at one row a second, q = 0.99 can mean hundreds of alarm events a day. The result says
    how many it was on the calibration scores.

    Parameters
    ----------
    q
        Quantile, in (0, 1).

    Raises
    ------
    TooLittleDataError
        Fewer than 1 / (1 - q) scored rows, so that no row need lie above the line.
    DataError
        Scores that are constant or infinite, or a quantile that is not positive.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(1000) * 10**9, np.arange(1.0, 1001.0), np.zeros(1000, np.int32), 1.0)
    >>> round(QuantileThreshold(q=0.99).fit(scores, EventRule()).threshold, 2)
    990.01
    """

    q: float = 0.99
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise UsageError(f"q must lie between 0 and 1, got {self.q!r}", hint="0.99 is usual")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line, and the events that it gives under ``rule``."""
        scores = checked_scores(scores, self.name)
        finite = scores.finite
        n_needed = ceil(round(1.0 / (1.0 - self.q), 6))
        if len(finite) < n_needed:
            raise TooLittleDataError(
                f"the {self.q:g} quantile needs at least {n_needed:,} scored rows, got {len(finite):,}",
                where=f"threshold method {self.name}",
                hint=f"add {n_needed - len(finite):,} rows of normal data or choose a smaller q",
            )
        threshold = float(np.quantile(finite, self.q))
        return counted_result(scores, rule, threshold, self.name, {"q": self.q})

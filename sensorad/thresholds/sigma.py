"""Mean plus k standard deviations: the line of the control chart, with the events that it really gives."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError, UsageError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.counted import counted_result

__all__ = ["LEAST_ROWS", "SigmaThreshold", "checked_multiple", "checked_rows"]

LEAST_ROWS = 100
"""Scored rows that a spread needs: even of independent Gaussian rows, 100 leave a standard error of 7 % in the standard
deviation, 0.71 / sqrt(n), and of 12 % in the median absolute deviation, 1.17 / sqrt(n)."""


@dataclass(frozen=True, slots=True)
class SigmaThreshold:
    """Line at mean + ``k`` standard deviations of the normal scores (Shewhart 1931).

    Three sigma are one row in 741 for Gaussian scores only; scores have heavier tails and neighbouring rows move
    together, so the rate of alarm events depends on the log: the result says what it was on the calibration scores.

    Parameters
    ----------
    k
        Standard deviations above the mean, positive.

    Raises
    ------
    TooLittleDataError
        Fewer than 100 scored rows.
    DataError
        Scores that are constant or infinite, or a line that is not positive.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(1000) * 10**9, np.arange(1.0, 1001.0), np.zeros(1000, np.int32), 1.0)
    >>> result = SigmaThreshold(k=1.5).fit(scores, EventRule())
    >>> round(result.threshold, 2), result.parameters["mean"]
    (933.73, 500.5)
    """

    k: float = 3.0
    name: ClassVar[str] = "sigma"

    def __post_init__(self) -> None:
        checked_multiple(self.k, "standard deviations above the mean", "3")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line, and the events that it gives under ``rule``."""
        scores = checked_scores(scores, self.name)
        finite = checked_rows(scores, self.name)
        mean, sd = float(finite.mean()), float(finite.std(ddof=1))
        parameters = {"k": self.k, "mean": mean, "sd": sd}
        return counted_result(scores, rule, mean + self.k * sd, self.name, parameters)


def checked_multiple(k: float, of_what: str, usual: str) -> None:
    """`UsageError` unless ``k`` is a positive number.

    Examples
    --------
    >>> checked_multiple(3.0, "standard deviations above the mean", "3")
    """
    if not isfinite(k) or k <= 0:
        raise UsageError(f"k must be a positive number of {of_what}, got {k!r}", hint=f"{usual} is usual")


def checked_rows(scores: CalibrationScores, method: str) -> NDArray[np.float64]:
    """The scores of the rows that have one, (n,); `TooLittleDataError` where these are fewer than `LEAST_ROWS`.

    Examples
    --------
    >>> scores = CalibrationScores(np.arange(120) * 10**9, np.ones(120), np.zeros(120, np.int32), 1.0)
    >>> len(checked_rows(scores, "sigma"))
    120
    """
    finite = scores.finite
    if len(finite) < LEAST_ROWS:
        raise TooLittleDataError(
            f"a spread of scores needs at least {LEAST_ROWS} scored rows, got {len(finite)}",
            where=f"threshold method {method}",
            hint=f"add {LEAST_ROWS - len(finite)} rows of normal data",
        )
    return finite

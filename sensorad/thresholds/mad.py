"""Median plus k robust standard deviations: as `sigma`, but a few high scores do not move the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sensorad.errors import DataError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.counted import counted_result
from sensorad.thresholds.sigma import checked_multiple, checked_rows

__all__ = ["MadThreshold"]

SD_PER_MAD = 1.4826
"""Standard deviations in one median absolute deviation of a Gaussian (Hampel 1974)."""


@dataclass(frozen=True, slots=True)
class MadThreshold:
    """Line at median + ``k`` * 1.4826 * median absolute deviation of the normal scores (Leys et al. 2013).

    Up to half of the rows may be high, by unlabelled faults for instance, before the line follows them. Skewed
    scores get a low line for the same reason: the result says how many events that meant on the calibration scores.

    Parameters
    ----------
    k
        Robust standard deviations above the median, positive.

    Raises
    ------
    TooLittleDataError
        Fewer than 100 scored rows.
    DataError
        Scores that are infinite or equal on half of the rows, or a line that is not positive.

    Examples
    --------
    >>> score = np.append(np.arange(1.0, 901.0), np.full(100, 1e6))
    >>> scores = CalibrationScores(np.arange(1000) * 10**9, score, np.zeros(1000, np.int32), 1.0)
    >>> result = MadThreshold(k=2.0).fit(scores, EventRule())
    >>> round(result.threshold, 1), result.parameters["median"], result.parameters["mad"]
    (1241.8, 500.5, 250.0)
    """

    k: float = 6.0
    name: ClassVar[str] = "mad"

    def __post_init__(self) -> None:
        checked_multiple(self.k, "robust standard deviations above the median", "6")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line, and the events that it gives under ``rule``."""
        scores = checked_scores(scores, self.name)
        finite = checked_rows(scores, self.name)
        median = float(np.median(finite))
        mad = float(np.median(np.abs(finite - median)))
        if mad == 0:
            raise DataError(
                f"the median absolute deviation of the scores is 0: at least half of {len(finite):,} rows score "
                f"{median:g}",
                where=f"threshold method {self.name}",
                hint="there is no spread to count in; use 'quantile' or 'budget'",
            )
        parameters = {"k": self.k, "median": median, "mad": mad}
        return counted_result(scores, rule, median + self.k * SD_PER_MAD * mad, self.name, parameters)

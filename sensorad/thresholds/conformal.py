"""Conformal p-values of block maxima: the line that a normal block passes with a stated probability."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule
from sensorad.thresholds.base import SECONDS_PER_DAY, CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.blocks import block_maxima, default_block_seconds
from sensorad.thresholds.counted import counted_result

__all__ = ["ConformalThreshold", "conformal_p_values"]

ROUNDING = 1e-9
"""0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996: both mean whole blocks."""


@dataclass(frozen=True, slots=True)
class ConformalThreshold:
    """Lowest line such that a block of time whose maximum is above it has a conformal p-value of at most ``alpha``.

    p = (1 + number of calibration maxima at least as high) / (n + 1), so the line is the floor(alpha (n + 1))-th
    largest of the n block maxima (Vovk, Gammerman & Shafer 2005, chapter 2). On normal operation at most a share
    ``alpha`` of blocks alarms, on average over calibrations, whatever the distribution of the scores. Blocks,
    because neighbouring rows are not exchangeable.

    Parameters
    ----------
    alpha
        Share of normal blocks that may alarm, in (0, 1).
    block_seconds
        Length of a block; None = `default_block_seconds`.

    Raises
    ------
    TooLittleDataError
        Fewer than 1 / alpha - 1 blocks, so that no p-value can be as small as alpha.
    DataError
        Scores that are constant or infinite, or a line that is not positive.

    Examples
    --------
    >>> score = np.random.default_rng(0).exponential(size=14 * 1440)
    >>> scores = CalibrationScores(np.arange(score.size) * 60 * 10**9, score, np.zeros(score.size, np.int32), 60.0)
    >>> result = ConformalThreshold(alpha=0.05).fit(scores, EventRule())
    >>> result.parameters["n_blocks"], result.parameters["alarm_blocks_per_day"]
    (168, 0.6)
    """

    alpha: float = 0.01
    block_seconds: float | None = None
    name: ClassVar[str] = "conformal"

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha must lie between 0 and 1, got {self.alpha!r}", hint="0.01 is usual")
        if self.block_seconds is not None and (not isfinite(self.block_seconds) or self.block_seconds <= 0):
            raise UsageError(f"block_seconds must be positive, got {self.block_seconds!r}", hint="3600 is an hour")

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line, and the events that it gives under ``rule``."""
        scores = checked_scores(scores, self.name)
        seconds = default_block_seconds(scores) if self.block_seconds is None else self.block_seconds
        height = block_maxima(scores, seconds).height  # (n,)
        n_blocks = len(height)
        rank = floor(self.alpha * (n_blocks + 1) + ROUNDING)
        if rank < 1:
            self._refuse(n_blocks, seconds)
        threshold = float(np.sort(height)[n_blocks - rank])
        parameters = {
            "alpha": self.alpha,
            "n_blocks": n_blocks,
            "block_seconds": float(seconds),
            "smallest_p_value": 1.0 / (n_blocks + 1),
            "alarm_blocks_per_day": round(self.alpha * SECONDS_PER_DAY / seconds, 12),
        }
        exchangeable = (
            f"block maxima are exchangeable, in calibration and later: then p-values are exact, and at most "
            f"{self.alpha:g} of normal blocks of {seconds / 3600:.3g} h alarm on average "
            f"({parameters['alarm_blocks_per_day']:.3g} a machine-day)"
        )
        return counted_result(scores, rule, threshold, self.name, parameters, (exchangeable,))

    def _refuse(self, n_blocks: int, seconds: float) -> None:
        needed = ceil(1.0 / self.alpha - 1.0 - ROUNDING)
        hours = (needed - n_blocks) * seconds / 3600.0
        amount = f"{hours / 24:.3g} machine-days" if hours >= 48 else f"{hours:.3g} machine-hours"
        raise TooLittleDataError(
            f"alarms at p <= {self.alpha:g} need {needed:,} blocks of {seconds / 3600:.3g} h with normal scores, "
            f"{n_blocks:,} are available",
            where=f"threshold method {self.name}",
            hint=f"add {amount} of normal data, or choose a larger alpha or shorter blocks",
        )


def conformal_p_values(
    calibration_heights: NDArray[np.float64],
    heights: NDArray[np.float64],
    generator: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """p = (1 + number of calibration heights >= height) / (n + 1), so P(p <= a) <= a if all are exchangeable.

    With a ``generator`` ties are broken at random, the height counting as tied with itself: p = (number above +
    U (1 + number equal)) / (n + 1) is then uniform on (0, 1] exactly (Vovk, Gammerman & Shafer 2005, chapter 2:
    smoothed conformal predictors), as test martingales need it.

    Parameters
    ----------
    calibration_heights
        (n,) heights of normal blocks, n >= 1.
    heights
        Heights to be judged, any shape; NaN where there is none.

    Returns
    -------
    p-values in (0, 1], shaped as ``heights``, NaN where these are.

    Raises
    ------
    TooLittleDataError
        No calibration height.
    DataError
        A calibration height is NaN.

    Examples
    --------
    >>> conformal_p_values(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.5, 2.0, 2.5, 9.0])).tolist()
    [1.0, 0.8, 0.4, 0.2]
    """
    n = len(calibration_heights)
    if n == 0:
        raise TooLittleDataError("p-values need at least 1 calibration height, got none")
    ordered = np.sort(calibration_heights)
    if np.isnan(ordered[-1]):  # NaN sorts to the end
        raise DataError("a calibration height is NaN", hint="leave blocks without a maximum out")
    below = np.searchsorted(ordered, heights, side="left")
    if generator is None:
        p = (1.0 + n - below) / (n + 1.0)
    else:
        n_above = n - np.searchsorted(ordered, heights, side="right")
        share = 1.0 - generator.random(np.shape(heights))  # in (0, 1]: a p-value of 0 would end any martingale
        p = (n_above + share * (1.0 + n - below - n_above)) / (n + 1.0)
    return np.where(np.isnan(heights), np.nan, p)

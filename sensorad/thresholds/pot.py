"""Peaks over threshold: a line for a stated risk, also far beyond the highest normal score."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, sqrt
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdResult, checked_scores
from sensorad.thresholds.counted import CONFIDENCE, counted_result
from sensorad.thresholds.extrapolation import event_heights
from sensorad.thresholds.pareto import fit_pareto

__all__ = ["PeaksOverThreshold"]

LEAST_EXCESSES = 50
"""With fewer, the standard error of the shape exceeds 0.14, and that of a line for one row in 10,000 a quarter of its
distance from the level."""

MOST_BODY = 0.1
"""Share of many events that make the tail; at lower levels events grow together, which bends the distribution of
their heights: with all events above the 98 % quantile of iid rows, a line for one in a million came four times."""

LEAST_TAIL = 100
"""Events that make the tail at least, where there are so many."""


@dataclass(frozen=True, slots=True)
class PeaksOverThreshold:
    """Line that a normal row exceeds with probability ``risk``, from a generalised Pareto tail above a high quantile.

    With u the ``level`` quantile of the n scores and N excesses over it of fitted shape and scale, the line is
    u + scale / shape ((risk n / N)^-shape - 1) (Siffer et al. 2017, KDD, eq. 1). Rows are taken as independent,
    which scores of overlapping windows are not: a line that one row in 10,000 exceeds may still mean several alarm
    events in a row of bad minutes, or far fewer than expected. With ``is_declustered`` the peaks of events under the
    rule take the place of rows (declustering: Coles 2001, section 5.3.2), and ``risk`` is the expected number of
    alarm events per row.

    Parameters
    ----------
    risk
        Share of normal rows above the line, or alarm events per row, in (0, 1 - level).
    level
        Quantile of the scores at which the tail begins, in (0, 1).
    is_declustered
        Count events instead of rows.

    Raises
    ------
    TooLittleDataError
        Fewer than 50 rows, or events, above the level.
    DataError
        Scores that are constant, infinite or not positive at the level; fewer events than ``risk`` allows.

    Examples
    --------
    >>> score = np.random.default_rng(0).exponential(size=50_000)
    >>> scores = CalibrationScores(np.arange(50_000) * 10**9, score, np.zeros(50_000, np.int32), 1.0)
    >>> result = PeaksOverThreshold(risk=1e-6).fit(scores, EventRule())
    >>> result.is_extrapolated, bool(abs(result.threshold / -np.log(1e-6) - 1) < 0.2)
    (True, True)
    """

    risk: float = 1e-4
    level: float = 0.98
    is_declustered: bool = False
    name: ClassVar[str] = "pot"

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise UsageError(f"level must lie between 0 and 1, got {self.level!r}", hint="0.98 is usual")
        if not 0 < self.risk < round(1 - self.level, 12):  # 1 - 0.98 is a little more than 0.02
            raise UsageError(
                f"risk must lie between 0 and 1 - level = {1 - self.level:.4g}, got {self.risk!r}",
                hint="the tail says nothing about lines below its level; 0.0001 is usual",
            )

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm line, and the events that it gives under ``rule``."""
        scores = checked_scores(scores, self.name)
        finite = scores.finite
        n_rows, where = len(finite), f"threshold method {self.name}"
        u = float(np.quantile(finite, self.level))
        if u <= 0:
            raise DataError(f"the {self.level:g} quantile of the scores is {u:g}, but it must be positive", where=where)
        if self.is_declustered:
            heights = event_heights(scores, rule, self.level)
            heights = heights[heights > u]
        else:
            heights = finite[finite > u]
        self._refuse_too_few(len(heights), n_rows)
        n_allowed = self.risk * n_rows
        if n_allowed >= len(heights):
            raise DataError(
                f"a risk of {self.risk:g} allows {n_allowed:.4g} {self._unit} in {n_rows:,} rows, but above the "
                f"{self.level:g} quantile there are only {len(heights):,}",
                where=where,
                hint=f"choose a risk below {len(heights) / n_rows:.2g}, or a lower level",
            )
        if self.is_declustered:
            n_tail = max(LEAST_TAIL, int(MOST_BODY * len(heights)), ceil(2 * n_allowed))
            lower = heights[heights < heights[min(n_tail, len(heights)) - 1]]
            if len(lower):
                u = float(lower[0])
                heights = heights[heights > u]
        tail = fit_pareto(heights - u, CONFIDENCE)
        exceeded = n_allowed / len(heights)  # share of the excesses that may pass the line
        reach = tail.upper_quantile(exceeded)
        z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
        factor = exp(z * tail.relative_error(exceeded, share_error=1 / sqrt(len(heights))))
        parameters = {
            "risk": self.risk,
            "level": self.level,
            "is_declustered": self.is_declustered,
            "level_score": u,
            "n_excesses": tail.n,
            "shape": tail.shape,
            "shape_interval": list(tail.shape_interval),
            "scale": tail.scale,
            "scale_interval": list(tail.scale_interval),
            "fitted_by": tail.fitted_by,
            "threshold_interval": [u + reach / factor, u + reach * factor],
        }
        unit = "events come as a Poisson process" if self.is_declustered else "rows are independent"
        assumptions = (
            f"{unit}, and excesses over {u:.4g} follow a generalised Pareto distribution of shape {tail.shape:.2g} and "
            f"scale {tail.scale:.3g}",
        )
        return counted_result(scores, rule, u + reach, self.name, parameters, assumptions)

    @property
    def _unit(self) -> str:
        return "events" if self.is_declustered else "rows"

    def _refuse_too_few(self, n_excesses: int, n_rows: int) -> None:
        if n_excesses >= LEAST_EXCESSES:
            return
        n_needed = ceil(round(n_rows * LEAST_EXCESSES / max(n_excesses, 1), 6))
        n_least = ceil(round(LEAST_EXCESSES / (1 - self.level), 6))
        hint = f"give about {max(n_needed, n_least):,} scored rows in all, or choose a lower level"
        if n_rows > n_least and not self.is_declustered:
            hint = "too many scores are equal at the top: choose a lower level, or the method quantile"
        raise TooLittleDataError(
            f"a tail needs at least {LEAST_EXCESSES} {self._unit} above the {self.level:g} quantile, got {n_excesses} "
            f"in {n_rows:,} scored rows",
            where=f"threshold method {self.name}",
            hint=hint,
        )

"""What sensors that stay away do to the one-step errors of the others, and how much of these is therefore no evidence.

A missing cell is filled with what the others let one expect. Where a sensor is away for long, the forecasts of all
others rest on such guesses, and go wrong by more than usual whenever the plant moves: normal rows of a plant without a
fifth of its sensors raised seven times as many alarms. How wrong follows from the imputer and the autoregression: the
error e of a guess is e(t) = F e(t-1) + u(t), and adds sum_k W_k e(t-k) to the error of a forecast. An error that the
lost sensors would bring about at 2.3 standard deviations is as usual; errors of the others are divided accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.data import GaussianImputer
from sensorad.data.imputation import RIDGE
from sensorad.error_models.errors import ErrorModel, SensorErrors
from sensorad.error_models.trailing import trailing_sum
from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.fused import FusedScheme
from sensorad.scoring.schemes import Scheme

__all__ = ["Absences"]

DEVIATIONS = 2.3
"""Errors of guesses count with so many standard deviations. Alarm events on normal rows are then 0.8 to 1.0 times those
with all sensors; with 2 they are 1.1 to 1.5 times, with 3 a third (tests/benchmarks/bench_missing.py)."""

DOUBLINGS, GROWING, FADED = 40, 1e3, 1e-12
"""The variance of e is summed over 2^40 rows at most, until powers of F have faded or grown that far."""

MOST_PATTERNS = 512
"""Patterns of absent sensors whose factors are kept."""


@dataclass(frozen=True, slots=True)
class Absences:
    """Factors of one-step errors in rows in which sensors have been away for a while.

    Attributes
    ----------
    imputer
        Fills missing cells.
    autoregression
        Makes the forecasts.
    step_size : (C,)
        Usual one-step errors.
    rows
        A sensor is away that has no value in so many rows up to the one in question.
    """

    imputer: GaussianImputer
    autoregression: RidgeAutoregression
    step_size: NDArray[np.float64]
    rows: int
    _known: dict[bytes, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, imputer: GaussianImputer, model: ErrorModel, scheme: Scheme, length: int) -> Absences | None:
        """Of a detector with windows of ``length`` rows; None where one-step errors play no part."""
        autoregression = getattr(model, "autoregression", None)
        if not isinstance(scheme, FusedScheme) or not scheme.has_steps or autoregression is None:
            return None
        return cls(imputer, autoregression, scheme.step_size, min(length, autoregression.lags + 1))

    def quietened(
        self, errors: SensorErrors, usable: NDArray[np.bool_], age: NDArray[np.int64], at: NDArray[np.int64]
    ) -> SensorErrors:
        """The errors of the rows ``at`` (n,) with their factors.

        Parameters
        ----------
        usable : (S, C)
            Of rows of segments that lie one after another, those before ``at`` included.
        age : (S,)
            Rows of its segment before each.
        """
        away = np.equal(trailing_sum((~usable).astype(np.float64), self.rows, age)[at], self.rows)  # (n, C)
        if not away.any():
            return errors
        step = errors.step.copy()
        patterns, which = np.unique(away, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            if pattern.any():
                step[which.reshape(-1) == number] *= self.factors(pattern)
        return replace(errors, step=step)

    def newest_factors(self, present: NDArray[np.floating], n_rows: int) -> NDArray[np.float64] | None:
        """Factors (C,) of the newest row of a window, None where no sensor is away.

        Parameters
        ----------
        present : (L, C)
            1 where a cell of the window was measured.
        n_rows
            Rows of the segment so far.
        """
        if n_rows < self.rows:
            return None
        away = np.logical_not(present[-self.rows :].any(axis=0))
        return self.factors(away) if away.any() else None

    def factors(self, away: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(C,) by what errors are to be multiplied while the sensors ``away`` (C,) are; 1 for these."""
        key = away.tobytes()
        if key not in self._known:
            if len(self._known) >= MOST_PATTERNS:
                self._known.pop(next(iter(self._known)))  # the oldest
            self._known[key] = self._learned(away)
        return self._known[key]

    def _learned(self, away: NDArray[np.bool_]) -> NDArray[np.float64]:
        if away.all():
            return np.ones(len(away))
        added = np.where(away, 0.0, self._added(away))
        factors: NDArray[np.float64] = 1.0 / np.sqrt(1.0 + DEVIATIONS**2 * added / self.step_size**2)
        return factors

    def _added(self, away: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(C,) mean square that the guesses add to one-step errors."""
        n_sensors, lost, there = len(away), np.flatnonzero(away), np.flatnonzero(~away)
        weights = self.imputer.weights(~away)  # (lost, C + there)
        # u = x(lost) - weights (x of the row before, x there), with the covariance that the imputer knows
        combined = np.zeros((len(lost), 2 * n_sensors))
        combined[:, :n_sensors] = -weights[:, :n_sensors]
        combined[:, n_sensors + there] = -weights[:, n_sensors:]
        combined[np.arange(len(lost)), n_sensors + lost] = 1.0
        covariance = self.imputer.covariance - RIDGE * np.eye(2 * n_sensors)
        carried = weights[:, lost]
        spread = _at_rest(combined @ covariance @ combined.T, carried)
        own = covariance[np.ix_(n_sensors + lost, n_sensors + lost)]
        if not np.trace(spread) < np.trace(own):
            spread = own  # no guess is worse than none
        lags = self.autoregression.lags
        effect = self.autoregression.weights[:-1].astype(np.float64).reshape(lags, n_sensors, n_sensors)[:, lost]
        added = np.zeros(n_sensors)
        for distance in range(lags):  # between two lags: cov(e(t), e(t - distance)) = F^distance V
            both = np.einsum("kmc,mn,knc->c", effect[: lags - distance], spread, effect[distance:])
            added += both if distance == 0 else 2.0 * both
            spread = carried @ spread
        return np.maximum(added, 0.0)


def _at_rest(spread: NDArray[np.float64], carried: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over k of F^k U F'^k, infinite where it grows without end."""
    power = carried
    for _ in range(DOUBLINGS):
        size = np.abs(power).max()
        if size > GROWING:
            return np.full_like(spread, np.inf)
        if size < FADED:
            break
        spread = spread + power @ spread @ power.T
        power = power @ power
    return spread

"""What a scoring scheme says of consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowEvidence", "StepHistory", "as_shares"]


@dataclass(frozen=True, slots=True)
class RowEvidence:
    """Scores of T rows with their reasons.

    Attributes
    ----------
    score : (T,) float64
        Higher is more anomalous; NaN where the row has too little past.
    surprise : (T,) float64
        -log10 of the tail probability of the newest row's own error.
    blame : (T, C) float64
        Share of each sensor, not negative, sums to 1 in scored rows.
    """

    score: NDArray[np.float64]
    surprise: NDArray[np.float64]
    blame: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepHistory:
    """One-step errors of the rows to judge and of rows before them, of one or several stretches, one after another.

    Attributes
    ----------
    step : (S, C) float64
        As in `SensorErrors`; the rows of a stretch are consecutive.
    age : (S,) int64, optional
        Rows before each that belong to the same stretch; None = all are one stretch.
    at : (T,) int64, optional
        Places of the rows to judge, rising; None = all.
    """

    step: NDArray[np.float64]
    age: NDArray[np.int64] | None = None
    at: NDArray[np.int64] | None = None

    def recent(self, n_before: int) -> StepHistory:
        """With ``n_before`` rows before the first row to judge of each stretch, or as many as there are."""
        if self.at is None or self.age is None:
            return self
        is_first = np.diff(self.at, prepend=-1) > 1
        is_first |= self.age[self.at] == 0
        is_first[0] = True
        first = np.flatnonzero(is_first)
        n_rows = np.diff(first, append=len(self.at))
        before = np.minimum(self.age[self.at[first]], n_before)
        length = before + n_rows
        start = np.cumsum(length) - length
        age = np.arange(int(length.sum())) - np.repeat(start, length)
        source = age + np.repeat(self.at[first] - before, length)
        at = np.arange(len(self.at)) + np.repeat(np.cumsum(before), n_rows)
        return StepHistory(self.step[source], age, at)

    def judged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of values (S,) or (S, C) those of the rows to judge."""
        if self.at is None:
            return values
        if self.age is None:  # the rows to judge are the last ones
            return values[len(values) - len(self.at) :]
        return values[self.at]


def as_shares(blame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of non-negative amounts (T, C) divided by their sums; equal shares where all are 0 or unknown."""
    amount = np.maximum(blame, 0.0)
    total = amount.sum(axis=1, keepdims=True)
    if not np.isfinite(total).all():
        amount = np.maximum(np.nan_to_num(blame), 0.0)
        total = amount.sum(axis=1, keepdims=True)
    is_some = total > 0
    if is_some.all():
        amount /= total
        return amount
    return np.where(is_some, amount / np.where(is_some, total, 1.0), 1.0 / amount.shape[1])

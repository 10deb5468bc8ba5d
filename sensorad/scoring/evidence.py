"""What a scoring scheme says of consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowEvidence", "as_shares"]


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


def as_shares(blame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of non-negative amounts (T, C) divided by their sums; equal shares where all are 0 or unknown."""
    amount = np.maximum(np.nan_to_num(blame), 0.0)
    total = amount.sum(axis=1, keepdims=True)
    return np.where(total > 0, amount / np.where(total > 0, total, 1.0), 1.0 / amount.shape[1])

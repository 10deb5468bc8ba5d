"""How far a classifier's certainty can be believed: calibration error, and the table of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import DataError, UsageError

__all__ = ["Reliability", "expected_calibration_error", "negative_log_likelihood", "reliability"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Answers sorted by how certain they were.

    Attributes
    ----------
    counts, certainty, accuracy : (B,)
        Of each bin: how many answers, their mean certainty, and the share of them that was right; NaN in empty bins.
    """

    counts: NDArray[np.int64]
    certainty: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15) -> Reliability:
    """Certainty and accuracy by bins of equal width.

    Parameters
    ----------
    probabilities : (N, K)
        Of each class; rows sum to 1.
    labels : (N,)
        True classes, positions.
    n_bins
        B.

    Raises
    ------
    DataError
        Shapes that do not fit, or values that are no probabilities.

    Examples
    --------
    >>> table = reliability([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], [0, 1, 0], n_bins=2)
    >>> table.counts, table.certainty, table.accuracy
    (array([0, 3]), array([nan, 0.8]), array([       nan, 0.66666667]))
    """
    if n_bins < 1:
        raise UsageError(f"n_bins must be 1 or more, got {n_bins}")
    values, truth = _checked(probabilities, labels)
    certainty, is_right = values.max(axis=1), values.argmax(axis=1) == truth
    # The upper edge of a bin belongs to it, as in Guo et al. 2017.
    at = np.clip(np.ceil(certainty * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(at, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            counts,
            np.bincount(at, certainty, n_bins) / counts,
            np.bincount(at, is_right.astype(np.float64), n_bins) / counts,
        )


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, n_bins: int = 15) -> float:
    """Mean over all answers of |certainty - accuracy| of their bin (Guo et al. 2017, equation 3).

    Examples
    --------
    >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], [0, 1, 0], n_bins=2), 3)
    0.133
    """
    table = reliability(probabilities, labels, n_bins)
    filled = table.counts > 0
    apart = np.abs(table.certainty[filled] - table.accuracy[filled])
    return float(np.average(apart, weights=table.counts[filled]))


def negative_log_likelihood(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean of -log p of the true class; infinite where one was said to be impossible.

    Examples
    --------
    >>> round(negative_log_likelihood([[0.5, 0.5], [1.0, 0.0]], [1, 0]), 4)
    0.3466
    """
    values, truth = _checked(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(values[np.arange(len(values)), truth]).mean())


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, truth = np.asarray(probabilities, np.float64), np.asarray(labels)
    if values.ndim != 2 or not len(values) or truth.shape != values.shape[:1]:
        raise DataError(f"probabilities (N, K) and labels (N,) expected, got {values.shape} and {truth.shape}")
    if not np.isfinite(values).all() or (values < 0).any() or np.abs(values.sum(axis=1) - 1.0).max() > 1e-3:
        raise DataError("rows of probabilities expected, each from 0 to 1 and 1 in sum")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[1]:
        raise DataError(f"labels from 0 to {values.shape[1] - 1} expected")
    return values, truth.astype(np.int64)

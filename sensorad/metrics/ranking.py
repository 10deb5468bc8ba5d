"""Ranking metrics without a threshold: areas under the precision-recall and the ROC curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import DataError

__all__ = ["auc_pr", "auc_roc", "checked", "checked_labels"]


def auc_pr(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: the mean precision over all anomalous rows, ranked from the highest score down.

    Rows with equal scores enter together, so the order of the input never matters. A random score gets the
    base rate, ``labels.mean()``; show it beside. The step-wise sum is used because linear interpolation between
    points of this curve is too optimistic (Davis & Goadrich 2006).

    Parameters
    ----------
    labels : (T,) bool or 0/1
        1 = anomalous row.
    scores : (T,) float
        Higher = more anomalous; finite.

    Raises
    ------
    DataError
        Shapes differ, a score is not finite, or the labels are all the same.

    Examples
    --------
    >>> round(auc_pr([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 3)
    0.833
    """
    truth, score = checked(labels, scores)
    n_found, n_flagged = _cumulative(truth, score)
    return float(np.sum(np.diff(n_found, prepend=0) * n_found / n_flagged) / n_found[-1])


def auc_roc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a random anomalous row scores higher than a random normal one, ties counting one half.

    This is the area under the ROC curve (Hanley & McNeil 1982); 0.5 for a random score. Arguments and errors
    as in `auc_pr`.

    Examples
    --------
    >>> auc_roc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    truth, score = checked(labels, scores)
    n_found, n_flagged = _cumulative(truth, score)
    found = np.append(0, n_found)
    false = np.append(0, n_flagged - n_found)
    area = np.sum(np.diff(false) * (found[1:] + found[:-1])) / 2
    return float(area / (found[-1] * false[-1]))


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels and scores as arrays (T,), after the checks that all metrics of rows share."""
    truth = checked_labels(labels)
    score = np.asarray(scores, np.float64)
    if score.shape != truth.shape:
        raise DataError(f"labels and scores must be equally long, got shapes {truth.shape} and {score.shape}")
    if not np.isfinite(score).all():
        raise DataError(
            f"{int((~np.isfinite(score)).sum()):,} scores are not finite",
            hint="leave unscored rows out, or give them the lowest score, and say which",
        )
    if truth.all() or not truth.any():
        raise DataError(
            f"labels must hold normal and anomalous rows, but all {len(truth):,} are the same",
            hint="a ranking of one class has no quality",
        )
    return truth, score


def checked_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Labels as a bool array (T,)."""
    raw = np.asarray(labels)
    if raw.ndim != 1 or len(raw) == 0:
        raise DataError(f"labels must be one column with at least one row, got shape {raw.shape}")
    if raw.dtype != np.bool_ and not np.isin(raw, (0, 1)).all():
        raise DataError("labels must be 0 or 1")
    return raw.astype(bool)


def _cumulative(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Anomalous rows and all rows at or above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    last = np.append(np.flatnonzero(np.diff(descending)), len(score) - 1)  # last row of each tie
    return np.cumsum(truth[order])[last], last + 1

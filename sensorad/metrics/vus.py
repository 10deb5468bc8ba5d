"""Volume under the surface: detection quality without a threshold and without penalising a late or early onset.

Plain AUC-PR counts an alarm one row before the label as wrong. Here the labels get a buffer that fades out on both
sides, and the area is averaged over all buffer widths from 0 to ``window``.

Source: Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin, "Volume under the surface", PVLDB 15 (2022); the
existence reward and the half-counted buffer follow the range-AUC definition of section 4 there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["RangeArea", "range_area", "soft_labels", "vus_pr", "vus_roc"]

N_THRESHOLDS = 250
"""Score levels at which the curves are evaluated, evenly spaced in rank (the value of the reference benchmark)."""


@dataclass(frozen=True, slots=True)
class RangeArea:
    """Areas under the precision-recall and the ROC curve for one or more buffer widths."""

    precision_recall: float
    roc: float


def vus_pr(labels: ArrayLike, scores: ArrayLike, window: int) -> float:
    """Volume under the precision-recall surface, in [0, 1]; a random score gets about the base rate.

    Parameters
    ----------
    labels : (T,) 0/1
        1 = anomalous row.
    scores : (T,) float
        Higher = more anomalous; finite.
    window
        Widest buffer in rows, usually the period of the series (`sensorad.metrics.series_period`).

    Raises
    ------
    ValueError
        Where shapes differ, a score is not finite, or the labels are all the same.

    Examples
    --------
    >>> labels = [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    >>> round(vus_pr(labels, [0, 0, 0, 9, 8, 0, 0, 0, 0, 0], window=0), 3)
    1.0
    """
    return range_area(labels, scores, range(window + 1)).precision_recall


def vus_roc(labels: ArrayLike, scores: ArrayLike, window: int) -> float:
    """Volume under the ROC surface; same arguments and errors as `vus_pr`."""
    return range_area(labels, scores, range(window + 1)).roc


def range_area(labels: ArrayLike, scores: ArrayLike, buffers: range) -> RangeArea:
    """Areas averaged over the given buffer widths; O(T) for each width after one sort of the scores."""
    truth = np.asarray(labels).astype(bool)
    score = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != score.shape:
        raise ValueError(
            f"labels and scores must be one-dimensional and equally long, got {truth.shape}, {score.shape}"
        )
    if not np.isfinite(score).all():
        raise ValueError("scores must be finite: fill unscored rows before measuring")
    if truth.all() or not truth.any():
        raise ValueError("labels must contain both normal and anomalous rows")

    n_rows = len(truth)
    order = np.argsort(-score, kind="stable")  # (T,)
    descending = score[order]
    levels = descending[np.linspace(0, n_rows - 1, N_THRESHOLDS).astype(np.int64)]
    # A row tied with the level is predicted too, so the count is that of the last tied row.
    n_predicted = np.searchsorted(-descending, -levels, side="right")
    runs = _runs(truth)
    n_anomalous = int(truth.sum())

    areas = np.empty((len(buffers), 2))
    for position, buffer in enumerate(buffers):
        soft = soft_labels(truth, runs, buffer)  # (T,)
        found = np.cumsum(soft[order])[n_predicted - 1]  # weight of the predicted rows, original labels included
        inside = np.cumsum(truth[order])[n_predicted - 1]
        # Original labels count whether predicted or not, buffer rows only where predicted; half of both is the size.
        size = (n_anomalous + n_anomalous + found - inside) / 2.0
        best = np.sort([score[start:stop].max() for start, stop in _runs(soft > 0)])
        existence = 1.0 - np.searchsorted(best, levels, side="left") / len(best)
        recall = np.minimum(found / size, 1.0) * existence
        false_rate = (n_predicted - found) / (n_rows - size)
        precision = found / n_predicted
        recall_steps = np.diff(recall, prepend=0.0)
        full_recall = np.concatenate(([0.0], recall, [1.0]))
        full_false = np.concatenate(([0.0], false_rate, [1.0]))
        areas[position, 0] = np.dot(recall_steps, precision)
        areas[position, 1] = np.dot(np.diff(full_false), (full_recall[1:] + full_recall[:-1]) / 2.0)
    mean = areas.mean(axis=0)
    return RangeArea(precision_recall=float(mean[0]), roc=float(mean[1]))


def soft_labels(truth: NDArray[np.bool_], runs: list[tuple[int, int]], buffer: int) -> NDArray[np.float64]:
    """Labels with a square-root slope of ``buffer // 2`` rows on both sides of each run."""
    soft = truth.astype(np.float64)
    reach = buffer // 2
    if reach == 0:
        return soft
    slope = np.sqrt(1.0 - np.arange(1, reach + 1) / buffer)  # (reach,), from the edge outwards
    n_rows = len(soft)
    for start, stop in runs:
        after = min(reach, n_rows - stop)
        soft[stop : stop + after] += slope[:after]
        before = min(reach, start)
        soft[start - before : start] += slope[:before][::-1]
    return np.minimum(soft, 1.0)


def _runs(truth: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open ranges of consecutive true rows."""
    edges = np.flatnonzero(np.diff(truth.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]

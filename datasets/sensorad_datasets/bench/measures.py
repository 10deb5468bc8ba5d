"""What is measured on one series: rankings, what an operator would have seen, and who was blamed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError
from sensorad.metrics import (
    auc_pr,
    auc_roc,
    event_recall_at,
    label_events,
    onset_delays,
    range_area,
    series_period,
)

from ..series import BenchmarkSeries
from .methods import Scored
from .stretches import row_groups

__all__ = ["BUFFER", "MERGE_GAP", "filled", "measure", "top_sensor_hits"]

BUFFER = 100
"""Widest buffer of VUS in rows; earlier studies on these sets used it whatever the period of the series."""

MERGE_GAP = 30
"""Rows between alarms of one event where recall is compared at equal false alarms, for all methods alike."""

FALSE_ALARMS_PER_10K = 1.0
SECONDS_PER_DAY = 86_400.0

Row = dict[str, float | int | None]
"""Measures by name; None where a method or series has none."""


def measure(series: BenchmarkSeries, scored: Scored) -> Row:
    """All measures of one series, on the rows that count.

    Raises
    ------
    DataError
        The method scored no row, or the labels are all the same.
    """
    counted = series.counted
    labels = series.labels[counted]
    groups = row_groups(series.test, series)[counted]
    score = filled(scored.score)[counted]
    first = series.test[series.sensors[0]].to_numpy().astype(np.float64)
    period = series_period(first[np.isfinite(first)])
    pr, roc, pr_period = _volumes(labels, score, period)
    recall_at, _ = event_recall_at(labels, score, FALSE_ALARMS_PER_10K, groups, MERGE_GAP)
    hits, chance = top_sensor_hits(series, scored)
    return {
        "vus_pr": pr,
        "vus_pr_period": pr_period,
        "vus_roc": roc,
        "auc_pr": auc_pr(labels, score),
        "auc_roc": auc_roc(labels, score),
        "period": period,
        "base_rate": float(labels.mean()),
        "n_rows": len(labels),
        "n_unscored": int(np.isnan(scored.score[counted]).sum()),
        "n_events": len(label_events(labels, groups)),
        "recall_at_1_per_10k": recall_at,
        **_at_own_line(series, scored, counted, groups),
        "n_causes": None if hits is None else len(hits),
        "n_top1": None if hits is None else int(np.sum(hits)),
        "top1_chance": chance,
        "score_seconds": scored.seconds,
    }


def filled(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows without a score keep the last one, as a display does; before the first score stands the lowest of all.

    Examples
    --------
    >>> filled(np.array([np.nan, 3.0, 2.0, np.nan])).tolist()
    [2.0, 3.0, 2.0, 2.0]
    """
    is_scored = np.isfinite(score)
    if not is_scored.any():
        raise DataError("no row of the series has a score", hint="it is shorter than one window")
    last = np.maximum.accumulate(np.where(is_scored, np.arange(len(score)), -1))
    return np.where(last >= 0, score[last], score[is_scored].min())


def top_sensor_hits(series: BenchmarkSeries, scored: Scored) -> tuple[list[bool] | None, float | None]:
    """For each labelled cause, whether the sensor blamed most over its rows is among the labelled ones.

    Blame grows with the score, so the rows that stand out decide the sum. The second value is the share of hits by
    chance: labelled sensors / sensors, averaged.
    """
    causes = [cause for cause in series.causes if cause.sensors and cause.end > cause.start]
    if not causes:
        return None, None
    chance = float(np.mean([len(set(cause.sensors)) / len(series.sensors) for cause in causes]))
    if scored.blame is None:
        return None, chance
    hits = []
    for cause in causes:
        total = np.nansum(scored.blame[cause.start : cause.end], axis=0)  # (C,)
        hits.append(bool(total.max() > 0) and series.sensors[int(np.argmax(total))] in cause.sensors)
    return hits, chance


def _volumes(labels: NDArray[np.bool_], score: NDArray[np.float64], period: int) -> tuple[float, float, float]:
    """VUS-PR and VUS-ROC up to `BUFFER`, and VUS-PR up to ``period``, without computing a buffer width twice."""
    short, long = sorted((BUFFER, period))
    both = range_area(labels, score, range(short + 1))
    if short == long:
        return both.precision_recall, both.roc, both.precision_recall
    rest = range_area(labels, score, range(short + 1, long + 1))
    share = (short + 1) / (long + 1)
    pr = share * both.precision_recall + (1.0 - share) * rest.precision_recall
    roc = share * both.roc + (1.0 - share) * rest.roc
    if period < BUFFER:
        return pr, roc, both.precision_recall
    return both.precision_recall, both.roc, pr


def _at_own_line(series: BenchmarkSeries, scored: Scored, counted: NDArray[np.bool_], groups: NDArray[np.str_]) -> Row:
    """Events found, their delays, and alarm events that open on a normal row, at the method's own line."""
    names = ("n_found", "delay_median_rows", "delay_p90_rows", "n_false", "normal_days")
    if scored.alarm is None or scored.openings is None:
        return dict.fromkeys(names)
    delays = onset_delays(series.labels[counted], scored.alarm[counted], groups)
    found = delays[np.isfinite(delays)]
    is_normal = counted & ~series.labels
    values = (
        len(found),
        float(np.median(found)) if len(found) else None,
        float(np.quantile(found, 0.9)) if len(found) else None,
        int(is_normal[scored.openings].sum()),
        float(is_normal.sum()) * series.step_seconds / SECONDS_PER_DAY,
    )
    return dict(zip(names, values, strict=True))

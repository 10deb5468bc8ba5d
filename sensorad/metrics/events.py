"""Operational metrics: what an operator sees of a detector, in events, rows, days and delays.

Point-adjusted scores are absent on purpose: they call a whole labelled event found if any row in it is, and then
count all its rows, so that a random score reaches an F1 of 0.97 on public sets (Kim et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import DataError, UsageError
from sensorad.metrics.ranking import checked, checked_labels

__all__ = [
    "DelaySummary",
    "delay_summary",
    "detection_rate",
    "event_recall",
    "event_recall_at",
    "false_alarm_events",
    "false_alarm_events_per_day",
    "false_alarm_rate",
    "label_events",
    "onset_delays",
]

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class DelaySummary:
    """Delays over the *detected* events; read them beside the recall, since missed events have no delay."""

    n_events: int
    n_detected: int
    median_rows: float
    p90_rows: float


def label_events(labels: ArrayLike, group: ArrayLike | None = None) -> list[NDArray[np.int64]]:
    """Rows of every labelled event: a maximal run of anomalous rows of one machine.

    Examples
    --------
    >>> [rows.tolist() for rows in label_events([0, 1, 1, 0, 1], group=[7, 7, 8, 7, 7])]
    [[1], [4], [2]]
    """
    truth = checked_labels(labels)
    order, is_head = _by_machine(len(truth), group)
    together = truth[order]
    edges = np.flatnonzero(np.diff(together, prepend=~together[0]) | is_head)
    runs = np.split(order, edges[1:])
    return [run for run, is_event in zip(runs, together[edges], strict=True) if is_event]


def detection_rate(labels: ArrayLike, alarm: ArrayLike) -> float:
    """Share of anomalous rows that are alarmed (fault detection rate of the process-control literature).

    Examples
    --------
    >>> detection_rate([0, 1, 1, 1, 1], [0, 0, 1, 1, 1])
    0.75
    """
    truth, alarmed = _checked_alarm(labels, alarm)
    if not truth.any():
        raise DataError("there are no anomalous rows, so nothing could be detected")
    return float(alarmed[truth].mean())


def false_alarm_rate(labels: ArrayLike, alarm: ArrayLike) -> float:
    """Share of normal rows that are alarmed.

    Examples
    --------
    >>> false_alarm_rate([0, 0, 0, 0, 1], [0, 0, 1, 0, 1])
    0.25
    """
    truth, alarmed = _checked_alarm(labels, alarm)
    if truth.all():
        raise DataError("there are no normal rows, so no alarm could be false")
    return float(alarmed[~truth].mean())


def event_recall(labels: ArrayLike, alarm: ArrayLike, group: ArrayLike | None = None) -> float:
    """Share of labelled events with at least one alarmed row in them.

    Examples
    --------
    >>> event_recall([0, 1, 1, 0, 1], [0, 0, 1, 0, 0])
    0.5
    """
    return float(np.isfinite(onset_delays(labels, alarm, group)).mean())


def onset_delays(labels: ArrayLike, alarm: ArrayLike, group: ArrayLike | None = None) -> NDArray[np.float64]:
    """Rows from the start of each labelled event to the first alarmed row in it, (E,); NaN = not detected.

    Examples
    --------
    >>> onset_delays([0, 1, 1, 0, 1], [0, 0, 1, 0, 0]).tolist()
    [1.0, nan]
    """
    truth, alarmed = _checked_alarm(labels, alarm)
    events = label_events(truth, group)
    if not events:
        raise DataError("there are no labelled events to find")
    first = [np.flatnonzero(alarmed[rows])[:1] for rows in events]
    return np.array([float(places[0]) if len(places) else np.nan for places in first])


def delay_summary(labels: ArrayLike, alarm: ArrayLike, group: ArrayLike | None = None) -> DelaySummary:
    """Median and 90 % quantile of the delays of detected events, NaN if none is detected.

    Examples
    --------
    >>> delay_summary([0, 1, 1, 0, 1], [0, 0, 1, 0, 0])
    DelaySummary(n_events=2, n_detected=1, median_rows=1.0, p90_rows=1.0)
    """
    delays = onset_delays(labels, alarm, group)
    detected = delays[np.isfinite(delays)]
    if len(detected) == 0:
        return DelaySummary(len(delays), 0, np.nan, np.nan)
    return DelaySummary(len(delays), len(detected), float(np.median(detected)), float(np.quantile(detected, 0.9)))


def false_alarm_events(
    labels: ArrayLike, alarm: ArrayLike, group: ArrayLike | None = None, merge_gap_rows: int = 0
) -> int:
    """Alarm events that open on a normal row; pauses of at most ``merge_gap_rows`` rows are bridged.

    An alarm that opens inside a labelled event and outlasts it is not false; one that opens before it is, even
    if it then runs into it.

    Examples
    --------
    >>> false_alarm_events([0, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, 1])
    2
    >>> false_alarm_events([0, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, 1], merge_gap_rows=1)
    1
    """
    truth, alarmed = _checked_alarm(labels, alarm)
    low, high = _openings(truth, alarmed.astype(np.float64), group, merge_gap_rows)
    return int(np.sum((low <= 0.5) & (high > 0.5)))


def false_alarm_events_per_day(
    labels: ArrayLike,
    alarm: ArrayLike,
    step_seconds: float,
    group: ArrayLike | None = None,
    merge_gap_rows: int = 0,
) -> float:
    """False alarm events per day of normal rows of one machine, ``step_seconds`` apart.

    Examples
    --------
    >>> false_alarm_events_per_day([0, 0, 0, 0], [0, 1, 0, 0], step_seconds=21_600)
    1.0
    """
    truth, alarmed = _checked_alarm(labels, alarm)
    if not np.isfinite(step_seconds) or step_seconds <= 0:
        raise UsageError(f"the time between rows must be positive, got {step_seconds!r} s")
    days = float((~truth).sum()) * step_seconds / SECONDS_PER_DAY
    if days == 0:
        raise DataError("there are no normal rows, so no alarm could be false")
    return false_alarm_events(truth, alarmed, group, merge_gap_rows) / days


def event_recall_at(
    labels: ArrayLike,
    scores: ArrayLike,
    per_10k_rows: float,
    group: ArrayLike | None = None,
    merge_gap_rows: int = 0,
) -> tuple[float, float]:
    """Event recall, and its threshold, at ``per_10k_rows`` false alarm events per 10,000 normal rows.

    The threshold is the lowest one from which upwards there are never more false alarm events than that. It is
    chosen with the labels: this compares detectors, it does not say what a calibrated one will do.

    Examples
    --------
    >>> event_recall_at([0, 0, 0, 1, 1, 0], [1, 3, 1, 2, 5, 1], per_10k_rows=0)
    (1.0, 3.0)
    """
    truth, score = checked(labels, scores)
    if not per_10k_rows >= 0:
        raise UsageError(f"the false-alarm rate must not be negative, got {per_10k_rows!r}")
    n_allowed = int(per_10k_rows * int((~truth).sum()) / 10_000 + 1e-9)
    low, high = (np.sort(levels) for levels in _openings(truth, score, group, merge_gap_rows))
    everything = np.nextafter(score.min(), -np.inf)  # the line at which every row alarms
    steps = np.unique(np.concatenate([[everything], low[low > everything], high]))
    count = np.searchsorted(low, steps, side="right") - np.searchsorted(high, steps, side="right")
    too_many = np.flatnonzero(count > n_allowed)
    threshold = float(steps[too_many[-1] + 1 if len(too_many) else 0])
    return event_recall(truth, score > threshold, group), threshold


def _openings(
    truth: NDArray[np.bool_], score: NDArray[np.float64], group: ArrayLike | None, merge_gap_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal rows open an alarm event exactly at thresholds in [low, high): both (n,), in row order.

    A row above the threshold opens an event if no row of its machine within the gap before it is above too.
    """
    if merge_gap_rows < 0:
        raise UsageError(f"merge_gap_rows must not be negative, got {merge_gap_rows!r}")
    order, is_head = _by_machine(len(score), group)
    score, truth = score[order], truth[order]
    place = np.arange(len(score)) - np.maximum.accumulate(np.where(is_head, np.arange(len(score)), 0))
    low = np.full(len(score), -np.inf)
    for back in range(1, min(merge_gap_rows + 1, len(score) - 1) + 1):
        before = np.where(place[back:] >= back, score[:-back], -np.inf)
        low[back:] = np.maximum(low[back:], before)
    is_opening = (low < score) & ~truth
    return low[is_opening], score[is_opening]


def _by_machine(n_rows: int, group: ArrayLike | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Order that brings machines together, and where each begins in it."""
    if group is None:
        return np.arange(n_rows), np.arange(n_rows) == 0
    machine = np.asarray(group)
    if machine.shape != (n_rows,):
        raise DataError(f"group must have one entry for each of the {n_rows:,} rows, got shape {machine.shape}")
    order = np.argsort(machine, kind="stable")
    together = machine[order]
    return order, np.append(True, together[1:] != together[:-1])


def _checked_alarm(labels: ArrayLike, alarm: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    truth = checked_labels(labels)
    alarmed = np.asarray(alarm)
    if alarmed.shape != truth.shape:
        raise DataError(f"labels and alarms must be equally long, got shapes {truth.shape} and {alarmed.shape}")
    if alarmed.dtype != np.bool_ and not np.isin(alarmed, (0, 1)).all():
        raise DataError("alarms must be 0 or 1", hint="count rows without a score as no alarm, and say so")
    return truth, alarmed.astype(bool)

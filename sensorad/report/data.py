"""Everything a report can show, in one object; what is absent is left out of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.detectability import DetectabilityCard
from sensorad.errors import UsageError
from sensorad.report.checks import check_bands, check_calibration, check_names, check_normal_ranges, check_stale
from sensorad.report.timeline import Timeline
from sensorad.report.traces import SensorTraces, Snippets
from sensorad.types import REASONS, STATUSES, Event

__all__ = ["LabelInterval", "ReportData"]


@dataclass(frozen=True, slots=True)
class LabelInterval:
    """A stretch known to be anomalous, both ends included; times in nanoseconds since 1970 in UTC."""

    start: int
    end: int
    text: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class ReportData:
    """What `render_report` turns into a page.

    Attributes
    ----------
    title, subtitle : str
        Headline of the page, and a line below it.
    card : mapping
        The model: ``model`` (kind), ``sensors`` (`SensorSchema.to_json`), ``training`` (``epochs``,
        ``train_losses``, ``validation_losses``, ``best_epoch``), ``fit``, ``roles``, ``versions`` and any other
        plain values; everything is shown, known keys with more care.
    threshold : mapping
        ``threshold`` (the alarm line), ``method``, ``statement`` (what it promises, in words), ``budget``,
        ``expected_events_per_day``, ``interval`` (low, high), ``confidence``, ``calibration_days``,
        ``is_promised``, ``assumptions`` (list of str), and any other plain values.
    timeline : sequence of Timeline
        From `TimelineSampler`; one for each group.
    events : sequence of Event
        The findings. Those of kind "quality" are listed apart, by ``reason``, and count as no alarm.
    sensor_traces : sequence of SensorTraces
        From `TraceSampler`; one for each group.
    snippets : mapping
        From `SnippetSampler.result`: event id -> sensor -> (times, actual, expected or None).
    event_scores : mapping
        From `SnippetSampler.scores`: event id -> (times, scores).
    status_counts, reason_counts : mapping
        Rows by status and by reason, as `TimelineSampler` counts them.
    labels : sequence of LabelInterval
        Known faults, drawn beside the events.
    bands : mapping
        Sensor -> half-width, in its unit, that holds 99 % of the normal errors of its expected value; drawn around
        the expected line of every close view.
    normal_ranges : mapping
        Sensor -> (low, high), in its unit, between which nearly all training values lie, such as their 0.5 and
        99.5 % quantiles; drawn behind the values wherever no expectation is known.
    calibration_scores : (S,) array, optional
        Scores of the calibration rows, or evenly spaced quantiles of them, shown as a histogram of shares.
    calibration : mapping
        Each key optional. ``curve``, what other alarm lines would have done: columns ``threshold`` (ascending),
        ``events_per_day`` (per machine-day) and, optional, ``low`` and ``high`` (its interval) and ``found``
        (share of the labelled faults found, in [0, 1]), with ``n_faults``, their number.
        ``tail``, how rare a score is on normal operation: columns ``score`` (ascending) and ``return_days`` of the
        fitted curve and, optional, ``points`` ([score, return_days] of observed event heights), ``shape``,
        ``shape_interval``, ``scale``, ``calibration_days`` and ``cap_days``: return periods at or beyond it are
        shown as "more than" it (100 years by default).
        ``modes``, a row for each operating mode: ``mode``, ``threshold``, ``events_per_day``, ``days`` of normal
        data and ``own`` (False: the line of all modes).
    stale : mapping
        Whether the calibration still describes normal operation: ``is_stale``, ``statement``, ``since`` (ISO 8601
        text or None) and ``weeks``, each with ``start`` (milliseconds since 1970 in UTC), ``n_events``, ``upper``
        (the most that chance explains) and ``days`` (machine-days observed). Empty where nobody looked.
    detectability : DetectabilityCard, optional
        The smallest fault that the detector finds, by sensor and kind.
    runtime : mapping
        Facts about the run; keys ending in ``_seconds`` and ``_bytes`` are shown with their unit.
    notes, warnings : sequence of str
        Remarks; warnings are shown first.

    Examples
    --------
    >>> data = ReportData(title="Pump 7", status_counts={"scored": 90, "warmup": 10})
    >>> data.n_rows
    100
    """

    title: str
    subtitle: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    threshold: Mapping[str, Any] = field(default_factory=dict)
    timeline: Sequence[Timeline] = ()
    events: Sequence[Event] = ()
    sensor_traces: Sequence[SensorTraces] = ()
    snippets: Snippets = field(default_factory=dict)
    event_scores: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=dict)
    status_counts: Mapping[str, int] = field(default_factory=dict)
    reason_counts: Mapping[str, int] = field(default_factory=dict)
    labels: Sequence[LabelInterval] = ()
    bands: Mapping[str, float] = field(default_factory=dict)
    normal_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    calibration_scores: NDArray[np.float64] | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)
    stale: Mapping[str, Any] = field(default_factory=dict)
    detectability: DetectabilityCard | None = None
    runtime: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_names("status", self.status_counts, STATUSES)
        check_names("reason", self.reason_counts, REASONS)
        check_bands(self.bands)
        check_normal_ranges(self.normal_ranges)
        check_calibration(self.calibration)
        check_stale(self.stale)
        n_drawn = sum(int(line.n_rows.sum()) for line in self.timeline)
        if self.timeline and self.status_counts and n_drawn != self.n_rows:
            raise UsageError(
                f"the rows of a report must balance: {self.n_rows:,} by status, {n_drawn:,} in the timeline",
                hint="count and sample the same blocks",
            )
        ids = [event.event_id for event in self.events]
        if len(set(ids)) != len(ids):
            raise UsageError("event ids must differ, some are used twice")

    @property
    def alarms(self) -> list[Event]:
        """Events about the plant: all but those of kind "quality"."""
        return [event for event in self.events if event.kind != "quality"]

    @property
    def findings(self) -> list[Event]:
        """Events about the data, of kind "quality"."""
        return [event for event in self.events if event.kind == "quality"]

    @property
    def n_rows(self) -> int:
        """Rows looked at: the sum over all statuses, or the timeline's rows where no status was counted."""
        if self.status_counts:
            return sum(int(n) for n in self.status_counts.values())
        return sum(int(line.n_rows.sum()) for line in self.timeline)

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last time looked at, in nanoseconds; None where nothing tells."""
        for lines in (self.timeline, self.sensor_traces):
            filled = [line for line in lines if len(line)]
            if filled:
                return min(int(x.start.min()) for x in filled), max(int(x.end.max()) for x in filled)
        if self.events:
            return min(e.start for e in self.events), max(e.end for e in self.events)
        return None

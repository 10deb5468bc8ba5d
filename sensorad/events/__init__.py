"""From scores to findings: one event rule and one builder for calibration, batch and stream."""

from sensorad.events.builder import EventBuilder, counted_rows
from sensorad.events.changes import ChangeWatch, EventChange
from sensorad.events.curve import EventCurve, event_curve
from sensorad.events.decluster import cluster_peaks
from sensorad.events.difference import EventDifference, event_difference
from sensorad.events.identity import event_id
from sensorad.events.kinds import event_kind
from sensorad.events.quality import QualityMonitor
from sensorad.events.quality_limits import QualityLimits
from sensorad.events.rule import EventRule
from sensorad.events.spans import EventSpans, event_spans

__all__ = [
    "ChangeWatch",
    "EventBuilder",
    "EventChange",
    "EventCurve",
    "EventDifference",
    "EventRule",
    "EventSpans",
    "QualityLimits",
    "QualityMonitor",
    "cluster_peaks",
    "counted_rows",
    "event_curve",
    "event_difference",
    "event_id",
    "event_kind",
    "event_spans",
]

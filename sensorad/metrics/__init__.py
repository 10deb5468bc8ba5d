"""How good a detector is: rankings, volume under the surface, certainty, and what an operator sees."""

from sensorad.metrics.certainty import Reliability, expected_calibration_error, negative_log_likelihood, reliability
from sensorad.metrics.events import (
    DelaySummary,
    delay_summary,
    detection_rate,
    event_recall,
    event_recall_at,
    false_alarm_events,
    false_alarm_events_per_day,
    false_alarm_rate,
    label_events,
    onset_delays,
)
from sensorad.metrics.period import series_period
from sensorad.metrics.ranking import auc_pr, auc_roc
from sensorad.metrics.vus import RangeArea, range_area, vus_pr, vus_roc

__all__ = [
    "DelaySummary",
    "RangeArea",
    "Reliability",
    "auc_pr",
    "auc_roc",
    "delay_summary",
    "detection_rate",
    "event_recall",
    "event_recall_at",
    "expected_calibration_error",
    "false_alarm_events",
    "false_alarm_events_per_day",
    "false_alarm_rate",
    "label_events",
    "negative_log_likelihood",
    "onset_delays",
    "range_area",
    "reliability",
    "series_period",
    "vus_pr",
    "vus_roc",
]

"""Says when a calibration no longer describes normal, from the scores and alarm events that come in after it."""

from sensorad.monitoring.baseline import CalibrationBaseline
from sensorad.monitoring.monitor import CalibrationMonitor
from sensorad.monitoring.verdict import StaleVerdict
from sensorad.monitoring.weekly import WeekCount

__all__ = ["CalibrationBaseline", "CalibrationMonitor", "StaleVerdict", "WeekCount"]

"""Alarm lines fitted on normal scores, each with the alarm events per day that it means."""

from sensorad.thresholds.base import CalibrationScores, ThresholdMethod, ThresholdResult
from sensorad.thresholds.budget import Budget, BudgetThreshold
from sensorad.thresholds.quantile import QuantileThreshold
from sensorad.thresholds.registry import THRESHOLDS, threshold_class

__all__ = [
    "THRESHOLDS",
    "Budget",
    "BudgetThreshold",
    "CalibrationScores",
    "QuantileThreshold",
    "ThresholdMethod",
    "ThresholdResult",
    "threshold_class",
]

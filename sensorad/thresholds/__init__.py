"""Alarm lines fitted on normal scores, each with the alarm events per day that it means."""

from sensorad.thresholds.base import ECHO, NORMAL, CalibrationScores, ThresholdMethod, ThresholdResult
from sensorad.thresholds.blocks import BlockMaxima, block_maxima, default_block_seconds
from sensorad.thresholds.budget import Budget, BudgetThreshold
from sensorad.thresholds.budget_mean import BudgetMeanThreshold
from sensorad.thresholds.conformal import ConformalThreshold, conformal_p_values
from sensorad.thresholds.fbeta import FBetaThreshold
from sensorad.thresholds.fleet import FleetAlarms, benjamini_hochberg, fleet_alarms
from sensorad.thresholds.labelled import LabelledScores, fault_heights, labelled, labelled_by_rows
from sensorad.thresholds.mad import MadThreshold
from sensorad.thresholds.pareto import ParetoTail, fit_pareto
from sensorad.thresholds.per_mode import PerModeThreshold
from sensorad.thresholds.pot import PeaksOverThreshold
from sensorad.thresholds.quantile import QuantileThreshold
from sensorad.thresholds.registry import THRESHOLDS, threshold_class
from sensorad.thresholds.return_period import ReturnPeriods, describe_days
from sensorad.thresholds.sigma import SigmaThreshold
from sensorad.thresholds.what_if import WhatIf, what_if
from sensorad.thresholds.what_if_svg import what_if_svg

__all__ = [
    "ECHO",
    "NORMAL",
    "THRESHOLDS",
    "BlockMaxima",
    "Budget",
    "BudgetMeanThreshold",
    "BudgetThreshold",
    "CalibrationScores",
    "ConformalThreshold",
    "FBetaThreshold",
    "FleetAlarms",
    "LabelledScores",
    "MadThreshold",
    "ParetoTail",
    "PeaksOverThreshold",
    "PerModeThreshold",
    "QuantileThreshold",
    "ReturnPeriods",
    "SigmaThreshold",
    "ThresholdMethod",
    "ThresholdResult",
    "WhatIf",
    "benjamini_hochberg",
    "block_maxima",
    "conformal_p_values",
    "default_block_seconds",
    "describe_days",
    "fault_heights",
    "fit_pareto",
    "fleet_alarms",
    "labelled",
    "labelled_by_rows",
    "threshold_class",
    "what_if",
    "what_if_svg",
]

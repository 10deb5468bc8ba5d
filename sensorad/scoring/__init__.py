"""From model output to scores: errors, evidence, blame, and the one engine that runs them over a log."""

from sensorad.scoring.engine import ScoringEngine, context_rows
from sensorad.scoring.errors import ErrorModel, LinearErrors, SensorErrors
from sensorad.scoring.fused import FusedScheme
from sensorad.scoring.schemes import SCHEMES, Scheme, scheme_class

__all__ = [
    "SCHEMES",
    "ErrorModel",
    "FusedScheme",
    "LinearErrors",
    "Scheme",
    "ScoringEngine",
    "SensorErrors",
    "context_rows",
    "scheme_class",
]

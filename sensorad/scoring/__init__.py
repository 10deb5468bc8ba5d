"""From model output to scores: errors, evidence, blame, and the one engine that runs them over a log."""

from sensorad.scoring.engine import ScoringEngine
from sensorad.scoring.errors import ErrorModel, LinearErrors, SensorErrors
from sensorad.scoring.schemes import SCHEMES, Scheme, scheme_class

__all__ = ["SCHEMES", "ErrorModel", "LinearErrors", "Scheme", "ScoringEngine", "SensorErrors", "scheme_class"]

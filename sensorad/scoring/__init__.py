"""From errors to scores: evidence, blame, and the one engine that runs them over a log."""

from sensorad.scoring.engine import ScoringEngine, context_rows
from sensorad.scoring.fused import FusedScheme
from sensorad.scoring.schemes import SCHEMES, Scheme, scheme_class

__all__ = [
    "SCHEMES",
    "FusedScheme",
    "Scheme",
    "ScoringEngine",
    "context_rows",
    "scheme_class",
]

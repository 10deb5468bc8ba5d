"""Errors of rows under what was learned: linear parts, networks, centroids, heads, alone and side by side.

A model here takes rows of segments and says how far each is from what it expects. What that is worth as evidence is the
business of `sensorad.scoring`.
"""

from sensorad.error_models.errors import (
    AskedRows,
    ErrorModel,
    LinearErrors,
    PredictionErrors,
    SensorErrors,
    StackedErrorModel,
)

__all__ = ["AskedRows", "ErrorModel", "LinearErrors", "PredictionErrors", "SensorErrors", "StackedErrorModel"]

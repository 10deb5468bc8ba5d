"""sensorad: learns what normal looks like from multi-sensor plant logs and alarms within a stated budget.

::

    detector = sensorad.Detector(model="linear")
    detector.fit("normal.parquet", time="datetime")
    detector.calibrate("more-normal.parquet", budget="2/week")
    events = detector.detect("today.parquet")

The names below load on first use, so that ``import sensorad`` costs nothing.

Examples
--------
>>> import sensorad
>>> sensorad.ArtefactError.exit_code
4
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sensorad.errors import (
    ArtefactError,
    DataError,
    SchemaError,
    SensoradError,
    StorageError,
    TimeError,
    TooLittleDataError,
    TrainingError,
    UsageError,
)

if TYPE_CHECKING:
    from sensorad.detectability import DetectabilityCard, detectability_card
    from sensorad.detector import Detector, load
    from sensorad.events import EventRule
    from sensorad.logs import LogFormat, SensorLog
    from sensorad.streaming import Stream
    from sensorad.thresholds import Budget

__all__ = [
    "ArtefactError",
    "Budget",
    "DataError",
    "DetectabilityCard",
    "Detector",
    "EventRule",
    "LogFormat",
    "SchemaError",
    "SensorLog",
    "SensoradError",
    "StorageError",
    "Stream",
    "TimeError",
    "TooLittleDataError",
    "TrainingError",
    "UsageError",
    "detectability_card",
    "load",
]

__version__ = "0.1.0"

_HOMES = {
    "Budget": "sensorad.thresholds",
    "DetectabilityCard": "sensorad.detectability",
    "Detector": "sensorad.detector",
    "EventRule": "sensorad.events",
    "LogFormat": "sensorad.logs",
    "SensorLog": "sensorad.logs",
    "Stream": "sensorad.streaming",
    "detectability_card": "sensorad.detectability",
    "load": "sensorad.detector",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use and keep it (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

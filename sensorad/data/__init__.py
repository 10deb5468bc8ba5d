"""Numbers before models: scaling, filling of missing cells, windows, segments, slots of time. Needs numpy only."""

from sensorad.data.grid import TimeGrid, held_from
from sensorad.data.imputation import GaussianImputer
from sensorad.data.scaling import SensorScaler, soft_compress, soft_expand
from sensorad.data.timing import Timing
from sensorad.data.windows import window_view

__all__ = [
    "GaussianImputer",
    "SensorScaler",
    "TimeGrid",
    "Timing",
    "held_from",
    "soft_compress",
    "soft_expand",
    "window_view",
]

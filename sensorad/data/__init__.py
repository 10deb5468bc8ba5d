"""Numbers before models: scaling, filling of missing cells, windows and segments. Needs numpy only."""

from sensorad.data.imputation import GaussianImputer
from sensorad.data.scaling import SensorScaler, soft_compress, soft_expand
from sensorad.data.timing import Timing
from sensorad.data.windows import window_view

__all__ = ["GaussianImputer", "SensorScaler", "Timing", "soft_compress", "soft_expand", "window_view"]

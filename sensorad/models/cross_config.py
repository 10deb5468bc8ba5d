"""Sizes of the network that predicts each sensor from all others, and the shapes that follow. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sensorad.errors import UsageError
from sensorad.models.checks import at_least, checked_options

__all__ = ["LAGS", "LINEAR", "CrossSensorConfig"]

LAGS = (0, 1, 2, 4, 8)
"""Rows back at which the other sensors are read: close ones densely, far ones sparsely."""

LINEAR = "linear.weight"
"""Name of the weights of the linear prediction that the network corrects."""


@dataclass(frozen=True, slots=True)
class CrossSensorConfig:
    """Sizes of a `CrossSensorNetwork`, and how it is trusted.

    Attributes
    ----------
    width
        Units of both hidden layers.
    most_hidden
        In training each sensor is hidden with a probability drawn anew for each row from 0 to this, and one in any
        case.
    penalty
        Of the linear prediction that the network corrects, in up to 5,000 rows; it grows with longer logs.
    least_gain
        A sensor is judged where the network takes away at least this share of the squared error that the linear
        prediction leaves of it on rows that neither saw.
    least_share
        Share of the sensors that must be judged; of fewer, none is.
    """

    width: int = 128
    most_hidden: float = 0.2
    penalty: float = 10.0
    least_gain: float = 0.5
    least_share: float = 0.0

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width)
        for name, low, high in (
            ("most_hidden", 0.0, 1.0),
            ("penalty", 0.0, math.inf),
            ("least_gain", -math.inf, 1.0),
            ("least_share", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < high:
                raise UsageError(
                    f"{name} must be at least {low:g} and below {high:g}, got {value!r}", where="model configuration"
                )
        if self.penalty == 0.0:
            raise UsageError("penalty must be positive, got 0", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> CrossSensorConfig:
        return cls(**checked_options(cls, row))

    def shapes(self, n_sensors: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, those of the linear prediction first.

        Examples
        --------
        >>> CrossSensorConfig(width=8).shapes(3)["first.weight"]
        (8, 18)
        """
        n_read = len(LAGS) * n_sensors
        return {
            LINEAR: (n_read + 1, n_sensors),
            "first.weight": (self.width, n_read + n_sensors),
            "first.bias": (self.width,),
            "second.weight": (self.width, self.width),
            "second.bias": (self.width,),
            "output.weight": (n_sensors, self.width),
            "output.bias": (n_sensors,),
        }

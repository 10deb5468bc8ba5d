"""What an earlier detector knows that helps a new one with little data of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler
from sensorad.data.scaling import FLOOR_SHARE
from sensorad.errors import UsageError
from sensorad.models.autocovariance import AutoCovariance, LinearPrior

__all__ = ["Pretrained"]

LINEAR_ROWS = 5000.0
"""Rows of its own after which a machine's windows count as much as what others tell
(docs/decisions/0011-learning-from-a-fleet.md)."""

SCALE_ROWS = 1000.0
"""The same for the scale of a sensor, which takes fewer rows to tell."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """The parts of a fitted detector that a fit may start from.

    Attributes
    ----------
    scaler
        Its scales; its own machines may differ in level.
    autocovariance
        Of its machines.
    network : dict of str to array
        Weights, empty for a model without a network.
    """

    scaler: SensorScaler
    autocovariance: AutoCovariance
    network: Mapping[str, NDArray[Any]]

    @property
    def linear(self) -> LinearPrior:
        """For linear models."""
        return LinearPrior(self.autocovariance, LINEAR_ROWS)

    def scaler_of(self, own: SensorScaler, n_rows: int) -> SensorScaler:
        """The scaler of a machine, drawn towards the spread that sensors have within the others.

        A sensor that stood still in the little there is gets the scale that it has elsewhere; which sensors are used
        is taken over, since weights are made for them.

        Raises
        ------
        UsageError
            The sensors are not the same.
        """
        if len(own.scale) != len(self.scaler.scale):
            raise UsageError(
                f"the detector to start from has {len(self.scaler.scale)} sensors, the log {len(own.scale)}",
                hint="name the same sensors",
            )
        used = self.scaler.used_positions
        elsewhere = np.zeros(len(own.scale))
        elsewhere[used] = self.autocovariance.spread
        here = np.where(own.is_constant, 0.0, own.scale)
        drawn = np.sqrt((n_rows * here**2 + SCALE_ROWS * elsewhere**2) / (n_rows + SCALE_ROWS))
        moving = drawn[used][drawn[used] > 0]
        drawn = np.maximum(drawn, FLOOR_SHARE * np.median(moving) if len(moving) else 1.0)
        is_known = elsewhere > 0
        return replace(
            own,
            scale=np.where(is_known, drawn, own.scale),
            is_used=self.scaler.is_used.copy(),
            is_constant=own.is_constant & ~is_known,
        )

"""What the network of a detector is trained for: its objective, and what is done to windows before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.augment import Augment, MixupConfig, SensorStatistics, augmentation_from_json
from sensorad.augment.base import Augmentation
from sensorad.config import DetectorConfig
from sensorad.error_models.crossfit import Stretch
from sensorad.errors import unknown_name
from sensorad.models import model_kind
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.training import Objective

__all__ = ["augment_of", "still_sensors", "training_objective", "training_statistics"]

DRAWN_IN_TRAINING = ("repair", "hinge")
"""Exposures that change the training of the network itself."""

FEWEST_LEVELS = 3
"""A sensor with fewer values is a switch: any noise on it would be a fault."""


def training_objective(config: DetectorConfig, rows: NormalRows) -> Objective:
    """The objective of ``config`` with everything that is to happen to windows of ``rows`` before.

    Raises
    ------
    UsageError
        A sensor is named that there is not.
    """
    from sensorad.training import objective_from_json, objective_from_name
    from sensorad.training.composition import composed
    from sensorad.training.exposure import exposure_from_name

    said = config.objective or model_kind(config.model).objective
    base = objective_from_name(said) if isinstance(said, str) else objective_from_json(dict(said))
    exposure = None
    if config.exposure in DRAWN_IN_TRAINING:
        statistics = training_statistics(rows.stretches)
        exposure = exposure_from_name(
            config.exposure, statistics, config.exposure_kinds, **dict(config.exposure_settings)
        )
    return composed(base, augment_of(config, rows), MixupConfig(alpha=config.mixup), exposure)


def augment_of(config: DetectorConfig, rows: NormalRows) -> Augment | None:
    """The augmentations of ``config``; they leave alone what it excludes and sensors of one or two values."""
    if not config.augment:
        return None
    named = {_position(name, rows.sensors) for name in config.augment_exclude if name in rows.sensors}
    steps = tuple(_step(said, rows.sensors) for said in config.augment)
    return Augment(steps, excluded=tuple(sorted(named | set(still_sensors(rows.stretches)))))


def still_sensors(stretches: Sequence[Stretch]) -> list[int]:
    """Sensors with no more than two values in all usable cells: constants and switches.

    Examples
    --------
    >>> rows = np.array([[0, 1, 5], [0, 2, 6], [0, 1, 7]], np.float32)
    >>> still_sensors([Stretch(rows, np.ones(rows.shape, bool), np.arange(3))])
    [0, 1]
    """
    found = []
    for sensor in range(stretches[0].rows.shape[1]):
        levels: set[float] = set()
        for stretch in stretches:
            levels.update(np.unique(stretch.rows[stretch.usable[:, sensor], sensor]).tolist())
            if len(levels) >= FEWEST_LEVELS:
                break
        else:
            found.append(sensor)
    return found


def training_statistics(stretches: Sequence[Stretch]) -> SensorStatistics:
    """Statistics of scaled rows, by which faults are measured."""
    rows = np.concatenate([stretch.rows for stretch in stretches])
    return SensorStatistics.fit(rows, np.concatenate([stretch.usable for stretch in stretches]))


def _step(said: str | Mapping[str, Any], sensors: Sequence[str]) -> Augmentation:
    """One augmentation, from its name or its settings; groups of sensors may be told by name."""
    if isinstance(said, str):
        return augmentation_from_json({"name": said})
    settings = dict(said)
    if "groups" in settings:
        settings["groups"] = tuple(tuple(_position(sensor, sensors) for sensor in group) for group in said["groups"])
    return augmentation_from_json(settings)


def _position(sensor: str | int, sensors: Sequence[str]) -> int:
    if isinstance(sensor, int):
        return sensor
    if sensor not in sensors:
        raise unknown_name("sensor", sensor, sensors)
    return sensors.index(sensor)

"""The linear model, or the network of each sensor from all others where the log shows that it is worth its while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sensorad.config import DetectorConfig
from sensorad.error_models import LinearErrors
from sensorad.error_models.crossfit import Fold
from sensorad.families.base import Progress, Trained
from sensorad.families.cross import CrossFamily
from sensorad.normal_rows import NormalRows

__all__ = ["LEAST_GAIN", "LEAST_SHARE", "AutoFamily"]

LEAST_GAIN = 0.5
"""Share of the squared error of a linear prediction that the network must take away, out of fold, to know a sensor."""

LEAST_SHARE = 0.2
"""Share of the sensors that it must know. Where single sensors hang on others by a curve, that relation is as likely to
drift as to break (docs/decisions/0013-what-auto-chooses.md)."""


class AutoFamily(CrossFamily):
    """Learns `cross`, and keeps it or its linear part.

    What is learned is a detector of either kind like any other: saved, streamed and described as such.
    """

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`; `Trained.config` says what was chosen."""
        network = {"least_gain": LEAST_GAIN, "least_share": LEAST_SHARE, **config.network}
        cross = replace(config, model="cross", network=network)
        found = super().learn(rows, folds, cross, checkpoint=checkpoint, report=report)
        is_linear = isinstance(found.model, LinearErrors)
        linear = replace(
            config, model="linear", network={}, epochs=None, time_limit_seconds=None, stride=None, read_every=None
        )
        return replace(found, config=linear if is_linear else cross)

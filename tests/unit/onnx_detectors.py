"""Small detectors of every kind with weights of some size, and a log with holes, gaps and a fault to score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.thresholds import QuantileThreshold

__all__ = ["KINDS", "fitted", "plant_log"]

SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"width": 6, "code": 3, "near_zero": False},
    "transformer": {"width": 8, "heads": 2, "layers": 1, "feedforward": 8, "patch": 4, "code": 3, "memory": 2,
                    "sensor_width": 4, "near_zero": False},
}  # fmt: skip

KINDS: dict[str, DetectorConfig] = {
    "linear": DetectorConfig(window=8, lags=3),
    "lstm": DetectorConfig(model="lstm", window=8, lags=3, epochs=0, network=SMALL["lstm"]),
    "deep lstm alone": DetectorConfig(
        model="lstm", score="mahalanobis", has_linear_part=False, window=8, epochs=0,
        network=SMALL["lstm"] | {"code": None, "layers": 2},
    ),
    "transformer": DetectorConfig(model="transformer", window=10, lags=3, epochs=0, network=SMALL["transformer"]),
}  # fmt: skip
"""Untrained: what is exported matters here, not what it knows. Ten rows are no multiple of the patch of four."""


def plant_log(n_rows: int, seed: int, *, has_flaws: bool = False) -> pd.DataFrame:
    """Three moving sensors in different units and one that stands still; with flaws also holes, a gap and a fault."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows) / 7.0)
    log = pd.DataFrame(
        {
            "time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"),
            "TI-101": 70.0 + 3.0 * wave + 0.4 * rng.normal(size=n_rows),
            "PI-7": 101_325.0 + 200.0 * np.roll(wave, 2) + 30.0 * rng.normal(size=n_rows),
            "level": 0.002 * wave + 0.0003 * rng.normal(size=n_rows),
            "valve": 1.0,
        }
    )
    if has_flaws:
        log.loc[40:60, "PI-7"] += 4_000.0
        log.loc[80:82, "TI-101"] = np.nan
        log.loc[100:101, ["TI-101", "PI-7", "level", "valve"]] = np.nan
        log.loc[130:, "time"] += pd.Timedelta(hours=2)
    return log


def fitted(config: DetectorConfig, seed: int = 1) -> Detector:
    """A detector of 400 rows."""
    return Detector(config=config, threshold=QuantileThreshold(0.99)).fit(plant_log(400, seed))

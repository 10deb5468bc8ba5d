"""Scores of machines with one row a minute, for tests of thresholds."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from sensorad.thresholds import CalibrationScores

DAY = 1440
"""Rows of one day."""


def minute_scores(score: np.ndarray, n_machines: int = 1) -> CalibrationScores:
    """Machines one after another, each with its own clock from 0."""
    each = len(score) // n_machines
    time = np.tile(np.arange(each, dtype=np.int64) * 60 * 10**9, n_machines)
    return CalibrationScores(time, score, np.repeat(np.arange(n_machines), each).astype(np.int32), 60.0)


def smooth_scores(rng: np.random.Generator, n_rows: int, memory: float = 0.9) -> np.ndarray:
    """Lognormal scores that remember the row before."""
    noise = rng.standard_normal(n_rows + 500)
    return np.exp(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise)[500:])

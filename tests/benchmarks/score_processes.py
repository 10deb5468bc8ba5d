"""Five kinds of normal scores that thresholds must cope with, one row a minute, as simulations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from sensorad.thresholds import CalibrationScores

STEP_SECONDS = 60.0
ROWS_PER_DAY = 1440

Process = Callable[[int, np.random.Generator], NDArray[np.float64]]
"""Called with the number of rows and a generator."""


def independent(n_rows: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Rows that know nothing of each other: what textbooks assume."""
    return draws.exponential(size=n_rows)


def smooth(n_rows: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """A lognormal score with a memory of half an hour, as windows that overlap give."""
    return np.exp(0.5 * _memory(n_rows, 0.97, draws))


def heavy(n_rows: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Student's t with 3 degrees of freedom, smoothed over five rows: rare rows far beyond all others."""
    shocks = np.abs(draws.standard_t(3.0, size=n_rows + 4))
    return np.convolve(shocks, np.full(5, 0.2), mode="valid")


def daily(n_rows: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Scores that are 2.3 times as high in the afternoon as at night, with a memory of ten minutes."""
    swing = 1.0 + 0.4 * np.sin(2 * np.pi * np.arange(n_rows) / ROWS_PER_DAY)
    return swing * np.exp(0.5 * _memory(n_rows, 0.9, draws))


def bursts(n_rows: int, draws: np.random.Generator) -> NDArray[np.float64]:
    """Quiet hours, and about once a day twenty minutes of doubled scores, on some days more often than on others."""
    restless = np.repeat(draws.gamma(1.0, 1.0, size=n_rows // ROWS_PER_DAY + 1), ROWS_PER_DAY)[:n_rows]
    starts = draws.random(n_rows) < restless / ROWS_PER_DAY
    is_burst = np.convolve(starts, np.ones(20), mode="full")[:n_rows] > 0
    return np.exp(0.4 * _memory(n_rows, 0.7, draws)) * np.where(is_burst, 2.0, 1.0)


PROCESSES: dict[str, Process] = {
    "independent": independent,
    "smooth": smooth,
    "heavy": heavy,
    "daily": daily,
    "bursts": bursts,
}


def simulated(process: Process, days: float, draws: np.random.Generator) -> CalibrationScores:
    """Normal scores of one machine."""
    n_rows = round(days * ROWS_PER_DAY)
    time = np.arange(n_rows, dtype=np.int64) * round(STEP_SECONDS * 1e9)
    return CalibrationScores(time, process(n_rows, draws), np.zeros(n_rows, np.int32), STEP_SECONDS)


MODES = ("off", "idle", "half", "full", "cleaning")
LOUDNESS = (1.0, 1.5, 2.5, 4.0, 8.0)
HOURS_IN_MODE = 3


def simulated_modes(days: float, draws: np.random.Generator) -> CalibrationScores:
    """Smooth scores that are louder in some of five operating modes than in others; each mode lasts three hours."""
    n_rows = round(days * ROWS_PER_DAY)
    stay = 60 * HOURS_IN_MODE
    mode = np.repeat(draws.integers(0, len(MODES), size=n_rows // stay + 1), stay)[:n_rows].astype(np.int32)
    score = np.exp(0.5 * _memory(n_rows, 0.9, draws)) * np.array(LOUDNESS)[mode]
    time = np.arange(n_rows, dtype=np.int64) * round(STEP_SECONDS * 1e9)
    return CalibrationScores(time, score, np.zeros(n_rows, np.int32), STEP_SECONDS, mode=mode, mode_names=MODES)


def _memory(n_rows: int, keep: float, draws: np.random.Generator) -> NDArray[np.float64]:
    """A stationary Gaussian autoregression of order one with unit variance."""
    shocks = draws.normal(size=n_rows) * np.sqrt(1.0 - keep**2)
    shocks[0] /= np.sqrt(1.0 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], shocks))

"""What faults of sensors look like in the last rows: numbers of each sensor that tell faults from normal operation.

Errors of models show a sensor that departs from what is expected. A sensor that stands still, moves in coarse steps,
lags behind or has lost touch with the others departs by little; it shows in how it moves and in how it goes along with
the others. Every number is one of the last rows alone, finite, and the same however rows are cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import AskedRows
from sensorad.error_models.trailing import earlier, trailing_max, trailing_sum
from sensorad.models.linear import RidgeAutoregression
from sensorad.models.other_sensors import OtherSensorsRegression

__all__ = ["FEATURES", "FaultFeatures"]

TINY = 1e-3
"""Deviations that stand for none in logarithms."""

EQUAL = 1e-6
"""Two values of a sensor that differ by less, in deviations, are equal."""

LEAST_DIFFERENCE = 1e-5
"""Stands for the smallest step of a sensor that does not move."""

SHORT = 5
"""Rows of the fast reading of one-step errors."""

SHIFTS = (2, 4, 8, 15)
"""Rows by which a sensor is tried to lag behind what the others say of it, or to run ahead; of windows of 30 rows."""

FEATURES: dict[str, float] = {
    "window error": 0.03,
    "step error, short": 0.03,
    "step error": 0.03,
    "mean step error": 0.003,
    "largest step error": 0.03,
    "equal neighbours": 1 / 60,
    "rows at rest": 0.06,
    "smallest step": 0.03,
    "roughness": 0.03,
    "bend": 0.03,
    "range": 0.03,
    "level": 0.1,
    "error of the others": 0.03,
    "mean error of the others": 0.015,
    "gain": 0.03,
    "correlation": 0.015,
    "lag": 0.03,
    "lead": 0.03,
}
"""Names, and the least spread that counts as one standard deviation."""

ALONE = ("equal neighbours", "rows at rest", "smallest step", "roughness", "bend", "range", "level")
"""Those that ask no other sensor. The others say nothing while a sensor is away: what it would tell is guessed then."""

MOST_MISSING = 0.2
"""A sensor is away, and has no say, that lacks more than this share of its values in the window."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FaultFeatures:
    """Works them out.

    Attributes
    ----------
    length
        Rows of a window, L.
    steps, others
        The models behind one-step errors and behind what the other sensors say.
    """

    length: int
    steps: RidgeAutoregression
    others: OtherSensorsRegression

    @property
    def context_rows(self) -> int:
        """Rows before a row that its features depend on."""
        return self.length - 1 + max(self.steps.lags, self.others.n_before)

    def of(self, asked: AskedRows, window: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Features (n, C, F) of the rows, NaN where they say nothing, and (n, C) which sensors are there.

        Parameters
        ----------
        window : (n, C)
            Window errors of these rows, mean squares; not finite counts as none.
        """
        rows, usable, at, age = asked.rows, asked.usable, asked.at, asked.ages
        x = rows.astype(np.float64)
        length = self.length
        expected, step = self._expected(rows, x, age)
        found = {"window error": _log_size(np.where(np.isfinite(window), window, 0.0))}
        found |= {name: values[at] for name, values in self._step_features(step, age).items()}
        found |= {name: values[at] for name, values in self._common_features(x, expected, age).items()}
        is_there = np.ones(window.shape, np.bool_)
        if not usable.all():
            n_missing = trailing_sum((~usable).astype(np.float64), length, age)[at]
            is_there = np.less_equal(n_missing, MOST_MISSING * length)
            is_whole = np.all(is_there, axis=1, keepdims=True)
            found = {name: np.where(is_whole, values, np.nan) for name, values in found.items()}
        found |= {name: values[at] for name, values in self._own_features(x, age).items()}
        return np.stack([found[name] for name in FEATURES], axis=-1), is_there

    def _expected(self, rows: NDArray[np.float32], x: Floats, age: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """What the others say of each row, and one-step errors; the row itself and 0 where it has too little past."""
        expected, step = x.copy(), np.zeros_like(x)
        said = self.others.predict(rows)
        if len(said):
            is_ready = age[self.others.n_before :] >= self.others.n_before
            expected[self.others.n_before :][is_ready] = said[is_ready]
        lags = self.steps.lags
        if len(x) > lags:
            is_ready = age[lags:] >= lags
            step[lags:][is_ready] = (x[lags:] - self.steps.predict(rows))[is_ready]
        return expected, step

    def _step_features(self, step: Floats, age: NDArray[np.int64]) -> dict[str, Floats]:
        square, length = step**2, self.length
        return {
            "step error, short": _log_size(trailing_sum(square, SHORT, age) / SHORT),
            "step error": _log_size(trailing_sum(square, length, age) / length),
            "mean step error": trailing_sum(step, length, age) / length,
            "largest step error": np.log(trailing_max(np.abs(step), length, age) + TINY),
        }

    def _own_features(self, x: Floats, age: NDArray[np.int64]) -> dict[str, Floats]:
        """How a sensor moves, whatever the others do."""
        length = self.length
        difference = x - earlier(x, 1, age)
        difference[age == 0] = 0.0
        bend = difference - earlier(difference, 1, age)
        bend[age < 2] = 0.0
        size = np.abs(difference)
        is_equal = (size < EQUAL) & (age > 0)[:, None]
        smallest = -trailing_max(np.where(size < EQUAL, -np.inf, -size), length, age)
        smallest = np.where(np.isfinite(smallest), smallest, 0.0)
        highest, lowest = trailing_max(x, length, age), -trailing_max(-x, length, age)
        return {
            "equal neighbours": trailing_sum(is_equal.astype(np.float64), length, age) / length,
            "rows at rest": np.log1p(_rows_at_rest(is_equal, length)),
            "smallest step": np.log(smallest + LEAST_DIFFERENCE),
            "roughness": _log_size(trailing_sum(difference**2, length, age) / length),
            "bend": _log_size(trailing_sum(bend**2, length, age) / length),
            "range": np.log(highest - lowest + TINY),
            "level": trailing_sum(x, length, age) / length,
        }

    def _common_features(self, x: Floats, expected: Floats, age: NDArray[np.int64]) -> dict[str, Floats]:
        """How a sensor goes along with what the others say of it."""
        length = self.length
        error = x - expected

        def mean(values: Floats) -> Floats:
            return trailing_sum(values, length, age) / length

        mean_x, mean_expected = mean(x), mean(expected)
        spread_x = np.maximum(mean(x**2) - mean_x**2, 0.0)
        spread_expected = np.maximum(mean(expected**2) - mean_expected**2, 0.0)
        both = mean(x * expected) - mean_x * mean_expected
        half = max(1, length // 2)
        now = _log_size(trailing_sum(error**2, half, age) / half)
        shifts = [max(1, round(shift * length / 30)) for shift in SHIFTS]
        lag = [_log_size(trailing_sum((x - earlier(expected, n, age)) ** 2, half, age) / half) for n in shifts]
        lead = [_log_size(trailing_sum((earlier(x, n, age) - expected) ** 2, half, age) / half) for n in shifts]
        return {
            "error of the others": _log_size(mean(error**2)),
            "mean error of the others": mean(error),
            "gain": 0.5 * np.log((spread_x + TINY) / (spread_expected + TINY)),
            "correlation": both / np.sqrt((spread_x + TINY) * (spread_expected + TINY)),
            "lag": np.minimum.reduce(lag) - now,
            "lead": np.minimum.reduce(lead) - now,
        }


def _rows_at_rest(is_equal: NDArray[np.bool_], most: int) -> Floats:
    """(S, C) rows in a row, up to this one, that equal the one before; ``most`` at most."""
    row = np.arange(len(is_equal))[:, None]
    moved = np.maximum.accumulate(np.where(is_equal, -1, row), axis=0)  # last row that did not
    return np.minimum(row - moved, most).astype(np.float64)


def _log_size(mean_square: Floats) -> Floats:
    """Log of the root mean square."""
    return np.asarray(0.5 * np.log(mean_square + TINY**2))

"""Each sensor as all others tell it, in NumPy alone: a linear prediction and the network that corrects it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.models.checks import check_weights
from sensorad.models.cross_config import LAGS, LINEAR, CrossSensorConfig
from sensorad.models.other_sensors import weights_of_others

__all__ = ["REACH", "NumpyCross", "fit_linear", "lagged", "missing_sensors", "predict_linear", "read_lags"]

REACH = max(LAGS)
"""Rows before a row that are read."""

BATCH = 512
"""Rows in one product: what is worked out of them still lies in the cache."""

PRODUCT_ROWS = 16
"""Batches are filled up to whole multiples of so many rows: products of such shapes round a row in the same way,
whatever else is in the batch."""

GRAM_ROWS = 4096
"""Rows read at once for the linear prediction."""

PENALTY_ROWS = 5000
"""Rows from which on the penalty grows with the log, so that it stays a share of what is known."""


class NumpyCross:
    """Predictions of sensors from all others, at the lags 0, 1, 2, 4 and 8.

    The linear prediction reads filled cells as they are: as the conditional mean is linear, that is what it would say
    if it averaged over all they may have been. The network is told which sensors are missing and reads none of their
    cells.

    Parameters
    ----------
    arrays
        Weights by name, float32.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> config = CrossSensorConfig(width=8)
    >>> arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in config.shapes(3).items()}
    >>> network = NumpyCross.from_arrays(arrays, config, n_sensors=3)
    >>> rows = rng.normal(size=(40, 3)).astype(np.float32)
    >>> linear, correction = network.parts(rows, np.isfinite(rows), at=np.arange(8, 40), sensors=[0, 2])
    >>> linear.shape, correction.shape
    ((32, 2), (32, 2))
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self._arrays = {name: array.copy() for name, array in arrays.items()}
        self._linear = self._arrays[LINEAR].astype(np.float64)  # (lags C + 1, C)
        first = np.ascontiguousarray(self._arrays["first.weight"].T)  # (lags C + C, D)
        self.n_sensors = self._linear.shape[1]
        n_read = len(LAGS) * self.n_sensors
        self._first, self._bits = first[:n_read], first[n_read:]
        # [i]: all that reads sensor i, so that one product takes it out.
        self._own = np.ascontiguousarray(self._first.reshape(len(LAGS), self.n_sensors, -1).transpose(1, 0, 2))
        self._second = np.ascontiguousarray(self._arrays["second.weight"].T)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], config: CrossSensorConfig | Mapping[str, Any], n_sensors: int
    ) -> Self:
        """The network with these weights.

        Raises
        ------
        ArtefactError
            Names, shapes, dtypes or values do not fit.
        UsageError
            ``config`` has unknown or impossible options.
        """
        settings = config if isinstance(config, CrossSensorConfig) else CrossSensorConfig.from_json(dict(config))
        check_weights(arrays, settings.shapes(n_sensors))
        return cls(arrays)

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The weights of `from_arrays`."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def parts(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        at: NDArray[np.int64],
        sensors: Sequence[int] | NDArray[np.int64],
        begin: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear predictions and corrections (n, G) of ``sensors`` in the rows ``at`` (n,) of filled rows (T, C).

        ``usable`` (T, C) is False in filled cells; ``begin`` (n,) is as in `lagged`.
        """
        chosen = np.asarray(sensors, np.int64)
        linear, correction = (np.empty((len(at), len(chosen))) for _ in range(2))
        is_whole = bool(usable.all())
        for part in _batches(len(at)):
            n = len(at[part])
            places = lagged(_filled_up(at[part]), None if begin is None else _filled_up(begin[part]))
            readings = read_lags(rows, places)
            linear[part] = (readings.astype(np.float64) @ self._linear[:-1, chosen] + self._linear[-1, chosen])[:n]
            missing = None if is_whole else missing_sensors(usable, places)
            correction[part] = self._corrections(readings, missing, chosen)[:n]
        return linear, correction

    def _corrections(
        self, readings: NDArray[np.float32], missing: NDArray[np.bool_] | None, sensors: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(N, lags C) readings, (N, C) missing sensors -> (N, G).

        The first layer is worked out once for all sensors; to hide one more only takes its own part out again.
        """
        arrays, n_rows = self._arrays, len(readings)
        if missing is not None:
            readings = readings * np.tile(~missing, len(LAGS))
        common = readings @ self._first
        common += arrays["first.bias"]
        if missing is not None:
            common += missing.astype(np.float32) @ self._bits
        by_lag = readings.reshape(n_rows, len(LAGS), self.n_sensors)
        found = np.empty((n_rows, len(sensors)), np.float32)
        for place, sensor in enumerate(sensors.tolist()):
            code = common - np.ascontiguousarray(by_lag[:, :, sensor]) @ self._own[sensor]  # (N, D)
            if missing is None:
                code += self._bits[sensor]
            else:
                code += np.where(missing[:, sensor, None], np.float32(0.0), self._bits[sensor])
            code = _gelu(code) @ self._second
            code += arrays["second.bias"]
            found[:, place] = _gelu(code) @ arrays["output.weight"][sensor]
        found += arrays["output.bias"][sensors]
        return found


def lagged(at: NDArray[np.int64], begin: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """(n,) rows -> (lags, n) that row and the rows all lags before it, but none before ``begin`` (n,).

    Without it they must all be there. Where a segment has just begun, its first row stands for those before it.
    """
    places = at - np.array(LAGS)[:, None]
    return np.asarray(places if begin is None else np.maximum(places, begin))


def read_lags(rows: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """(T, C) -> (n, lags C) the rows of `lagged`, side by side."""
    return np.concatenate([rows[at] for at in places], axis=1)


def missing_sensors(usable: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, C) sensors without a measured cell in one of the rows of `lagged`."""
    return np.asarray(np.logical_or.reduce([~usable[at] for at in places]))


def fit_linear(segments: Sequence[NDArray[np.float32]], penalty: float) -> NDArray[np.float32]:
    """Ridge regression of each sensor on all others at all lags: weights (lags C + 1, C), the last the intercept.

    A sensor's own readings have weight 0.

    Parameters
    ----------
    segments
        Filled rows (T, C) of consecutive rows; those shorter than the reach are left out.
    """
    n_sensors = segments[0].shape[1]
    n_read = len(LAGS) * n_sensors
    gram = np.zeros((n_read + 1, n_read + 1))
    for rows in segments:
        for first in range(REACH, len(rows), GRAM_ROWS):
            at = np.arange(first, min(first + GRAM_ROWS, len(rows)))
            readings = np.ones((len(at), n_read + 1))
            readings[:, :-1] = read_lags(rows, lagged(at))
            gram += readings.T @ readings
    gram[np.diag_indices(n_read + 1)] += penalty * max(1.0, gram[-1, -1] / PENALTY_ROWS)
    return weights_of_others(gram, n_sensors)


def predict_linear(
    weights: NDArray[np.float32], rows: NDArray[np.float32], at: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n, C) predictions of all sensors in the rows ``at`` by the weights of `fit_linear`."""
    found = np.empty((len(at), weights.shape[1]), np.float32)
    for first in range(0, len(at), GRAM_ROWS):
        some = slice(first, first + GRAM_ROWS)
        found[some] = read_lags(rows, lagged(at[some])) @ weights[:-1] + weights[-1]
    return found


def _batches(n_rows: int) -> Iterator[slice]:
    for first in range(0, n_rows, BATCH):
        yield slice(first, first + BATCH)


def _filled_up(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last one repeated up to a whole multiple of `PRODUCT_ROWS`."""
    n_more = -len(rows) % PRODUCT_ROWS
    return np.pad(rows, (0, n_more), mode="edge") if n_more else rows


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x times about the normal distribution function of x (Hendrycks and Gimpel 2016, by tanh)."""
    inner = x * x
    inner *= np.float32(0.044715)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(np.sqrt(2.0 / np.pi))
    np.tanh(inner, out=inner)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.5)
    return inner

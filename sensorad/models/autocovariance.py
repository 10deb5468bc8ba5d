"""How the sensors of standardised rows hang together over time: all that a linear model can learn from other machines.

A machine with a day of data tells too little about windows of 30 rows x 38 sensors. Machines of the same kind tell the
rest: their autocovariance stands beside the machine's own windows as if so many more rows had been seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler
from sensorad.errors import UsageError
from sensorad.types import SensorSchema

__all__ = ["AutoCovariance", "LinearPrior"]


@dataclass(frozen=True, slots=True)
class AutoCovariance:
    """Mean products of sensors that lie 0 to M - 1 rows apart, each machine scaled by itself.

    Attributes
    ----------
    lagged : (M, C, C) float32
        [k, i, j] is the mean of x_i(t) x_j(t + k).
    spread : (C,) float64
        Standard deviation of each sensor within a machine (root mean square over machines), in its unit.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    >>> rows[1:, 1] = rows[:-1, 0]  # the second sensor follows the first, a row later
    >>> found = AutoCovariance.fit([[rows]], n_lags=3)
    >>> abs(found.lagged[:, 0, 1].round(1)).tolist()
    [0.0, 1.0, 0.0]
    """

    lagged: NDArray[np.float32]
    spread: NDArray[np.float64]

    @classmethod
    def fit(cls, machines: Sequence[Sequence[NDArray[np.float32]]], n_lags: int) -> AutoCovariance:
        """Learn from the segments (T, C) of each machine, in the sensors' units and without holes.

        Segments shorter than a lag say nothing of it; a sensor that never moved on a machine says nothing of how it
        moves on others.
        """
        n_sensors = machines[0][0].shape[1]
        products, counts = np.zeros((n_lags, n_sensors, n_sensors)), np.zeros(n_lags)
        power = np.zeros(n_sensors)
        for segments in machines:
            rows = np.concatenate(segments)
            power += rows.std(axis=0, dtype=np.float64) ** 2 / len(machines)
            scaler = SensorScaler.fit(rows, np.ones(rows.shape, np.bool_), SensorSchema(()))
            scaler = replace(scaler, is_used=np.ones(n_sensors, np.bool_))
            for segment in segments:
                z = scaler.transform(segment).astype(np.float64)
                z[:, scaler.is_constant] = 0.0
                for lag in range(min(n_lags, len(z))):
                    products[lag] += z[: len(z) - lag].T @ z[lag:]
                    counts[lag] += len(z) - lag
        lagged = products / np.maximum(counts, 1.0)[:, None, None]
        return cls(lagged.astype(np.float32), np.sqrt(power))

    def blended(self, prior: LinearPrior, n_rows: int) -> AutoCovariance:
        """The mean of this, learned from ``n_rows`` rows, and of a prior with as many lags or more."""
        n_lags, others = self.n_lags, prior.autocovariance
        if others.n_lags < n_lags:
            raise UsageError(
                f"the detector to start from knows {others.n_lags} rows in a row, {n_lags} are needed",
                hint="use its window length, or a shorter one",
            )
        own = n_rows / (n_rows + prior.rows)
        lagged = own * self.lagged + (1.0 - own) * others.lagged[:n_lags]
        spread = np.sqrt(own * self.spread**2 + (1.0 - own) * others.spread**2)
        return AutoCovariance(lagged.astype(np.float32), spread)

    @property
    def n_lags(self) -> int:
        """M."""
        return len(self.lagged)

    def of_windows(self, length: int) -> NDArray[np.float64]:
        """(L C, L C) mean of w w^T over windows w of ``length`` <= M rows, flattened row by row."""
        n_sensors = self.lagged.shape[1]
        whole = np.empty((length, n_sensors, length, n_sensors))
        for a in range(length):
            for b in range(a, length):
                whole[a, :, b] = self.lagged[b - a]
                whole[b, :, a] = self.lagged[b - a].T
        return whole.reshape(length * n_sensors, length * n_sensors)

    def of_steps(self, lags: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean products of the ``lags`` < M rows before a row, newest first and a 1, with themselves and with the row.

        Returns
        -------
        (lags C + 1, lags C + 1), (lags C + 1, C)
        """
        n_sensors = self.lagged.shape[1]
        n_past = lags * n_sensors
        past = self.of_windows(lags).reshape(lags, n_sensors, lags, n_sensors)[::-1, :, ::-1]
        gram = np.zeros((n_past + 1, n_past + 1))
        gram[:-1, :-1] = past.reshape(n_past, n_past)
        gram[-1, -1] = 1.0
        moment = np.zeros((n_past + 1, n_sensors))
        moment[:-1] = self.lagged[1 : lags + 1].reshape(n_past, n_sensors)
        return gram, moment

    def to_arrays(self, name: str) -> dict[str, NDArray[np.floating]]:
        """Plain arrays for an artefact, under ``name``."""
        return {f"{name}.lagged": self.lagged, f"{name}.spread": self.spread}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]], name: str) -> AutoCovariance:
        """The autocovariance of `to_arrays`."""
        return cls(arrays[f"{name}.lagged"].astype(np.float32), arrays[f"{name}.spread"].astype(np.float64))


@dataclass(frozen=True, slots=True)
class LinearPrior:
    """What other machines tell, and how many rows of the machine's own it is worth.

    Attributes
    ----------
    autocovariance
        Of the others.
    rows
        Its weight.
    """

    autocovariance: AutoCovariance
    rows: float

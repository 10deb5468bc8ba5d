"""Two readings of window errors, total and few, as evidence against normal operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import TINY
from sensorad.scoring.tails import TailModel

__all__ = ["WindowEvidence"]

TOP_SHARE = 0.1
"""Share of the sensors that "few" looks at."""

LEAST_SPREAD = 0.2
"""Floor of the spread of a sensor's log error: errors that hardly varied in calibration are not surprising at once."""


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """Usual window errors of each sensor, and the tails of both readings on normal data.

    Attributes
    ----------
    size : (C,) float64
        Usual (root mean square) error, in deviations.
    centre, spread : (C,) float64
        Robust location and spread of the log error.
    noise : (C,) float64
        Rounding noise, in deviations.
    tails : dict of str to TailModel
        Of "total" and "few".
    """

    size: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    noise: NDArray[np.float64]
    tails: Mapping[str, TailModel]

    @classmethod
    def fit(cls, errors: Sequence[NDArray[np.float64]], noise: NDArray[np.float64]) -> Self:
        """Learn from window errors (T, C) of normal segments."""
        window = np.concatenate(errors)
        log_error = _log_size(window)
        centre = np.nanmedian(log_error, axis=0)
        spread = np.maximum(1.4826 * np.nanmedian(np.abs(log_error - centre), axis=0), LEAST_SPREAD)
        size = np.sqrt(np.nanmean(window, axis=0) + noise**2)
        found = cls(size, centre, spread, noise, {})._readings(window)
        tails = {name: TailModel.fit(values) for name, values in found.items()}
        return cls(size, centre, spread, noise, tails)

    def evidence(self, window: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """(T, C) window errors -> -log10 tail probabilities (T,) of each reading, NaN where all errors are unknown."""
        return {name: self.tails[name].evidence(values) for name, values in self._readings(window).items()}

    def _readings(self, window: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        is_known = np.isfinite(window)
        if is_known.all():
            return self._readings_of(window)
        is_ready = is_known.any(axis=1)
        known = np.where(is_known, window, self.size**2)  # sensors that were not seen count as usual
        found = self._readings_of(known)
        return {name: np.where(is_ready, values, np.nan) for name, values in found.items()}

    def _readings_of(self, known: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        amount = known + self.noise**2
        amount /= self.size
        total = np.log(amount.sum(axis=1))  # (T,)
        deviation = _log_size(known)  # (T, C)
        deviation -= self.centre
        deviation /= self.spread
        n_top = max(1, int(np.ceil(TOP_SHARE * known.shape[1])))
        return {"total": total, "few": _mean_of_largest(deviation, n_top)}

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact, under ``name``."""
        arrays = {f"{name}.{part}": getattr(self, part) for part in ("size", "centre", "spread", "noise")}
        for reading, tail in self.tails.items():
            arrays |= tail.to_arrays(f"{name}.tail.{reading}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], name: str) -> Self:
        """The evidence of `to_arrays`."""
        tails = {reading: TailModel.from_arrays(arrays, f"{name}.tail.{reading}") for reading in ("total", "few")}
        size, centre, spread, noise = (arrays[f"{name}.{part}"] for part in ("size", "centre", "spread", "noise"))
        return cls(size, centre, spread, noise, tails)


def _mean_of_largest(values: NDArray[np.float64], n_top: int) -> NDArray[np.float64]:
    """(T, C) -> (T,)."""
    largest: NDArray[np.float64] = (
        values.max(axis=1) if n_top == 1 else np.partition(values, -n_top, axis=1)[:, -n_top:].mean(axis=1)
    )
    return largest


def _log_size(window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the root mean square error."""
    size = window + TINY**2
    np.log(size, out=size)
    size *= 0.5
    return size

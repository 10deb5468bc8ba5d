"""The default score: three kinds of evidence from the same errors, averaged, with a guarded slow channel.

1. total: squared window errors, each sensor's divided by its usual size (half standardised: full standardisation
   gives the quietest sensor the loudest voice, none gives it no voice).
2. few: log size of each sensor's window error, robustly standardised; mean of the top 10 % of sensors, for a
   fault that only few sensors see.
3. step: squared one-step errors, smoothed over 5 rows.

Each becomes -log10 of its tail probability on normal data; *fast* is their mean (a maximum would follow the worst
calibrated of them). The same sum over 30 rows is the *slow* channel, for small faults that last; it counts
half, so it may alarm with twice the evidence and never dilutes the fast one: score = max(fast, slow / 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.scoring.errors import SensorErrors
from sensorad.scoring.evidence import RowEvidence, as_shares
from sensorad.scoring.smoothing import memory_rows, smooth
from sensorad.scoring.tails import TailModel

__all__ = ["FusedScheme"]

FAST_SPAN = 5
SLOW_SPAN = 30
SLOW_WEIGHT = 0.5
TOP_SHARE = 0.1
STEP_BLAME = 3.0
"""Weight of the one-step errors in the blame; the window's have 1."""

"""Share of the sensors that the second member looks at."""

LEAST_SPREAD = 0.2
"""Floor of the spread of a sensor's log error: errors that hardly varied in calibration are not surprising at once."""

TINY = 1e-4
"""Error in deviations that stands for none in logarithms."""

MEMBERS = ("total", "few", "step")


@dataclass(frozen=True, slots=True)
class FusedScheme:
    """Mean evidence of three members, and the slow channel.

    Attributes
    ----------
    size : (C,) float64
        Usual (root mean square) window error of each sensor, in deviations.
    centre, spread : (C,) float64
        Robust location and spread of each sensor's log window error.
    noise : (C,) float64
        Rounding noise of each sensor, in deviations.
    step_size : (C,) float64
        Usual (root mean square) one-step error, in deviations; all 0 for a network without a linear part, which
        predicts no step.
    tails : dict of str to TailModel
        For each member, and "row" for the newest row alone.
    """

    size: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    noise: NDArray[np.float64]
    step_size: NDArray[np.float64]
    tails: Mapping[str, TailModel]
    name: ClassVar[str] = "fused"

    @property
    def memory_rows(self) -> int:
        return memory_rows(SLOW_SPAN)

    @classmethod
    def fit(cls, errors: Sequence[SensorErrors], noise: NDArray[np.float64]) -> Self:
        window = np.concatenate([part.window for part in errors])
        step = np.concatenate([part.step for part in errors])
        size = np.sqrt(np.nanmean(window, axis=0) + noise**2)
        log_error = _log_size(window)
        centre = np.nanmedian(log_error, axis=0)
        spread = np.maximum(1.4826 * np.nanmedian(np.abs(log_error - centre), axis=0), LEAST_SPREAD)
        has_steps = bool(np.isfinite(step).any())
        step_size = np.sqrt(np.nanmean(step**2, axis=0) + noise**2) if has_steps else np.zeros_like(size)
        blank = cls(size, centre, spread, noise, step_size, {})
        found = [blank._members(part) for part in errors]
        return cls(
            size,
            centre,
            spread,
            noise,
            step_size,
            {name: TailModel.fit(np.concatenate([part[name] for part in found])) for name in blank._names},
        )

    @property
    def has_steps(self) -> bool:
        """There is an autoregression, so there are one-step errors."""
        return bool(self.step_size.any())

    @property
    def _names(self) -> tuple[str, ...]:
        return (*(MEMBERS if self.has_steps else MEMBERS[:2]), "row")

    def _members(self, errors: SensorErrors) -> dict[str, NDArray[np.float64]]:
        """Log of each member's raw value, (T,) each; NaN where a row has too little past."""
        window = np.where(np.isfinite(errors.window), errors.window, self.size**2)  # unseen sensors count as usual
        is_ready = np.isfinite(errors.window).any(axis=1)
        total = np.log(((window + self.noise**2) / self.size).sum(axis=1))  # (T,)
        deviation = (_log_size(window) - self.centre) / self.spread  # (T, C)
        n_top = max(1, int(np.ceil(TOP_SHARE * window.shape[1])))
        few = np.partition(deviation, -n_top, axis=1)[:, -n_top:].mean(axis=1)  # (T,)
        members = {"total": np.where(is_ready, total, np.nan), "few": np.where(is_ready, few, np.nan)}
        if not self.has_steps:
            return members | {"row": np.log((np.nan_to_num(errors.newest) ** 2 / self.size).sum(axis=1) + TINY**2)}
        has_step = np.isfinite(errors.step).all(axis=1)
        distance = np.where(has_step, (np.nan_to_num(errors.step) ** 2 + self.noise**2).sum(axis=1), np.nan)
        return members | {
            "step": np.log(smooth(distance, FAST_SPAN)),
            "slow": np.log(smooth(distance, SLOW_SPAN)),
            "row": np.log(distance),
        }

    def evidence(self, errors: SensorErrors) -> RowEvidence:
        members = self._members(errors)
        parts = {name: self.tails[name].evidence(members[name]) for name in self._names}
        active = self._names[:-1]
        fast = np.mean([parts[name] for name in active], axis=0)
        score = fast
        if self.has_steps:
            slow = self.tails["step"].evidence(members["slow"])
            score = np.where(np.isnan(fast), np.nan, np.fmax(fast, SLOW_WEIGHT * slow))
        return RowEvidence(score, parts["row"], self._blame(errors))

    def _blame(self, errors: SensorErrors) -> NDArray[np.float64]:
        """Shares (T, C): squared errors relative to each sensor's usual ones, of the window and of the last steps.

        Here full standardisation is right, other than in the score: the question is no longer whether anything is
        wrong but whose error is out of proportion (top-1 inside the labelled causes: 0.77 against 0.70 on SMD).
        """
        by_window = as_shares(errors.window / self.size**2 - 1.0)
        if not self.has_steps:
            return by_window
        return as_shares(by_window + STEP_BLAME * as_shares(smooth(errors.step**2 / self.step_size**2, FAST_SPAN)))

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        arrays = {
            "fused.size": self.size,
            "fused.centre": self.centre,
            "fused.spread": self.spread,
            "fused.noise": self.noise,
            "fused.step_size": self.step_size,
        }
        for name, tail in self.tails.items():
            arrays |= tail.to_arrays(f"fused.tail.{name}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        step_size = arrays["fused.step_size"]
        names = (*(MEMBERS if step_size.any() else MEMBERS[:2]), "row")
        tails = {name: TailModel.from_arrays(arrays, f"fused.tail.{name}") for name in names}
        size, centre, spread, noise = (arrays[f"fused.{part}"] for part in ("size", "centre", "spread", "noise"))
        return cls(size, centre, spread, noise, step_size, tails)


def _log_size(window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the root mean square error."""
    return 0.5 * np.log(window + TINY**2)

"""What the errors of sensors under all others say of a row: a second opinion, which counts where it is the stronger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sensorad.scoring.evidence import as_shares
from sensorad.scoring.window_evidence import WindowEvidence

__all__ = ["CrossEvidence"]


@dataclass(frozen=True, slots=True)
class CrossEvidence:
    """Evidence of the errors of the judged sensors.

    In a mean with others it would be diluted: a fault that only breaks a nonlinear relation is nothing to them.

    Attributes
    ----------
    sensors : (G,) int64
        Those that are judged.
    errors : WindowEvidence
        Of their smoothed squared errors.
    """

    sensors: NDArray[np.int64]
    errors: WindowEvidence

    @classmethod
    def fit(cls, parts: Sequence[NDArray[np.float64] | None], noise: NDArray[np.float64]) -> Self | None:
        """Learn from errors (T, C) of normal segments, NaN in sensors that are not judged; None where there are none.

        ``noise`` (C,) is the rounding noise in deviations.
        """
        known = [part for part in parts if part is not None]
        if not known:
            return None
        judged = np.any([np.isfinite(part).any(axis=0) for part in known], axis=0)
        sensors = np.flatnonzero(judged)
        if len(sensors) == 0:
            return None
        return cls(sensors, WindowEvidence.fit([part[:, sensors] for part in known], noise[sensors]))

    def evidence(self, cross: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, C) -> (T,) mean evidence of all judged sensors and of the few that deviate most; NaN where unknown."""
        found = self.errors.evidence(cross[:, self.sensors])
        return np.asarray(0.5 * (found["total"] + found["few"]))

    def shares(self, cross: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, C) blame by how much errors exceed usual ones; nothing for sensors that are not judged."""
        blame = np.zeros(cross.shape)
        blame[:, self.sensors] = np.fmax(cross[:, self.sensors] / self.errors.size**2 - 1.0, 0.0)
        return as_shares(blame)

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact, under ``name``."""
        return {f"{name}.sensors": self.sensors.astype(np.float64), **self.errors.to_arrays(f"{name}.errors")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], name: str) -> Self | None:
        """The evidence of `to_arrays`; None where there is none of that name."""
        if f"{name}.sensors" not in arrays:
            return None
        sensors = arrays[f"{name}.sensors"].astype(np.int64)
        return cls(sensors, WindowEvidence.from_arrays(arrays, f"{name}.errors"))

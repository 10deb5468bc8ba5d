"""The usual time between rows: what counts as a gap and as a changed sampling rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timing"]

GAP_STEPS = 6.0
"""A pause of more than this many usual steps starts a new segment: five rows lost on the way are bridged, as five
rows without sensors are."""

SLOW_LIMIT = 1.2
"""Mean step over a window, relative to training, from which rows are scored but marked."""

STRANGE_LIMIT = 2.0
"""The same, from which a window no longer means what it meant in training."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Usual (median) and mean time between consecutive rows of a machine, in seconds.

    Examples
    --------
    >>> timing = Timing.fit([np.array([0, 1, 2, 3, 60, 61]) * 10**9])
    >>> timing.step_seconds, timing.gap_seconds
    (1.0, 6.0)
    >>> timing.segment_starts(np.array([0, 1, 2, 60, 61]) * 10**9).tolist()
    [False, False, False, True, False]
    """

    step_seconds: float
    mean_step_seconds: float

    @classmethod
    def fit(cls, times: list[NDArray[np.int64]]) -> Timing:
        """Learn from the row times (ns) of each machine; equal times are not counted."""
        steps = np.concatenate([np.diff(time) for time in times]) if times else np.zeros(0, np.int64)
        steps = steps[steps > 0] / 1e9
        if len(steps) == 0:
            return cls(1.0, 1.0)
        usual = float(np.median(steps))
        return cls(usual, float(steps[steps <= GAP_STEPS * usual].mean()))

    @property
    def gap_seconds(self) -> float:
        """Longest pause within a segment."""
        return GAP_STEPS * self.step_seconds

    def segment_starts(self, time: NDArray[np.int64], before: int | None = None) -> NDArray[np.bool_]:
        """(T,) True where the pause since the row before (``before`` for the first) is a gap."""
        first = time[0] if before is None else before
        return np.diff(time, prepend=first) > self.gap_seconds * 1e9

    def rate_change(
        self, time: NDArray[np.int64], length: int, age: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """(T,) mean step over the last ``length`` rows of a segment / mean step in training, always >= 1.

        ``age`` (T,) is how many rows of its segment stand before each row, where there are several segments.
        """
        row = np.arange(len(time))
        back = np.minimum(row if age is None else age, length - 1)
        span = (time - time[row - back]) / 1e9
        ratio = span / np.maximum(back, 1) / self.mean_step_seconds
        ratio[back < min(length - 1, 5)] = 1.0  # a few rows tell nothing about a rate
        return np.maximum(ratio, 1.0 / np.maximum(ratio, 1e-12))

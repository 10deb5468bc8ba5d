"""The alarm line: one threshold for all rows, or one for each operating mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, nextafter
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

__all__ = ["AlarmLine"]


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """Alarm where score > threshold of the row's operating mode.

    Parameters
    ----------
    threshold
        For modes without a line of their own, and for logs without modes.
    by_mode
        Lines of single modes.

    Raises
    ------
    UsageError
        A line that is not positive and finite.

    Examples
    --------
    >>> line = AlarmLine(2.0, {"idle": 4.0})
    >>> score = np.array([3.0, 3.0, 3.0])
    >>> line.comparable(score, np.array([0, 1, 0], np.int32), ["idle", "run"]).tolist()
    [1.5, 3.0, 1.5]
    """

    threshold: float
    by_mode: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for line in (self.threshold, *self.by_mode.values()):
            if not isfinite(line) or line <= 0:
                raise UsageError(
                    f"a threshold must be positive and finite, got {line!r}",
                    hint="severity is score / threshold, so scores must be scaled to be positive where they alarm",
                )

    def comparable(
        self, score: NDArray[np.float64], mode: NDArray[np.int32] | None, mode_names: Sequence[str]
    ) -> NDArray[np.float64]:
        """Scores (T,) on the scale of ``threshold``: a row alarms exactly where the result is above it.

        Everything that counts or follows events works on this scale, so that an event may go on through a change of
        mode. Without lines of modes these are the scores themselves.
        """
        if mode is None or not self.by_mode:
            return score
        lines = np.array([self.by_mode.get(name, self.threshold) for name in mode_names])[mode]  # (T,)
        level = score * (self.threshold / lines)
        # Lines often are scores of the calibration: one that lies on its line must not come out above it by rounding.
        above = np.maximum(level, nextafter(self.threshold, inf))
        return np.asarray(np.where(score <= lines, np.minimum(level, self.threshold), above), np.float64)

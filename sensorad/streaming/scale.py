"""The alarm line for single rows: what `AlarmLine.comparable` says, without arrays."""

from __future__ import annotations

from math import inf, nextafter

from sensorad.alarm_line import AlarmLine

__all__ = ["LevelScale"]


class LevelScale:
    """Brings scores of single rows onto the scale of the line of rows without a mode of their own.

    Examples
    --------
    >>> scale = LevelScale(AlarmLine(2.0, {"idle": 4.0}))
    >>> scale.level(3.0, "idle"), scale.level(3.0, None)
    (1.5, 3.0)
    """

    def __init__(self, line: AlarmLine) -> None:
        self.has_modes = bool(line.by_mode)
        self._threshold = line.threshold
        self._above = nextafter(line.threshold, inf)
        self._lines = {mode: (value, line.threshold / value) for mode, value in line.by_mode.items()}

    def level(self, score: float, mode: str | None) -> float:
        """The comparable score; NaN stays NaN."""
        own = None if mode is None else self._lines.get(mode)
        if own is None:
            return score
        line, factor = own
        if score <= line:
            return min(score * factor, self._threshold)
        if score > line:  # by rounding, a score above its line must not come out at or below the other
            return max(score * factor, self._above)
        return score

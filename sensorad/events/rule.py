"""The event rule: when a run of high scores becomes an event, when it ends, and what kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from sensorad.errors import UsageError

__all__ = ["EventRule"]

MOST_ROWS = 10**12
"""Largest number of rows in a rule: row positions plus any of these stay within 64 bits."""


@dataclass(frozen=True, slots=True)
class EventRule:
    """How scores and a threshold make events; the same rule serves calibration, batch and stream.

    An event opens on a row with score > threshold and goes on while scored rows stay at or above
    ``release * threshold``. A new opening at most ``merge_gap_rows`` rows after the last row of an event
    continues that event. An event with fewer than ``min_rows`` rows above the threshold is dropped.
    A row without a score neither opens nor ends anything, but rows count towards the gap whether scored or
    not, and so do rows that are missing altogether, if ``step_seconds`` is known.

    **Refractory time.** After an event whose last row has position p on the machine's row grid, no event opens on a
    row with position <= p + ``refractory_rows``. The merge gap goes first: openings up to position p +
    ``merge_gap_rows`` + 1 still continue the event (and move p), so a refractory time of up to ``merge_gap_rows`` + 1
    rows changes nothing. Later rows above the threshold within it belong to no event. If the score is above the
    threshold when it is over, a new event opens on the first such row: a lasting fault is reported again, not hidden.
    An event that is dropped for ``min_rows`` was never reported, so it starts no refractory time; rows above the
    threshold that fall within one do not count for ``min_rows`` either.

    Parameters
    ----------
    merge_gap_rows
        Longest pause, in rows of the same machine, that is bridged. The default is the default window length:
        one disturbance raises the scores of all windows that contain it, perhaps with dips.
    min_rows
        Rows above the threshold that an event needs.
    release
        Fraction of the threshold, in (0, 1], below which a run ends. 1 switches hysteresis off.
    point_rows
        Longest disturbance, in rows, that still counts as a point.
    echo_rows
        Rows after a bad row whose own one-step error that row can spoil: the lags of the autoregression.
    window_rows
        Rows after a bad row whose score that row can raise: the window length or the reach of any smoothing,
        whichever is longer.
    surprise_level
        ``row_surprise`` from which a row is abnormal in itself; 3 means one normal row in 1,000.
    step_seconds
        Usual time between two rows; None = time gaps are not looked at, only rows are counted.
    refractory_rows
        Rows after an event in which the same machine opens no other.

    Raises
    ------
    UsageError
        A value is outside its range.

    Examples
    --------
    >>> rule = EventRule(merge_gap_rows=10, release=0.7)
    >>> EventRule.from_json(rule.to_json()) == rule
    True
    """

    merge_gap_rows: int = 30
    min_rows: int = 1
    release: float = 0.8
    point_rows: int = 3
    echo_rows: int = 10
    window_rows: int = 30
    surprise_level: float = 3.0
    step_seconds: float | None = None
    refractory_rows: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("merge_gap_rows", 0),
            ("min_rows", 1),
            ("point_rows", 1),
            ("echo_rows", 0),
            ("window_rows", 1),
            ("refractory_rows", 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST_ROWS:
                raise UsageError(
                    f"{name} must be a whole number of at least {least} and at most {MOST_ROWS:g}, got {value!r}",
                    where="EventRule",
                )
        if not _is_number(self.release) or not 0 < self.release <= 1:
            raise UsageError(
                f"release must be above 0 and at most 1, got {self.release!r}",
                where="EventRule",
                hint="it is a fraction of the threshold, 0.8 for instance",
            )
        if not _is_number(self.surprise_level) or self.surprise_level <= 0:
            raise UsageError(f"surprise_level must be positive, got {self.surprise_level!r}", where="EventRule")
        if self.step_seconds is not None and (not _is_number(self.step_seconds) or self.step_seconds <= 0):
            raise UsageError(f"step_seconds must be positive or None, got {self.step_seconds!r}", where="EventRule")

    def to_json(self) -> dict[str, Any]:
        """The rule as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EventRule:
        """The rule of `to_json`; names left out (older rules have fewer) take their defaults, others are refused."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"unknown event rule settings {unknown}", where="EventRule")
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)

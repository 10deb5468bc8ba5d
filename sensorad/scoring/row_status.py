"""Score, status and reason of each row."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler, Timing
from sensorad.data.timing import SLOW_LIMIT, STRANGE_LIMIT
from sensorad.scoring.stack import Stack
from sensorad.types import REASONS, STATUSES, ScoreBlock

__all__ = ["write_status"]

MOST_BLIND = 0.5
"""Share of a window's rows without enough sensors from which on its errors mean nothing."""


class _Rules(Protocol):
    """What status follows from, beside the rows."""

    @property
    def scaler(self) -> SensorScaler: ...

    @property
    def timing(self) -> Timing: ...

    @property
    def length(self) -> int: ...


def write_status(
    result: ScoreBlock,
    rows: NDArray[np.intp] | slice,
    flaw: NDArray[np.uint8] | None,
    stack: Stack,
    time: NDArray[np.int64],
    is_blind: NDArray[np.bool_],
    score: NDArray[np.float64],
    rules: _Rules,
) -> NDArray[np.float64]:
    """Write what became of ``rows``; later rules outrank earlier ones. The scores (n,), NaN where there is none.

    Parameters
    ----------
    flaw : (n, C), optional
        None = no flaw.
    stack
        Where the rows stand among the S rows of ``time`` and ``is_blind``.
    score : (n,)
    """
    status = np.full(len(score), STATUSES.index("scored"), np.uint8)
    reason = np.zeros(len(score), np.uint8)

    def mark(where: NDArray[np.bool_], name: str, why: NDArray[np.uint8] | str) -> None:
        status[where] = STATUSES.index(name)
        reason[where] = REASONS.index(why) if isinstance(why, str) else why[where]

    rate = rules.timing.rate_change(time, rules.length, stack.age)[stack.at]
    mark(rate > SLOW_LIMIT, "degraded", "rate")
    worst = np.zeros(len(score), np.uint8)
    if flaw is not None:
        worst = flaw[:, rules.scaler.used_positions].max(axis=1, initial=0)  # FLAWS are a prefix of REASONS
        mark(worst > 0, "degraded", worst)
    mark(np.isnan(score), "warmup", "segment_start")
    mark(rate > STRANGE_LIMIT, "unscorable", "rate")
    if is_blind.any():
        mark(_recent_share(is_blind, rules.length, stack.age)[stack.at] > MOST_BLIND, "unscorable", "missing")
        mark(is_blind[stack.at], "unscorable", worst)
    is_scored = (status == STATUSES.index("scored")) | (status == STATUSES.index("degraded"))
    found = np.where(is_scored, score, np.nan)
    result.status[rows], result.reason[rows], result.score[rows] = status, reason, found
    return found


def _recent_share(is_blind: NDArray[np.bool_], length: int, age: NDArray[np.int64]) -> NDArray[np.float64]:
    """(S,) share of blind rows among the last ``length`` rows."""
    total = np.concatenate([[0], np.cumsum(is_blind)])
    row = np.arange(len(is_blind))
    share: NDArray[np.float64] = (total[row + 1] - total[row - np.minimum(age, length - 1)]) / length
    return share

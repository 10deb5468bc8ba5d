"""Alarms over a fleet: of many machines judged at once, at most a stated share of those flagged is flagged wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.thresholds.blocks import BlockMaxima
from sensorad.thresholds.conformal import ROUNDING, conformal_p_values

__all__ = ["FleetAlarms", "benjamini_hochberg", "fleet_alarms"]


@dataclass(frozen=True, slots=True)
class FleetAlarms:
    """What each machine's block of time looks like beside the whole fleet; rows as in the judged `BlockMaxima`.

    Attributes
    ----------
    start : (B,) int64
        Begin of the block in nanoseconds since 1970 in UTC.
    group : (B,) int32
        Machine.
    p_value : (B,) float64
        Conformal p-value of the machine's maximum.
    is_flagged : (B,) bool
        Flagged at the false discovery rate ``level`` among the machines of its block.
    is_pooled : (B,) bool
        Compared with the normal maxima of all machines, because the machine has too few of its own.
    level : float
        Expected share of wrong ones among the flagged machines of a block, at most.
    """

    start: NDArray[np.int64]
    group: NDArray[np.int32]
    p_value: NDArray[np.float64]
    is_flagged: NDArray[np.bool_]
    is_pooled: NDArray[np.bool_]
    level: float

    @property
    def pooled_machines(self) -> list[int]:
        """Machines that were compared with the whole fleet, sorted."""
        return [int(machine) for machine in np.unique(self.group[self.is_pooled])]


def benjamini_hochberg(p_values: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Reject the i smallest p-values for the largest i with p_(i) <= level i / m (Benjamini & Hochberg 1995).

    The expected share of true hypotheses among the rejected ones is then at most ``level``, for independent
    p-values and for conformal ones that share their calibration data (Bates et al. 2023).

    Parameters
    ----------
    p_values
        (m,) in [0, 1].
    level
        False discovery rate, in (0, 1).

    Returns
    -------
    (m,) bool, True where rejected.

    Raises
    ------
    UsageError
        A level outside (0, 1).
    DataError
        p-values outside [0, 1] or NaN.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.001, 0.5, 0.03, 0.012]), level=0.05).tolist()
    [True, False, True, True]
    """
    _check_level(level)
    m = len(p_values)
    if not np.all((p_values >= 0) & (p_values <= 1)):
        raise DataError("p-values must lie in [0, 1] and not be NaN", hint="leave machines without a score out")
    order = np.argsort(p_values, kind="stable")
    within = np.flatnonzero(p_values[order] <= level * np.arange(1, m + 1) / m)
    is_rejected = np.zeros(m, bool)
    if len(within):
        is_rejected[order[: within[-1] + 1]] = True
    return is_rejected


def fleet_alarms(calibration: BlockMaxima, new: BlockMaxima, level: float) -> FleetAlarms:
    """Flag machines block by block, so that at most a share ``level`` of the flagged is expected to be normal.

    With 100 machines at p <= 0.01, one is flagged wrongly in every block; here the bar rises with the number of
    machines and falls with the number of those that really are odd. A machine is compared with its own normal
    maxima if it has m / level - 1 of them, with m the most machines in one block: with fewer, not even the highest
    score ever seen could be flagged alone. Otherwise it is compared with the normal maxima of all machines, which
    supposes that its scores are distributed like theirs; the result says which.

    Parameters
    ----------
    calibration, new
        Block maxima of normal operation, and of the time to be judged, with blocks of one length.
    level
        False discovery rate within each block of time, in (0, 1).

    Raises
    ------
    UsageError
        A level outside (0, 1), or blocks of different lengths.
    TooLittleDataError
        Fewer than m / level - 1 calibration maxima even with all machines together.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> normal = BlockMaxima(rng.exponential(size=600), np.arange(600), np.arange(600, dtype=np.int32) % 5, 3600.0)
    >>> new = BlockMaxima(np.array([1.0, 20.0, 0.5]), np.zeros(3, int), np.array([0, 1, 9], np.int32), 3600.0)
    >>> alarms = fleet_alarms(normal, new, level=0.1)
    >>> alarms.is_flagged.tolist(), alarms.pooled_machines
    ([False, True, False], [9])
    """
    _check_level(level)
    if calibration.block_seconds != new.block_seconds:
        raise UsageError(
            f"calibration blocks of {calibration.block_seconds:g} s cannot judge blocks of {new.block_seconds:g} s",
            hint="the maximum of a longer block is higher; take both over blocks of one length",
        )
    _, at = np.unique(new.start, return_inverse=True)
    order = np.argsort(at, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(at[order])) + 1) if len(new) else []
    n_most = max(map(len, blocks), default=1)
    n_needed = ceil(n_most / level - 1.0 - ROUNDING)

    if len(new) and len(calibration) < n_needed:
        raise TooLittleDataError(
            f"a false discovery rate of {level:g} among {n_most} machines needs {n_needed:,} block maxima "
            f"of normal operation, {len(calibration):,} are available",
            hint=f"add {n_needed - len(calibration):,} blocks of {new.block_seconds / 3600:.3g} h, counted over all "
            "machines, or choose a larger level or shorter blocks",
        )
    p_value = np.empty(len(new))
    is_pooled = np.zeros(len(new), bool)
    for machine in np.unique(new.group):
        rows = new.group == machine
        own = calibration.height[calibration.group == machine]
        is_pooled[rows] = len(own) < n_needed
        p_value[rows] = conformal_p_values(own if len(own) >= n_needed else calibration.height, new.height[rows])
    is_flagged = np.zeros(len(new), bool)
    for rows in blocks:
        is_flagged[rows] = benjamini_hochberg(p_value[rows], level)
    return FleetAlarms(new.start, new.group, p_value, is_flagged, is_pooled, level)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UsageError(f"a false discovery rate lies between 0 and 1, got {level!r}", hint="0.1 is usual")

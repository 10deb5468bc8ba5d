"""How many blocks that hang together are worth one independent block: what evidence has to be divided by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dependence", "measured_dependence", "normal_scores"]

CHANCE = 0.1
"""Periods count as different beyond chance where independent blocks would differ as much in one case in ten."""

LARGEST_CORRELATION = 0.95


@dataclass(frozen=True, slots=True)
class Dependence:
    """How block maxima hang together, measured on the calibration.

    Attributes
    ----------
    common : float
        Correlation of two blocks of the same period (a day), of the same machine or not.
    serial : float
        Correlation of a period with the next one.
    local : float
        Blocks of one machine that are worth one, from the correlation of a block with the machine's next one.
    """

    common: float = 0.0
    serial: float = 0.0
    local: float = 1.0

    def design_effect(self, n_blocks: int) -> float:
        """Blocks that are worth one independent block, at least 1, where a period holds ``n_blocks``.

        The variance of the sum over that of independent blocks (Kish 1965, section 8.2), through the common part
        of a period and the serial one of an autoregression, or through neighbours, whichever says more.

        Examples
        --------
        >>> Dependence(common=0.1, serial=0.5).design_effect(11)
        6.0
        """
        by_period = (1.0 + (n_blocks - 1) * self.common) * (1.0 + self.serial) / (1.0 - self.serial)
        return max(1.0, by_period, self.local)


def normal_scores(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights (B,) as quantiles of a standard normal, mean 0, ties at their middle rank."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    z = ndtri((rankdata(height) - 0.5) / len(height))
    return np.asarray(z - z.mean(), np.float64)


def measured_dependence(
    height: NDArray[np.float64],
    number: NDArray[np.int64],
    group: NDArray[np.int32],
    period_blocks: int,
    has_daily_cycle: bool,
) -> Dependence:
    """Dependence of block maxima, shapes (B,), in any order.

    Parameters
    ----------
    number
        Place of the block on the time grid of blocks.
    period_blocks
        Blocks of one machine in a period.
    has_daily_cycle
        A period is a day, so a block is compared with others of its time of day before neighbours are.
    """
    z = normal_scores(height)  # (B,)
    if not z.any():
        return Dependence()
    common, serial = _between_periods(z, number // period_blocks)
    slot = number % period_blocks if has_daily_cycle else np.zeros_like(number)
    neighbours = _between_neighbours(z, number, group, slot)
    return Dependence(common, serial, local=(1.0 + neighbours) / (1.0 - neighbours))


def _between_periods(z: NDArray[np.float64], period: NDArray[np.int64]) -> tuple[float, float]:
    """Correlation within a period and from period to period, both 0 where they may be chance."""
    from scipy.special import gammaincc, ndtri

    _, place, n_blocks = np.unique(period, return_inverse=True, return_counts=True)
    n_periods = len(n_blocks)
    if n_periods < 3:
        return 0.0, 0.0
    mean = np.bincount(place, z) / n_blocks  # (P,)
    freedom = n_periods - 1
    ratio = float((n_blocks * mean**2).sum() / freedom / z.var())
    serial = _lag_one(mean, np.ones(n_periods - 1, np.bool_), n_periods)
    error = float(n_periods) ** -0.5
    size = float(n_blocks.mean())
    if size < 1.5 or gammaincc(freedom / 2, freedom * ratio / 2) > CHANCE:
        return 0.0, serial if serial > float(ndtri(1.0 - CHANCE)) * error else 0.0
    # Periods that differ rarely do so independently, and a fortnight cannot tell: so one standard error on top.
    # Without it, scores that wander for a day (36 % of the variance) were flagged in 32 % of years, with it in 1 - 3 %.
    return max(0.0, (ratio - 1.0) / (size - 1.0)), min(LARGEST_CORRELATION, serial + error)


def _between_neighbours(
    z: NDArray[np.float64], number: NDArray[np.int64], group: NDArray[np.int32], slot: NDArray[np.int64]
) -> float:
    """Correlation of a block with the machine's next one, without what time of day and machine explain."""
    z = _centred(_centred(z, slot), group)
    order = np.lexsort((number, group))
    z, number, group = z[order], number[order], group[order]
    is_next = (np.diff(number) == 1) & (np.diff(group) == 0)
    if is_next.sum() < 5 or not z.any():
        return 0.0
    return _lag_one(z, is_next, len(z) / len(np.unique(group)))


def _lag_one(values: NDArray[np.float64], is_next: NDArray[np.bool_], n_values: float) -> float:
    """Correlation of values (n,) with the next ones, freed of its bias (Kendall 1954) and not below 0."""
    scale = float((values**2).mean())
    if scale == 0.0:
        return 0.0
    r = float((values[1:] * values[:-1])[is_next].mean()) / scale
    return min(LARGEST_CORRELATION, max(0.0, r + (1.0 + 3.0 * r) / n_values))


def _centred(values: NDArray[np.float64], kind: NDArray[np.integer]) -> NDArray[np.float64]:
    """Values (n,) less the mean of their kind."""
    _, place, n = np.unique(kind, return_inverse=True, return_counts=True)
    return np.asarray(values - (np.bincount(place, values) / n)[place], np.float64)

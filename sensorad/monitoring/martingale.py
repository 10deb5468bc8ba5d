"""Evidence that block maxima left the calibration: a conformal test martingale without any random choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from sensorad.monitoring.baseline import CalibrationBaseline

__all__ = ["EvidencePath", "evidence_path"]

ALARM_LOG10 = 2.0
"""Evidence of 100 : 1. Exchangeable blocks ever reach it with a chance of at most 1 % (Ville 1939)."""

TILTS = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
"""Each expert bets that heights lie so many standard deviations beside the calibration's."""

FIRST_AWAKE = 0.8
WAKE_SHARE, WAKE_START = 0.5, 20.0
"""The share of money that wakes up falls as 0.5 / (20 + periods): a change after years costs the logarithm of its age,
where a constant share would cost in proportion to it (Koolen and de Rooij 2013, section 3)."""

RETURN_SHARE, HOP_SHARE = 0.002, 0.01
"""Evidence on blocks that hang together gathers over weeks, and whatever goes asleep on the way is lost: with 0.02 and
0.05, a shift of half a standard deviation was found in 35 % of cases instead of 50 %."""

MOST_PER_PERIOD = log(100.0) / 2.5
"""So at least three periods must speak against the calibration: a bad day below the alarm line is not drift."""


@dataclass(frozen=True, slots=True)
class EvidencePath:
    """Evidence against the calibration after each period.

    Attributes
    ----------
    period : (P,) int64
        Number of the period, ascending.
    log10 : (P,) float64
        Logarithm of the martingale, which starts at 0.
    lean : (P,) float64
        Where the money lies: above 0 on higher scores than the calibration's, below 0 on lower ones.
    """

    period: NDArray[np.int64]
    log10: NDArray[np.float64]
    lean: NDArray[np.float64]

    @property
    def crossing(self) -> int | None:
        """Position of the first period with evidence of 100 : 1."""
        above = np.flatnonzero(self.log10 >= ALARM_LOG10)
        return int(above[0]) if len(above) else None

    @property
    def change(self) -> int | None:
        """Position of the period in which the rise to the crossing began (Page 1954), None without a crossing."""
        if self.crossing is None:
            return None
        return int(np.argmin(np.append(0.0, self.log10[: self.crossing])))


def evidence_path(
    baseline: CalibrationBaseline, periods: Iterable[tuple[int, NDArray[np.int64], NDArray[np.int64]]]
) -> EvidencePath:
    """Evidence after each period, given its number and the places in time and the bins of its alarm-free blocks (n,).

    Periods ascend; the blocks of a period come in any order.

    If calibration blocks and new ones are exchangeable, the next block falls into bin j with probability
    (blocks in j so far) / (blocks so far + 1), whatever the distribution of the heights: the Polya urn of ranks
    (Hill 1968), calibration and new blocks together, the predictive form of full conformal prediction (Vovk,
    Nouretdinov and Gammerman 2003). An expert bets with odds that are exponential in the normal score of the bin
    and fair under the urn, so its money is a martingale however long it runs and however few blocks calibrated it;
    the money of all experts together follows a sleepy jumper (Vovk 2021). Bins instead of random ranks make it
    deterministic, and fixed calibration quantiles would not do: their errors add up over thousands of blocks.

    Three choices can only lower the money of a fair game, so they keep the promise. Each block counts as one part
    in `Dependence.design_effect` (a root of a fair bet is an unfavourable one); machines at one time are taken in the
    order that pays least, so that their order does not matter; no period pays more than `MOST_PER_PERIOD`.
    """
    z = baseline.bin_scores()  # (K + 1,)
    urn = baseline.counts.copy()
    money = np.append(1.0 - FIRST_AWAKE, np.full(len(TILTS), FIRST_AWAKE / len(TILTS)))  # asleep first, (E + 1,)
    number: list[int] = []
    path: list[float] = []
    lean: list[float] = []
    evidence = 0.0
    for period, time, bins in periods:
        gain = np.append(0.0, _gains(urn, z, time, bins) / baseline.dependence.design_effect(len(bins)))  # (E + 1,)
        shares = np.log(money) + gain
        highest = float(shares.max())
        total = highest + log(np.exp(shares - highest).sum())
        evidence += min(total, MOST_PER_PERIOD)
        money = np.exp(shares - total)
        number.append(period)
        path.append(evidence)
        lean.append(float(money[1:] @ TILTS))
        money = _rearranged(money, len(path))
        urn += np.bincount(bins, minlength=len(urn))
    return EvidencePath(np.array(number, np.int64), np.array(path) / log(10.0), np.array(lean))


def _gains(
    urn: NDArray[np.float64], z: NDArray[np.float64], time: NDArray[np.int64], bins: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Logarithm of what each expert's money is multiplied by, (E,), over the blocks of one period."""
    n_before = urn.sum()
    mean = (urn @ z) / n_before  # where the urn lies by now: what it has taken in cannot be won again
    tilt = TILTS - mean
    tilt[np.sign(tilt) != np.sign(TILTS)] = 0.0
    odds = np.exp(tilt[:, None] * z)  # (E, K + 1)
    # The urn's mean odds grow with every block, most where the highest odds come first: that pays least.
    rising, falling = bins[np.lexsort((bins, time))], bins[np.lexsort((-bins, time))]
    paid = np.where(TILTS[:, None] > 0, odds[:, falling], odds[:, rising])  # (E, n)
    in_urn = (odds @ urn)[:, None] + np.cumsum(paid, axis=1) - paid  # (E, n)
    fair = in_urn / (n_before + np.arange(len(bins)))
    return np.asarray((np.log(paid) - np.log(fair)).sum(axis=1), np.float64)


def _rearranged(money: NDArray[np.float64], n_periods: int) -> NDArray[np.float64]:
    """Money of the sleeper and the experts before the next period: some wakes, some sleeps, some changes its bet."""
    asleep, awake = money[0], money[1:]
    waking = asleep * WAKE_SHARE / (WAKE_START + n_periods)
    kept = awake * (1.0 - RETURN_SHARE)
    experts = kept * (1.0 - HOP_SHARE) + (HOP_SHARE * kept.sum() + waking) / len(TILTS)
    return np.append(asleep - waking + RETURN_SHARE * awake.sum(), experts)

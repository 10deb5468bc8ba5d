"""What a calibration says about scores to come: heights of alarm-free blocks and the rate of alarm events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import ArtefactError
from sensorad.monitoring.dependence import Dependence, measured_dependence
from sensorad.thresholds.base import SECONDS_PER_DAY, CalibrationScores
from sensorad.thresholds.blocks import block_maxima

__all__ = ["CalibrationBaseline", "monitor_block_seconds"]

BLOCK_SECONDS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    14400,
    21600,
    28800,
    43200,
    86400,
)
LONGEST_SECONDS = 3600.0
"""Measured on 60 days of an autoregression with a memory of one hour: a shift of half a standard deviation is found
after 9 days by hours, 15 by quarters of a day and 49 by days, with no more false flags, because the design effect pays
for hours that hang together."""

WANTED_BLOCKS = 120
LEAST_STEPS = 12
"""A maximum over fewer rows is little more than one row."""

LEAST_BLOCKS = 20
LEAST_PERIODS = 5
"""With fewer, nobody can say how much a period differs from the next."""

PARTS = 7
"""Periods that a calibration of less than five days is cut into."""

MOST_BINS = 200
"""So that a bin fits a byte."""

_SETTINGS = (
    "threshold",
    "n_events",
    "days",
    "dispersion",
    "block_seconds",
    "period_blocks",
    "common",
    "serial",
    "local",
)


@dataclass(frozen=True, slots=True)
class CalibrationBaseline:
    """What new scores are held against.

    Attributes
    ----------
    threshold : float
        Alarm line; only blocks without a score above it are compared, the others are left to the event counts.
    n_events : int
        Alarm events on the calibration scores.
    days : float
        Machine-days of calibration scores.
    dispersion : float
        Variance over mean of event counts, at least 1.
    block_seconds : float
        Length of a block.
    period_blocks : int
        Blocks of a machine in a period, over which evidence is gathered: a day where the calibration has five.
    edges : (K,) float64
        Heights of calibration blocks, ascending, thinned to at most 200; empty where there are too few blocks.
    counts : (K + 1,) float64
        Calibration blocks up to each edge and above the one before, plus one for what lies above all of them.
    dependence : Dependence
        How the blocks hang together.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> minutes = 14 * 1440
    >>> scores = CalibrationScores(np.arange(minutes) * 60 * 10**9, rng.exponential(size=minutes),
    ...                            np.zeros(minutes, np.int32), step_seconds=60.0)
    >>> baseline = CalibrationBaseline.fit(scores, threshold=8.5, n_events=4, dispersion=1.0)
    >>> baseline.block_seconds, baseline.period_blocks, round(baseline.days)
    (3600.0, 24, 14)
    >>> CalibrationBaseline.from_arrays(baseline.to_arrays()).days == baseline.days
    True
    """

    threshold: float
    n_events: int
    days: float
    dispersion: float
    block_seconds: float
    period_blocks: int
    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    dependence: Dependence

    @classmethod
    def fit(
        cls, scores: CalibrationScores, threshold: float, n_events: int, dispersion: float
    ) -> CalibrationBaseline | None:
        """Baseline of normal, comparable scores; None where no row has a score.

        With too few blocks the set of heights stays empty, and only alarm events are counted against the baseline.
        """
        if scores.n_scored == 0:
            return None
        block_seconds = monitor_block_seconds(scores)
        maxima = block_maxima(scores, block_seconds)
        # A line that a method laid on a peak says nothing about new scores by that peak, so strictly below it.
        is_quiet = maxima.height < threshold
        height, group = maxima.height[is_quiet], maxima.group[is_quiet]
        number = maxima.start[is_quiet] // round(block_seconds * 1e9)
        period_blocks = _period_blocks(len(np.unique(maxima.start)), block_seconds)
        edges, counts, dependence = np.zeros(0), np.zeros(0), Dependence()
        if len(np.unique(number)) >= LEAST_BLOCKS and len(np.unique(number // period_blocks)) >= LEAST_PERIODS:
            is_daily = period_blocks * block_seconds == SECONDS_PER_DAY
            dependence = measured_dependence(height, number, group, period_blocks, is_daily)
            edges = _thinned(np.unique(height))
            counts = np.bincount(np.searchsorted(edges, height), minlength=len(edges) + 1).astype(np.float64)
            counts[-1] += 1.0
        return cls(
            threshold=float(threshold),
            n_events=int(n_events),
            days=scores.days,
            dispersion=max(1.0, float(dispersion)),
            block_seconds=block_seconds,
            period_blocks=period_blocks,
            edges=edges,
            counts=counts,
            dependence=dependence,
        )

    def bin_of(self, height: float) -> int:
        """Place of a new height among the calibration's: the position in ``counts``."""
        return int(np.searchsorted(self.edges, height))

    def bin_scores(self) -> NDArray[np.float64]:
        """Mean normal score of each bin, (K + 1,): what an independent block is expected to score there."""
        from scipy.special import ndtri

        share = np.append(0.0, np.cumsum(self.counts) / self.counts.sum())
        share[-1] = 1.0
        density = np.exp(-0.5 * ndtri(share) ** 2) / np.sqrt(2.0 * np.pi)
        return np.asarray(-np.diff(density) / np.diff(share), np.float64)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """The baseline as arrays for an artefact, at most 410 numbers."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _SETTINGS[:6]}
        values |= {name: getattr(self.dependence, name) for name in _SETTINGS[6:]}
        return {
            "baseline.edges": self.edges,
            "baseline.counts": self.counts,
            "baseline.settings": np.array([values[name] for name in _SETTINGS], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CalibrationBaseline:
        """The baseline of `to_arrays`.

        Raises
        ------
        ArtefactError
            An array is missing, or its values cannot come from a calibration.
        """
        try:
            edges, counts, settings = (
                np.asarray(arrays[f"baseline.{name}"], np.float64) for name in ("edges", "counts", "settings")
            )
        except (KeyError, TypeError, ValueError) as err:
            raise _unusable(f"{err} is missing or no array of numbers") from err
        if settings.shape != (len(_SETTINGS),) or edges.ndim != 1 or len(edges) > MOST_BINS:
            raise _unusable(f"shapes {settings.shape} and {edges.shape}")
        if counts.shape != (len(edges) + 1 if len(edges) else 0,):
            raise _unusable(f"{len(edges)} heights with counts of shape {counts.shape}")
        if not all(np.isfinite(values).all() for values in (edges, counts, settings)):
            raise _unusable("values that are not finite")
        value = dict(zip(_SETTINGS, settings.tolist(), strict=True))
        correlations = (value["common"], value["serial"])
        if (
            (np.diff(edges) <= 0).any()
            or (counts <= 0).any()
            or min(value["threshold"], value["days"], value["block_seconds"]) <= 0
            or min(value["dispersion"], value["period_blocks"], value["local"]) < 1
            or value["n_events"] < 0
            or not all(0 <= correlation < 1 for correlation in correlations)
        ):
            raise _unusable("values out of range")
        return cls(
            threshold=value["threshold"],
            n_events=int(value["n_events"]),
            days=value["days"],
            dispersion=value["dispersion"],
            block_seconds=value["block_seconds"],
            period_blocks=int(value["period_blocks"]),
            edges=edges,
            counts=counts,
            dependence=Dependence(value["common"], value["serial"], value["local"]),
        )


def monitor_block_seconds(scores: CalibrationScores) -> float:
    """An hour, or less where the calibration has no 120 hours, and at least 12 steps, on a grid that divides a day.

    Examples
    --------
    >>> def seconds(step, n_rows):
    ...     time = (np.arange(n_rows) * step * 10**9).astype(np.int64)
    ...     return monitor_block_seconds(CalibrationScores(time, np.ones(n_rows), np.zeros(n_rows, np.int32), step))
    >>> seconds(60.0, 20_000), seconds(300.0, 4_000), seconds(1.0, 3_600), seconds(3600.0, 500)
    (3600.0, 3600.0, 30.0, 43200.0)
    """
    is_scored = np.isfinite(scores.score)
    n_machines = max(1, len(np.unique(scores.group[is_scored])))
    wished = min(LONGEST_SECONDS, is_scored.sum() * scores.step_seconds / n_machines / WANTED_BLOCKS)
    least = LEAST_STEPS * scores.step_seconds
    fitting = [float(seconds) for seconds in BLOCK_SECONDS if least <= seconds]
    if not fitting:
        return least
    return max((seconds for seconds in fitting if seconds <= wished), default=fitting[0])


def _period_blocks(n_times: int, block_seconds: float) -> int:
    """Blocks in a day, or in a seventh of the calibration where it has less than five days."""
    daily = max(1, round(SECONDS_PER_DAY / block_seconds))
    return daily if n_times >= LEAST_PERIODS * daily else max(1, n_times // PARTS)


def _thinned(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_BINS` of the sorted heights, the lowest and the highest among them."""
    if len(edges) <= MOST_BINS:
        return edges
    return edges[np.linspace(0, len(edges) - 1, MOST_BINS).round().astype(np.int64)]


def _unusable(what: str) -> ArtefactError:
    return ArtefactError(f"the monitoring baseline cannot be used: {what}", hint="calibrate the detector again")

"""How surprising a value is on normal data: -log10 of its tail probability, also beyond anything seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError

__all__ = ["TailModel"]

TAIL_QUANTILE = 0.95
"""Where the empirical body ends and the fitted tail begins."""

LARGEST_SHAPE = 0.5
"""Upper limit of the tail's shape: a few odd normal rows must not make every later value look ordinary."""

GRID = 2001
"""Quantiles kept of the body."""


@dataclass(frozen=True, slots=True)
class TailModel:
    """Empirical body up to the 95 % quantile, generalised Pareto tail with shape in [0, 0.5] beyond.

    Source of the tail: Pickands, Annals of Statistics 3 (1975). The fit takes the likeliest of a grid of shapes
    and scales, which always ends, on any data, at the same values.

    Attributes
    ----------
    quantiles : (Q,) float64
        Values at evenly spaced probabilities from 0 to 1.
    level
        95 % quantile, where the tail begins.
    tail_share
        Share of values above ``level``.
    shape, scale
        Of the excesses over ``level``.

    Examples
    --------
    >>> normal = np.random.default_rng(0).exponential(size=20_000)
    >>> tail = TailModel.fit(normal)
    >>> tail.evidence(np.array([np.log(10.0), np.log(1e6), np.nan])).round().tolist()
    [1.0, 6.0, nan]
    """

    quantiles: NDArray[np.float64]
    level: float
    tail_share: float
    shape: float
    scale: float

    @classmethod
    def fit(cls, values: NDArray[np.floating]) -> TailModel:
        """Learn from normal values (T,); NaN is left out.

        Raises
        ------
        TooLittleDataError
            Fewer than 20 values: no tail can be told from them.
        """
        known = np.sort(values[np.isfinite(values)].astype(np.float64))
        if len(known) < 20:
            raise TooLittleDataError(f"a tail needs at least 20 normal values, got {len(known)}")
        quantiles = np.quantile(known, np.linspace(0.0, 1.0, GRID))
        level = float(np.quantile(known, TAIL_QUANTILE))
        excess = known[known > level] - level
        share = len(excess) / len(known)
        if len(excess) == 0:
            # More than 5 % of the values tie at the top: anything above them is beyond all that was seen.
            spread = max(float(known[-1] - known[0]), 1e-6)
            return cls(quantiles, level, 1.0 / (len(known) + 1), 0.0, 0.1 * spread)
        shape, scale = _likeliest(excess)
        return cls(quantiles, level, share, shape, scale)

    def evidence(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """-log10 P(normal value >= x), NaN where x is NaN; grows without limit, never infinite for finite x."""
        x = np.asarray(values, np.float64)
        # Read from above: of values that tie in training, all count as at least as large as x.
        above = np.interp(-x, -self.quantiles[::-1], np.linspace(0.0, 1.0, len(self.quantiles)))
        body = -np.log10(np.maximum(above, self.tail_share))
        reach = np.maximum(x - self.level, 0.0) / self.scale
        decay = np.log1p(self.shape * reach) / self.shape if self.shape > 0 else reach
        tail = -np.log10(self.tail_share) + decay / np.log(10.0)
        result = np.where(x > self.level, tail, body)
        return np.where(np.isnan(x), np.nan, result)

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact, under ``name``."""
        rest = np.array([self.level, self.tail_share, self.shape, self.scale])
        return {f"{name}.quantiles": self.quantiles, f"{name}.tail": rest}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], name: str) -> TailModel:
        """The model of `to_arrays`."""
        level, share, shape, scale = (float(value) for value in arrays[f"{name}.tail"])
        return cls(arrays[f"{name}.quantiles"], level, share, shape, scale)


def _likeliest(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution with the highest likelihood on the grid."""
    mean = max(float(excess.mean()), 1e-9)
    if len(excess) > 2000:  # evenly spaced order statistics say the same about the tail, faster
        excess = np.quantile(excess, (np.arange(2000) + 0.5) / 2000)
    shapes = np.linspace(0.0, LARGEST_SHAPE, 26)
    scales = mean * np.geomspace(0.2, 1.5, 60)
    best, found = -np.inf, (0.0, mean)
    for shape in shapes:
        reach = excess[:, None] / scales  # (n, scales)
        cost = reach if shape == 0.0 else (1.0 + 1.0 / shape) * np.log1p(shape * reach)
        likelihood = -cost.sum(axis=0) - len(excess) * np.log(scales)
        top = int(likelihood.argmax())
        if likelihood[top] > best:
            best, found = float(likelihood[top]), (float(shape), float(scales[top]))
    return found

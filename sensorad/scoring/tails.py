"""How surprising a value is on normal data: -log10 of its tail probability, also beyond anything seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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

CELLS = 4096
"""Cells of the table that says roughly where among the quantiles a value lies: it fits into a first-level cache."""

SMALLEST_SPAN = 1e-300
"""Quantiles that lie closer together are not told apart by a table: cells per unit would overflow."""


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
    _body: _Body = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_body", _Body.of(self.quantiles, self.level))

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
        result = self._body.share_above(x)
        np.maximum(result, self.tail_share, out=result)
        np.log10(result, out=result)
        np.negative(result, out=result)
        beyond = x > self.level
        if beyond.any():
            reach = (x[beyond] - self.level) / self.scale
            decay = np.log1p(self.shape * reach) / self.shape if self.shape > 0 else reach
            result[beyond] = -np.log10(self.tail_share) + decay / np.log(10.0)
        return result

    def to_arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact, under ``name``."""
        rest = np.array([self.level, self.tail_share, self.shape, self.scale])
        return {f"{name}.quantiles": self.quantiles, f"{name}.tail": rest}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]], name: str) -> TailModel:
        """The model of `to_arrays`."""
        level, share, shape, scale = (float(value) for value in arrays[f"{name}.tail"])
        return cls(arrays[f"{name}.quantiles"], level, share, shape, scale)


@dataclass(frozen=True, slots=True)
class _Body:
    """Share of normal values that are at least as large as x, interpolated between quantiles.

    Read from above: of values that tie in training, all count as at least as large as x. The same numbers as
    ``np.interp(-x, -quantiles[::-1], linspace(0, 1, Q))``, whose search costs four times as much on values in no order:
    here a table of equal cells leads to within a few quantiles of the place, and a search of fixed length to it.

    Attributes
    ----------
    lowest, highest
        Values are held within these before they are looked up.
    origin, cells_per_unit
        Of the table.
    first : (cells,) int64
        Distinct quantiles below each cell.
    steps : tuple of int
        Widths of the search, falling powers of two.
    distinct : (U + padding,) float64
        Quantiles without repetition.
    knot, slope, base : (U,) float64
        Where a line between two quantiles begins, how it falls and where: base + slope (knot - x).
    """

    lowest: float
    highest: float
    origin: float
    cells_per_unit: float
    first: NDArray[np.int64]
    steps: tuple[int, ...]
    distinct: NDArray[np.float64]
    knot: NDArray[np.float64]
    slope: NDArray[np.float64]
    base: NDArray[np.float64]

    @classmethod
    def of(cls, quantiles: NDArray[np.float64], highest: float) -> _Body:
        """For values up to ``highest``; what lies above is not asked for."""
        distinct, below = np.unique(quantiles, return_index=True)  # below: quantiles under each distinct one
        n_asked = int(np.searchsorted(distinct, highest)) + 1
        distinct, below = distinct[:n_asked], below[:n_asked]
        share = np.linspace(0.0, 1.0, len(quantiles))
        base = share[::-1][below]
        slope = np.zeros(len(distinct))
        inner = below[1:]
        with np.errstate(over="ignore"):  # between quantiles that are all but equal
            rise = (share[::-1][inner - 1] - share[::-1][inner]) / (quantiles[inner] - quantiles[inner - 1])
        slope[1:] = np.minimum(rise, np.finfo(np.float64).max)
        origins = (distinct[0], float(np.quantile(quantiles, 0.01)))  # one outlier below must not fill the table
        tables = [_table(distinct, origin, highest) for origin in origins]
        chosen = int(len(tables[1][2]) < len(tables[0][2]))
        cells_per_unit, first, steps = tables[chosen]
        padded = np.concatenate([distinct, np.full(2 * max(steps, default=1), np.inf)])
        return cls(
            lowest=float(distinct[0]),
            highest=highest,
            origin=float(origins[chosen]),
            cells_per_unit=cells_per_unit,
            first=first,
            steps=steps,
            distinct=padded,
            knot=distinct,
            slope=slope,
            base=base,
        )

    def share_above(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(normal value >= x), NaN where x is NaN."""
        held = np.minimum(np.maximum(x, self.lowest), self.highest)
        cell = (held - self.origin) * self.cells_per_unit
        # fmin and fmax: NaN may go to any cell
        np.fmin(np.fmax(cell, 0.0, out=cell), len(self.first) - 1.0, out=cell)
        place = self.first.take(cell.astype(np.int64))  # of the lowest quantile that is at least x
        for step in self.steps:
            place += step * (self.distinct.take(place + (step - 1)) < held)
        found: NDArray[np.float64] = self.knot.take(place)
        found -= held
        found *= self.slope.take(place)
        found += self.base.take(place)
        return found


def _table(
    distinct: NDArray[np.float64], origin: float, highest: float
) -> tuple[float, NDArray[np.int64], tuple[int, ...]]:
    """Cells per unit, quantiles below each cell, and the steps of the search that remains."""
    span = highest - origin
    cells_per_unit = CELLS / span if span > SMALLEST_SPAN else 0.0
    cell = np.clip((distinct - origin) * cells_per_unit, 0.0, CELLS - 1.0).astype(np.int64)
    # The cell never falls as the value rises: what lies in lower cells lies below, what lies in higher ones does not.
    count = np.bincount(cell, minlength=CELLS)
    first = np.cumsum(count) - count
    n_steps = int(count.max()).bit_length()
    return cells_per_unit, first, tuple(2**power for power in range(n_steps - 1, -1, -1))


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

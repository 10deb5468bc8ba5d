"""Filling of missing cells with what the present sensors and the previous row let one expect.

A filled cell keeps windows whole; its own error never counts. Holding the last value would break the
correlation with its neighbours and raise *their* errors, so the fill is the conditional mean of a Gaussian over the
previous and the current row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianImputer"]

RIDGE = 0.05
"""Added to the unit variances: cells are guessed a little towards the mean, and no matrix is singular."""

LONG_RUN = 24
"""Consecutive rows with holes from which on they are filled one after another; shorter runs go side by side."""


@dataclass(frozen=True, slots=True)
class GaussianImputer:
    """Conditional mean of missing cells given the previous row and the present cells of the same row.

    Attributes
    ----------
    covariance : (2C, 2C) float64
        Covariance of (previous row, current row) on normal data, in deviations (mean 0).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.normal(size=500)
    >>> rows = np.stack([cause, 2.0 * cause], axis=1).astype(np.float32)
    >>> usable = np.ones(rows.shape, bool)
    >>> usable[100, 1] = False
    >>> imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    >>> filled = imputer.fill(rows, usable)
    >>> bool(abs(filled[100, 1] - rows[100, 1]) < 0.3 * abs(rows[100, 1]))
    True
    """

    covariance: NDArray[np.float64]

    @classmethod
    def fit(cls, segments: list[NDArray[np.float32]], usable: list[NDArray[np.bool_]]) -> GaussianImputer:
        """Learn from segments (T, C) of consecutive rows; each pair of cells counts where both are present."""
        n_sensors = segments[0].shape[1]
        total = np.zeros((2 * n_sensors, 2 * n_sensors))
        count = np.zeros_like(total)
        for rows, present in zip(segments, usable, strict=True):
            weight = present.astype(np.float64)
            value = np.where(present, rows, 0.0).astype(np.float64)
            pair = np.concatenate([value[:-1], value[1:]], axis=1)  # (T - 1, 2C)
            seen = np.concatenate([weight[:-1], weight[1:]], axis=1)
            total += pair.T @ pair
            count += seen.T @ seen
        covariance = total / np.maximum(count, 1.0)
        # Pairwise counts can leave the matrix indefinite: lift its eigenvalues to the ridge.
        values, vectors = np.linalg.eigh(covariance)
        return cls((vectors * np.maximum(values, 0.0)) @ vectors.T + RIDGE * np.eye(2 * n_sensors))

    def fill(
        self,
        rows: NDArray[np.float32],
        usable: NDArray[np.bool_],
        previous: NDArray[np.float32] | None = None,
        age: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """A copy of ``rows`` (T, C) with every missing cell filled, first row first; ``rows`` where none is missing.

        Parameters
        ----------
        usable : (T, C)
            False = missing cell.
        previous : (C,), optional
            The filled row before the first; None at the start of a segment: the mean.
        age : (T,), optional
            Rows of its segment before each row, where several segments lie one after another. A segment then begins
            where it is 0, and ``previous`` is not asked.
        """
        holes = np.flatnonzero(~usable.all(axis=1))
        if len(holes) == 0:
            return rows
        starts = np.zeros(len(rows), np.bool_) if age is None else age == 0
        is_first = (np.diff(holes, prepend=-2) > 1) | starts[holes]
        first = np.flatnonzero(is_first)  # of each run of consecutive rows with holes
        length = np.diff(first, append=len(holes))
        filled = rows.copy()
        hole_filler = _HoleFiller(self, filled, usable, starts, previous)
        is_long = length > LONG_RUN
        for begin, n_rows in zip(holes[first[is_long]].tolist(), length[is_long].tolist(), strict=True):
            hole_filler.fill_run(begin, begin + n_rows)
        first, length = first[~is_long], length[~is_long]
        for depth in range(int(length.max(initial=0))):
            hole_filler.fill_rows(holes[first[length > depth] + depth])
        return filled

    def weights(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(missing, C + present) regression of the missing cells of a row on the row before and its present cells."""
        n_sensors = len(present)
        known = np.concatenate([np.arange(n_sensors), n_sensors + np.flatnonzero(present)])
        missing = n_sensors + np.flatnonzero(~present)
        inner = self.covariance[np.ix_(known, known)]
        weights: NDArray[np.float64] = np.linalg.solve(inner, self.covariance[np.ix_(known, missing)]).T
        return weights

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Plain arrays for an artefact."""
        return {"imputer.covariance": self.covariance}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> GaussianImputer:
        """The imputer of `to_arrays`."""
        return cls(arrays["imputer.covariance"])


class _HoleFiller:
    """Fills rows in place; the row before each has been filled."""

    def __init__(
        self,
        imputer: GaussianImputer,
        filled: NDArray[np.float32],
        usable: NDArray[np.bool_],
        starts: NDArray[np.bool_],
        previous: NDArray[np.float32] | None,
    ) -> None:
        self._imputer = imputer
        self._filled, self._usable, self._starts = filled, usable, starts
        self._previous = np.zeros(filled.shape[1], np.float32) if previous is None else previous
        self._weights: dict[bytes, NDArray[np.float64]] = {}

    def fill_rows(self, rows: NDArray[np.intp]) -> None:
        """Rows of different segments, or with a whole row before each."""
        if len(rows) == 1:
            self._fill_row(int(rows[0]))
            return
        before = self._filled[rows - 1]
        before[rows == 0] = self._previous
        before[self._starts[rows]] = 0.0
        patterns = np.packbits(self._usable[rows], axis=1)
        _, some, pattern = np.unique(patterns, axis=0, return_index=True, return_inverse=True)
        for number, example in enumerate(some):
            chosen = pattern.reshape(-1) == number
            at, present = rows[chosen], self._usable[rows[example]]
            known = np.concatenate([before[chosen], self._filled[np.ix_(at, present)]], axis=1)
            self._filled[np.ix_(at, ~present)] = known @ self._weights_for(present).T

    def _fill_row(self, row: int) -> None:
        before = self._filled[row - 1] if row else self._previous
        if self._starts[row]:
            before = np.zeros_like(before)
        present = self._usable[row]
        known = np.concatenate([before, self._filled[row, present]])
        self._filled[row, ~present] = self._weights_for(present) @ known

    def fill_run(self, begin: int, stop: int) -> None:
        """Consecutive rows of one segment, each with holes."""
        changes = np.flatnonzero((self._usable[begin + 1 : stop] != self._usable[begin : stop - 1]).any(axis=1))
        bounds = [begin, *(begin + 1 + changes).tolist(), stop]
        for first, last in pairwise(bounds):
            self._fill_alike(first, last)

    def _fill_alike(self, begin: int, stop: int) -> None:
        """Consecutive rows whose holes are in the same cells: what present cells say is worked out for all at once."""
        self._fill_row(begin)
        if stop - begin == 1:
            return
        filled, present = self._filled, self._usable[begin]
        weights = self._weights_for(present)  # (missing, C + present)
        n_sensors = len(present)
        earlier, own = weights[:, :n_sensors], weights[:, n_sensors:]
        rest = filled[begin : stop - 1, present] @ earlier[:, present].T + filled[begin + 1 : stop, present] @ own.T
        missing = np.flatnonzero(~present)
        carry = earlier[:, missing]
        guess = filled[begin, missing]
        for row, part in enumerate(rest, start=begin + 1):
            guess = (part + carry @ guess).astype(np.float32)
            filled[row, missing] = guess

    def _weights_for(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        key = present.tobytes()
        if key not in self._weights:
            self._weights[key] = self._imputer.weights(present)
        return self._weights[key]

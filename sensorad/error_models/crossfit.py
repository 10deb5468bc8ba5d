"""Errors of normal rows under models that never saw them: blocked out-of-fold fits.

Statistics and thresholds must not judge rows that the weights were fitted on, but a stretch held back for good is
expensive (window-PCA fitted on all rows instead of 80 % gains more than any network did). So the log is cut into
blocks of time; each block is scored by a model fitted on the others, less a margin of one window on either side;
afterwards the final model is fitted on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import ErrorModel, SensorErrors

__all__ = ["Fold", "Stretch", "blocked_folds", "out_of_fold_errors", "rows_outside"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive normal rows of one machine without a gap.

    Attributes
    ----------
    rows : (T, C) float32
        Filled deviations.
    usable : (T, C) bool
        Which cells were measured.
    time : (T,) int64
        Nanoseconds since 1970.
    mode : (T,) int32, optional
        Operating mode of each row, as a number; None in a log without modes.
    """

    rows: NDArray[np.float32]
    usable: NDArray[np.bool_]
    time: NDArray[np.int64]
    mode: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int | None) -> Stretch:
        """Rows ``start`` to before ``stop``."""
        part = slice(start, stop)
        mode = None if self.mode is None else self.mode[part]
        return Stretch(self.rows[part], self.usable[part], self.time[part], mode)


@dataclass(frozen=True, slots=True)
class Fold:
    """One block of time held out.

    Attributes
    ----------
    held : list of (stretch, start, stop)
        Rows to be scored, as positions.
    kept : list of Stretch
        Rows to fit on.
    """

    held: list[tuple[int, int, int]]
    kept: list[Stretch]


def blocked_folds(stretches: Sequence[Stretch], n_folds: int, margin: int) -> list[Fold]:
    """Cut the rows, in their order, into ``n_folds`` equal blocks and hold out each in turn.

    ``margin`` rows beside a held-out block are in neither part. Pieces shorter than the margin are not kept.

    Examples
    --------
    >>> rows = np.zeros((100, 1), np.float32)
    >>> folds = blocked_folds([Stretch(rows, rows == 0, np.arange(100))], n_folds=4, margin=5)
    >>> folds[1].held, [len(piece) for piece in folds[1].kept]
    ([(0, 25, 50)], [20, 45])
    """
    lengths = np.array([len(stretch) for stretch in stretches])
    ends = np.cumsum(lengths)
    borders = np.linspace(0, ends[-1], n_folds + 1).astype(int).tolist()
    folds = []
    for low, high in pairwise(borders):
        held, kept = [], []
        for position, stretch in enumerate(stretches):
            offset = int(ends[position] - lengths[position])
            start, stop = max(low - offset, 0), min(high - offset, len(stretch))
            if start >= stop:
                kept.append(stretch)
                continue
            held.append((position, start, stop))
            beside = (stretch.part(0, max(start - margin, 0)), stretch.part(stop + margin, None))
            kept += [part for part in beside if len(part) > margin]
        folds.append(Fold(held, kept))
    return folds


def rows_outside(stretches: Sequence[Stretch], held: Sequence[tuple[int, int, int]], margin: int) -> list[Stretch]:
    """The rows outside the held ranges (stretch, start, stop) and ``margin`` rows beside them."""
    kept = []
    for position, stretch in enumerate(stretches):
        is_kept = np.ones(len(stretch), bool)
        for at, start, stop in held:
            if at == position:
                is_kept[max(0, start - margin) : stop + margin] = False
        edges = np.flatnonzero(np.diff(is_kept.astype(np.int8), prepend=0, append=0))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start > margin:
                kept.append(stretch.part(int(start), int(stop)))
    return kept


def out_of_fold_errors(
    stretches: Sequence[Stretch], folds: Sequence[Fold], fit: Callable[[Fold], ErrorModel]
) -> list[SensorErrors]:
    """Errors of every row under the model of the fold that held it out, one `SensorErrors` per stretch."""
    results: list[dict[str, NDArray[Any]]] = [{} for _ in stretches]
    for fold in folds:
        model = fit(fold)
        for position, start, stop in fold.held:
            stretch = stretches[position]
            first = max(0, start - model.context_rows)
            part = stretch.part(first, stop)
            found = model.errors(part.rows, part.usable, part.time)
            for name, values in found.parts().items():
                if name not in results[position]:
                    results[position][name] = np.full((len(stretch), *values.shape[1:]), np.nan, values.dtype)
                results[position][name][start:stop] = values[start - first :]
    return [SensorErrors(**parts) for parts in results]

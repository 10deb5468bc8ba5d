"""Rows of several segments one after another, each behind the rows of its segment that came before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Parts", "Stack"]


@dataclass(frozen=True, slots=True)
class Parts:
    """Pieces of segments among T rows: of each piece its machine, where it starts, and what is remembered of it.

    Attributes
    ----------
    slots, first, length : (m,) int64
        Machine, first row, number of rows.
    is_continued : (m,) bool
        The segment had begun before these rows.
    """

    slots: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    is_continued: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, chosen: slice) -> Parts:
        """Some of them."""
        return Parts(self.slots[chosen], self.first[chosen], self.length[chosen], self.is_continued[chosen])

    def pieces(self, n_rows: int) -> Iterator[Parts]:
        """A single part in pieces of at most ``n_rows`` rows, each the continuation of the one before."""
        length = int(self.length[0])
        for start in range(0, length, n_rows):
            is_continued = np.ones(1, np.bool_) if start else self.is_continued
            yield Parts(self.slots, self.first + start, np.array([min(n_rows, length - start)]), is_continued)

    @property
    def rows(self) -> slice:
        """The rows of all parts, which are consecutive."""
        return slice(int(self.first[0]), int(self.first[-1] + self.length[-1]))


@dataclass(frozen=True, slots=True)
class Stack:
    """Places of S rows: for each part the rows remembered of it, then its own.

    Attributes
    ----------
    before : (m,) int64
        Rows remembered of each part.
    start : (m,) int64
        Where each part begins.
    age : (S,) int64
        Rows of its part before each row.
    at : (n,) int64
        Places of the parts' own rows.
    """

    before: NDArray[np.int64]
    start: NDArray[np.int64]
    age: NDArray[np.int64]
    at: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Parts, before: NDArray[np.int64]) -> Stack:
        """The stack in which ``before`` (m,) remembered rows precede the rows of each part."""
        total = before + parts.length
        start = np.cumsum(total) - total
        n_stacked = int(total.sum())
        age = np.arange(n_stacked) - np.repeat(start, total)
        at = np.arange(int(parts.length.sum())) + np.repeat(np.cumsum(before), parts.length)
        return cls(before, start, age, at)

    def __len__(self) -> int:
        return len(self.age)

    @property
    def is_single(self) -> bool:
        """There is one part: its own rows are the last ones."""
        return len(self.before) == 1

    def joined(self, remembered: NDArray[Any], slots: NDArray[np.int64], own: NDArray[Any]) -> NDArray[Any]:
        """(S, ...) of what is ``remembered`` (M, K, ...), newest last, and the ``own`` rows (n, ...)."""
        n_kept = remembered.shape[1]
        if self.is_single:
            n_before = int(self.before[0])
            return np.concatenate([remembered[slots[0], n_kept - n_before :], own]) if n_before else own
        stacked = np.empty((len(self), *own.shape[1:]), own.dtype)
        stacked[self.at] = own
        place = np.arange(int(self.before.sum())) - np.repeat(np.cumsum(self.before) - self.before, self.before)
        skipped = np.repeat(n_kept - self.before, self.before)
        stacked[np.repeat(self.start, self.before) + place] = remembered[np.repeat(slots, self.before), skipped + place]
        return stacked

"""Rows of any number reduced to a bounded number of time buckets, whatever their order and chunking.

The buckets lie on a grid anchored in absolute time. Their common width is a power of two in nanoseconds and
doubles whenever there are too many occupied ones. "Too many" can only become true as rows arrive, never false
again at the same width, so the final width is the smallest one that fits all rows: the result does not depend
on how the rows were cut into blocks or on the order in which they came. Only occupied buckets cost memory, so
a gap of a year or one stamp far in the future costs a single bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TimeBuckets", "merge_runs"]

_MAX_SHIFT = 62
"""Beyond this, every time since 1970 lies in one bucket."""


class TimeBuckets:
    """Per-group time buckets with one reduction per column.

    Parameters
    ----------
    reducers
        Column name -> binary ufunc that combines rows, such as ``np.fmin``, ``np.fmax`` or ``np.add``.
    per_group, total
        Most buckets for one group and for all groups together. A group always keeps at least one bucket, so
        with more groups than ``total`` the number of groups is the bound.

    Examples
    --------
    >>> buckets = TimeBuckets({"high": np.fmax}, per_group=2, total=16)
    >>> time = np.array([0, 1, 2, 3], np.int64)
    >>> buckets.add(time, np.zeros(4, np.int32), {"high": np.array([5.0, 1.0, 2.0, 7.0])})
    >>> buckets.width, buckets.columns["high"].tolist()
    (2, [5.0, 7.0])
    """

    def __init__(self, reducers: Mapping[str, np.ufunc], *, per_group: int, total: int) -> None:
        self._reducers = dict(reducers)
        self._per_group = per_group
        self._total = total
        self._shift = 0
        self.group: NDArray[np.int64] = np.empty(0, np.int64)
        self._key: NDArray[np.int64] = np.empty(0, np.int64)
        self.columns: dict[str, NDArray[Any]] = {}

    @property
    def width(self) -> int:
        """Width of every bucket in nanoseconds."""
        return 1 << self._shift

    def __len__(self) -> int:
        return len(self.group)

    def add(self, time: NDArray[np.int64], group: NDArray[Any], columns: Mapping[str, NDArray[Any]]) -> None:
        """Take rows in: ``time`` and ``group`` (T,), each column (T,) or (T, C)."""
        if len(time) == 0:
            return
        group = group.astype(np.int64)
        columns = dict(columns)
        if not _is_sorted(group, time):
            order = np.lexsort((time, group))
            time, group = time[order], group[order]
            columns = {name: column[order] for name, column in columns.items()}
        while self._has_too_many(group, time >> self._shift):
            self._shift += 1
            self._key >>= 1
        group, key, reduced = merge_runs(group, time >> self._shift, columns, self._reducers)
        if self.columns:
            group = np.concatenate([self.group, group])
            key = np.concatenate([self._key, key])
            reduced = {name: np.concatenate([self.columns[name], column]) for name, column in reduced.items()}
            order = np.lexsort((key, group))
            group, key = group[order], key[order]
            reduced = {name: column[order] for name, column in reduced.items()}
            group, key, reduced = merge_runs(group, key, reduced, self._reducers)
        while self._has_too_many(group, key):
            self._shift += 1
            group, key, reduced = merge_runs(group, key >> 1, reduced, self._reducers)
        self.group, self._key, self.columns = group, key, reduced

    def _has_too_many(self, group: NDArray[np.int64], key: NDArray[np.int64]) -> bool:
        if self._shift >= _MAX_SHIFT:
            return False
        starts = _run_starts(group, key)
        if len(starts) > self._total:
            # With more groups than buckets allowed, one bucket for each group is the coarsest there is.
            return len(starts) > len(_run_starts(group, group))
        if len(starts) <= self._per_group:
            return False
        groups = group[starts]
        edges = np.append(_run_starts(groups, groups), len(groups))
        return bool(np.diff(edges).max() > self._per_group)


def merge_runs(
    group: NDArray[np.int64],
    key: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
    reducers: Mapping[str, np.ufunc],
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Combine neighbouring rows of equal group and key; sums are taken in float64 or int64."""
    starts = _run_starts(group, key)
    merged = {}
    for name, column in columns.items():
        dtype = None
        if reducers[name] is np.add:
            dtype = np.float64 if column.dtype.kind == "f" else np.int64
        merged[name] = reducers[name].reduceat(column, starts, axis=0, dtype=dtype)
    return group[starts], key[starts], merged


def _run_starts(group: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.intp]:
    is_new = np.ones(len(group), np.bool_)
    np.logical_or(group[1:] != group[:-1], key[1:] != key[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


def _is_sorted(group: NDArray[np.int64], time: NDArray[np.int64]) -> bool:
    is_later = (group[1:] > group[:-1]) | ((group[1:] == group[:-1]) & (time[1:] >= time[:-1]))
    return bool(is_later.all())

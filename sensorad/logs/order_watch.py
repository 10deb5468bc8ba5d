"""Whether the times of every group never go back, told from block to block with one number a group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["OrderWatch"]

LONG_AGO = np.iinfo(np.int64).min


class OrderWatch:
    """Watches consecutive blocks of times and groups.

    Parameters
    ----------
    check_runs
        Also call a row late if its group had the same time before, with another time in between (in the long
        layout such readings belong together but do not stand together).

    Examples
    --------
    >>> watch = OrderWatch()
    >>> watch.late_rows(np.array([1, 5, 3, 4]), np.array([0, 0, 0, 1])).tolist()
    [False, False, True, False]
    """

    def __init__(self, check_runs: bool = False) -> None:
        self._check_runs = check_runs
        self._latest = np.zeros(0, np.int64)  # of each group
        self._latest_run = np.zeros(0, np.int64)
        self._time = LONG_AGO
        self._run = 0

    def late_rows(self, time: NDArray[np.int64], group: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(T,) True where a row is earlier than some row before it in its group."""
        return self.late_and_repeated_rows(time, group)[0]

    def late_and_repeated_rows(
        self, time: NDArray[np.int64], group: NDArray[np.int32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """2 x (T,) late rows, and those that have the time of the newest row before them in their group.

        Examples
        --------
        >>> late, repeated = OrderWatch().late_and_repeated_rows(np.array([1, 5, 5, 5]), np.array([0, 0, 1, 0]))
        >>> bool(late.any()), repeated.tolist()
        (False, [False, False, False, True])
        """
        if not len(time):
            return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        n_new = max(0, int(group.max()) + 1 - len(self._latest))
        self._latest = np.concatenate((self._latest, np.full(n_new, LONG_AGO)))
        self._latest_run = np.concatenate((self._latest_run, np.full(n_new, -1)))
        if not self._check_runs and (group == group[0]).all():
            newest = np.maximum.accumulate(np.concatenate((self._latest[group[:1]], time)))
            self._latest[group[0]] = newest[-1]
            return np.asarray(time < newest[:-1]), np.asarray(time == newest[:-1])
        order = np.argsort(group, kind="stable")
        times, groups = time[order], group[order]
        before = _running_max_before(times, groups, self._latest)
        late, repeated = times < before, times == before
        if self._check_runs:
            late |= self._torn_rows(time, order, groups)
        np.maximum.at(self._latest, groups, times)
        found = np.empty((2, len(time)), np.bool_)
        found[:, order] = late, repeated
        return found[0], found[1]

    def _torn_rows(
        self, time: NDArray[np.int64], order: NDArray[np.int64], groups: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        runs = self._run + np.cumsum(np.diff(time, prepend=self._time) != 0)
        self._time, self._run = int(time[-1]), int(runs[-1])
        times, runs = time[order], runs[order]
        is_first = np.diff(groups, prepend=-1) != 0
        earlier_time = np.where(is_first, self._latest[groups], np.roll(times, 1))
        earlier_run = np.where(is_first, self._latest_run[groups], np.roll(runs, 1))
        is_last = np.roll(is_first, -1)
        self._latest_run[groups[is_last]] = runs[is_last]
        torn: NDArray[np.bool_] = (times == earlier_time) & (runs != earlier_run)
        return torn


def _running_max_before(
    times: NDArray[np.int64], groups: NDArray[np.int32], latest: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Largest earlier time in the same group, for rows sorted by group; ``latest`` is that of earlier blocks.

    One running maximum serves all groups: ranks of times are lifted by the group, so that a new group starts afresh.
    """
    distinct, rank = np.unique(times, return_inverse=True)
    lift = groups.astype(np.int64) * len(distinct)
    highest = np.maximum.accumulate(rank + lift)
    before = np.full(len(times), LONG_AGO)
    is_inner = groups[1:] == groups[:-1]
    before[1:][is_inner] = distinct[(highest - lift)[:-1][is_inner]]
    return np.asarray(np.maximum(before, latest[groups]))

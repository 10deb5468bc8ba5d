"""Where faults are put: passages of normal rows without gaps, and places spread evenly over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults import SensorStatistics
from sensorad.data import Timing
from sensorad.errors import TooLittleDataError
from sensorad.types import RowBlock

__all__ = ["NormalLog", "Passage", "Place", "read_normal_log", "spread_places"]


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """Normal rows of one machine without a gap; ``cells`` (T, C) float32 is NaN where ``rows`` have a flaw."""

    rows: RowBlock
    cells: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Place:
    """A fault may begin at ``row`` of a passage."""

    passage: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class NormalLog:
    """Rows that faults can be put into.

    Attributes
    ----------
    passages
        In order of machine and time.
    statistics
        Of all normal rows of the log, in the units of the sensors.
    step_seconds
        Usual time between two rows.
    """

    passages: Sequence[Passage]
    statistics: SensorStatistics
    step_seconds: float

    @property
    def n_rows(self) -> int:
        return sum(len(passage) for passage in self.passages)

    @property
    def span(self) -> tuple[int, int]:
        """First and last time, in nanoseconds."""
        return (
            min(int(passage.rows.time[0]) for passage in self.passages),
            max(int(passage.rows.time[-1]) for passage in self.passages),
        )


def read_normal_log(blocks: Iterable[RowBlock], since: Mapping[int, int] | None = None) -> NormalLog:
    """Passages of a log; each machine's rows must be in time order.

    Rows labelled anomalous and rows with a time already seen are left out.

    Parameters
    ----------
    since
        Machine -> time in nanoseconds: earlier rows count for the statistics alone.

    Raises
    ------
    TooLittleDataError
        There is no row.
    """
    parts: dict[int, list[RowBlock]] = {}
    for block in blocks:
        for code in np.unique(block.group).tolist():
            parts.setdefault(code, []).append(block.take(block.group == code))
    if not parts:
        raise TooLittleDataError("a detectability card needs normal rows, the log has none")
    machines = {code: _joined(pieces) for code, pieces in parts.items()}
    timing = Timing.fit([rows.time for rows in machines.values()])
    passages: list[Passage] = []
    cells: list[NDArray[np.float32]] = []
    for code, rows in machines.items():
        own = np.where(rows.flaw == 0, rows.values, np.float32(np.nan))  # (T, C)
        is_kept = np.ones(len(rows), np.bool_) if rows.label is None else ~rows.label
        cells.append(own[is_kept])
        if since is not None:
            is_kept = is_kept & (rows.time >= since.get(code, rows.time[0]))
        is_border = timing.segment_starts(rows.time)[1:] | (is_kept[1:] != is_kept[:-1])
        bounds = [0, *(np.flatnonzero(is_border) + 1).tolist(), len(rows)]
        for first, stop in pairwise(bounds):
            if is_kept[first]:
                passages.append(Passage(rows.take(slice(first, stop)), own[first:stop].copy()))
    return NormalLog(passages, SensorStatistics.fit(np.concatenate(cells)), timing.step_seconds)


def spread_places(
    passages: Sequence[Passage], n: int, before: int, after: int, generator: np.random.Generator
) -> list[Place]:
    """``n`` places with ``before`` rows before them and ``after`` rows from them on, one drawn from each n-th of all.

    Raises
    ------
    TooLittleDataError
        There are fewer such places.

    Examples
    --------
    >>> rows = RowBlock(np.arange(100), np.arange(100), np.zeros((100, 1), np.float32), np.zeros((100, 1), np.uint8),
    ...                 np.zeros(100, np.int32))
    >>> places = spread_places([Passage(rows, rows.values)], 3, 10, 30, np.random.default_rng(0))
    >>> [10 + 61 * i // 3 <= place.row <= 10 + 61 * (i + 1) // 3 for i, place in enumerate(places)]
    [True, True, True]
    """
    room = np.array([max(0, len(passage) - before - after + 1) for passage in passages], np.int64)
    total = int(room.sum())
    if total < n:
        longest = max((len(passage) for passage in passages), default=0)
        raise TooLittleDataError(
            f"faults at {n} places, each with {before} rows before it and {after} rows from it on, need "
            f"{before + after + n - 1:,} rows without a gap; there are {total} such places, and the longest passage "
            f"has {longest:,} rows",
            hint="use a longer log of normal rows, shorter faults or fewer places",
        )
    edges = np.arange(n + 1) * total // n
    picks = generator.integers(edges[:-1], edges[1:])
    heads = np.cumsum(room) - room
    found = np.searchsorted(heads + room, picks, side="right")
    return [Place(int(p), int(pick - heads[p]) + before) for p, pick in zip(found, picks, strict=True)]


def _joined(pieces: Sequence[RowBlock]) -> RowBlock:
    """All rows of one machine, the first of each time only."""
    last = pieces[-1]
    modes, labels = [p.mode for p in pieces if p.mode is not None], [p.label for p in pieces if p.label is not None]
    whole = RowBlock(
        index=np.concatenate([piece.index for piece in pieces]),
        time=np.concatenate([piece.time for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces]),
        flaw=np.concatenate([piece.flaw for piece in pieces]),
        group=np.concatenate([piece.group for piece in pieces]),
        group_names=last.group_names,
        mode=np.concatenate(modes) if modes else None,
        mode_names=last.mode_names,
        label=np.concatenate(labels) if labels else None,
    )
    is_new = np.diff(whole.time, prepend=whole.time[0] - 1) > 0
    return whole if is_new.all() else whole.take(is_new)

"""Follows runs of high scores through blocks of rows: the one place that decides where events begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events.clock import RowClock
from sensorad.events.rule import EventRule

__all__ = ["EventTracker", "Piece", "Runs"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one block adds to one event.

    Attributes
    ----------
    group : int
        Machine. It has at most one open event at a time, so this names the event too.
    is_new : bool
        The event opens here; otherwise the machine's open event goes on.
    rows : (n,) int64
        Rows of the block that belong to the event, in time order; may be empty where an event only closes.
    position, number : (n,) int64
        Their positions on the machine's row grid, and their counts among the machine's rows.
    n_above : int
        Rows of the event above the threshold so far, those of earlier blocks included.
    closed_at : int
        Row of the block by which the event is known to be over; -1 = still open.
    """

    group: int
    is_new: bool
    rows: NDArray[np.int64]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    n_above: int
    closed_at: int


@dataclass(frozen=True, slots=True)
class Runs:
    """What one block adds to the events of one machine: `Piece`s as bounds into the rows that belong to events.

    Attributes
    ----------
    group : int
        Machine.
    goes_on : bool
        The first piece continues the machine's open event.
    rows, position, number : (n,) int64
        As in `Piece`, for all pieces together; rows of no piece may lie between them.
    low, high, n_above, closed_at : list of int, one for each piece
        Piece i has the places ``low[i]:high[i]``; the others as in `Piece`.
    """

    group: int
    goes_on: bool
    rows: NDArray[np.int64]
    position: NDArray[np.int64]
    number: NDArray[np.int64]
    low: list[int]
    high: list[int]
    n_above: list[int]
    closed_at: list[int]

    def pieces(self) -> list[Piece]:
        """The pieces one by one."""
        return [
            Piece(
                group=self.group,
                is_new=i > 0 or not self.goes_on,
                rows=self.rows[low:high],
                position=self.position[low:high],
                number=self.number[low:high],
                n_above=self.n_above[i],
                closed_at=self.closed_at[i],
            )
            for i, (low, high) in enumerate(zip(self.low, self.high, strict=True))
        ]


@dataclass(slots=True)
class _Open:
    """An event that may still grow: its last position, whether the run has not been released since, rows above."""

    last: int
    is_running: bool
    n_above: int


class EventTracker:
    """Cuts blocks of scores into pieces of events; memory holds only what is open.

    The pieces depend on the rows and not on how they are cut into blocks. An event that closes with fewer than
    ``min_rows`` rows above the threshold is for the caller to drop, because its first pieces may be out already.
    """

    def __init__(self, threshold: float, rule: EventRule) -> None:
        if not isfinite(threshold) or threshold <= 0:
            raise UsageError(
                f"a threshold must be positive and finite, got {threshold!r}",
                hint="severity is score / threshold, so scores must be scaled to be positive where they alarm",
            )
        self.threshold = threshold
        self.rule = rule
        self._release = threshold * rule.release
        self._clock = RowClock(rule.step_seconds)
        self._open: dict[int, _Open] = {}
        self._has_refractory = rule.refractory_rows > rule.merge_gap_rows + 1  # shorter ones change nothing
        self._barred: dict[int, int] = {}  # last position of each machine on which no event opens

    def update(self, time: NDArray[np.int64], score: NDArray[np.float64], group: NDArray[np.int32]) -> list[Piece]:
        """Pieces of events in the next rows, shapes (T,), machine by machine and in time order within each."""
        if len(score) == 1 and not score[0] >= self._release and int(group[0]) not in self._open:
            self._clock.tick(int(time[0]), int(group[0]))
            return []
        return [piece for runs in self.runs(time, score, group) for piece in runs.pieces()]

    def runs(self, time: NDArray[np.int64], score: NDArray[np.float64], group: NDArray[np.int32]) -> list[Runs]:
        """The same as one object for each machine, for logs with very many events."""
        if len(score) == 0:
            return []
        placed = self._clock.advance(time, group)
        if placed.order is not None:
            score = score[placed.order]
        warm = np.flatnonzero(score >= self._release)  # NaN compares false
        if len(warm) == 0 and not self._open:
            return []
        # A machine without a warm row and without an open event has nothing to say: only the others are visited.
        warm_bounds = np.searchsorted(warm, placed.starts)
        is_busy = np.diff(warm_bounds) > 0
        if self._open:
            is_busy |= np.array([g in self._open for g in placed.groups.tolist()])
        found: list[Runs] = []
        for g in np.flatnonzero(is_busy):
            start, end = int(placed.starts[g]), int(placed.starts[g + 1])
            rows = np.arange(start, end) if placed.order is None else placed.order[start:end]
            runs = self._follow(
                group=int(placed.groups[g]),
                rows=rows,
                position=placed.position[start:end],
                first_number=int(placed.number[g]),
                score=score[start:end],
                warm=warm[warm_bounds[g] : warm_bounds[g + 1]] - start,
            )
            if runs is not None:
                found.append(runs)
        return found

    def finish(self) -> list[int]:
        """Machines whose event was still open; the log is over, so they are closed now."""
        machines = sorted(self._open)
        self._open.clear()
        self._barred.clear()
        return machines

    def _follow(
        self,
        group: int,
        rows: NDArray[np.int64],
        position: NDArray[np.int64],
        first_number: int,
        score: NDArray[np.float64],
        warm: NDArray[np.int64],
    ) -> Runs | None:
        """Events of one machine; ``warm`` are its rows at or above the release level, as places in ``rows``."""
        reach = self.rule.merge_gap_rows + 1
        if np.isinf(score[warm]).any():
            raise DataError("scores must be finite, got infinity", hint="the detector must bound its scores")
        carried = self._open.pop(group, None)
        n_cold = np.cumsum(score < self._release)  # (T,) released rows so far
        # The open event enters as a row of its own in front, so that the rest treats it like any other row.
        place = warm
        at = position[warm]
        cold = n_cold[warm]
        above = score[warm] > self.threshold
        if carried is not None:
            place = np.concatenate(([-1], place))
            at = np.concatenate(([carried.last], at))
            cold = np.concatenate(([0 if carried.is_running else -1], cold))
            above = np.concatenate(([True], above))

        # A strand is unbroken warmth; from its first row above the threshold on, its rows belong to an event.
        is_break = np.ones(len(at), np.bool_)
        np.logical_or(cold[1:] != cold[:-1], at[1:] - at[:-1] > reach, out=is_break[1:])
        n_above = np.cumsum(above)
        before: NDArray[np.int64] = (n_above - above)[is_break]
        is_member = n_above > before[np.cumsum(is_break) - 1]
        place, at, cold, above = place[is_member], at[is_member], cold[is_member], above[is_member]
        if len(place) == 0:
            return None

        cuts = np.flatnonzero(at[1:] - at[:-1] > reach) + 1
        low, high = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(place)]))  # (E,)
        last = at[high - 1]
        over = np.searchsorted(position, last + reach)  # from this row on, nothing can join any more
        n_sofar = np.concatenate(([0], np.cumsum(above)))
        runs = Runs(
            group=group,
            goes_on=carried is not None,
            rows=rows[place],
            position=at,
            number=first_number + place,
            low=low.tolist(),
            high=high.tolist(),
            n_above=(n_sofar[high] - n_sofar[low]).tolist(),
            closed_at=np.where(over < len(rows), rows[np.minimum(over, len(rows) - 1)], -1).tolist(),
        )
        if carried is not None:
            runs.low[0] = 1
            runs.n_above[0] += carried.n_above - 1
        if self._has_refractory:
            self._rest(runs, above, last.tolist(), int(position[-1]))
        if runs.closed_at and runs.closed_at[-1] < 0:
            is_running = bool(n_cold[-1] == cold[-1])
            self._open[group] = _Open(int(at[-1]), is_running=is_running, n_above=runs.n_above[-1])
        return runs

    def _rest(self, runs: Runs, above: NDArray[np.bool_], last: list[int], newest: int) -> None:
        """Take the rows out of ``runs`` that the refractory time keeps from opening an event.

        What remains of a run, from its first row above the threshold after that time, is a run of its own, so this
        changes nothing else. ``last`` are the last positions of the runs, ``newest`` that of the block.
        """
        barred = self._barred.pop(runs.group, -1)
        kept: list[int] = []
        for i, (low, high) in enumerate(zip(runs.low, runs.high, strict=True)):
            is_new = i > 0 or not runs.goes_on
            if is_new and runs.position[low] <= barred:
                free = low + int(np.searchsorted(runs.position[low:high], barred, side="right"))
                openings = np.flatnonzero(above[free:high])
                if len(openings) == 0:
                    continue
                runs.low[i] = free + int(openings[0])
                runs.n_above[i] = len(openings)
            kept.append(i)
            if runs.closed_at[i] >= 0 and runs.n_above[i] >= self.rule.min_rows:
                barred = last[i] + self.rule.refractory_rows
        if len(kept) < len(last):
            for column in (runs.low, runs.high, runs.n_above, runs.closed_at):
                column[:] = [column[i] for i in kept]
        if barred > newest:
            self._barred[runs.group] = barred

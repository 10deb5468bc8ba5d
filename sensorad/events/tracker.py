"""Follows runs of high scores through blocks of rows: the one place that decides where events begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, isinf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, UsageError
from sensorad.events.clock import RowClock
from sensorad.events.pieces import Piece, Runs
from sensorad.events.rule import EventRule
from sensorad.events.state_parts import array_in, misfit, part_in

__all__ = ["EventTracker"]


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
        if len(score) == 1:
            at, machine, value = int(time[0]), int(group[0]), float(score[0])
            if self.pass_over(at, machine, value):
                return []
            number = self._clock.number_of(machine)
            return self._follow_row(machine, 0, self._clock.tick(at, machine), number, value)
        found: list[Piece] = []
        for machine, rows, position, number, values, warm in self._busy(time, score, group):
            if len(rows) == 1:
                found += self._follow_row(machine, int(rows[0]), int(position[0]), number, float(values[0]))
            elif (runs := self._follow(machine, rows, position, number, values, warm)) is not None:
                found += runs.pieces()
        return found

    def pass_over(self, time: int, group: int, score: float) -> bool:
        """Whether one row, NaN = no score, neither opens nor continues nor closes an event: then it is done with.

        Otherwise nothing happened, and the row is for `update`.
        """
        if score > self.threshold:
            return False
        event = self._open.get(group)
        if event is not None:
            is_joining = event.is_running and score >= self._release
            if is_joining or self._clock.position_of(time, group) - event.last > self.rule.merge_gap_rows:
                return False
            if score < self._release:
                event.is_running = False
        self._clock.tick(time, group)
        return True

    def runs(self, time: NDArray[np.int64], score: NDArray[np.float64], group: NDArray[np.int32]) -> list[Runs]:
        """The same as one object for each machine, for logs with very many events."""
        found = [self._follow(*busy) for busy in self._busy(time, score, group)]
        return [runs for runs in found if runs is not None]

    def _busy(
        self, time: NDArray[np.int64], score: NDArray[np.float64], group: NDArray[np.int32]
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], int, NDArray[np.float64], NDArray[np.int64]]]:
        """What `_follow` needs, for each machine that has something to say: a row that may open, or an open event."""
        if len(score) == 0:
            return
        placed = self._clock.advance(time, group)
        if placed.order is not None:
            score = score[placed.order]
        warm = np.flatnonzero(score >= self._release)  # NaN compares false
        if len(warm) == 0 and not self._open:
            return
        warm_bounds = np.searchsorted(warm, placed.starts)
        is_busy = np.diff(warm_bounds) > 0
        if self._open:
            is_busy |= np.isin(placed.groups, np.fromiter(self._open, np.int64, len(self._open)))
        for g in np.flatnonzero(is_busy).tolist():
            start, end = int(placed.starts[g]), int(placed.starts[g + 1])
            rows = np.arange(start, end) if placed.order is None else placed.order[start:end]
            places = warm[warm_bounds[g] : warm_bounds[g + 1]] - start
            number = int(placed.number[g])
            yield int(placed.groups[g]), rows, placed.position[start:end], number, score[start:end], places

    def finish(self) -> list[int]:
        """Machines whose event was still open; the log is over, so they are closed now."""
        machines = sorted(self._open)
        self._open.clear()
        self._barred.clear()
        return machines

    def state(self) -> dict[str, Any]:
        """Open events, machines at rest and the clock, for a restart."""
        return {
            "clock": self._clock.state(),
            "group": np.array(list(self._open), np.int64),
            "last": np.array([event.last for event in self._open.values()], np.int64),
            "is_running": np.array([event.is_running for event in self._open.values()], np.bool_),
            "n_above": np.array([event.n_above for event in self._open.values()], np.int64),
            "barred_group": np.array(list(self._barred), np.int64),
            "barred_until": np.array(list(self._barred.values()), np.int64),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, with the same threshold and rule; `ArtefactError` if it does not fit."""
        group = array_in(state, "group", np.int64, (None,), low=0)
        last = array_in(state, "last", np.int64, group.shape, low=0)
        is_running = array_in(state, "is_running", np.bool_, group.shape)
        n_above = array_in(state, "n_above", np.int64, group.shape, low=1)
        barred = array_in(state, "barred_group", np.int64, (None,), low=0)
        until = array_in(state, "barred_until", np.int64, barred.shape)
        if len(np.unique(group)) < len(group) or len(np.unique(barred)) < len(barred):
            raise misfit("a machine has two open events")
        self._clock.restore(part_in(state, "clock"))
        self._open = {
            machine: _Open(*values)
            for machine, *values in zip(
                group.tolist(), last.tolist(), is_running.tolist(), n_above.tolist(), strict=True
            )
        }
        self._barred = dict(zip(barred.tolist(), until.tolist(), strict=True))

    @property
    def open_groups(self) -> list[int]:
        """Machines with an open event, ascending."""
        return sorted(self._open)

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
            raise _infinite()
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

    def _follow_row(self, group: int, row: int, position: int, number: int, score: float) -> list[Piece]:
        """What `_follow` does, for one row in a tenth of the time: at most the old event's end and a new one."""
        if isinf(score) and score > 0:
            raise _infinite()
        event = self._open.get(group)
        is_above = score > self.threshold
        reach = self.rule.merge_gap_rows + 1
        pieces: list[Piece] = []
        if event is not None:
            elapsed = position - event.last
            if elapsed <= reach and (is_above or (event.is_running and score >= self._release)):
                event.last, event.is_running = position, True
                event.n_above += is_above
                return [Piece.of_row(group, row, position, number, event.n_above, is_new=False)]
            if score < self._release:
                event.is_running = False
            if elapsed < reach:
                return []
            del self._open[group]
            pieces.append(Piece.end(group, event.n_above, closed_at=row))
            if self._has_refractory and event.n_above >= self.rule.min_rows:
                self._barred[group] = event.last + self.rule.refractory_rows
        if self._barred and self._barred.get(group, position) < position:
            del self._barred[group]
        if is_above and group not in self._barred:
            self._open[group] = _Open(position, is_running=True, n_above=1)
            pieces.append(Piece.of_row(group, row, position, number, 1, is_new=True))
        return pieces

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


def _infinite() -> DataError:
    return DataError("scores must be finite, got infinity", hint="the detector must bound its scores")

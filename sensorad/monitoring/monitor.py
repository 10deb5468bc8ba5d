"""Follows scores as they come in, block by block, and says at any time whether the calibration still describes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby, pairwise
from math import inf, isfinite, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TimeError, UsageError
from sensorad.events import counted_rows
from sensorad.events.state_parts import array_in, misfit
from sensorad.monitoring.baseline import CalibrationBaseline
from sensorad.monitoring.martingale import EvidencePath, evidence_path
from sensorad.monitoring.verdict import StaleVerdict, judged
from sensorad.monitoring.weekly import DAY_NS, DayCount, week_counts
from sensorad.thresholds.blocks import LEAST_SHARE
from sensorad.types import Event, ScoreBlock

__all__ = ["CalibrationMonitor"]


@dataclass(slots=True)
class _OpenBlock:
    """A block of one machine that may still get rows."""

    number: int
    n_scored: int
    height: float


class CalibrationMonitor:
    """Tells when a calibration no longer describes normal; the verdict does not depend on how rows are cut or mixed.

    Two tests run side by side. Alarm events are counted by week against the band that the calibration explains, and
    two weeks in a row above it condemn the calibration. Blocks of time without an alarm are compared with those of
    the calibration by a test martingale, which condemns it at evidence of 100 : 1. Faults do not pass for drift:
    blocks with an alarm are left to the counts, a week of faults is one bad week, and no day decides alone.

    Each machine's rows come in time order; machines may be mixed in any way. In memory are one open block for each
    machine, three counts for each day of the log, and one byte for each closed block, whatever the number of rows.

    Parameters
    ----------
    baseline
        What the calibration says.
    step_seconds
        Usual time between two rows of a machine.

    Raises
    ------
    UsageError
        A step that is not positive, a level that does not fit the rows, or rows after the end of the log.
    TimeError
        A machine's rows step back to an earlier block of time.

    Examples
    --------
    >>> from sensorad.thresholds.base import CalibrationScores
    >>> from sensorad.types import RowBlock
    >>> rng = np.random.default_rng(0)
    >>> n = 14 * 1440
    >>> time = 1_700_006_400 * 10**9 + np.arange(2 * n) * 60 * 10**9
    >>> score = np.append(rng.gamma(4.0, size=n), 1.3 * rng.gamma(4.0, size=n))
    >>> normal = CalibrationScores(time[:n], score[:n], np.zeros(n, np.int32), step_seconds=60.0)
    >>> baseline = CalibrationBaseline.fit(normal, threshold=25.0, n_events=0, dispersion=1.0)
    >>> rows = RowBlock(np.arange(n), time[n:], np.zeros((n, 1), np.float32), np.zeros((n, 1), np.uint8),
    ...                 np.zeros(n, np.int32))
    >>> block = ScoreBlock.empty_for(rows)
    >>> monitor = CalibrationMonitor(baseline, step_seconds=60.0)
    >>> monitor.update(block, score[n:], events=())
    >>> verdict = monitor.finish(events=())
    >>> verdict.is_stale, str(np.datetime64(verdict.since, "ns"))[:10]
    (True, '2023-11-29')
    """

    def __init__(self, baseline: CalibrationBaseline, step_seconds: float) -> None:
        if not isfinite(step_seconds) or step_seconds <= 0:
            raise UsageError(f"the time between rows must be positive, got {step_seconds!r} s")
        self.baseline = baseline
        self.step_seconds = float(step_seconds)
        self._block_ns = max(1, round(baseline.block_seconds * 1e9))
        self._n_needed = LEAST_SHARE * baseline.block_seconds / self.step_seconds
        self._open: dict[int, _OpenBlock] = {}
        self._days: dict[int, DayCount] = {}
        self._bins: dict[int, bytearray] = {}  # place in time -> bins of the alarm-free blocks there, one byte each
        self._n_blocks = 0
        self._first: int | None = None
        self._last = 0
        self._is_finished = False
        self._path: tuple[int, EvidencePath] | None = None  # the path and the number of blocks behind it

    def update(self, block: ScoreBlock, level: NDArray[np.float64], events: Sequence[Event]) -> None:
        """Take in rows, their comparable scores (T,), NaN where a row has none, and the events that they close."""
        if self._is_finished:
            raise UsageError("the log is over, so no rows can follow", hint="make a new monitor for the next log")
        if level.shape != block.time.shape:
            raise UsageError(f"one level for each row is needed, got shape {level.shape} for {len(block)} rows")
        self.count(events)
        kept = counted_rows(block)
        time, group = block.time, block.group
        if kept is not None:
            time, group, level = time[kept], group[kept], level[kept]
        if len(time) > 1:
            self.follow_many(time, group, level)
        elif len(time):  # arrays for one row cost ten times the work
            self.follow(int(time[0]), int(group[0]), float(level[0]))

    def finish(self, events: Sequence[Event] = ()) -> StaleVerdict:
        """The verdict at the end of the log, with the events that its end closes; no rows can follow."""
        self.end(events)
        return self.verdict()

    def end(self, events: Sequence[Event] = ()) -> None:
        """The end of the log, for those who may ask for the verdict later."""
        if not self._is_finished:
            self.count(events)
            for group in list(self._open):
                self._close(self._open.pop(group))
            self._is_finished = True

    def verdict(self) -> StaleVerdict:
        """The verdict on the rows so far; open blocks and a week in progress are not judged yet."""
        if self._path is None or self._path[0] != self._n_blocks:
            self._path = self._n_blocks, evidence_path(self.baseline, self._periods())
        first = self._first or 0
        end = inf if self._is_finished else float(self._last)
        weeks = week_counts(self.baseline, self._days, first // DAY_NS, end, self.step_seconds)
        return judged(self.baseline, weeks, self._path[1], self._n_blocks, first)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on after a restart as if nothing had happened: plain values and NumPy arrays."""
        blocks = self._open.values()
        return {
            "machine": np.array(list(self._open), np.int64),
            "block": np.array([(block.number, block.n_scored) for block in blocks], np.int64).reshape(-1, 2),
            "height": np.array([block.height for block in blocks], np.float64),
            "day": np.array(list(self._days), np.int64),
            "day_counts": np.array([astuple(count) for count in self._days.values()], np.int64).reshape(-1, 3),
            "place": np.array(list(self._bins), np.int64),
            "n_bins": np.array([len(bins) for bins in self._bins.values()], np.int64),
            "bins": np.frombuffer(b"".join(self._bins.values()), np.uint8).copy(),
            "seen": np.array([] if self._first is None else [self._first, self._last], np.int64),
            "is_finished": self._is_finished,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, by a monitor with the same baseline and step.

        Raises
        ------
        ArtefactError
            The state is damaged, or it is one of another baseline.
        """
        machine = array_in(state, "machine", np.int64, (None,), low=0).tolist()
        block = array_in(state, "block", np.int64, (len(machine), 2)).tolist()
        height = array_in(state, "height", np.float64, (len(machine),)).tolist()
        day = array_in(state, "day", np.int64, (None,)).tolist()
        counts = array_in(state, "day_counts", np.int64, (len(day), 3), low=0).tolist()
        place = array_in(state, "place", np.int64, (None,)).tolist()
        n_bins = array_in(state, "n_bins", np.int64, (len(place),), low=1)
        bins = array_in(state, "bins", np.uint8, (None,))
        seen = array_in(state, "seen", np.int64, (None,)).tolist()
        if n_bins.sum() != len(bins) or (bins >= len(self.baseline.counts)).any() or len(seen) not in (0, 2):
            raise misfit("its blocks of time are not those of this calibration")
        if not isinstance(state.get("is_finished"), bool):
            raise misfit("nobody knows whether the log is over")
        bounds = pairwise(np.append(0, np.cumsum(n_bins)).tolist())
        self._open = {m: _OpenBlock(at, n, high) for m, (at, n), high in zip(machine, block, height, strict=True)}
        self._days = {d: DayCount(*count) for d, count in zip(day, counts, strict=True)}
        self._bins = {p: bytearray(bins[low:high]) for p, (low, high) in zip(place, bounds, strict=True)}
        self._n_blocks = len(bins)
        self._first, self._last = seen or (None, 0)
        self._is_finished = state["is_finished"]
        self._path = None

    def count(self, events: Sequence[Event]) -> None:
        """Take in events that have closed; those of the data are passed over."""
        for event in events:
            if event.kind != "quality":
                self._days.setdefault(event.start // DAY_NS, DayCount()).n_events += 1

    def follow_many(self, time: NDArray[np.int64], machine: NDArray[np.integer], level: NDArray[np.float64]) -> None:
        """What `update` does, for rows (T,), at least one, that all take part in events."""
        first, last = int(time.min()), int(time.max())
        self._first = first if self._first is None else min(self._first, first)
        self._last = max(self._last, last)
        is_scored = ~np.isnan(level)
        self._count_rows(time, level, is_scored)
        self._follow_blocks(time // self._block_ns, machine, level, is_scored)

    def _count_rows(self, time: NDArray[np.int64], level: NDArray[np.float64], is_scored: NDArray[np.bool_]) -> None:
        day = time[is_scored] // DAY_NS
        if not len(day):
            return
        first = int(day.min())  # times lie within a century, so that there are few days from first to last
        n_scored = np.bincount(day - first)
        n_above = np.bincount(day[level[is_scored] > self.baseline.threshold] - first, minlength=len(n_scored))
        for place in np.flatnonzero(n_scored).tolist():
            count = self._days.setdefault(first + place, DayCount())
            count.n_scored += int(n_scored[place])
            count.n_above += int(n_above[place])

    def _follow_blocks(
        self,
        number: NDArray[np.int64],
        group: NDArray[np.integer],
        level: NDArray[np.float64],
        is_scored: NDArray[np.bool_],
    ) -> None:
        """Add rows (T,) to the open blocks of their machines, machine by machine."""
        order = np.argsort(group, kind="stable")  # each machine's rows stay in time order
        number, group = number[order], group[order]
        heads = np.flatnonzero(np.append(True, (np.diff(group) != 0) | (np.diff(number) != 0)))
        n_scored = np.add.reduceat(is_scored[order].astype(np.int64), heads)
        height = np.fmax.reduceat(level[order], heads)  # NaN where no row has a score
        for machine, at, n, top in zip(
            group[heads].tolist(), number[heads].tolist(), n_scored.tolist(), height.tolist(), strict=True
        ):
            self._add(machine, at, n, top)

    def follow(self, time: int, machine: int, level: float) -> None:
        """What `update` does, for one row of a stream that takes part in events; ``level`` is NaN without a score."""
        if self._first is None or time < self._first:
            self._first = time
        if time > self._last:
            self._last = time
        is_scored = not isnan(level)
        if is_scored:
            day = time // DAY_NS
            count = self._days.get(day)
            if count is None:
                count = self._days[day] = DayCount()
            count.n_scored += 1
            count.n_above += level > self.baseline.threshold
        self._add(machine, time // self._block_ns, int(is_scored), level)

    def _add(self, machine: int, number: int, n_scored: int, height: float) -> None:
        """Add rows of a machine's block ``number``, and close the block that they leave behind."""
        current = self._open.get(machine)
        if current is not None and current.number > number:
            raise TimeError(
                "rows of one machine must come in time order, but one steps back to an earlier block of time",
                where=f"time {np.datetime64(number * self._block_ns, 'ns')} UTC",
                hint="sort the scores by machine and time before monitoring them",
            )
        if current is None or current.number < number:
            if current is not None:
                self._close(current)
            current = self._open[machine] = _OpenBlock(number, 0, -inf)
        if n_scored:
            current.n_scored += n_scored
            current.height = max(current.height, height)

    def _close(self, block: _OpenBlock) -> None:
        """Compare a block that is over, unless it has an alarm or less than half of its rows."""
        is_quiet = block.height <= self.baseline.threshold
        if len(self.baseline.edges) == 0 or block.n_scored < self._n_needed or not is_quiet:
            return
        self._bins.setdefault(block.number, bytearray()).append(self.baseline.bin_of(block.height))
        self._n_blocks += 1

    def _periods(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Number, places in time and bins of the blocks of each period, in time order."""
        for period, numbers in groupby(sorted(self._bins), lambda number: number // self.baseline.period_blocks):
            times = list(numbers)
            bins = [np.frombuffer(self._bins[time], np.uint8).astype(np.int64) for time in times]
            yield period, np.repeat(np.array(times, np.int64), [len(part) for part in bins]), np.concatenate(bins)

"""Faults tried out: put into normal rows at every place, scored, and judged by the alarm line and the event rule.

The rows before each place are scored once; the scorer then goes back to that moment for every fault, so that each costs
the rows that it lasts and no more. In a block each trial is a machine of its own, with the times of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults import Fault, SensorStatistics, fault_kind
from sensorad.augment.faults.injection import apply_fault
from sensorad.detectability.judge import Judge
from sensorad.detectability.places import Passage, Place
from sensorad.errors import UsageError
from sensorad.events import event_spans
from sensorad.types import FLAWS, RowBlock, ScoreBlock

__all__ = ["Outcome", "Request", "Trials", "rows_before"]

PASS_ROWS = 2**15
"""Faulty rows that are scored at once."""


def rows_before(judge: Judge) -> int:
    """Rows before a fault that decide what becomes of it.

    Scores look back so far, and an alarm that was open no longer ago than the merge gap would go on instead of opening.
    """
    return judge.context_rows_ + judge.rule_.merge_gap_rows + 1


@dataclass(frozen=True, slots=True)
class Request:
    """One severity of one kind at one sensor (its position), tried at every place."""

    kind: str
    sensor: int
    severity: float
    length: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes
    ----------
    n
        Places at which the fault changed anything; elsewhere there was none.
    n_found
        Of these: an alarm opened inside the fault, and would not have opened there without it.
    delay_rows, delay_seconds
        Median from the first faulty row to the alarm; None where nothing was found.
    change
        Median over places of the root mean square by which the sensor's values changed, in its standard deviations;
        None for a sensor that never moved.
    """

    n: int
    n_found: int
    delay_rows: float | None = None
    delay_seconds: float | None = None
    change: float | None = None

    @property
    def share(self) -> float:
        """Share of the places at which the fault was found; 0 where it changes nothing."""
        return self.n_found / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Rows of one place with one fault, or with none; ``machine`` is the place's context in the scorer."""

    request: int
    machine: int
    rows: RowBlock
    length: int
    change: float


class Trials:
    """Tries faults at fixed places.

    Parameters
    ----------
    judge
        Scores and alarms.
    passages, places
        Normal rows, and where faults begin in them.
    statistics
        That severities are measured by.
    longest
        Rows of the longest fault.
    random_state
        Seed. What a fault draws depends on it, the kind, the sensor and the place, not on what else is tried; a fault
        draws the same at every severity.
    """

    def __init__(
        self,
        judge: Judge,
        passages: Sequence[Passage],
        places: Sequence[Place],
        statistics: SensorStatistics,
        *,
        longest: int,
        random_state: int,
    ) -> None:
        self._judge = judge
        self._passages = passages
        self._places = places
        self._statistics = statistics
        self._seed = random_state
        self._n_tail = judge.rule_.min_rows - 1  # rows in which an alarm that opens in a fault's last row is confirmed
        self._n_tiles = max(1, PASS_ROWS // (len(places) * longest))
        self._n_before = rows_before(judge)
        contexts = [self._rows(place, -self._n_before, 0) for place in places]
        self._context = [contexts[machine % len(places)] for machine in range(self._n_tiles * len(places))]
        self._names = [str(machine) for machine in range(len(self._context))]
        self._engine = judge.engine()
        block = self._block(self._context, range(len(self._context)))
        self._levels = np.split(self._level(self._engine.score(block)), len(self._context))
        for level in self._levels:
            level[: judge.context_rows_] = np.nan  # in a whole log these scores would look back further
        self._state = self._engine.state()
        self._clean = self._clean_openings(longest)

    def run(self, requests: Sequence[Request], progress: Callable[[int], None] | None = None) -> list[Outcome]:
        """Outcomes in the order of the requests; ``progress`` is called with the number done since the last call."""
        outcomes: list[Outcome] = []
        for first in range(0, len(requests), self._n_tiles):
            chunk = requests[first : first + self._n_tiles]
            outcomes += self._run(chunk)
            if progress is not None:
                progress(len(chunk))
        return outcomes

    def n_false(self, length: int) -> int:
        """Places at which an alarm opens within ``length`` rows without any fault."""
        return sum(any(row < length for row in rows) for rows in self._clean)

    def _run(self, requests: Sequence[Request]) -> list[Outcome]:
        trials = [
            trial
            for number, request in enumerate(requests)
            for place in range(len(self._places))
            if (trial := self._trial(number, request, place)) is not None
        ]
        found: list[list[tuple[int, float]]] = [[] for _ in requests]  # delays in rows and seconds
        for trial, openings in zip(trials, self._openings(trials), strict=True):
            clean = self._clean[trial.machine % len(self._places)]
            if any(row < trial.length for row in clean):
                continue
            for opened, reported in openings:
                if opened < trial.length:
                    seconds = (int(trial.rows.time[reported]) - int(trial.rows.time[0])) / 1e9
                    found[trial.request].append((reported, seconds))
                    break
        outcomes = []
        for number, delays in enumerate(found):
            changes = [trial.change for trial in trials if trial.request == number]
            usual = float(np.median(changes)) if changes else np.nan
            outcomes.append(
                Outcome(
                    n=len(changes),
                    n_found=len(delays),
                    delay_rows=float(np.median([rows for rows, _ in delays])) if delays else None,
                    delay_seconds=float(np.median([seconds for _, seconds in delays])) if delays else None,
                    change=usual if np.isfinite(usual) else None,
                )
            )
        return outcomes

    def _clean_openings(self, longest: int) -> list[list[int]]:
        """Rows from each place on in which alarms open although there is no fault."""
        trials = [
            _Trial(0, machine, self._rows(place, 0, longest + self._n_tail), longest, 0.0)
            for machine, place in enumerate(self._places)
        ]
        return [[opened for opened, _ in openings] for openings in self._openings(trials)]

    def _trial(self, number: int, request: Request, place: int) -> _Trial | None:
        """Rows with the fault; None where it would change nothing."""
        passage = self._passages[self._places[place].passage]
        start, sensor = self._places[place].row, request.sensor
        # Half of the places have it upwards; a limit is always that at the upper end, which has an amount to tell.
        sign = -1 if place % 2 and request.kind != "saturation" and fault_kind(request.kind).is_signed else 1
        fault = Fault(request.kind, (sensor,), start, request.length, request.severity, sign)
        seed = [self._seed, *request.kind.encode(), sensor, place]
        span = slice(start, start + request.length)
        before = passage.cells[span, sensor].copy()
        try:
            if apply_fault(passage.cells, fault, self._statistics, np.random.default_rng(seed), None, None):
                return None
            after = passage.cells[span, sensor].copy()
        except UsageError:  # it needs a stretch that the passage has not: a donor in a short one
            return None
        finally:
            passage.cells[span, sensor] = before
        rows = self._rows(self._places[place], 0, request.length + self._n_tail)
        values, flaw = rows.values.copy(), rows.flaw
        is_lost = np.isnan(after) & ~np.isnan(before)
        if is_lost.any():
            flaw = flaw.copy()
            flaw[: request.length, sensor][is_lost] = FLAWS.index("missing")
        values[: request.length, sensor] = np.nan_to_num(after)
        rows = RowBlock(
            rows.index, rows.time, values, flaw, rows.group, rows.group_names, rows.mode, rows.mode_names, rows.label
        )
        sigma = float(self._statistics.sigma[sensor])
        moved = (after - before)[np.isfinite(after) & np.isfinite(before)].astype(np.float64)
        change = float(np.sqrt(np.mean(moved**2))) / sigma if sigma > 0 and len(moved) else np.nan
        return _Trial(number, number * len(self._places) + place, rows, request.length, change)

    def _openings(self, trials: Sequence[_Trial]) -> list[list[tuple[int, int]]]:
        """For each trial the rows, counted from the place on, in which alarms open and are reported."""
        if not trials:
            return []
        self._engine.restore(self._state)
        block = self._block([trial.rows for trial in trials], [trial.machine for trial in trials])
        bounds = np.cumsum([len(trial.rows) for trial in trials])[:-1]
        own = np.split(self._level(self._engine.score(block)), bounds)
        times: list[NDArray[np.int64]] = []
        levels: list[NDArray[np.float64]] = []
        for trial, level in zip(trials, own, strict=True):
            times += [self._context[trial.machine].time, trial.rows.time]
            levels += [self._levels[trial.machine], level]
        n_rows = np.array([len(a) + len(b) for a, b in zip(levels[::2], levels[1::2], strict=True)])
        time, level, heads = np.concatenate(times), np.concatenate(levels), np.cumsum(n_rows) - n_rows
        group = np.repeat(np.arange(len(trials), dtype=np.int32), n_rows)
        line, rule = self._judge.line_.threshold, self._judge.rule_
        spans = event_spans(time, level, group, line, rule)
        found: list[list[tuple[int, int]]] = [[] for _ in trials]
        for start, end, number in zip(spans.start.tolist(), spans.end.tolist(), spans.group.tolist(), strict=True):
            opened = start - int(heads[number]) - self._n_before
            if opened >= 0:
                above = np.flatnonzero(level[start : end + 1] > line)
                found[number].append((opened, opened + int(above[rule.min_rows - 1])))
        return found

    def _rows(self, place: Place, first: int, stop: int) -> RowBlock:
        return self._passages[place.passage].rows.take(slice(place.row + first, place.row + stop))

    def _block(self, parts: Sequence[RowBlock], machines: Sequence[int]) -> RowBlock:
        """The parts one after another, each as the machine of that number."""
        n_rows = [len(part) for part in parts]
        modes = [part.mode for part in parts if part.mode is not None]
        return RowBlock(
            index=np.arange(sum(n_rows), dtype=np.int64),
            time=np.concatenate([part.time for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            flaw=np.concatenate([part.flaw for part in parts]),
            group=np.repeat(np.array(machines, np.int32), n_rows),
            group_names=self._names,
            mode=np.concatenate(modes) if modes else None,
            mode_names=max((part.mode_names for part in parts), key=len),
        )

    def _level(self, scores: ScoreBlock) -> NDArray[np.float64]:
        """Scores on the scale of the alarm line of rows without a mode of their own."""
        return self._judge.line_.comparable(scores.score, scores.mode, scores.mode_names)

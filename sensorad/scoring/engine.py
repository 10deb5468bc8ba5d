"""The scoring engine: blocks of rows in, blocks of scores out, the same scores however the rows are cut.

The score of a row depends on that row and on a stated number of rows before it in the same segment of the same machine
(`ScoringEngine.context_rows`), and on nothing else: no state runs on for ever, so no bad row can poison it.
A segment ends at a gap in time, and where sensors were silent for more than `BLIND_ROWS` rows.

The machines of a block are scored side by side: their rows are put one machine after another, each behind the rows of
its segment that came before, and every formula runs over all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.data import GaussianImputer, SensorScaler, Timing
from sensorad.error_models.errors import AskedRows, ErrorModel, SensorErrors
from sensorad.errors import ArtefactError
from sensorad.scoring.absences import Absences
from sensorad.scoring.arrivals import Arrivals, mark_repeated
from sensorad.scoring.evidence import StepHistory
from sensorad.scoring.row_status import write_status
from sensorad.scoring.schemes import Scheme
from sensorad.scoring.segment_memory import NEVER, SegmentMemory
from sensorad.scoring.stack import Parts, Stack
from sensorad.scoring.top import write_top_sensors
from sensorad.types import RowBlock, ScoreBlock

__all__ = ["BLIND_ROWS", "LEAST_SENSORS", "ScoringEngine", "context_rows"]

BLIND_ROWS = 5
"""Rows without enough sensors that are bridged by filled values; after more of them a new segment starts."""

LEAST_SENSORS = 0.5
"""Share of the used sensors that must be present for a row to be scored."""

STACK_CELLS = 2**18
"""Machines are scored side by side up to so many numbers, remembered rows included."""

PIECE_CELLS, FEWEST_PIECE_ROWS = 2**15, 1024
"""Longer stretches are scored in pieces of so many numbers, and of so many rows at least: a cache then holds what is
worked out of them."""

LARGEST_KEPT = 31 * 2**20
"""Bytes just below the largest block that the GNU C library ever keeps when it is freed."""


@dataclass(slots=True)
class ScoringEngine:
    """Scores a log block by block; one engine for any number of machines in any interleaving.

    Attributes
    ----------
    on_conflict
        What to do with rows that share their time with the row before but differ from it: "first" keeps the
        first row and marks the others "duplicate", "error" raises.
    counts : dict of str to int
        Gaps, restarts, equal and conflicting rows met so far.
    """

    scaler: SensorScaler
    imputer: GaussianImputer
    timing: Timing
    model: ErrorModel
    scheme: Scheme
    length: int
    on_conflict: str = "first"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("gaps", "restarts", "equal", "conflicts"), 0))
    _memory: SegmentMemory = field(init=False, repr=False)
    _absences: Absences | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._absences = Absences.of(self.imputer, self.model, self.scheme, self.length)
        self._memory = SegmentMemory(
            n_cells=len(self.scaler.is_used),
            n_used=len(self.scaler.used_positions),
            n_kept=max(self.model.context_rows, self.length - 1, 1),
            n_steps=self.scheme.memory_rows - 1,
        )
        # The buffers of a block come and go. The GNU C library gives freed memory back to the system at once, a fifth
        # of the time, unless it has seen a larger block come and go: this one, of which no byte is ever touched.
        np.empty(LARGEST_KEPT, np.uint8)

    @property
    def context_rows(self) -> int:
        """Rows before a row that its score depends on."""
        return context_rows(self.model, self.scheme, self.length)

    def score(self, block: RowBlock) -> ScoreBlock:
        """Scores of the next rows, in the order in which they came; each machine's times must not fall."""
        result = ScoreBlock.empty_for(block)
        if len(block):
            arrivals = Arrivals.of(block, self._memory)
            arrivals = mark_repeated(block, arrivals, self._memory, result, self.counts, self.on_conflict)
            if len(arrivals.slots):
                self._score_rows(block, arrivals, result)
        return result

    def state(self) -> dict[str, Any]:
        """A copy of all that later scores depend on; an engine of the same detector goes on from it with `restore`."""
        return {"counts": dict(self.counts), "machines": self._memory.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, with the same bits as if nothing had happened in between.

        Raises
        ------
        ArtefactError
            The state is of another detector.
        """
        counts = state.get("counts")
        if not isinstance(counts, Mapping) or set(counts) != set(self.counts):
            raise ArtefactError("the state of scoring does not fit this detector: counts")
        self._memory.restore(state.get("machines", {}))
        self.counts = {name: int(n) for name, n in counts.items()}

    def _score_rows(self, block: RowBlock, arrivals: Arrivals, result: ScoreBlock) -> None:
        """Rows with new times, machine by machine."""
        rows, memory = arrivals.rows, self._memory
        time = block.time[rows]
        flaw = block.flaw[rows] if block.flaw.any() else None
        usable, is_blind = self._present(flaw, len(time))
        starts, n_blind = self._segment_starts(arrivals, time, is_blind)
        parts = arrivals.parts(starts, memory)
        scaled = self.scaler.transform(block.values[rows])  # (n, C_used)
        whole = _Rows(rows, time, scaled, usable, is_blind, flaw)
        for group in self._groups(parts):
            self._score_parts(block, group, whole.take(group.rows), result)
        last = arrivals.first + arrivals.length - 1
        cells = block.values[rows][last]
        if flaw is not None:
            cells = np.where(flaw[last] == 0, cells, np.nan)
        memory.cells[arrivals.slots] = cells
        memory.newest[arrivals.slots] = time[last]
        memory.n_blind[arrivals.slots] = np.where(is_blind[last], n_blind[last] + 1, 0)

    def _present(self, flaw: NDArray[np.uint8] | None, n_rows: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Usable cells (n, C_used), and rows without enough of them."""
        used = self.scaler.used_positions
        if flaw is None:
            return np.ones((n_rows, len(used)), np.bool_), np.zeros(n_rows, np.bool_)
        usable = (flaw if len(used) == flaw.shape[1] else flaw[:, used]) == 0
        return usable, usable.mean(axis=1) < LEAST_SENSORS

    def _segment_starts(
        self, arrivals: Arrivals, time: NDArray[np.int64], is_blind: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Where segments start after a gap or blindness, and the blind rows directly before each row."""
        newest = self._memory.newest[arrivals.slots]
        before = np.empty_like(time)
        before[1:] = time[:-1]
        before[arrivals.first] = np.where(newest == NEVER, time[arrivals.first], newest)
        starts = time - before > self.timing.gap_seconds * 1e9
        self.counts["gaps"] += int(starts.sum())
        carried = self._memory.n_blind[arrivals.slots]
        if not is_blind.any() and not carried.any():
            return starts, np.zeros(len(time), np.int64)
        run = arrivals.blind_rows_before(is_blind, starts, carried)
        restarts = ~is_blind & (run > BLIND_ROWS) & ~starts
        self.counts["restarts"] += int(restarts.sum())
        return starts | restarts, run

    def _groups(self, parts: Parts) -> Iterator[Parts]:
        """Parts that are scored side by side: as many as memory and caches hold; long ones in pieces."""
        n_used = self._memory.rows.shape[2]
        n_behind = max(self._memory.n_kept, self._memory.n_steps)
        n_most = max(PIECE_CELLS // n_used, FEWEST_PIECE_ROWS)
        is_long = parts.length > n_most
        n_cells = np.cumsum((parts.length + n_behind) * n_used)
        border = (np.diff(n_cells // STACK_CELLS) > 0) | is_long[1:] | is_long[:-1]
        bounds = [0, *(np.flatnonzero(border) + 1).tolist(), len(parts)]
        for first, stop in pairwise(bounds):
            group = parts.take(slice(first, stop))
            if is_long[first]:
                yield from group.pieces(n_most)
            else:
                yield group

    def _score_parts(self, block: RowBlock, parts: Parts, own: _Rows, result: ScoreBlock) -> None:
        memory = self._memory
        n_behind = np.where(parts.is_continued, memory.n_rows[parts.slots], 0)
        stack = Stack.of(parts, np.minimum(n_behind, memory.n_kept))
        usable = stack.joined(memory.usable, parts.slots, own.usable)
        is_blind = stack.joined(memory.is_blind, parts.slots, own.is_blind)
        time = stack.joined(memory.time, parts.slots, own.time)
        filled = self._filled(stack, parts, own, usable)
        seen = usable & ~is_blind[:, None] if is_blind.any() else usable
        errors = self._errors(stack, filled, seen, time)
        if self._absences is not None and not seen.all():
            errors = self._absences.quietened(errors, seen, stack.age, stack.at)
        history = self._history(parts, n_behind, errors)
        evidence = self.scheme.evidence(errors) if history is None else self.scheme.evidence(errors, history)

        score = write_status(result, own.rows, own.flaw, stack, time, is_blind, evidence.score, self)
        is_scored = np.isfinite(score)
        rows, blame, expected, surprise = own.rows, evidence.blame, errors.expected, evidence.surprise
        if not is_scored.all():
            rows, blame, expected = own.positions[is_scored], blame[is_scored], expected[is_scored]
            surprise = surprise[is_scored]
        write_top_sensors(
            result,
            rows,
            blame=blame,
            expected=expected,
            positions=self.scaler.used_positions,
            block=block,
            scaler=self.scaler,
        )
        result.row_surprise[rows] = surprise
        self._remember(parts, stack, n_behind, history, rows=filled, usable=usable, is_blind=is_blind, time=time)

    def _filled(self, stack: Stack, parts: Parts, own: _Rows, usable: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(S, C_used) rows without holes."""
        memory = self._memory
        if stack.is_single:
            previous = memory.rows[parts.slots[0], -1] if stack.before[0] else None
            return stack.joined(memory.rows, parts.slots, self.imputer.fill(own.scaled, own.usable, previous))
        rows = stack.joined(memory.rows, parts.slots, own.scaled)
        if own.usable.all():
            return rows
        present = np.ones(usable.shape, np.bool_)  # remembered rows have been filled
        present[stack.at] = own.usable
        return self.imputer.fill(rows, present, age=stack.age)

    def _errors(
        self, stack: Stack, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]
    ) -> SensorErrors:
        """Of the parts' own rows."""
        errors_at = getattr(self.model, "errors_at", None)
        if errors_at is not None:  # `StackedErrorModel`
            stacked: SensorErrors = errors_at(AskedRows(rows, usable, time, stack.at, stack.age[stack.at]))
            return stacked
        bounds = [*stack.start.tolist(), len(stack)]
        found = []
        for first, stop, n_before in zip(bounds[:-1], bounds[1:], stack.before.tolist(), strict=True):
            part = slice(first, stop)
            found.append(self.model.errors(rows[part], usable[part], time[part]).take(slice(n_before, None)))
        if len(found) == 1:
            return found[0]
        parts = [errors.parts() for errors in found]
        return replace(found[0], **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _history(self, parts: Parts, n_behind: NDArray[np.int64], errors: SensorErrors) -> StepHistory | None:
        """One-step errors with those of rows before; None where no score looks back."""
        memory = self._memory
        if memory.n_steps == 0:
            return None
        stack = Stack.of(parts, np.minimum(n_behind, memory.n_steps))
        if not stack.is_single:
            return StepHistory(stack.joined(memory.steps, parts.slots, errors.step), stack.age, stack.at)
        n_before = int(stack.before[0])
        step = np.empty((errors.step.shape[1], len(stack)))  # sensor by sensor, as errors come
        step[:, :n_before] = memory.steps[parts.slots[0], memory.n_steps - n_before :].T
        step[:, n_before:] = errors.step.T
        return StepHistory(step.T, None, stack.at)

    def _remember(
        self,
        parts: Parts,
        stack: Stack,
        n_behind: NDArray[np.int64],
        history: StepHistory | None,
        **values: NDArray[Any],
    ) -> None:
        """The last rows of the last part of each machine."""
        memory = self._memory
        is_last = np.diff(parts.slots, append=-1) != 0
        slots, length = parts.slots[is_last], parts.length[is_last]
        before = stack.before[is_last]
        ends = stack.start[is_last] + before + length
        for name, rows in values.items():
            memory.keep(name, slots, rows, ends, before + length)
        if history is not None:
            before = np.minimum(n_behind, memory.n_steps)
            ends = np.cumsum(before + parts.length)[is_last]
            memory.keep("steps", slots, history.step, ends, before[is_last] + length)
        memory.n_rows[slots] = np.minimum(n_behind[is_last] + length, max(memory.n_kept, memory.n_steps))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows on their way through the engine: places in the block, and what is known of them."""

    rows: NDArray[np.intp] | slice
    time: NDArray[np.int64]
    scaled: NDArray[np.float32]
    usable: NDArray[np.bool_]
    is_blind: NDArray[np.bool_]
    flaw: NDArray[np.uint8] | None

    def take(self, part: slice) -> _Rows:
        """Consecutive ones."""
        if part == slice(0, len(self.time)):
            return self
        rows = self.positions[part]
        flaw = None if self.flaw is None else self.flaw[part]
        return _Rows(rows, self.time[part], self.scaled[part], self.usable[part], self.is_blind[part], flaw)

    @property
    def positions(self) -> NDArray[np.intp]:
        """``rows`` as numbers."""
        return np.arange(len(self.time)) if isinstance(self.rows, slice) else self.rows


def context_rows(model: ErrorModel, scheme: Scheme, length: int) -> int:
    """Rows before a row that its score depends on: what errors look back, and what smoothing adds to that."""
    return max(model.context_rows + scheme.memory_rows - 1, length - 1)

"""The scoring engine: blocks of rows in, blocks of scores out, the same scores however the rows are cut.

The score of a row depends on that row and on a stated number of rows before it in the same segment of the same machine
(`ScoringEngine.context_rows`), and on nothing else: no state runs on for ever, so no bad row can poison it.
A segment ends at a gap in time, and where sensors were silent for more than `BLIND_ROWS` rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sensorad.data import GaussianImputer, SensorScaler, Timing
from sensorad.data.timing import SLOW_LIMIT, STRANGE_LIMIT
from sensorad.errors import TimeError
from sensorad.scoring.errors import ErrorModel
from sensorad.scoring.schemes import Scheme
from sensorad.scoring.top import write_top_sensors
from sensorad.types import REASONS, STATUSES, RowBlock, ScoreBlock

__all__ = ["ScoringEngine", "context_rows"]

BLIND_ROWS = 5
"""Rows without enough sensors that are bridged by filled values; after more of them a new segment starts."""

LEAST_SENSORS = 0.5
"""Share of the used sensors that must be present for a row to be scored."""


@dataclass(slots=True)
class _Machine:
    """What is remembered of one machine: the last rows of its running segment."""

    rows: NDArray[np.float32]
    usable: NDArray[np.bool_]
    is_blind: NDArray[np.bool_]
    time: NDArray[np.int64]
    cells: NDArray[np.float32] | None = None
    n_blind: int = 0


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
    _machines: dict[str, _Machine] = field(default_factory=dict)

    @property
    def context_rows(self) -> int:
        """Rows before a row that its score depends on."""
        return context_rows(self.model, self.scheme, self.length)

    def score(self, block: RowBlock) -> ScoreBlock:
        """Scores of the next rows, in the order in which they came; each machine's times must not fall."""
        result = ScoreBlock.empty_for(block)
        codes = np.unique(block.group)
        for code in codes:
            rows = np.arange(len(block)) if len(codes) == 1 else np.flatnonzero(block.group == code)
            name = block.group_names[code]
            kept = self._mark_duplicates(block, rows, name, result)
            if len(kept):
                self._score_machine(block, kept, name, result)
        return result

    def _mark_duplicates(
        self, block: RowBlock, rows: NDArray[np.intp], name: str, result: ScoreBlock
    ) -> NDArray[np.intp]:
        """Positions of the rows with a new time; the others get their status here."""
        machine = self._machines.get(name)
        time = block.time[rows]
        before_time = time[0] - 1 if machine is None else machine.time[-1]
        # Steps count from the newest row so far: a late row does not turn the clock back.
        step = time - np.maximum.accumulate(np.concatenate([[before_time], time[:-1]]))
        if (step < 0).any():
            result.status[rows[step < 0]] = STATUSES.index("late")
            result.reason[rows[step < 0]] = REASONS.index("out_of_order")
        is_equal = step == 0
        if is_equal.any():
            cells = np.where(block.flaw[rows] == 0, block.values[rows], np.nan)  # (t, C): a missing 0 is not a 0
            before_cells = cells[0] if machine is None or machine.cells is None else machine.cells
            newest = np.maximum.accumulate(np.where(step > 0, np.arange(len(rows)), -1))  # -1 = before this block
            first = np.where(newest[:, None] < 0, before_cells, cells[newest])  # (t, C)
            same = ((cells == first) | (np.isnan(cells) & np.isnan(first))).all(axis=1)
            conflicts = is_equal & ~same
            if conflicts.any() and self.on_conflict == "error":
                row = block.index[rows[conflicts][0]]
                raise TimeError(
                    f"{int(conflicts.sum())} rows share their time with the row before but hold other values",
                    where=f"first at row {row}",
                    hint="repair the log, or keep the first of each with --duplicates first",
                )
            self.counts["equal"] += int((is_equal & same).sum())
            self.counts["conflicts"] += int(conflicts.sum())
            result.status[rows[is_equal]] = STATUSES.index("duplicate")
            result.reason[rows[is_equal]] = REASONS.index("same_time")
        return rows[step > 0]

    def _score_machine(self, block: RowBlock, rows: NDArray[np.intp], name: str, result: ScoreBlock) -> None:
        used = self.scaler.used_positions
        time, values = block.time[rows], block.values[rows]
        usable = block.flaw[rows][:, used] == 0  # (t, C_used)
        is_blind = usable.mean(axis=1) < LEAST_SENSORS
        machine = self._machines.get(name)
        starts = self.timing.segment_starts(time, None if machine is None else int(machine.time[-1]))
        self.counts["gaps"] += int(starts.sum())
        run = _blind_rows_before(is_blind, starts, 0 if machine is None else machine.n_blind)
        restarts = ~is_blind & (run > BLIND_ROWS) & ~starts
        self.counts["restarts"] += int(restarts.sum())
        starts = starts | restarts
        scaled = self.scaler.transform(values)  # (t, C_used)

        borders = [0, *np.flatnonzero(starts[1:] if len(starts) else starts) + 1, len(rows)]
        for first, stop in pairwise(borders):
            if first == stop:
                continue
            before = None if starts[first] else machine
            part = slice(first, stop)
            machine = self._score_segment(
                block, rows[part], time[part], scaled[part], usable[part], is_blind[part], before, result
            )
        if machine is not None:
            machine.cells = np.where(block.flaw[rows[-1]] == 0, values[-1], np.nan)
            machine.n_blind = _blind_rows_at_end(is_blind, run)
            self._machines[name] = machine

    def _score_segment(
        self,
        block: RowBlock,
        rows: NDArray[np.intp],
        time: NDArray[np.int64],
        scaled: NDArray[np.float32],
        usable: NDArray[np.bool_],
        is_blind: NDArray[np.bool_],
        before: _Machine | None,
        result: ScoreBlock,
    ) -> _Machine:
        """Score rows of one segment after the ``before`` rows of the same segment, and return what to remember."""
        filled = self.imputer.fill(scaled, usable, None if before is None else before.rows[-1])
        if before is not None:
            filled = np.concatenate([before.rows, filled])  # (k + t, C_used)
            usable = np.concatenate([before.usable, usable])
            is_blind = np.concatenate([before.is_blind, is_blind])
            time = np.concatenate([before.time, time])
        errors = self.model.errors(filled, usable & ~is_blind[:, None], time)
        evidence = self.scheme.evidence(errors)
        new = slice(len(time) - len(rows), None)

        self._write_status(block, rows, time, usable, is_blind, evidence.score, new, result)
        scored = np.isfinite(result.score[rows])
        write_top_sensors(
            result,
            rows[scored],
            blame=evidence.blame[new][scored],
            expected=self.scaler.inverse(errors.expected[new][scored]),
            positions=self.scaler.used_positions,
            block=block,
        )
        result.row_surprise[rows[scored]] = evidence.surprise[new][scored]
        keep = slice(-self.context_rows, None)
        return _Machine(filled[keep], usable[keep], is_blind[keep], time[keep])

    def _write_status(
        self,
        block: RowBlock,
        rows: NDArray[np.intp],
        time: NDArray[np.int64],
        usable: NDArray[np.bool_],
        is_blind: NDArray[np.bool_],
        score: NDArray[np.float64],
        new: slice,
        result: ScoreBlock,
    ) -> None:
        """Score, status and reason of the new rows; later rules outrank earlier ones."""
        status = np.full(len(rows), STATUSES.index("scored"), np.uint8)
        reason = np.zeros(len(rows), np.uint8)

        def mark(where: NDArray[np.bool_], name: str, why: NDArray[np.uint8] | str) -> None:
            status[where] = STATUSES.index(name)
            reason[where] = REASONS.index(why) if isinstance(why, str) else why[where]

        flaw = block.flaw[rows][:, self.scaler.used_positions]
        worst = flaw.max(axis=1, initial=0)  # FLAWS are a prefix of REASONS
        rate = self.timing.rate_change(time, self.length)[new]
        is_lost = _recent_share(is_blind, self.length)[new] > 1.0 - LEAST_SENSORS
        mark(rate > SLOW_LIMIT, "degraded", "rate")
        mark(worst > 0, "degraded", worst)
        mark(np.isnan(score[new]), "warmup", "segment_start")
        mark(rate > STRANGE_LIMIT, "unscorable", "rate")
        mark(is_lost, "unscorable", "missing")
        mark(is_blind[new], "unscorable", worst)
        is_scored = (status == STATUSES.index("scored")) | (status == STATUSES.index("degraded"))
        result.status[rows], result.reason[rows] = status, reason
        result.score[rows] = np.where(is_scored, score[new], np.nan)


def context_rows(model: ErrorModel, scheme: Scheme, length: int) -> int:
    """Rows before a row that its score depends on: what errors look back, and what smoothing adds to that."""
    return max(model.context_rows + scheme.memory_rows - 1, length - 1)


def _blind_rows_before(is_blind: NDArray[np.bool_], starts: NDArray[np.bool_], carried: int) -> NDArray[np.int64]:
    """(T,) consecutive blind rows of the segment directly before each row; ``carried`` of them precede the first."""
    row = np.arange(len(is_blind))
    last_seeing = np.maximum.accumulate(np.where(is_blind, -1, row))
    shifted = np.concatenate([[-1], last_seeing[:-1]])
    before: NDArray[np.int64] = row - 1 - shifted + np.where(shifted < 0, carried, 0)
    newest_start = np.maximum.accumulate(np.where(starts, row, -1))
    return np.where(newest_start < 0, before, np.minimum(before, row - newest_start))


def _blind_rows_at_end(is_blind: NDArray[np.bool_], run: NDArray[np.int64]) -> int:
    return int(run[-1]) + 1 if is_blind[-1] else 0


def _recent_share(is_blind: NDArray[np.bool_], length: int) -> NDArray[np.float64]:
    """(T,) share of blind rows among the last ``length`` rows."""
    total = np.cumsum(np.concatenate([np.zeros(length), is_blind]))
    share: NDArray[np.float64] = (total[length:] - total[:-length]) / length
    return share

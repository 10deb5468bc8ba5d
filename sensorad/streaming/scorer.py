"""The row scorer: what `ScoringEngine` says of a log, said of one row at a time, in microseconds.

Everything that a row needs is remembered (windows in `Ring`, sums of squared steps) and every product writes into
memory that is used again. Rules and their order are those of the engine; a score is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.data.scaling import KNEE
from sensorad.data.timing import SLOW_LIMIT, STRANGE_LIMIT
from sensorad.errors import ArtefactError, TimeError
from sensorad.scoring import ScoringEngine
from sensorad.scoring.engine import BLIND_ROWS, LEAST_SENSORS
from sensorad.streaming.judges import judge_of
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import SLACK, Ring
from sensorad.streaming.row_holes import RowFill
from sensorad.streaming.row_linear import NARROW
from sensorad.streaming.row_score import RowScore, Teller
from sensorad.streaming.tick_block import TickBlock
from sensorad.streaming.tick_tops import TickTops
from sensorad.streaming.ticks import is_plain, tick_status, write_rows
from sensorad.types import FLAWS, REASONS, STATUSES, RowBlock, ScoreBlock

__all__ = ["RowScorer"]

SCORED, WARMUP, DEGRADED, UNSCORABLE, DUPLICATE, LATE = map(
    STATUSES.index, ("scored", "warmup", "degraded", "unscorable", "duplicate", "late")
)
PLAIN, MISSING, SEGMENT_START, SAME_TIME, RATE, OUT_OF_ORDER = map(
    REASONS.index, ("", "missing", "segment_start", "same_time", "rate", "out_of_order")
)
INFINITE = FLAWS.index("infinite")

LEAST_TICK = 4
"""Rows from which on it pays to score them together."""

subtract, divide = np.subtract, np.divide  # to look them up again and again takes a tenth of their time

FEW_STEPS = 5
"""Steps that tell something about a rate, as in `Timing.rate_change`."""


class RowScorer:
    """Scores rows as they come, of any number of machines; NumPy is all it needs.

    Parameters
    ----------
    engine
        Scaler, imputer, timing, model, scheme and length are read from it; it scores nothing itself.

    Attributes
    ----------
    group_names : list of str
        Machines by number.
    counts : dict of str to int
        As those of the engine.

    Examples
    --------
    >>> import pandas as pd
    >>> from sensorad import Detector
    >>> rng = np.random.default_rng(0)
    >>> time = pd.date_range("2024-05-01", periods=600, freq="min", tz="UTC")
    >>> values = rng.normal(size=(600, 3)).astype(np.float32)
    >>> detector = Detector().fit(pd.DataFrame(values, columns=["a", "b", "c"]).assign(time=time), time="time")
    >>> scorer = RowScorer(detector.engine())
    >>> machine = scorer.slot("press 1")
    >>> rows = [scorer.one(machine, int(t.value), v) for t, v in zip(time, values)]
    >>> STATUSES[rows[0].status], STATUSES[rows[-1].status]
    ('warmup', 'scored')
    """

    def __init__(self, engine: ScoringEngine) -> None:
        scaler, length = engine.scaler, engine.length
        used = scaler.used_positions
        self._used = None if len(used) == len(scaler.is_used) else used
        self._positions = used
        self._centre, self._scale = scaler.centre[used], scaler.scale[used]
        self._on_conflict = engine.on_conflict
        self.counts: dict[str, int] = dict.fromkeys(engine.counts, 0)

        self._judge = judge = judge_of(engine)
        rows = Ring(judge.depth, len(used), np.float64)
        self._machines = Machines(len(scaler.is_used), rows, max(length, judge.n_times), judge.rings)
        judge.attach(self._machines)
        self.group_names = self._machines.names
        self._teller = Teller(scaler, judge)
        self._fill = RowFill(engine.imputer)
        self._rows, self._times, self._present = rows, self._machines.times, self._machines.present
        self._length, self._warm = length, max(length, judge.warm)
        self._timing, self._scaler = engine.timing, scaler
        self._gap_ns = engine.timing.gap_seconds * 1e9
        self._step_seconds = engine.timing.mean_step_seconds
        self._least_back = min(length - 1, FEW_STEPS)

        self._values = judge.tail[2 * len(used) :]  # as measured; NaN where missing
        self._deviations = np.empty(len(used))
        self._narrow = np.empty(len(used), np.float32)
        # No deviation lies beyond the knee where the sum of their squares is small: one product instead of two passes.
        self._is_wide = len(used) > NARROW
        self._most_square = KNEE**4 if self._is_wide else KNEE**2
        self._squares = np.empty(len(used))
        self._n_window = length * len(used)

    def slot(self, name: str) -> int:
        """Number of a machine; a new one is added."""
        return self._machines.slot(name)

    def one(self, slot: int, time: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None = None) -> RowScore:
        """Score of the next row of a machine.

        Parameters
        ----------
        slot
            Number of the machine.
        time
            Nanoseconds since 1970 in UTC.
        values : (C,) float32
            In the order and the units of the schema.
        flaw : (C,) or None
            Positions in `FLAWS`; None if every cell is a number (a NaN among them counts as missing all the same).

        Raises
        ------
        TimeError
            The row contradicts the one before of the same time, and the engine was to raise on that.
        """
        machines = self._machines
        newest = machines.newest[slot]
        if time <= newest:
            return self._repeated(slot, time, newest, values, flaw)
        n = machines.n_rows[slot]
        if n and time - newest > self._gap_ns:
            self.counts["gaps"] += 1
            machines.start(slot)
            n = 0

        measured = self._values
        measured[:] = values
        z = self._deviations
        subtract(measured if self._used is None else measured[self._used], self._centre, z)
        divide(z, self._scale, z)
        if self._is_wide:
            squares = np.multiply(z, z, self._squares)
            power = squares.dot(squares)
        else:
            power = z.dot(z)
        worst, present, is_blind = PLAIN, None, False
        if flaw is None and power <= self._most_square:
            self._narrow[:] = z
        else:
            worst, present, is_blind = self._look_closer(flaw, power)

        n_blind = machines.n_blind[slot]
        if n_blind > BLIND_ROWS and not is_blind and n:
            self.counts["restarts"] += 1
            machines.start(slot)
            n = 0
        place = machines.place[slot] + 1
        if place == SLACK:
            machines.move_back(slot)
            place = 0
        n += 1
        if present is not None:
            self._note_holes(slot, place, n, present, is_blind)
        elif n_blind:
            machines.n_blind[slot] = 0
        rows, times = self._rows, self._times
        rows.array[slot, rows.newest + place] = self._narrow
        now = slot * times.stride + times.newest + place
        times.flat[now] = time
        machines.cells[slot] = measured
        machines.newest[slot], machines.n_rows[slot], machines.place[slot] = time, n, place

        length = self._length
        hole = machines.hole[slot]
        window = None
        if hole and n - hole < length:
            window = self._present.windows[slot, place][-self._n_window :].reshape(length, -1)
        score = self._judge.score(slot, place, n, window, present)

        if is_blind:
            return RowScore(UNSCORABLE, worst)
        if window is not None and machines.blind[slot] > n - length and _blind_share(window) > 1.0 - LEAST_SENSORS:
            return RowScore(UNSCORABLE, MISSING)
        back = (n if n < length else length) - 1
        status, reason = SCORED, PLAIN
        if back >= self._least_back:
            ratio = (time - times.flat[now - back]) / 1e9 / back / self._step_seconds
            if ratio > SLOW_LIMIT or ratio * SLOW_LIMIT < 1.0000001:
                change = max(ratio, 1.0 / max(ratio, 1e-12))
                if change > STRANGE_LIMIT:
                    return RowScore(UNSCORABLE, RATE)
                if change > SLOW_LIMIT:
                    status, reason = DEGRADED, RATE
        if isnan(score):
            return RowScore(WARMUP, SEGMENT_START)
        if worst:
            status, reason = DEGRADED, worst
        return RowScore(status, reason, score, self._teller, self._judge.reasons(slot, place))

    def _look_closer(self, flaw: NDArray[np.uint8] | None, power: float) -> tuple[int, NDArray[np.bool_] | None, bool]:
        """Worst flaw, present cells (None = all), and whether too few are; writes the deviations of those present."""
        measured, z = self._values, self._deviations
        if flaw is None or not power < inf or self._used is not None:
            flaw = _flaws(measured, flaw)
        worst = max(flaw.tolist())
        present, n_present = None, len(z)
        if worst:
            is_whole = flaw == 0
            measured[~is_whole] = np.nan
            if self._used is not None:
                is_whole = is_whole[self._used]
                worst = int(flaw[self._used].max())
            if worst:
                present = is_whole
                n_present = int(np.count_nonzero(present))
                z[~present] = 0.0
        for place, deviation in enumerate(z.tolist()):
            if deviation > KNEE:
                z[place] = KNEE + KNEE * log1p((deviation - KNEE) / KNEE)
            elif deviation < -KNEE:
                z[place] = -KNEE - KNEE * log1p((-deviation - KNEE) / KNEE)
        self._narrow[:] = z
        return worst, present, n_present / len(z) < LEAST_SENSORS

    def _note_holes(self, slot: int, place: int, n: int, present: NDArray[np.bool_], is_blind: bool) -> None:
        """Fill the missing cells, and write down which they are; of a blind row no cell counts."""
        machines = self._machines
        before = self._rows.array[slot, self._rows.newest + place - 1] if n > 1 else np.zeros(len(present))
        self._fill.fill(self._narrow, present, before)
        machines.hole[slot] = n
        if is_blind:
            present[:] = False
            machines.blind[slot] = n
            machines.n_blind[slot] += 1
        else:
            machines.n_blind[slot] = 0
        self._present.array[slot, self._present.newest + place] = present

    def _repeated(
        self, slot: int, time: int, newest: int, values: NDArray[np.float32], flaw: NDArray[np.uint8] | None
    ) -> RowScore:
        """A row that is not newer than the newest."""
        if time < newest:
            return RowScore(LATE, OUT_OF_ORDER)
        cells = np.where(_flaws(values, flaw) == 0, values, np.nan).astype(np.float32)
        if np.array_equal(cells, self._machines.cells[slot], equal_nan=True):
            self.counts["equal"] += 1
        elif self._on_conflict == "error":
            raise TimeError(
                "a row shares its time with the row before but holds other values",
                where=f"{np.datetime64(time, 'ns')} UTC, machine {self.group_names[slot]!r}",
                hint="repair the source, or keep the first of such rows",
            )
        else:
            self.counts["conflicts"] += 1
        return RowScore(DUPLICATE, SAME_TIME)

    def many(
        self,
        slots: NDArray[np.integer],
        time: NDArray[np.int64],
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None = None,
    ) -> ScoreBlock:
        """Scores of the next rows of many machines, in the order given.

        Parameters
        ----------
        slots, time : (N,)
        values : (N, C) float32
        flaw : (N, C) or None
            As in `one`.
        """
        n_rows = len(slots)
        block = RowBlock(
            index=np.arange(n_rows),
            time=time,
            values=values,
            flaw=np.zeros(values.shape, np.uint8) if flaw is None else flaw,
            group=slots.astype(np.int32),
            group_names=self.group_names,
        )
        result = ScoreBlock.empty_for(block)
        tops = TickTops(self._scaler, block)
        others: Sequence[int] = range(n_rows)
        if n_rows >= LEAST_TICK:
            plain, others = self._plain_rows(slots, time, values, flaw)
            if len(plain):
                some = slots[plain] if len(others) else slots
                self._score_plain(some, block, plain, result, tops)
        for row in others:
            cells = None if flaw is None or not flaw[row].any() else flaw[row]
            scored = self.one(int(slots[row]), int(time[row]), values[row], cells)
            result.status[row], result.reason[row], result.score[row] = scored.status, scored.reason, scored.score
            result.row_surprise[row] = scored.surprise
            tops.others[row] = scored
        return TickBlock(result, tops.fill)

    def _plain_rows(
        self,
        slots: NDArray[np.integer],
        time: NDArray[np.int64],
        values: NDArray[np.float32],
        flaw: NDArray[np.uint8] | None,
    ) -> tuple[NDArray[np.intp], Sequence[int]]:
        """The rows that may be scored together, and the others."""
        order = np.arange(len(slots))
        met = np.empty(len(self.group_names), np.int64)
        met[slots] = order
        if not np.array_equal(met[slots], order):  # a machine comes twice
            return order[:0], order.tolist()
        plain = is_plain(self._machines, slots, time, self._gap_ns, self._length, self._warm)
        if not np.isfinite(values.sum(dtype=np.float64)):
            plain &= np.isfinite(values[:, self._positions]).all(axis=1)
        if flaw is not None and flaw.any():
            plain &= (flaw[:, self._positions] == 0).all(axis=1)
        return np.flatnonzero(plain), np.flatnonzero(~plain).tolist()

    def _score_plain(
        self,
        slots: NDArray[np.integer],
        block: RowBlock,
        plain: NDArray[np.intp],
        result: ScoreBlock,
        tops: TickTops,
    ) -> None:
        """Score the rows ``plain`` of a tick together."""
        at = slice(None) if len(plain) == len(block) else plain
        machines, time, values, flaw = self._machines, block.time[at], block.values[at], block.flaw[at]
        deviations = (values if self._used is None else values[:, self._used]) - self._centre
        deviations /= self._scale
        tick = write_rows(machines, slots, time, deviations)
        machines.cells[tick.slots] = np.where(flaw == 0, values, np.nan) if flaw.any() else values
        status, reason = tick_status(machines, tick, time, self._timing, self._length - 1, self._least_back)
        tops.found = found = self._judge.score_tick(tick)
        is_unknown = np.isnan(found.score)
        if is_unknown.any():  # a network can have too little past where a window is whole
            is_unknown &= status != UNSCORABLE
            status[is_unknown], reason[is_unknown] = WARMUP, SEGMENT_START
        result.status[at], result.reason[at] = status, reason
        is_scored = (status == SCORED) | (status == DEGRADED)
        result.score[at] = np.where(is_scored, found.score, np.nan)
        result.row_surprise[at] = np.where(is_scored, found.surprise, np.nan)
        tops.place[plain[is_scored]] = np.flatnonzero(is_scored)

    def state(self) -> dict[str, Any]:
        """Copies of everything that is remembered; later rows do not change them."""
        return {"counts": dict(self.counts), "machines": self._machines.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a scorer of the same detector, as if nothing had happened in between.

        Raises
        ------
        ArtefactError
            The state is of another detector.
        """
        counts, machines = state.get("counts"), state.get("machines")
        if not isinstance(counts, dict) or not isinstance(machines, dict) or set(counts) != set(self.counts):
            raise ArtefactError("the state of the scorer does not fit: it has no counts or no machines")
        self._machines.restore(machines)
        self.counts.update({name: int(count) for name, count in counts.items()})


def _blind_share(window: NDArray[np.float64]) -> float:
    """Share of the rows (L, C) of which no cell counts."""
    return float((~window.any(axis=1)).sum()) / len(window)


def _flaws(values: NDArray[np.floating], flaw: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(C,) ``flaw``, and what is no number counts as missing or infinite in any case."""
    found = np.where(np.isnan(values), MISSING, np.where(np.isinf(values), INFINITE, PLAIN)).astype(np.uint8)
    return found if flaw is None else np.where(flaw != 0, flaw, found)

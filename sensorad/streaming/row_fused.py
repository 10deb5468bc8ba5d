"""The default score of one row: the numbers of `FusedScheme` from errors that are remembered, not worked out again."""

from __future__ import annotations

from math import log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.smoothing import memory_rows
from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.absences import Absences
from sensorad.scoring.contributions import Contributions
from sensorad.scoring.fused import (
    FAST_SPAN,
    NOTABLE_SCORE,
    SLOW_SPAN,
    SLOW_WEIGHT,
    STEP_BLAME,
    WEIGHTS,
    FusedScheme,
)
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.row_blame import RowContributions, divided, share
from sensorad.streaming.row_linear import LinearRow
from sensorad.streaming.row_network import GridRow, WholeRow
from sensorad.streaming.row_tails import RowWindow, largest, row_tail
from sensorad.streaming.ticks import TickRows, TickScores

__all__ = ["FusedRows", "smoothing_weights"]


def smoothing_weights(span: int) -> NDArray[np.float64]:
    """Weights of `smooth`, oldest row first."""
    decay = 1.0 - 2.0 / (span + 1.0)
    weights: NDArray[np.float64] = decay ** np.arange(memory_rows(span) - 1, -1, -1.0)
    return weights


LinearReader = LinearRow | GridRow | WholeRow


class FusedRows:
    """Scores of single rows under the fused scheme, by a linear model or by a network on top of one.

    Parameters
    ----------
    linear
        Predicts steps; they must come divided by the square roots of their usual sizes.
    reader
        Reads windows: ``linear`` itself, or a network on top of it.
    autoregression
        Of ``linear``.
    absences
        What sensors that are away do to steps.

    Steps are kept divided by the square roots of their usual sizes: their squares then sum to what is smoothed.
    """

    def __init__(
        self,
        linear: LinearRow,
        reader: LinearReader,
        autoregression: RidgeAutoregression,
        scheme: FusedScheme,
        absences: Absences | None,
    ) -> None:
        n_sensors = len(scheme.step_size)
        self._absences = absences
        self._scale, self._inverse_size = np.sqrt(scheme.step_size), 1.0 / scheme.step_size
        self.linear, self._reader = linear, reader
        self.tail, self.depth, self.n_times = linear.tail, linear.depth, reader.n_times
        self._length, self._lags = linear.length, linear.lags
        self.warm = max(self._length, self._lags + 1)
        contributions = Contributions.of(autoregression, scheme.step_size, scheme.memory_rows)
        self._explain = RowContributions(contributions)
        fast, slow = smoothing_weights(FAST_SPAN), smoothing_weights(SLOW_SPAN)
        self._fast = fast
        self._n_steps = max(self._explain.n_rows, len(fast))
        self._steps = Ring(self._n_steps, n_sensors, np.float64)
        self._totals = Ring(len(slow), 1, np.float64)
        self.rings: dict[str, Ring | Table] = {"steps": self._steps, "totals": self._totals, **reader.rings}
        self._spans = np.stack([np.concatenate([np.zeros(len(slow) - len(fast)), fast]), slow])  # (2, memory)
        self._smooth = self._spans.dot
        self._smoothed = np.empty(2)
        # [k]: sum of the weights of the k newest rows, so many of which are known
        self._fast_sums = [nan, *np.cumsum(fast[::-1]).tolist()]
        self._slow_sums = [nan, *np.cumsum(slow[::-1]).tolist()]
        self._fast_sums_of, self._slow_sums_of = np.array(self._fast_sums), np.array(self._slow_sums)
        self._scheme = scheme
        self._window = RowWindow(scheme.window)
        self._second = None if scheme.linear is None else RowWindow(scheme.linear)
        self._step_tail, self._row_tail = row_tail(scheme.tails["step"]), row_tail(scheme.tails["row"])
        self._noise = float((scheme.window.noise**2 / scheme.step_size).sum())
        weights = [WEIGHTS[name] for name in ("total", "few", "step")]
        self._w_total, self._w_few, self._w_step = (weight / sum(weights) for weight in weights)
        self._n_fast, self._n_slow = len(fast), len(slow)

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._rows = machines.rows
        self._reader.attach(machines)

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row, the ``n``-th of its segment; NaN where it has too little past.

        Parameters
        ----------
        present : (L, C) or None
            1 in the cells of the window that were measured; None if all were.
        newest : (C,) or None
            True in those of the newest row.
        """
        linear, reader, totals = self.linear, self._reader, self._totals
        cells = self._rows.windows[slot, place]
        linear.project(cells)
        step = self._steps.array[slot, self._steps.newest + place]
        n_known = n - self._lags
        if n_known > 0:
            np.subtract(linear.steps, linear.intercept, step)
            if newest is not None:
                step[~newest] = 0.0
            if present is not None and self._absences is not None:
                factors = self._absences.newest_factors(present, n)
                if factors is not None:
                    step *= factors
            self.total = total = float(step.dot(step)) + self._noise
        else:
            step[:] = total = 0.0
        totals.flat[slot * totals.stride + totals.newest + place] = total
        if not reader.read(cells, slot, place, n, present, newest) or n_known <= 0:
            return nan
        by_total, by_few = self._window.read(reader.window)
        if self._second is not None:
            other_total, other_few = self._second.read(reader.linear_window)
            by_total, by_few = largest(by_total, other_total), largest(by_few, other_few)
        self._smooth(totals.windows[slot, place], self._smoothed)
        fast, slow = self._smoothed.tolist()
        n_fast = n_known if n_known < self._n_fast else self._n_fast
        n_slow = n_known if n_known < self._n_slow else self._n_slow
        evidence = self._step_tail
        score = (
            self._w_total * by_total
            + self._w_few * by_few
            + self._w_step * evidence(log(fast / self._fast_sums[n_fast]))
        )
        slow = SLOW_WEIGHT * evidence(log(slow / self._slow_sums[n_slow]))
        return slow if slow > score else score  # NaN stays

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, whose windows are whole and have no missing cell."""
        read, n_rows, second = self._reader.tick(tick), tick.n_rows, self._scheme.linear
        steps, window = read.steps, read.window
        steps -= self.linear.intercept
        total = np.einsum("nc,nc->n", steps, steps) + self._noise
        tick.write(self._steps, steps)
        tick.write(self._totals, total[:, None])
        smoothed = tick.windows(self._totals) @ self._spans.T  # (n, 2)
        n_known = n_rows - self._lags
        fast = smoothed[:, 0] / self._fast_sums_of[np.minimum(n_known, self._n_fast)]
        slow = smoothed[:, 1] / self._slow_sums_of[np.minimum(n_known, self._n_slow)]
        found_tails = self._scheme.window.evidence(window)
        if second is not None:
            others = second.evidence(read.linear)
            found_tails = {name: np.maximum(own, others[name]) for name, own in found_tails.items()}
        tail = self._scheme.tails["step"]
        score = (
            self._w_total * found_tails["total"]
            + self._w_few * found_tails["few"]
            + self._w_step * tail.evidence(np.log(fast))
        )
        score = np.fmax(score, SLOW_WEIGHT * tail.evidence(np.log(slow)))
        surprise = self._scheme.tails["row"].evidence(np.log(total))
        recent = tick.windows(self._steps).copy()

        def blame(rows: NDArray[np.intp]) -> NDArray[np.float64]:
            return self._blame(window[rows], recent[rows], score[rows])

        return TickScores(score, surprise, read.expected, blame)

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow."""
        return self.tail.copy(), self._steps.windows[slot, place].copy(), self.total

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the row's own one-step error."""
        return self._row_tail(log(reasons[2]))

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares."""
        n_sensors = self.linear.n_sensors
        steps = reasons[1].reshape(-1, n_sensors)
        recent = steps[-self._n_fast :]
        by_step = self._fast.dot(recent * recent)
        by_step *= self._inverse_size  # steps are divided by the roots of their sizes already
        own = share(self._window.amount(reasons[0][n_sensors : 2 * n_sensors]))
        own += STEP_BLAME * share(by_step)
        own /= 1.0 + STEP_BLAME
        if score < NOTABLE_SCORE:
            return own
        return self._explain.blame(steps[-self._explain.n_rows :] / self._scale, own)

    def _blame(
        self, window: NDArray[np.float64], recent: NDArray[np.float64], score: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(N, C) shares from window errors (N, C), the last steps (N, R C) and scores (N,)."""
        relative = recent.reshape(len(window), -1, self.linear.n_sensors) / self._scale  # (N, R, C)
        blame = self._own_blame(window, relative)
        notable = np.flatnonzero(score >= NOTABLE_SCORE)
        if len(notable):
            errors = relative[:, -self._explain.n_rows :]
            for row in notable.tolist():
                blame[row] = self._explain.blame(errors[row], blame[row])
        return blame

    def _own_blame(self, window: NDArray[np.float64], relative: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, C) shares by each sensor's own errors: window errors (N, C) and relative steps (N, R, C)."""
        recent = relative[:, -self._n_fast :]
        by_step = np.einsum("nrc,nrc,r->nc", recent, recent, self._fast)
        return divided(divided(self._window.amount(window)) + STEP_BLAME * divided(by_step))

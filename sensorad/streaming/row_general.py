"""Rows under any model and any scheme, by their own whole-array formulas on the last rows."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models import ErrorModel, SensorErrors
from sensorad.error_models.errors import AskedRows, PredictionErrors
from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring import Scheme
from sensorad.scoring.absences import Absences
from sensorad.streaming.machines import Machines
from sensorad.streaming.rings import Ring, Table
from sensorad.streaming.ticks import TickRows, TickScores

__all__ = ["GeneralRows"]

PARTS = ("window", "newest", "expected", "step", "linear")


class GeneralRows:
    """Scores of single rows by whatever model and scheme there are: as many rows as they look back, again and again."""

    def __init__(
        self, model: ErrorModel, scheme: Scheme, n_used: int, n_cells: int, absences: Absences | None = None
    ) -> None:
        self._absences = absences
        self._model, self._scheme, self._n_sensors = model, scheme, n_used
        self.depth = self.n_times = model.context_rows + 1
        self.warm = 1
        self.tail = np.zeros(2 * n_used + n_cells)
        n_members, self._n_channels = (len(getattr(scheme, name, ())) for name in ("members", "channels"))
        self._has_cross = getattr(scheme, "cross", None) is not None
        self._members = slice(len(PARTS), len(PARTS) + n_members)
        self._n_blocks = self._members.stop + self._has_cross
        self._errors = Ring(scheme.memory_rows, self._n_blocks * n_used + self._n_channels, np.float64, fill=np.nan)
        self.rings: dict[str, Ring | Table] = {"errors": self._errors}
        self._found: tuple[NDArray[np.float64], float] = (np.zeros(n_used), nan)

    def attach(self, machines: Machines) -> None:
        """Where the rows are."""
        self._machines = machines

    def score(
        self,
        slot: int,
        place: int,
        n: int,
        present: NDArray[np.float64] | None,
        newest: NDArray[np.bool_] | None,
    ) -> float:
        """Score of the newest row; NaN where it has too little past."""
        machines = self._machines
        n_rows = min(n, self.depth)
        rows = machines.rows.windows[slot, place].reshape(-1, self._n_sensors)[-n_rows:].astype(np.float32)
        usable = machines.present.windows[slot, place].reshape(-1, self._n_sensors)[-n_rows:] > 0.0
        time = machines.times.windows[slot, place][-n_rows:]
        errors = self._newest(rows, usable, time)
        if self._absences is not None and not usable.all():
            age = np.arange(len(rows))
            errors = self._absences.quietened(errors, usable, age, age[len(rows) - len(errors) :])
        parts = [getattr(errors, name)[-1] for name in PARTS]
        if self._members.stop > len(PARTS) and errors.members is not None:
            parts.append(errors.members[-1].ravel())
        if self._has_cross and errors.cross is not None:
            parts.append(errors.cross[-1])
        if self._n_channels and errors.channels is not None:
            parts.append(errors.channels[-1])
        self._errors.row(slot, place)[:] = np.concatenate(parts)
        n_used = self._n_sensors
        self.tail[:n_used], self.tail[n_used : 2 * n_used] = parts[2], parts[0]
        found = self._scheme.evidence(self._remembered(slot, place, n, errors))
        self._found = found.blame[-1], float(found.surprise[-1])
        return float(found.score[-1])

    def score_tick(self, tick: TickRows) -> TickScores:
        """Scores of the newest rows of several machines, one after another."""
        slots, n_rows = tick.slots, tick.n_rows.tolist()
        if isinstance(slots, slice):
            slots = np.arange(slots.start, slots.stop)
        places = np.broadcast_to(tick.places, len(n_rows)).tolist()
        score, surprise = np.empty(len(n_rows)), np.empty(len(n_rows))
        blame, expected = (np.empty((len(n_rows), self._n_sensors)) for _ in range(2))
        for row, (slot, place, n) in enumerate(zip(slots.tolist(), places, n_rows, strict=True)):
            score[row] = self.score(slot, place, n, None, None)
            blame[row], surprise[row] = self._found
            expected[row] = self.tail[: self._n_sensors]
        return TickScores(score, surprise, expected, lambda rows: blame[rows])

    def _newest(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        """Errors of the last row, and of rows before it where the model cannot leave them out."""
        errors_at = getattr(self._model, "errors_at", None)
        if errors_at is None:
            return self._model.errors(rows, usable, time)
        last = np.array([len(rows) - 1])
        newest: SensorErrors = errors_at(AskedRows(rows, usable, time, last, last))
        return newest

    def _remembered(self, slot: int, place: int, n: int, newest: SensorErrors) -> SensorErrors:
        """Errors of the last rows of the segment, as many as the scheme looks at."""
        if self._errors.n_rows == 1:
            return newest.take(slice(-1, None))
        remembered = self._errors.windows[slot, place].reshape(self._errors.n_rows, -1)[-n:]
        n_cells = self._n_blocks * self._n_sensors
        stack = remembered[:, :n_cells].reshape(len(remembered), -1, self._n_sensors)
        parts = {name: np.ascontiguousarray(stack[:, at]) for at, name in enumerate(PARTS)}
        if self._members.stop > len(PARTS):
            parts["members"] = stack[:, self._members]
        if self._has_cross:
            parts["cross"] = stack[:, -1]
        if self._n_channels:
            parts["channels"] = remembered[:, n_cells:]
        autoregression: RidgeAutoregression | None = getattr(newest, "autoregression", None)
        if autoregression is None:
            return SensorErrors(**parts)
        return PredictionErrors(**parts, autoregression=autoregression)

    def reasons(self, slot: int, place: int) -> tuple[Any, ...]:
        """Copies of all from which surprise and blame of the row just scored follow."""
        return self.tail.copy(), *self._found

    def surprise(self, reasons: tuple[Any, ...]) -> float:
        """-log10 of the tail probability of the row's own error."""
        surprise: float = reasons[2]
        return surprise

    def blame(self, reasons: tuple[Any, ...], score: float) -> NDArray[np.float64]:
        """(C,) shares."""
        shares: NDArray[np.float64] = reasons[1]
        return shares

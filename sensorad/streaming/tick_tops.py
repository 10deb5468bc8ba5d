"""Who is to blame in the rows of a tick, for those rows that somebody asks about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler
from sensorad.scoring.top import write_top_sensors
from sensorad.streaming.row_score import RowScore
from sensorad.streaming.ticks import TickScores
from sensorad.types import RowBlock, ScoreBlock

__all__ = ["TickTops"]


class TickTops:
    """Copies of all from which the blame of the rows of a tick follows.

    Attributes
    ----------
    found : TickScores or None
        Of the rows that were scored together.
    place : (N,)
        Where in ``found`` a row is; -1 = it is not.
    others : dict of int to RowScore
        The rows that were scored one by one.
    """

    def __init__(self, scaler: SensorScaler, rows: RowBlock) -> None:
        self._scaler = scaler
        self._rows = RowBlock(
            index=rows.index, time=rows.time, values=rows.values.copy(), flaw=rows.flaw.copy(), group=rows.group
        )
        self.found: TickScores | None = None
        self.place = np.full(len(rows), -1)
        self.others: dict[int, RowScore] = {}

    def fill(self, result: ScoreBlock, rows: NDArray[np.intp]) -> None:
        """Write the ``top_*`` columns of ``rows`` (n,)."""
        for row in rows.tolist() if self.others else ():
            if row in self.others:
                self.others[row].write_top(result, row)
        rows = rows[self.place[rows] >= 0]
        if self.found is None or not len(rows):
            return
        at = self.place[rows]
        write_top_sensors(
            result,
            rows,
            blame=self.found.blame(at),
            expected=self._scaler.inverse(self.found.expected[at].astype(np.float32)),
            positions=self._scaler.used_positions,
            block=self._rows,
        )

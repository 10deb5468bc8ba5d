"""An event in the making: peak, blame and kind, gathered piece by piece in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError
from sensorad.events.identity import event_id
from sensorad.events.kinds import event_kind
from sensorad.events.rule import EventRule
from sensorad.events.tracker import Piece
from sensorad.types import TOP_SENSORS, Event, ScoreBlock

__all__ = ["ONSET_SHARE", "EventDraft", "ReturnDays"]

ONSET_SHARE = 0.2
"""Share of a row's blame from which a sensor takes part in the event: an equal share of the five that a row names.

Smaller ones date bystanders to the event's first row, larger ones forget the second sensor of a fault: of 559 simulated
biases that spread to a second sensor after 5 or 30 rows (4 to 25 sensors), 0.2 gave the right order in 82 %, 0.1 in
65 %, 0.3 in 78 %.
"""

ReturnDays = Callable[[float], float | None]
"""Score on the scale of the alarm line -> machine-days of normal operation between two such scores, None = unknown."""

_NEVER = np.iinfo(np.int64).max


class EventDraft:
    """Sums up the rows of one event; adding them in one piece or in many gives the same bits.

    Every running sum goes row by row (``np.add.at``), because pairwise summation would round differently for
    different block boundaries.
    """

    def __init__(self, n_sensors: int) -> None:
        self.n_above = 0
        self._is_empty = True
        self._first = self._last = (0, 0, 0)  # time, position, number
        self._peak_level = self._peak_score = -np.inf
        self._peak_time = 0
        self._surprising: tuple[int, int] | None = None
        self._blame = np.zeros(n_sensors)
        self._weight = np.zeros(1)
        self._best = np.full(n_sensors, -np.inf)
        self._expected = np.full(n_sensors, np.nan, np.float32)
        self._actual = np.full(n_sensors, np.nan, np.float32)
        self._listed = np.full(n_sensors, _NEVER, np.int64)  # time of the first row that lists the sensor at all
        self._onset = np.full(n_sensors, _NEVER, np.int64)  # ... with a share that counts

    def add(self, block: ScoreBlock, rows: NDArray[np.int64], piece: Piece, level: NDArray[np.float64]) -> None:
        """Take in the ``rows`` (n,) of ``block`` that ``piece`` names.

        ``level`` (n,) are their scores on the scale of the alarm line: what the highest row, and the weight of each
        row in the blame, are judged by. In a log without lines of modes they are the scores.
        """
        if len(rows) == 0:
            return
        time = block.time[rows]
        self.n_above = piece.n_above
        if self._is_empty:
            self._is_empty = False
            self._first = int(time[0]), int(piece.position[0]), int(piece.number[0])
        self._last = int(time[-1]), int(piece.position[-1]), int(piece.number[-1])
        top = int(np.argmax(level))  # the first of equals
        if level[top] > self._peak_level:
            self._peak_level, self._peak_time = float(level[top]), int(time[top])
            self._peak_score = float(block.score[rows[top]])
        self._add_blame(block, rows, level, time)

    def note_surprise(self, surprise: NDArray[np.float32], piece: Piece, level: float) -> None:
        """Remember the first and last row that is abnormal in itself; ``surprise`` (n,) runs along ``piece``."""
        at = piece.position[surprise >= level]
        if len(at):
            first = int(at[0]) if self._surprising is None else self._surprising[0]
            self._surprising = first, int(at[-1])

    def _add_blame(
        self, block: ScoreBlock, rows: NDArray[np.int64], level: NDArray[np.float64], time: NDArray[np.int64]
    ) -> None:
        sensors = block.top_sensors[rows]  # (n, K)
        is_listed = sensors >= 0
        if not is_listed.any():
            return
        who = sensors[is_listed].astype(np.int64)  # (m,) row by row
        if who.max() >= len(self._blame):
            raise DataError(f"sensor number {who.max()} is blamed, but the schema has {len(self._blame)} sensors")
        weight = np.broadcast_to(level[:, None], sensors.shape)[is_listed]  # (m,)
        share = block.top_shares[rows][is_listed]
        np.add.at(self._blame, who, share * weight)
        naming = level[is_listed.any(axis=1)]
        np.add.at(self._weight, np.zeros(len(naming), np.int64), naming)

        when = np.broadcast_to(time[:, None], sensors.shape)[is_listed]  # (m,)
        np.minimum.at(self._listed, who, when)
        is_onset = share >= ONSET_SHARE
        np.minimum.at(self._onset, who[is_onset], when[is_onset])

        # Per sensor the listing with the highest level, the first of equals (lexsort is stable).
        order = np.lexsort((-weight, who))
        is_first = np.append(True, who[order][1:] != who[order][:-1])
        best = order[is_first]
        best = best[weight[best] > self._best[who[best]]]
        self._best[who[best]] = weight[best]
        self._expected[who[best]] = block.top_expected[rows][is_listed][best]
        self._actual[who[best]] = block.top_actual[rows][is_listed][best]

    def event(
        self,
        group: str,
        schema_names: Sequence[str],
        threshold: float,
        rule: EventRule,
        return_days: ReturnDays | None = None,
    ) -> Event:
        """The event as it stands."""
        start, first_position, first_number = self._first
        end, last_position, last_number = self._last
        surprising = None
        if self._surprising is not None:
            surprising = self._surprising[0] - first_position, self._surprising[1] - first_position
        onset = np.where(self._onset < _NEVER, self._onset, self._listed)
        order = np.argsort(-self._blame, kind="stable")[:TOP_SENSORS]
        order = order[self._blame[order] > 0]
        shares = self._blame[order] / max(float(self._weight[0]), float(self._blame[order].sum()))
        return Event(
            event_id=event_id(group, start, schema_names),
            group=group,
            start=start,
            end=end,
            peak=self._peak_time,
            kind=event_kind(last_position - first_position + 1, surprising, rule),
            severity=self._peak_level / threshold,
            score=self._peak_score,
            n_rows=last_number - first_number + 1,
            sensors=tuple(schema_names[i] for i in order),
            shares=tuple(shares.tolist()),
            expected=tuple(self._expected[order].tolist()),
            actual=tuple(self._actual[order].tolist()),
            return_days=None if return_days is None else return_days(self._peak_level),
            onsets=tuple(onset[order].tolist()),
        )

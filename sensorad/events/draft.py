"""An event in the making: peak, blame and kind, gathered piece by piece in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sensorad.errors import DataError
from sensorad.events.identity import event_id
from sensorad.events.kinds import event_kind
from sensorad.events.pieces import Piece
from sensorad.events.rule import EventRule
from sensorad.events.state_parts import array_in
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

_PER_SENSOR: dict[str, DTypeLike] = {
    "blame": np.float64,
    "best": np.float64,  # highest level of a row that lists the sensor ...
    "expected": np.float32,  # ... and the values there
    "actual": np.float32,
    "listed": np.int64,  # time of the first row that lists the sensor at all
    "onset": np.int64,  # ... with a share that counts
}
_EMPTY = {"blame": 0.0, "best": -np.inf, "expected": np.nan, "actual": np.nan, "listed": _NEVER, "onset": _NEVER}


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
        self._weight = 0.0
        self._id = ""
        self._hold({name: np.full(n_sensors, _EMPTY[name], dtype) for name, dtype in _PER_SENSOR.items()})

    def _hold(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what is known of each sensor, arrays (C,) named as in `_PER_SENSOR`."""
        self._sensors = arrays
        # Views give and take Python's own numbers, three times as fast as the elements of arrays.
        self._views: dict[str, Any] = {name: array.data for name, array in arrays.items()}

    def add(
        self,
        block: ScoreBlock,
        rows: NDArray[np.int64],
        piece: Piece,
        level: NDArray[np.float64],
        surprise_level: float,
    ) -> None:
        """Take in the ``rows`` (n,) of ``block`` that ``piece`` names.

        ``level`` (n,) are their scores on the scale of the alarm line: what the highest row, and the weight of each
        row in the blame, are judged by. In a log without lines of modes they are the scores. Rows with a surprise of
        ``surprise_level`` are abnormal in themselves.
        """
        if len(rows) == 0:
            return
        self.n_above = piece.n_above
        if len(rows) == 1:
            row, position = int(rows[0]), int(piece.position[0])
            self._add_row(block, row, position, int(piece.number[0]), float(level[0]))
            if block.row_surprise[row] >= surprise_level:
                self._surprise(position, position)
            return
        self._add_rows(block, rows, piece, level)
        at = piece.position[block.row_surprise[rows] >= surprise_level]
        if len(at):
            self._surprise(int(at[0]), int(at[-1]))

    def _surprise(self, first: int, last: int) -> None:
        self._surprising = first if self._surprising is None else self._surprising[0], last

    def _add_rows(self, block: ScoreBlock, rows: NDArray[np.int64], piece: Piece, level: NDArray[np.float64]) -> None:
        time = block.time[rows]
        first = int(time[0]), int(piece.position[0]), int(piece.number[0])
        self._extend(first, (int(time[-1]), int(piece.position[-1]), int(piece.number[-1])))
        top = int(np.argmax(level))  # the first of equals
        if level[top] > self._peak_level:
            self._peak_level, self._peak_time = float(level[top]), int(time[top])
            self._peak_score = float(block.score[rows[top]])
        self._add_blame(block, rows, level, time)

    def _extend(self, first: tuple[int, int, int], last: tuple[int, int, int]) -> None:
        if self._is_empty:
            self._is_empty = False
            self._first = first
        self._last = last

    def _add_row(self, block: ScoreBlock, row: int, position: int, number: int, level: float) -> None:
        """What `_add_rows` does, for one row in a tenth of the time."""
        time = int(block.time[row])
        place = time, position, number
        self._extend(place, place)
        if level > self._peak_level:
            self._peak_level, self._peak_time, self._peak_score = level, time, float(block.score[row])
        who = block.top_sensors[row].tolist()
        if max(who) < 0:
            return
        blame, best, expected, actual, listed, onset = self._views.values()
        self._refuse_unknown(max(who))
        self._weight += level
        shares = block.top_shares[row].tolist()
        for k, sensor in enumerate(who):
            if sensor < 0:
                continue
            blame[sensor] += shares[k] * level
            if time < listed[sensor]:
                listed[sensor] = time
            if shares[k] >= ONSET_SHARE and time < onset[sensor]:
                onset[sensor] = time
            if level > best[sensor]:
                best[sensor] = level
                expected[sensor] = block.top_expected[row, k]
                actual[sensor] = block.top_actual[row, k]

    def _add_blame(
        self, block: ScoreBlock, rows: NDArray[np.int64], level: NDArray[np.float64], time: NDArray[np.int64]
    ) -> None:
        sensors = block.top_sensors[rows]  # (n, K)
        is_listed = sensors >= 0
        if not is_listed.any():
            return
        who = sensors[is_listed].astype(np.int64)  # (m,) row by row
        self._refuse_unknown(int(who.max()))
        weight = np.broadcast_to(level[:, None], sensors.shape)[is_listed]  # (m,)
        share = block.top_shares[rows][is_listed]
        np.add.at(self._sensors["blame"], who, share * weight)
        naming = level[is_listed.any(axis=1)]
        self._weight = float(np.cumsum(np.append(self._weight, naming))[-1])

        when = np.broadcast_to(time[:, None], sensors.shape)[is_listed]  # (m,)
        np.minimum.at(self._sensors["listed"], who, when)
        is_onset = share >= ONSET_SHARE
        np.minimum.at(self._sensors["onset"], who[is_onset], when[is_onset])

        # Per sensor the listing with the highest level, the first of equals (lexsort is stable).
        order = np.lexsort((-weight, who))
        is_first = np.append(True, who[order][1:] != who[order][:-1])
        best = order[is_first]
        best = best[weight[best] > self._sensors["best"][who[best]]]
        self._sensors["best"][who[best]] = weight[best]
        self._sensors["expected"][who[best]] = block.top_expected[rows][is_listed][best]
        self._sensors["actual"][who[best]] = block.top_actual[rows][is_listed][best]

    def _refuse_unknown(self, sensor: int) -> None:
        n_sensors = len(self._sensors["blame"])
        if sensor >= n_sensors:
            raise DataError(f"sensor number {sensor} is blamed, but the schema has {n_sensors} sensors")

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
        blamed = np.flatnonzero(self._sensors["blame"] > 0).tolist()
        blame, _, expected, actual, listed, onset = self._views.values()
        order = sorted(blamed, key=lambda sensor: -blame[sensor])[:TOP_SENSORS]  # equal ones in schema order
        total = 0.0
        for sensor in order:
            total += blame[sensor]
        weight = max(self._weight, total)
        if not self._id:
            self._id = event_id(group, start, schema_names)
        return Event(
            event_id=self._id,
            group=group,
            start=start,
            end=end,
            peak=self._peak_time,
            kind=event_kind(last_position - first_position + 1, surprising, rule),
            severity=self._peak_level / threshold,
            score=self._peak_score,
            n_rows=last_number - first_number + 1,
            sensors=tuple([schema_names[sensor] for sensor in order]),
            shares=tuple([blame[sensor] / weight for sensor in order]),
            expected=tuple([expected[sensor] for sensor in order]),
            actual=tuple([actual[sensor] for sensor in order]),
            return_days=None if return_days is None else return_days(self._peak_level),
            onsets=tuple([onset[s] if onset[s] < _NEVER else listed[s] for s in order]),
        )

    @staticmethod
    def stacked(drafts: Sequence[EventDraft], n_sensors: int) -> dict[str, Any]:
        """All drafts as a few arrays with a row for each, so that a state of very many is quick to write."""
        counts = [
            (draft.n_above, *draft._first, *draft._last, draft._peak_time, *(draft._surprising or (-1, -1)))
            for draft in drafts
        ]
        levels = [(draft._peak_level, draft._peak_score, draft._weight) for draft in drafts]
        return {
            "counts": np.array(counts, np.int64).reshape(-1, 10),
            "levels": np.array(levels, np.float64).reshape(-1, 3),
            **{
                name: np.array([draft._sensors[name] for draft in drafts], dtype).reshape(-1, n_sensors)
                for name, dtype in _PER_SENSOR.items()
            },
        }

    @classmethod
    def unstacked(cls, state: dict[str, Any], n_drafts: int, n_sensors: int) -> list[EventDraft]:
        """The drafts of `stacked`; `ArtefactError` if they are others."""
        counts = array_in(state, "counts", np.int64, (n_drafts, 10)).tolist()
        levels = array_in(state, "levels", np.float64, (n_drafts, 3)).tolist()
        arrays = {name: array_in(state, name, dtype, (n_drafts, n_sensors)) for name, dtype in _PER_SENSOR.items()}
        drafts: list[EventDraft] = []
        for i in range(n_drafts):
            draft = cls.__new__(cls)
            draft._is_empty, draft._id = False, ""
            draft.n_above = counts[i][0]
            draft._first, draft._last = (*counts[i][1:4],), (*counts[i][4:7],)
            draft._peak_time = counts[i][7]
            draft._surprising = None if counts[i][8] < 0 else (counts[i][8], counts[i][9])
            draft._peak_level, draft._peak_score, draft._weight = levels[i]
            draft._hold({name: array[i] for name, array in arrays.items()})
            drafts.append(draft)
        return drafts

"""What is said of one row."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensorad.data import SensorScaler
from sensorad.data.scaling import KNEE
from sensorad.streaming.judges import RowJudge
from sensorad.types import TOP_SENSORS, ScoreBlock

__all__ = ["RowScore", "Teller", "TopSensors"]

LARGEST = float(np.finfo(np.float32).max)


class TopSensors(NamedTuple):
    """The blamed sensors of one row, as `write_top_sensors` has them, (K,) each."""

    sensors: NDArray[np.int16]
    shares: NDArray[np.float32]
    expected: NDArray[np.float32]
    actual: NDArray[np.float32]


class Teller:
    """Turns the reasons of a score into sensors of the schema and their units."""

    def __init__(self, scaler: SensorScaler, judge: RowJudge) -> None:
        used = scaler.used_positions
        self._judge, self.surprise = judge, judge.surprise
        self._positions: list[int] = used.tolist()
        self._centre: list[float] = scaler.centre[used].tolist()
        self._scale: list[float] = scaler.scale[used].tolist()
        self._n_top = min(TOP_SENSORS, len(used))

    def top(self, reasons: tuple[Any, ...], score: float) -> TopSensors:
        """The most blamed sensors, first the most blamed."""
        shares = self._judge.blame(reasons, score)
        tail = reasons[0].tolist()
        n_used = len(self._positions)
        order = (-shares).argsort(kind="stable")[: self._n_top]
        chosen = order.tolist()
        sensors = [self._positions[sensor] for sensor in chosen]
        deviations = np.array(tail[:n_used], np.float32)[order].tolist()
        expected = [
            min(max(_expanded(deviation) * self._scale[sensor] + self._centre[sensor], -LARGEST), LARGEST)
            for sensor, deviation in zip(chosen, deviations, strict=True)
        ]
        top = _nobody()
        n_top = self._n_top
        top.sensors[:n_top] = sensors
        top.shares[:n_top] = shares[order]
        top.expected[:n_top] = expected
        top.actual[:n_top] = [tail[2 * n_used + position] for position in sensors]
        return top


class RowScore:
    """Status, reason and score of one row; who is to blame is worked out when somebody asks.

    It holds copies of all it needs: it stays true whatever is scored later.

    Attributes
    ----------
    status, reason
        Positions in `STATUSES` and `REASONS`.
    score
        Higher is more anomalous; NaN where the row has none.
    """

    __slots__ = ("_reasons", "_teller", "_top", "reason", "score", "status")

    def __init__(
        self,
        status: int,
        reason: int,
        score: float = nan,
        teller: Teller | None = None,
        reasons: tuple[Any, ...] | None = None,
    ) -> None:
        self.status, self.reason, self.score = status, reason, score
        self._teller, self._reasons = teller, reasons
        self._top: TopSensors | None = None

    @property
    def surprise(self) -> float:
        """-log10 of the tail probability of the row's own one-step error; NaN where the row has no score."""
        return nan if self._teller is None else self._teller.surprise(self._reasons)  # type: ignore[arg-type]

    @property
    def top(self) -> TopSensors:
        """All that is said of the blamed sensors."""
        if self._top is None:
            self._top = (
                _nobody()
                if self._teller is None or self._reasons is None
                else self._teller.top(self._reasons, self.score)
            )
        return self._top

    @property
    def top_sensors(self) -> NDArray[np.int16]:
        """(K,) positions in the schema, -1 where there are fewer."""
        return self.top.sensors

    @property
    def top_shares(self) -> NDArray[np.float32]:
        """(K,) shares of the blame."""
        return self.top.shares

    @property
    def top_expected(self) -> NDArray[np.float32]:
        """(K,) expected values, in the sensors' units."""
        return self.top.expected

    @property
    def top_actual(self) -> NDArray[np.float32]:
        """(K,) measured values, in the sensors' units; NaN where missing."""
        return self.top.actual

    def write_top(self, result: ScoreBlock, row: int) -> None:
        """Write the blamed sensors into a block of scores."""
        top = self.top
        result.top_sensors[row], result.top_shares[row] = top.sensors, top.shares
        result.top_expected[row], result.top_actual[row] = top.expected, top.actual

    def block(
        self,
        time: int,
        slot: int,
        names: Sequence[str],
        mode: int | None = None,
        mode_names: Sequence[str] = (),
        index: int = 0,
    ) -> ScoreBlock:
        """The row as a block of one, for those who read blocks."""
        top = self.top
        return ScoreBlock(
            index=np.array([index], np.int64),
            time=np.array([time], np.int64),
            group=np.array([slot], np.int32),
            group_names=names,
            score=np.array([self.score]),
            row_surprise=np.array([self.surprise], np.float32),
            status=np.array([self.status], np.uint8),
            reason=np.array([self.reason], np.uint8),
            top_sensors=top.sensors[None],
            top_shares=top.shares[None],
            top_expected=top.expected[None],
            top_actual=top.actual[None],
            mode=None if mode is None else np.array([mode], np.int32),
            mode_names=mode_names,
        )


def _nobody() -> TopSensors:
    """No sensor is blamed."""
    return TopSensors(_NONE.copy(), _NO_SHARE.copy(), _UNKNOWN.copy(), _UNKNOWN.copy())


_NONE = np.full(TOP_SENSORS, -1, np.int16)
_NO_SHARE = np.zeros(TOP_SENSORS, np.float32)
_UNKNOWN = np.full(TOP_SENSORS, np.nan, np.float32)


def _expanded(y: float) -> float:
    """`soft_expand` of one value."""
    if abs(y) <= KNEE:
        return y
    far = KNEE + KNEE * expm1(min((abs(y) - KNEE) / KNEE, 700.0))
    return far if y > 0 else -far

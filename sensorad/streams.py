"""The part of a detector that makes streams, and says which model and calibration a saved one belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from typing import Any

from sensorad.artefact import weights_hash
from sensorad.calibration import Calibration
from sensorad.config import DetectorConfig
from sensorad.data import Timing
from sensorad.events import EventBuilder, QualityLimits, QualityMonitor
from sensorad.models import model_kind
from sensorad.monitoring import CalibrationMonitor
from sensorad.scoring import ScoringEngine
from sensorad.streaming import Stream
from sensorad.types import SensorSchema

__all__ = ["Streams"]

IN_NUMPY = ("cross", "linear", "lstm", "randnet", "shape")
"""Models that run without torch as they are, and ensembles of them."""


class Streams(ABC):
    """Makes streams of a fitted detector; what it needs of the rest stands here without a body."""

    config_: DetectorConfig
    schema_: SensorSchema
    quality_limits_: QualityLimits
    _timing: Timing

    @abstractmethod
    def _fitted(self) -> Calibration: ...

    @abstractmethod
    def engine(self, *, on_conflict: str = "first", network: str | os.PathLike[str] = "torch") -> ScoringEngine: ...

    @abstractmethod
    def event_builder(self) -> EventBuilder: ...

    @abstractmethod
    def calibration_monitor(self) -> CalibrationMonitor | None: ...

    @property
    @abstractmethod
    def scorer_(self) -> dict[str, str]: ...

    def stream(
        self,
        state: bytes | str | os.PathLike[str] | None = None,
        *,
        lateness_seconds: float = 0.0,
        horizon_seconds: float = 86_400.0,
        network: str | os.PathLike[str] | None = None,
        on_conflict: str = "first",
    ) -> Stream:
        """Scores of rows as they come, and news of events: the same as for the whole log.

        Parameters
        ----------
        state
            Saved by an earlier stream of this model and calibration, as bytes or as the path of its file: the stream
            goes on from there.
        lateness_seconds
            How late rows may come and still be put in order, by `Stream.push`.
        horizon_seconds
            Rows further than this ahead of their machine's newest are set aside until others agree with them.
        network
            Path of an ONNX file made of this detector (``sensorad export --part network``), which then runs its
            network. None runs in NumPy what can run there (`IN_NUMPY`), and other networks in torch.
        on_conflict
            What to do with rows that share their time with the row before but differ from it, as for `engine`.

        Raises
        ------
        ArtefactError
            The state is damaged, made by a newer version, or belongs to another model or another calibration; or the
            ONNX file belongs to another detector.
        """
        calibration, scorer = self._fitted(), self.scorer_
        schema, timing, limits = self.schema_, self._timing, self.quality_limits_
        made: dict[str, str] = {}

        def owner() -> dict[str, str]:
            if not made:
                made["model"] = _hash([scorer, schema.to_json(), str(timing), limits.to_json()])
                made["calibration"] = _calibration_hash(calibration)
            return made

        runs = network if network is not None else "numpy" if _is_in_numpy(self.config_) else "torch"
        stream = Stream(
            self.engine(on_conflict=on_conflict, network=runs),
            self.event_builder(),
            QualityMonitor(schema, limits, calibration.rule),
            self.calibration_monitor(),
            owner=owner,
            lateness_seconds=lateness_seconds,
            horizon_seconds=horizon_seconds,
        )
        if state is not None:
            stream.restore(state)
        return stream


def _is_in_numpy(config: DetectorConfig) -> bool:
    if model_kind(config.model).family == "ensemble":
        return all(member.model in IN_NUMPY for member in config.each_member)
    return config.model in IN_NUMPY


def _calibration_hash(calibration: Calibration) -> str:
    """All of a calibration that enters scores, alarms and events."""
    line, returns = calibration.threshold.line, calibration.returns
    arrays = {**calibration.scheme.to_arrays(), **({} if returns is None else returns.to_arrays())}
    return _hash(
        [
            calibration.scheme.name,
            weights_hash(arrays),
            line.threshold,
            dict(line.by_mode),
            calibration.rule.to_json(),
        ]
    )


def _hash(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

"""A model trained once on a series, whose errors are then scored in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.config import DetectorConfig
from sensorad.error_models import SensorErrors
from sensorad.error_models.crossfit import blocked_folds, out_of_fold_errors
from sensorad.error_models.errors import AskedRows, StackedErrorModel
from sensorad.families import family_for
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.metrics import vus_pr
from sensorad.normal_rows import read_normal_rows
from sensorad.scoring import FusedScheme, ScoringEngine
from sensorad_datasets import BenchmarkSeries
from sensorad_datasets.bench.measures import BUFFER, filled

Change = Callable[[SensorErrors], SensorErrors]


class Recorder:
    """A model that keeps what it says, and says it again."""

    def __init__(self, model: StackedErrorModel) -> None:
        self.context_rows = model.context_rows
        self.said: list[SensorErrors] = []
        self._model: StackedErrorModel | None = model
        self._next: Iterator[SensorErrors] = iter(())

    def again(self, said: Sequence[SensorErrors]) -> None:
        """From now on says this."""
        self._model, self._next = None, iter(said)

    def errors(self, rows: Any, usable: Any, time: Any) -> SensorErrors:
        return self.errors_at(AskedRows.every(rows, usable, time))

    def errors_at(self, asked: AskedRows) -> SensorErrors:
        if self._model is None:
            return next(self._next)
        found = self._model.errors_at(asked)
        self.said.append(found)
        return found


class LearnedSeries:
    """A model of one series, its out-of-fold errors on the training part, and its errors on the test part.

    Attributes
    ----------
    config
        As the length of the log left it.
    fit_seconds
        Processor time of training and of the out-of-fold errors.
    row_us
        Processor time of a scored row, in microseconds.
    """

    def __init__(self, series: BenchmarkSeries, config: DetectorConfig) -> None:
        form = LogFormat(time=series.time_column, sensors=series.sensors, group=series.group_column)
        log = SortedLog(SensorLog(series.train, form))
        rows = read_normal_rows(log.blocks(), log.schema, config.length)
        self.config = config.fitted_to(rows.n_rows, len(rows.scaler.used_positions))
        length = self.config.length
        folds = blocked_folds(rows.stretches, config.folds if rows.n_rows >= 10 * length else 2, length)
        began = process_time()
        learned = family_for(self.config).learn(
            rows, folds, self.config, checkpoint=None, report=lambda _what, _share: None
        )
        self._normal = out_of_fold_errors(rows.stretches, folds, learned.fold_model)
        self.fit_seconds = process_time() - began
        self._series, self._rows = series, rows
        self._noise = rows.scaler.noise[rows.scaler.used_positions]
        self._blocks = list(SortedLog(SensorLog(series.test, form, schema=log.schema)).blocks())
        self._recorder = Recorder(learned.model)
        began = process_time()
        self._score(FusedScheme.fit(self._normal, self._noise))
        self.row_us = 1e6 * (process_time() - began) / series.test.num_rows

    def vus_pr(self, change: Change = lambda errors: errors, scheme: type[FusedScheme] = FusedScheme) -> float:
        """With errors changed in the same way where they are learned from and where they are scored."""
        self._recorder.again([change(errors) for errors in self._recorder.said])
        found = self._score(scheme.fit([change(errors) for errors in self._normal], self._noise))
        counted = self._series.counted
        return vus_pr(self._series.labels[counted], filled(found)[counted], BUFFER)

    def _score(self, scheme: FusedScheme) -> NDArray[np.float64]:
        rows = self._rows
        engine = ScoringEngine(rows.scaler, rows.imputer, rows.timing, self._recorder, scheme, self.config.length)
        found = np.full(self._series.test.num_rows, np.nan)
        for block in self._blocks:
            found[block.index] = engine.score(block).score
        return found

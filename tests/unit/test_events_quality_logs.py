"""Quality events of logs read and scored by the library, and of public logs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.events import EventRule
from sensorad.events.quality import QualityMonitor
from sensorad.events.quality_limits import QualityLimits
from sensorad.types import Event, RowBlock, SensorSchema

SECOND = 10**9


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector().fit(_plant(1_500, seed=0), group="machine")


def _plant(n_rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    load = np.sin(np.arange(n_rows) / 9.0)[:, None] + 0.1 * rng.normal(size=(n_rows, 3))
    parts = [
        pd.DataFrame(load + 0.1 * rng.normal(size=load.shape), columns=["flow", "power", "level"]).assign(
            time=pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"), machine=machine
        )
        for machine in ("east", "west")
    ]
    return pd.concat(parts).sort_values(["time", "machine"], kind="stable", ignore_index=True)


def _messy(n_rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    log = _plant(n_rows, seed)
    names = ["flow", "power", "level"]
    values = log[names].to_numpy(copy=True)
    for odd in (np.nan, np.inf, -np.inf, 1e300, -0.0, 1e-42):
        values[rng.random(values.shape) < 0.005] = odd
    values[0] = np.nan
    values[100:140] = np.nan
    values[200:300:2, 1] = 3.0  # stuck for 50 rows of one machine
    log[names] = values
    log.loc[500:, "time"] += pd.Timedelta(minutes=45)
    again = log.iloc[rng.integers(0, len(log), 6)].copy()
    again.iloc[::2, log.columns.get_loc("flow")] += 1.0
    return pd.concat([log, again]).sort_values("time", kind="stable", ignore_index=True)


@pytest.mark.parametrize("block_rows", [1, 17, 10_000])
def test_every_block_that_the_engine_takes_is_taken(detector, block_rows):
    log = detector.open_log(_messy(400, seed=1))
    [rows] = list(log.blocks())
    normal = [rows.take(rows.group == machine) for machine in range(2)]
    limits = QualityLimits.fit(normal, detector.schema_, 60.0)
    limits = QualityLimits((1,) * 3, (1,) * 3, limits.still)
    monitor = QualityMonitor(detector.schema_, limits, detector.rule_)
    engine = detector.engine()
    events = []
    for first in range(0, len(rows), block_rows):
        part = rows.take(slice(first, first + block_rows))
        events += monitor.update(part, engine.score(part))
    events += monitor.finish()
    assert {event.reason for event in events} == {"missing", "overflow", "flat", "clock"}
    assert {event.group for event in events} == {"east", "west"}
    [stuck] = [event for event in events if event.reason == "flat"]
    assert (stuck.group, stuck.sensors, stuck.n_rows) == ("east", ("power",), 50)
    assert sum("gap of 46 min" in event.note for event in events) == 2
    assert any("already taken" in event.note for event in events)


def _found(rows: RowBlock, limits: QualityLimits, schema: SensorSchema) -> list[Event]:
    monitor = QualityMonitor(schema, limits, EventRule(step_seconds=1.0))
    return monitor.update(rows) + monitor.finish()


def test_normal_benchmark_logs_are_quiet_and_a_stuck_sensor_is_found(shared_data):
    from sensorad.logs import LogFormat, SensorLog
    from sensorad_datasets import list_series, load_series

    for name in list_series("skab", shared_data)[:4]:
        series = load_series("skab", name, shared_data)
        form = LogFormat(time=series.time_column, sensors=series.sensors)
        logs = [SensorLog(table, form) for table in (series.train, series.test)]
        train, test = (next(log.blocks()) for log in logs)
        limits = QualityLimits.fit([train], logs[0].schema, 1.0)
        assert limits.still == ("",) * 8
        assert [event for event in _found(test, limits, logs[0].schema) if event.reason != "clock"] == []
        for c in range(8):
            stuck = test.take(np.arange(300))
            stuck.time[:] = np.arange(300) * SECOND  # without the gaps of the log
            stuck.values[100 : 100 + limits.rows_until_flat(c), c] = stuck.values[100, c]
            [event] = [e for e in _found(stuck, limits, logs[0].schema) if e.reason == "flat"]
            assert event.sensors == (series.sensors[c],)

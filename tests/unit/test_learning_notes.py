"""What a fit tells its user unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad.calibration import _are_alike
from sensorad.config import DetectorConfig
from sensorad.thresholds import QuantileThreshold


def plant_rows(n_rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Two sensors that share a cause."""
    generator = np.random.default_rng(seed)
    cause = np.sin(np.arange(n_rows) / 25) + 0.1 * generator.normal(size=n_rows)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"),
            "flow": cause + 0.05 * generator.normal(size=n_rows),
            "power": 2.0 * cause + 0.05 * generator.normal(size=n_rows),
        }
    )


def test_a_block_that_fits_the_others_badly_is_named() -> None:
    log = plant_rows()
    log.loc[1000:1499, "power"] = 3.0 * np.random.default_rng(1).normal(size=500)
    [note] = [note for note in sensorad.Detector().fit(log).notes_ if "fit the others badly" in note]
    assert "2024-05-01T16:40:00Z to 2024-05-02T00:59:00Z" in note


def test_even_normal_rows_raise_no_such_note() -> None:
    assert not [note for note in sensorad.Detector().fit(plant_rows()).notes_ if "badly" in note]


def test_a_short_log_gets_a_line_without_a_promise_and_says_how_much_is_missing() -> None:
    detector = sensorad.Detector().fit(plant_rows(n_rows=600))
    assert detector.threshold_result_.is_promised is False
    assert any("no promise" in note and "55.26 machine-hours" in note for note in detector.notes_)
    with pytest.raises(sensorad.TooLittleDataError, match="machine-hours"):
        sensorad.Detector().fit(plant_rows(n_rows=600), budget="1/day")


def test_a_log_that_never_moved_alarms_at_any_movement() -> None:
    log = plant_rows(n_rows=400)
    log["flow"], log["power"] = 1.0, 2.0
    detector = sensorad.Detector().fit(log)
    assert any("never moved" in text for text in detector.threshold_result_.assumptions)
    assert len(detector.detect(log)) == 0
    log.loc[200:260, "power"] = 2.5
    events = detector.detect(log)
    assert len(events) == 1
    assert events["sensors"].iloc[0][0] == "power"


def test_wide_short_logs_get_short_windows_unless_asked_otherwise() -> None:
    generator = np.random.default_rng(0)
    wide = pd.DataFrame(generator.normal(size=(400, 40)), columns=[f"S{c}" for c in range(40)])
    wide.insert(0, "time", pd.date_range("2024-05-01", periods=400, freq="min", tz="UTC"))
    assert sensorad.Detector().fit(wide).config_.length == 10
    assert sensorad.Detector(window=20).fit(wide).config_.length == 20


def test_sensors_that_are_left_out_are_named() -> None:
    log = plant_rows().assign(a=0.0, b=1.0, c=2.0)
    [note] = [note for note in sensorad.Detector().fit(log).notes_ if "not looked at" in note]
    assert note.startswith("3 sensors")
    assert ": a, b, c;" in note


def test_scores_that_only_rounding_tells_apart_are_alike_and_small_ones_are_not() -> None:
    rounded = np.repeat([0.0021, 0.0026], [200, 300])
    small = np.random.default_rng(0).uniform(0.0021, 0.0026, 500)
    apart = np.repeat([0.1, 0.5], [490, 10])
    assert [_are_alike(scores) for scores in (rounded, small, apart)] == [True, False, False]


def test_arguments_that_say_the_same_thing_twice_are_refused() -> None:
    log = plant_rows()
    with pytest.raises(sensorad.UsageError, match="both in config"):
        sensorad.Detector(model="lstm", config=DetectorConfig())
    with pytest.raises(sensorad.UsageError, match="both in format"):
        sensorad.Detector().fit(log, time="time", format=sensorad.LogFormat(time="time"))
    with pytest.raises(sensorad.UsageError, match="list of names"):
        sensorad.Detector().fit(log, sensors="flow")
    with pytest.raises(sensorad.UsageError, match="both a threshold"):
        sensorad.Detector().fit(log, threshold=QuantileThreshold(), budget="1/day")


def test_labelled_rows_do_not_raise_the_line() -> None:
    log = plant_rows(n_rows=9000)
    detector = sensorad.Detector().fit(log.iloc[:4000])
    normal = log.iloc[4000:].assign(fault=0)
    plain = detector.calibrate(normal.drop(columns="fault"), budget="1/day").threshold
    normal.loc[normal.index[1000:1100], ["power", "fault"]] = [9.0, 1]
    form = sensorad.LogFormat(time="time", label="fault")
    told = detector.calibrate(normal, budget="1/day", format=form).threshold
    untold = detector.calibrate(normal.drop(columns="fault"), budget="1/day").threshold
    assert untold > 1.5 * plain
    assert told < 1.3 * plain


def test_a_loaded_detector_that_is_fitted_again_gets_the_rule_of_its_new_log(tmp_path: Path) -> None:
    log = plant_rows()
    sensorad.Detector().fit(log).save(tmp_path / "a.sensorad")
    loaded = sensorad.load(tmp_path / "a.sensorad")
    slower = log.assign(time=pd.date_range("2024-05-01", periods=len(log), freq="h", tz="UTC"))
    assert loaded.fit(slower).rule_.step_seconds == 3600.0


def test_a_network_alone_is_not_gated() -> None:
    detector = sensorad.Detector(model="lstm", linear_part=None, objective="plain", epochs=1, window=10)
    detector.fit(plant_rows(n_rows=600))
    assert detector._parts.model.gate == 1.0
    assert "linear part" not in detector.training_["roles"]["error statistics and threshold"]

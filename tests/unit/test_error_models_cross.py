"""Errors of sensors as all others tell them: smoothing, missing sensors, the gate, and the second opinion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models.cross_errors import SPAN, CrossErrors
from sensorad.error_models.errors import AskedRows
from sensorad.error_models.numpy_cross import REACH, NumpyCross
from sensorad.error_models.smoothing import memory_rows
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.cross_config import LAGS, CrossSensorConfig
from sensorad.scoring import FusedScheme
from sensorad.scoring.cross_evidence import CrossEvidence

C = 4
SENSORS = ("a", "b", "product", "noise")


def _model(sensors: tuple[int, ...] = (0, 2), length: int = 12) -> CrossErrors:
    rng = np.random.default_rng(0)
    config = CrossSensorConfig(width=6)
    arrays = {name: 0.3 * rng.normal(size=shape) for name, shape in config.shapes(C).items()}
    network = NumpyCross.from_arrays({name: part.astype(np.float32) for name, part in arrays.items()}, config, C)
    widening = rng.uniform(0.1, 2.0, (C, C))
    return CrossErrors(network, np.array(sensors), np.array([0.5, 1.0, 0.7, 0.0]), widening, length, None, None)


def _naive(model: CrossErrors, rows: np.ndarray, usable: np.ndarray, row: int, sensor: int) -> float:
    """Smoothed square of one sensor in one row of a segment, from each row's own prediction."""
    total = count = 0.0
    for back in range(memory_rows(SPAN)):
        at = row - back
        if at < REACH or not usable[at, sensor]:
            continue
        linear, correction = model.network.parts(rows, usable, np.array([at]), [sensor])
        error = rows[at, sensor] - linear[0, 0] - model.gate[sensor] * correction[0, 0]
        missing = [not all(usable[at - lag, other] for lag in LAGS) for other in range(C)]
        growth = 1.0 + sum(model.widening[sensor, other] for other in range(C) if missing[other])
        weight = (1.0 - 2.0 / (SPAN + 1)) ** back
        total += weight * error**2 / growth
        count += weight
    return total / count


def test_errors_are_squares_smoothed_over_the_rows_of_the_segment() -> None:
    rng = np.random.default_rng(1)
    model = _model()
    rows = rng.normal(size=(45, C)).astype(np.float32)
    usable = rng.random(rows.shape) > 0.05
    found = model._smoothed(AskedRows.every(rows, usable, np.arange(len(rows))))[0]
    assert np.isnan(found[:REACH]).all()
    assert np.isnan(found[:, [1, 3]]).all()  # are not judged
    assert np.isnan(found[~usable]).all()
    for row in range(REACH, len(rows)):
        for sensor in (0, 2):
            if usable[row, sensor]:
                assert found[row, sensor] == pytest.approx(_naive(model, rows, usable, row, sensor), rel=1e-9)


def test_segments_side_by_side_are_as_each_by_itself() -> None:
    rng = np.random.default_rng(2)
    model = _model()
    rows = rng.normal(size=(70, C)).astype(np.float32)
    usable = np.ones(rows.shape, bool)
    time = np.arange(70)
    at = np.concatenate([np.arange(20, 30), np.arange(35, 70)])
    age = np.concatenate([np.arange(20, 30), np.arange(5, 40)])  # the second segment begins in row 30
    both = model.errors_at(AskedRows(rows, usable, time, at, age))
    first = model.errors(rows[:30], usable[:30], time[:30]).window[20:]
    second = model.errors(rows[30:], usable[30:], time[30:]).window[5:]
    np.testing.assert_array_equal(both.window, np.concatenate([first, second]))


def test_short_windows_do_not_wait_for_all_lags() -> None:
    model = _model(length=4)
    rows = np.random.default_rng(3).normal(size=(20, C)).astype(np.float32)
    found = model.errors(rows, np.ones(rows.shape, bool), np.arange(20)).window
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3:, 0]).all()


def test_where_a_needed_sensor_is_missing_errors_count_less() -> None:
    model = _model()
    model = replace(model, widening=np.where(np.arange(C) == 3, 9.0, 0.0) * np.ones((C, 1)))
    rows = np.random.default_rng(4).normal(size=(40, C)).astype(np.float32)
    usable = np.ones(rows.shape, bool)
    usable[:, 3] = False
    bare = replace(model, widening=np.zeros((C, C)))
    counted, raw = (m.errors(rows, usable, np.arange(40)).window[REACH:, 0] for m in (model, bare))
    np.testing.assert_allclose(counted, raw / 10.0)


def _log(n_rows: int, seed: int, broken: slice | None = None) -> pd.DataFrame:
    """Two slow drivers, their product, and a sensor of its own; ``broken`` rows show the product of another time."""
    rng = np.random.default_rng(seed)
    walks = np.zeros((n_rows, 3))
    for row in range(1, n_rows):
        walks[row] = 0.95 * walks[row - 1] + 0.3 * rng.normal(size=3)
    product = walks[:, 0] * walks[:, 1]
    if broken is not None:
        product[broken] = np.roll(product, n_rows // 2)[broken]
    values = np.column_stack([walks[:, 0], walks[:, 1], product, walks[:, 2]]) + 0.03 * rng.normal(size=(n_rows, C))
    table = pd.DataFrame(values, columns=SENSORS)
    table.insert(0, "time", pd.date_range("2024-01-01", periods=n_rows, freq="min", tz="UTC"))
    return table


@pytest.fixture(scope="module")
def nonlinear() -> Detector:
    config = DetectorConfig(model="cross", window=10, lags=3, epochs=40, network={"width": 32, "least_gain": 0.1})
    return Detector(config=config).fit(_log(4000, seed=0), time="time")


@pytest.fixture(scope="module")
def linear() -> Detector:
    return Detector(config=DetectorConfig(model="linear", window=10, lags=3)).fit(_log(4000, seed=0), time="time")


def test_a_broken_product_is_found_and_blamed(nonlinear: Detector, linear: Detector) -> None:
    assert any("product" in note and "judges" in note for note in nonlinear.notes_)
    broken = slice(600, 800)
    log = _log(1200, seed=1, broken=broken)
    found, other = nonlinear.score(log), linear.score(log)
    assert found["score"][broken].median() > other["score"][broken].median() + 0.5
    is_scored = found["score"].notna()
    assert (found["score"] >= other["score"] - 1e-12)[is_scored].all()
    rules = found["score"] > other["score"] + 1.0
    blamed = found["top_sensors"][rules & (found.index >= 600) & (found.index < 800)]
    assert len(blamed) > 30
    assert (blamed.str[0] == "product").mean() > 0.6


def test_where_the_linear_opinion_is_the_stronger_it_stands(nonlinear: Detector, linear: Detector) -> None:
    log = _log(800, seed=2)
    found, other = nonlinear.score(log), linear.score(log)
    same = np.isclose(found["score"], other["score"], rtol=1e-12)
    assert 0.2 < same.mean() < 1.0
    assert (found["score"][~same & other["score"].notna()] > other["score"][~same & other["score"].notna()]).all()


def test_a_sensor_that_never_comes_raises_no_storm(nonlinear: Detector) -> None:
    log = _log(3000, seed=3)
    holed = log.assign(a=np.nan)
    clean, found = nonlinear.score(log)["score"], nonlinear.score(holed)["score"]
    line = nonlinear.threshold_
    assert found.notna().sum() == clean.notna().sum()
    assert (found > line).mean() < 0.02
    blind = CrossErrors(*(getattr(nonlinear.engine().model, name) for name in ("network", "sensors", "gate")),
                        np.zeros((C, C)), 10, *_linear_of(nonlinear))  # fmt: skip
    rows = np.random.default_rng(0).normal(size=(50, C)).astype(np.float32)
    usable = np.ones(rows.shape, bool)
    usable[:, 0] = False
    own = nonlinear.engine().model.errors(rows, usable, np.arange(50)).cross
    other = blind.errors(rows, usable, np.arange(50)).cross
    assert np.nanmedian(other[REACH:, 2] / own[REACH:, 2]) > 2.0  # the product is nothing without its factor


def _linear_of(detector: Detector) -> tuple[object, object]:
    part = detector.engine().model.linear_part
    return part.pca, part.autoregression


def test_where_nothing_is_gained_the_detector_is_the_linear_one(tmp_path: object) -> None:
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(1500, 2)).cumsum(axis=0) * 0.05 @ rng.normal(size=(2, C))
    table = pd.DataFrame(mixed + rng.normal(size=(1500, C)), columns=SENSORS)
    table.insert(0, "time", pd.date_range("2024-01-01", periods=1500, freq="min", tz="UTC"))
    settings = {"window": 10, "lags": 3}
    plain = Detector(config=DetectorConfig(model="linear", **settings)).fit(table, time="time")
    config = DetectorConfig(model="cross", epochs=3, network={"width": 8}, **settings)
    detector = Detector(config=config).fit(table, time="time")
    assert isinstance(detector.engine().model, LinearErrors)
    assert any("the detector is the linear one" in note for note in detector.notes_)
    detector.save(f"{tmp_path}/model")
    again = sensorad.load(f"{tmp_path}/model")
    for one in (detector, again):
        pd.testing.assert_frame_equal(one.score(table), plain.score(table), check_exact=True)
        assert one.threshold_ == plain.threshold_
        assert one.engine().context_rows == plain.engine().context_rows


def test_a_sensor_that_never_moved_is_not_judged() -> None:
    """Nothing is left of it by a linear prediction, and of nothing everything could be said to be gained."""
    log = _log(1500, seed=9).assign(valve=7.0)
    config = DetectorConfig(model="cross", window=10, lags=3, epochs=40, network={"width": 32, "least_gain": 0.1})
    detector = Detector(config=config).fit(log, time="time")
    [note] = [note for note in detector.notes_ if "network" in note]
    assert "product" in note
    assert "valve" not in note


def _errors(cross: np.ndarray | None, n_rows: int) -> SensorErrors:
    rng = np.random.default_rng(6)
    window, step = rng.chisquare(5, (n_rows, C)), rng.normal(size=(n_rows, C))
    expected = np.zeros((n_rows, C), np.float32)
    return SensorErrors(window, rng.normal(size=(n_rows, C)), expected, step, window, cross=cross)


def test_the_stronger_opinion_is_the_score_and_has_the_blame() -> None:
    n_rows, noise = 4000, np.full(C, 1e-3)
    cross = np.random.default_rng(7).chisquare(3, (n_rows, C))
    cross[:, [0, 3]] = np.nan
    scheme = FusedScheme.fit([_errors(cross, n_rows)], noise)
    assert scheme.cross is not None
    assert scheme.cross.sensors.tolist() == [1, 2]
    strange = cross.copy()
    strange[3000:, 2] = 400.0
    found = scheme.evidence(_errors(strange, n_rows))
    without = FusedScheme.fit([_errors(None, n_rows)], noise).evidence(_errors(None, n_rows))
    own = scheme.cross.evidence(strange)
    np.testing.assert_array_equal(found.score, np.fmax(without.score, own))
    assert (found.score[3000:] > without.score[3000:]).all()
    assert (found.blame[3000:].argmax(axis=1) == 2).all()
    np.testing.assert_array_equal(found.blame[own <= without.score], without.blame[own <= without.score])
    np.testing.assert_array_equal(found.surprise, without.surprise)
    arrays = scheme.to_arrays()
    again = FusedScheme.from_arrays(arrays).evidence(_errors(strange, n_rows))
    np.testing.assert_array_equal(again.score, found.score)
    assert FusedScheme.from_arrays({k: v for k, v in arrays.items() if "cross" not in k}).cross is None


def test_unknown_errors_of_all_judged_sensors_leave_the_row_to_the_others() -> None:
    cross = np.random.default_rng(8).chisquare(3, (500, C))
    evidence = CrossEvidence.fit([cross], np.full(C, 1e-3))
    assert evidence is not None
    cross[10] = np.nan
    cross[11, :2] = np.nan
    said = evidence.evidence(cross)
    assert np.isnan(said[10])
    assert np.isfinite(said[11])
    assert CrossEvidence.fit([None], np.ones(C)) is None
    assert CrossEvidence.fit([np.full((50, C), np.nan)], np.ones(C)) is None


@pytest.mark.parametrize(
    "options", [{"objective": "masked"}, {"mixup": 0.2}, {"augment": ("jitter",)}, {"exposure": "repair"}]
)
def test_what_is_of_windows_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        DetectorConfig(model="cross", **options)


def test_an_artefact_without_a_part_of_the_network_is_refused(nonlinear: Detector, tmp_path: object) -> None:
    from sensorad.families.base import Runtime
    from sensorad.families.cross import CrossFamily

    family, model, config = CrossFamily(), nonlinear.engine().model, nonlinear.config_
    arrays = family.arrays(model)
    runtime = Runtime("torch", "float32", 60.0, lambda: "")
    assert isinstance(family.built(config, C, arrays, runtime), CrossErrors)
    for name in ("cross.gate", "cross.network.first.bias"):
        with pytest.raises(ArtefactError):
            family.built(config, C, {key: part for key, part in arrays.items() if key != name}, runtime)

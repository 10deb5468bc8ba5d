"""Fits that start from a detector of other machines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector, load
from sensorad.config import DetectorConfig
from sensorad.data import window_view
from sensorad.errors import SchemaError, UsageError
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.models.autocovariance import AutoCovariance, LinearPrior

SENSORS = ["flow", "power", "level", *(f"t{at}" for at in range(9))]


def _wave(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Twelve sensors that follow three slow courses, at once and three rows later."""
    noise = rng.normal(size=(n_rows + 3, 3))
    courses = np.zeros_like(noise)
    for t in range(1, n_rows + 3):
        courses[t] = 0.9 * courses[t - 1] + 0.4 * noise[t]
    mixing = np.random.default_rng(99).normal(size=(2, 3, 12))
    rows: np.ndarray = courses[3:] @ mixing[0] + courses[:-3] @ mixing[1] + 0.3 * rng.normal(size=(n_rows, 12))
    return rows


def _log(n_rows: int, seed: int = 0, level: float = 0.0, machine: str | None = None) -> pd.DataFrame:
    log = pd.DataFrame(level + _wave(np.random.default_rng(seed), n_rows), columns=SENSORS)
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log if machine is None else log.assign(machine=machine)


def _fleet() -> Detector:
    log = pd.concat([_log(1500, seed, 5.0 * seed, f"m{seed}") for seed in range(3)])
    return Detector(config=DetectorConfig(window=8, lags=3)).fit(log, group="machine")


def test_mean_products_are_those_of_all_pairs_of_rows_a_lag_apart() -> None:
    rng = np.random.default_rng(0)
    machines = [[rng.normal(2.0, 3.0, size=(40, 2)), rng.normal(2.0, 3.0, size=(9, 2))], [rng.normal(size=(30, 2))]]
    found = AutoCovariance.fit([[part.astype(np.float32) for part in parts] for parts in machines], n_lags=4)
    for lag in range(4):
        for i in range(2):
            for j in range(2):
                pairs = []
                for parts in machines:
                    rows = np.concatenate(parts)
                    for part in parts:
                        z = (part - rows.mean(axis=0)) / rows.std(axis=0)
                        assert np.abs(z).max() < 5.0  # where scaling is linear
                        pairs += [z[t, i] * z[t + lag, j] for t in range(len(z) - lag)]
                assert found.lagged[lag, i, j] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_of_windows_and_of_steps_are_means_over_a_long_stationary_log() -> None:
    rows = _wave(np.random.default_rng(1), 20_000).astype(np.float32)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    found = AutoCovariance.fit([[rows]], n_lags=6)
    windows = window_view(rows, 5).reshape(-1, 60)
    np.testing.assert_allclose(found.of_windows(5), windows.T @ windows / len(windows), atol=4e-3)
    gram, moment = found.of_steps(3)
    past = np.array([[*rows[t - 1], *rows[t - 2], *rows[t - 3], 1.0] for t in range(3, len(rows))])
    np.testing.assert_allclose(gram, past.T @ past / len(past), atol=4e-3)
    np.testing.assert_allclose(moment, past.T @ rows[3:] / len(past), atol=4e-3)


def test_a_prior_of_the_same_plant_makes_up_for_missing_rows() -> None:
    rng = np.random.default_rng(2)
    long, short = (_wave(rng, n).astype(np.float32) for n in (30_000, 60))
    scale = long.std(axis=0)
    long, short, new = long / scale, short / scale, _wave(rng, 5000).astype(np.float32) / scale
    prior = LinearPrior(AutoCovariance.fit([[long]], n_lags=9), 5000.0)
    error = {}
    for name, used in (("alone", None), ("helped", prior)):
        pca = WindowPCA.fit([short], 8, 0.95, used)
        same_size = WindowPCA(np.ascontiguousarray(pca.components[:, :6]), 8)
        step = float(((new[3:] - RidgeAutoregression.fit([short], 3, 1.0, used).predict(new)) ** 2).mean())
        unseen = window_view(new, 8)
        error[name] = float(((unseen - same_size.reconstruct(unseen)) ** 2).mean()), step
    assert error["helped"][0] < 0.95 * error["alone"][0]
    assert error["helped"][1] < 0.7 * error["alone"][1]


def test_a_short_log_that_starts_from_a_fleet_finds_what_it_misses_alone(tmp_path: Path) -> None:
    _fleet().save(tmp_path / "fleet")
    short, new = _log(300, seed=7, level=30.0), _log(3000, seed=7, level=30.0).iloc[300:].reset_index(drop=True)
    new.loc[1000:1100, "power"] += 1.0
    is_fault = np.zeros(len(new), bool)
    is_fault[1000:1101] = True
    ranks = {}
    for name, init in (("alone", None), ("started", tmp_path / "fleet")):
        detector = Detector(config=DetectorConfig(window=8, lags=3)).fit(short, time="time", init=init)
        score = detector.score(new)["score"].to_numpy(float, na_value=0.0)
        ranks[name] = float((score[is_fault][:, None] > score[~is_fault][None, ::7]).mean())
    assert ranks["started"] > ranks["alone"] + 0.02
    assert ranks["started"] > 0.8


def test_a_sensor_that_stands_still_in_the_short_log_keeps_the_scale_of_the_fleet() -> None:
    fleet = _fleet()
    short = _log(300, seed=7)
    short["level"] = 3.0
    started = Detector(config=DetectorConfig(lags=3)).fit(short, time="time", init=fleet)
    scaler, elsewhere = started._parts.scaler, fleet.pretrained()
    assert not scaler.is_constant.any()
    typical = elsewhere.autocovariance.spread[2]
    assert 0.5 * typical < scaler.scale[2] < typical
    assert scaler.centre[2] == 3.0


def test_started_detectors_can_be_started_from_and_saved(tmp_path: Path) -> None:
    second = Detector(config=DetectorConfig(lags=3)).fit(_log(300, seed=7), time="time", init=_fleet())
    second.save(tmp_path / "second")
    again = load(tmp_path / "second")
    third = Detector(config=DetectorConfig(lags=3)).fit(_log(300, seed=8), time="time", init=again)
    assert third.config_.length == 8
    log = _log(200, seed=9)
    np.testing.assert_array_equal(again.score(log)["score"].to_numpy(float), second.score(log)["score"].to_numpy(float))


def test_what_does_not_fit_is_refused() -> None:
    fleet = _fleet()
    with pytest.raises(UsageError, match="windows of 12 rows cannot start from windows of 8"):
        Detector(window=12).fit(_log(300), time="time", init=fleet)
    with pytest.raises(UsageError, match="10 lags cannot start from 7 lags"):
        Detector().fit(_log(300), time="time", init=fleet)
    with pytest.raises(SchemaError, match="level"):
        Detector(config=DetectorConfig(lags=3)).fit(_log(300).drop(columns="level"), time="time", init=fleet)
    with pytest.raises(UsageError, match="not those of the detector to start from"):
        Detector(config=DetectorConfig(lags=3)).fit(_log(300), time="time", sensors=["flow"], init=fleet)


def test_detectors_of_earlier_versions_cannot_be_started_from() -> None:
    fleet = _fleet()
    fleet._parts.arrays = {name: array for name, array in fleet._parts.arrays.items() if "autocovariance" not in name}
    with pytest.raises(UsageError, match="earlier version"):
        fleet.pretrained()


def test_a_network_starts_with_the_weights_of_the_fleet_and_keeps_its_lower_layers(tmp_path: Path) -> None:
    config = DetectorConfig(model="lstm", window=8, lags=3, epochs=1, network={"width": 6, "code": 3})
    log = pd.concat([_log(400, seed, 5.0 * seed, f"m{seed}") for seed in range(2)])
    fleet = Detector(config=config).fit(log, group="machine")
    fleet.save(tmp_path / "fleet")
    started = Detector(config=DetectorConfig(model="lstm", lags=3, epochs=1)).fit(
        _log(300, seed=7), time="time", init=tmp_path / "fleet"
    )
    assert started.config_.network == {"width": 6, "code": 3}
    before, after = fleet._parts.arrays, started._parts.arrays
    changed = {name for name in before if name.startswith("network.") and (before[name] != after[name]).any()}
    assert changed == {name for name in before if name.startswith(("network.narrow", "network.widen"))} | {
        name for name in before if name.startswith(("network.decoder", "network.output"))
    }
    linear = Detector(config=DetectorConfig(lags=3)).fit(_log(300, seed=7), time="time", init=fleet)
    assert linear.config_.length == 8
    with pytest.raises(UsageError, match="other sizes"):
        Detector(config=DetectorConfig(model="lstm", lags=3, network={"width": 9})).fit(
            _log(300, seed=7), time="time", init=fleet
        )

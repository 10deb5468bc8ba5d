"""`auto`: the linear model, or the network of each sensor from all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad import Detector, UsageError
from sensorad.config import DetectorConfig
from sensorad.families.auto import LEAST_GAIN, LEAST_SHARE

WIDTH = 64


def log_of(values: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=[f"s{at}" for at in range(values.shape[1])])
    frame.insert(0, "time", pd.date_range("2024-03-01", periods=len(frame), freq="min", tz="UTC"))
    return frame


def drivers(n_rows: int, seed: int) -> np.ndarray:
    """(n_rows, 3) slow courses."""
    noise = np.random.default_rng(seed).normal(size=(n_rows + 30, 3))
    kernel = np.ones(30) / 30**0.5
    return np.stack([np.convolve(noise[:, at], kernel, "valid")[:n_rows] for at in range(3)], axis=1)


def curved(n_rows: int, seed: int, n_straight: int = 0) -> pd.DataFrame:
    """Three drivers, two sensors that follow them by a curve and a product, and some that follow by sums."""
    x = drivers(n_rows, seed)
    draws = np.random.default_rng(seed + 1)
    sums = x @ np.random.default_rng(7).normal(size=(3, n_straight))
    values = np.column_stack([x, x[:, 0] ** 2, x[:, 1] * x[:, 2], sums])
    return log_of(values + 0.05 * draws.normal(size=values.shape))


def fitted(log: pd.DataFrame, model: str = "auto", **settings: object) -> Detector:
    network = {"width": WIDTH} | settings if model != "linear" else {}
    epochs = 12 if network else None
    return Detector(config=DetectorConfig(model=model, window=8, network=network, epochs=epochs)).fit(log)


def scores(detector: Detector, log: pd.DataFrame) -> np.ndarray:
    return np.asarray(detector.score(log)["score"], float)


def test_where_sensors_follow_others_by_curves_the_network_is_kept(tmp_path: Path) -> None:
    log = curved(6000, 0)
    found = fitted(log)
    assert found.config_.model == "cross"
    new = curved(500, 5)
    other = fitted(log, "cross", least_gain=LEAST_GAIN, least_share=LEAST_SHARE)
    np.testing.assert_array_equal(scores(found, new), scores(other, new))
    found.save(tmp_path / "detector")
    again = sensorad.load(tmp_path / "detector")
    assert again.config_ == found.config_
    np.testing.assert_array_equal(scores(again, new), scores(found, new))


def test_where_they_do_not_it_is_the_linear_model() -> None:
    x = drivers(3000, 3)
    log = log_of(
        x @ np.random.default_rng(1).normal(size=(3, 6)) + 0.1 * np.random.default_rng(2).normal(size=(3000, 6))
    )
    found = fitted(log)
    assert found.config_ == DetectorConfig(window=8)
    assert any("the detector is the linear one" in note for note in found.notes_)
    np.testing.assert_array_equal(scores(found, log), scores(fitted(log, "linear"), log))
    assert found.threshold_ == fitted(log, "linear").threshold_


def test_two_curves_among_many_sensors_are_too_few() -> None:
    log = curved(6000, 0, n_straight=10)
    note = next(note for note in fitted(log).notes_ if "linear prediction" in note)
    assert "knows 2 of 15 sensors" in note
    assert fitted(log, least_share=0.1).config_.model == "cross"


def test_it_has_a_linear_part() -> None:
    with pytest.raises(UsageError, match="auto chooses between"):
        Detector("auto", linear_part=None)


def test_a_head_of_exposure_goes_beside_what_was_chosen() -> None:
    log = log_of(drivers(2500, 3) @ np.random.default_rng(1).normal(size=(3, 5)))
    found = Detector(config=DetectorConfig(model="auto", window=8, exposure="head", epochs=1)).fit(log)
    assert (found.config_.model, found.config_.exposure) == ("linear", "head")
    other = Detector(config=DetectorConfig(window=8, exposure="head")).fit(log)
    np.testing.assert_array_equal(scores(found, log), scores(other, log))

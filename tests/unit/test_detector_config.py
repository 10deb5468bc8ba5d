"""Settings are checked once, say what is wrong with them, and survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.data import TimeGrid
from sensorad.errors import UsageError
from sensorad.models import MODELS
from sensorad.scoring import SCHEMES

NETWORKS = [name for name, kind in MODELS.items() if kind.build is not None]

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": "linaer"}, "did you mean 'linear'"),
    ({"model": "xyz"}, "choose one of"),
    ({"score": "fuse"}, "did you mean 'fused'"),
    ({"window": 1}, "window must be a whole number of at least 2, got 1"),
    ({"window": 30.0}, "window"),
    ({"window": True}, "window"),
    ({"lags": 0}, "lags"),
    ({"folds": 1}, "folds"),
    ({"epochs": -1}, "epochs"),
    ({"stride": 0}, "stride"),
    ({"random_state": -1}, "random_state"),
    ({"random_state": "0"}, "random_state"),
    ({"variance": 0.0}, "variance must lie between 0 and 1"),
    ({"variance": 1.0}, "variance"),
    ({"variance": float("nan")}, "variance"),
    ({"penalty": 0.0}, "penalty must be positive"),
    ({"penalty": float("nan")}, "penalty"),
    ({"device": "tpu"}, "device is 'cpu' or 'cuda', got 'tpu'"),
    ({"has_linear_part": False}, "choose a network"),
    ({"objective": "masked"}, "no training objective"),
    ({"model": "lstm", "read_every": 0}, "read_every must be a whole number of at least 1"),
    ({"read_every": 2}, "the linear model reads every row"),
    ({"model": "lstm", "read_every": 2, "has_linear_part": False}, "needs a linear part"),
    ({"model": "lstm", "read_every": 2, "score": "mahalanobis"}, "needs a linear part that scores them"),
    ({"model": "lstm", "encoding": "carrid", "has_linear_part": False}, "encoding is 'windows' or 'carried'"),
    ({"model": "lstm", "encoding": "carried"}, "without a linear part"),
    ({"model": "transformer", "encoding": "carried", "has_linear_part": False}, "only the LSTM"),
    ({"model": "lstm", "encoding": "carried", "has_linear_part": False, "read_every": 3}, "skips rows"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=[str(settings) for settings, _ in WRONG])
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DetectorConfig(**settings)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("score", SCHEMES)
def test_settings_survive_json(model: str, score: str) -> None:
    network = {"width": 8} if model in NETWORKS else {}
    config = DetectorConfig(model=model, score=score, window=12, network=network, device="cpu", random_state=7)
    assert DetectorConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_settings_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'widow'"):
        DetectorConfig.from_json({"widow": 30})


@pytest.mark.parametrize("model", NETWORKS)
def test_an_unknown_setting_of_a_network_is_refused_by_name(model: str) -> None:
    log = pd.DataFrame({"time": pd.date_range("2024-05-01", periods=300, freq="min", tz="UTC"), "a": 0.0, "b": 1.0})
    log["a"] = log.index % 17
    config = DetectorConfig(model=model, window=8, lags=2, epochs=0, network={"widht": 8})
    with pytest.raises(UsageError, match="'widht'"):
        Detector(config=config).fit(log)


def test_the_keywords_of_a_detector_are_settings() -> None:
    detector = Detector("lstm", score="sse", window=9, epochs=2, linear_part=None, random_state=3)
    assert detector.config == DetectorConfig(
        model="lstm", score="sse", window=9, epochs=2, has_linear_part=False, random_state=3
    )
    assert detector.get_params()["config"] is detector.config
    with pytest.raises(UsageError, match="linear_part is 'default' or None"):
        Detector("lstm", linear_part="pca")


def test_the_window_is_the_models_own_unless_given() -> None:
    for model, kind in MODELS.items():
        assert DetectorConfig(model=model).length == kind.length
        assert DetectorConfig(model=model, window=7).length == 7


def test_a_window_that_was_asked_for_is_kept_and_a_default_one_fits_the_log() -> None:
    assert DetectorConfig(window=25).fitted_to(100, 50).length == 25
    long = DetectorConfig().fitted_to(10**6, 10)
    assert long.length == DetectorConfig().length
    short = DetectorConfig().fitted_to(500, 40)
    assert short.length < long.length
    assert short.length >= 2
    assert short.window == short.length, "settled, so that an artefact does not depend on a default"


@pytest.mark.parametrize("model", NETWORKS)
def test_a_network_reads_a_quarter_of_the_windows_where_something_else_speaks_in_every_row(model: str) -> None:
    assert DetectorConfig(model=model, window=30).reading_rows == 7
    assert DetectorConfig(model=model, window=3).reading_rows == 1
    assert DetectorConfig(model=model, window=30, read_every=2).reading_rows == 2
    assert DetectorConfig(model=model, window=30, has_linear_part=False).reading_rows == 1
    assert DetectorConfig(model=model, window=30, score="mahalanobis").reading_rows == 1
    assert DetectorConfig().reading_rows == 1
    assert DetectorConfig(model=model).fitted_to(300, 30).reading_rows == 2, "a quarter of the settled window of 10"


def test_settings_from_before_there_was_a_choice_read_every_window() -> None:
    for config in (DetectorConfig(), DetectorConfig(model="lstm"), DetectorConfig(model="lstm", score="mahalanobis")):
        stored = {name: value for name, value in config.to_json().items() if name not in ("read_every", "encoding")}
        found = DetectorConfig.from_json(stored)
        assert found.reading_rows == 1
        assert found.encoding == "windows"
        assert DetectorConfig.from_json(config.to_json()) == config


def test_readings_know_the_time_between_rows() -> None:
    assert DetectorConfig(model="lstm", window=8).reading(60.0).grid == TimeGrid.of_rows(2, 60.0)
    assert DetectorConfig(model="lstm", window=3).reading(60.0).grid is None
    carried = DetectorConfig(model="lstm", has_linear_part=False, encoding="carried").reading(2.0)
    assert carried.grid == TimeGrid.of_rows(256, 2.0)

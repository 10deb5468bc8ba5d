"""The parts of a detector out and back: calibration, model arrays, and what is refused on the way back."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.calibration import FALLBACK_QUANTILES, Calibration, choose_threshold
from sensorad.config import DetectorConfig
from sensorad.errors import ArtefactError, DataError, TooLittleDataError
from sensorad.events import EventRule
from sensorad.model_parts import ModelParts, model_arrays
from sensorad.models import MODELS
from sensorad.scoring import SCHEMES
from sensorad.thresholds import CalibrationScores, QuantileThreshold

NETWORKS = [name for name, kind in MODELS.items() if kind.build is not None]


@cache
def _fitted(model: str, score: str = "fused") -> Detector:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(300)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(300, 3))
    log = pd.DataFrame(wave, columns=["a", "b", "c"])
    log.insert(0, "time", pd.date_range("2024-05-01", periods=300, freq="min", tz="UTC"))
    network = {"width": 4} if model in NETWORKS else {}
    epochs = 0 if MODELS[model].is_trained else None
    config = DetectorConfig(model=model, score=score, window=8, lags=2, epochs=epochs, network=network)
    return Detector(config=config).fit(log)


def _arrays(model: str) -> tuple[DetectorConfig, dict[str, np.ndarray]]:
    detector = _fitted(model)
    return detector.config, dict(detector._parts.arrays)


def _normal(n_rows: int) -> CalibrationScores:
    score = np.random.default_rng(0).exponential(size=n_rows)
    return CalibrationScores(np.arange(n_rows) * 60 * 10**9, score, np.zeros(n_rows, np.int32), 60.0)


@pytest.mark.parametrize("model", MODELS)
def test_arrays_bring_a_model_back(model: str) -> None:
    config, arrays = _arrays(model)
    parts = ModelParts(config, 3, arrays, 60.0)
    again = model_arrays(parts.config, *parts.built(), parts.autocovariance)
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_arrays_must_be_exactly_those_of_the_settings(model: str) -> None:
    config, arrays = _arrays(model)
    for name in arrays:
        with pytest.raises(ArtefactError):
            ModelParts(config, 3, {key: array for key, array in arrays.items() if key != name}, 60.0).built()
        with pytest.raises(ArtefactError):
            ModelParts(config, 3, {**arrays, name: np.zeros((2, 3, 4, 5), np.float32)}, 60.0).built()
    for name in ("spare", "network.spare", "pca.spare"):
        with pytest.raises(ArtefactError, match="spare"):
            ModelParts(config, 3, {**arrays, name: np.zeros(1, np.float32)}, 60.0).built()
    with pytest.raises(ArtefactError):
        ModelParts(config, 4, arrays, 60.0).built()


def test_scales_that_are_not_positive_and_models_without_sensors_are_refused() -> None:
    config, arrays = _arrays("linear")
    with pytest.raises(ArtefactError, match="positive"):
        ModelParts(config, 3, {**arrays, "scaler.scale": np.array([1.0, 0.0, 1.0])}, 60.0).built()
    with pytest.raises(ArtefactError):
        ModelParts(config, 3, {**arrays, "scaler.is_used": np.zeros(3)}, 60.0).built()


@pytest.mark.parametrize("score", SCHEMES)
def test_a_calibration_comes_back(score: str) -> None:
    calibration = _fitted("linear", score)._calibration
    settings, arrays = calibration.to_parts()
    again = Calibration.from_parts(settings, arrays)
    assert again.threshold == calibration.threshold
    assert again.rule == calibration.rule
    assert again.scheme.name == score
    assert again.to_parts()[0] == settings
    for name in arrays:
        with pytest.raises(ArtefactError, match=r"incomplete|cannot be used"):
            Calibration.from_parts(settings, {key: array for key, array in arrays.items() if key != name})


@pytest.mark.parametrize(
    "change",
    [
        {"score": "unheard of"},
        {"score": None},
        {"threshold": {}},
        {"threshold": {"surprise": 1}},
        {"rule": {"surprise": 1}},
        {"rule": {"min_rows": -1}},
    ],
    ids=str,
)
def test_a_calibration_that_makes_no_sense_is_an_artefact_error(change: dict[str, Any]) -> None:
    """Not a usage error: the user typed nothing wrong."""
    settings, arrays = _fitted("linear")._calibration.to_parts()
    with pytest.raises(ArtefactError):
        Calibration.from_parts(settings | change, arrays)


def test_by_default_one_event_a_day_is_promised_or_a_quantile_taken() -> None:
    scheme, rule = _fitted("linear")._calibration.scheme, EventRule(step_seconds=60.0)
    long, nothing_to_say = choose_threshold(scheme, _normal(10_000), rule, None)
    assert long.threshold.method == "budget"
    assert long.threshold.is_promised
    assert nothing_to_say == ""
    short, refusal = choose_threshold(scheme, _normal(1500), rule, None)
    assert short.threshold.method == "quantile"
    assert short.threshold.parameters["q"] in FALLBACK_QUANTILES
    assert "no promise" in refusal
    assert f"{short.threshold.parameters['q']:g} quantile" in refusal
    quantiles = {n: choose_threshold(scheme, _normal(n), rule, None)[0].threshold.parameters["q"] for n in (200, 1200)}
    assert quantiles[200] <= quantiles[1200]
    with pytest.raises(TooLittleDataError, match="at least 100 scored rows, got 50"):
        choose_threshold(scheme, _normal(50), rule, None)


def test_a_method_that_was_asked_for_is_not_replaced() -> None:
    scheme, rule = _fitted("linear")._calibration.scheme, EventRule(step_seconds=60.0)
    with pytest.raises(TooLittleDataError):
        choose_threshold(scheme, _normal(50), rule, QuantileThreshold(0.99))
    alike = _normal(5000)
    alike.score[:] = 2.0
    with pytest.raises(DataError, match="equal"):
        choose_threshold(scheme, alike, rule, QuantileThreshold(0.99))


def test_a_log_that_never_moved_gets_a_line_above_its_scores_and_no_promise() -> None:
    scheme, rule = _fitted("linear")._calibration.scheme, EventRule(step_seconds=60.0)
    for level in (0.0, 2.0):
        alike = _normal(5000)
        alike.score[:] = level
        calibration, note = choose_threshold(scheme, alike, rule, None)
        assert calibration.threshold.threshold > level
        assert not calibration.threshold.is_promised
        assert "any movement" in note
        settings, arrays = calibration.to_parts()
        assert Calibration.from_parts(settings, arrays).threshold == calibration.threshold


def test_the_quantiles_of_the_normal_scores_are_kept_for_figures() -> None:
    detector = _fitted("linear")
    quantiles = detector.normal_quantiles_
    assert (np.diff(quantiles) >= 0).all()
    assert quantiles[0] < detector.threshold_ <= quantiles[-1]

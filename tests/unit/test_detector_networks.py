"""What runs a network changes its speed and not its scores; a carried state gives one score in any cut."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.errors import ArtefactError, UsageError
from sensorad.types import RowBlock

SENSORS = ["a", "b", "c"]
SMALL = {"width": 8, "code": 3, "near_zero": False}


def log_of(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(n_rows, 3))
    log = pd.DataFrame(wave, columns=SENSORS)
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


def messy_log() -> pd.DataFrame:
    """A gap, missing cells, a fault, and rows that come too fast."""
    log = log_of(700, seed=2)
    log.loc[200:, "time"] += pd.Timedelta(hours=2)
    log.loc[300:304, "a"] = np.nan
    log.loc[400:420, "b"] += 2.0
    log.loc[550:, "time"] = log["time"].iloc[549] + pd.to_timedelta(np.arange(1, 151) * 45, unit="s")
    return log


@cache
def fitted(**options: object) -> Detector:
    settings = {"model": "lstm", "window": 8, "lags": 2, "epochs": 1, **options}
    network = SMALL if settings["model"] == "lstm" else {"width": 8, "near_zero": False}
    return Detector(config=DetectorConfig(**settings, network=network)).fit(log_of(600))  # type: ignore[arg-type]


def rows_of(detector: Detector, log: pd.DataFrame) -> RowBlock:
    (block,) = detector.open_log(log).blocks()
    return block


def scores_of(detector: Detector, log: pd.DataFrame, **options: object) -> np.ndarray:
    return detector.engine(**options).score(rows_of(detector, log)).score  # type: ignore[arg-type]


CASES = [
    {},
    {"read_every": 1},
    {"has_linear_part": False},
    {"score": "mahalanobis"},
    {"score": "sse"},
    {"has_linear_part": False, "encoding": "carried"},
    {"has_linear_part": False, "encoding": "carried", "score": "mahalanobis"},
]
every_case = pytest.mark.parametrize("options", CASES, ids=str)


@every_case
def test_numpy_gives_the_scores_of_torch(options: dict[str, object]) -> None:
    detector = fitted(**options)
    by_torch, by_numpy = (scores_of(detector, messy_log(), network=name) for name in ("torch", "numpy"))
    assert np.isfinite(by_torch).sum() > 600
    np.testing.assert_allclose(by_numpy, by_torch, rtol=1e-4, atol=1e-5)


@every_case
def test_a_saved_detector_reads_as_before(options: dict[str, object], tmp_path: Path) -> None:
    detector = fitted(**options)
    detector.save(tmp_path / "d.sensorad")
    again = sensorad.load(tmp_path / "d.sensorad")
    assert again.config_ == detector.config_
    np.testing.assert_array_equal(scores_of(again, messy_log()), scores_of(detector, messy_log()))


def test_by_default_a_network_on_a_linear_part_skips_windows() -> None:
    detector = fitted()
    assert detector.config_.reading_rows == 2
    model = detector.engine().model
    assert isinstance(model, NetworkErrors)
    assert model.grid is not None
    assert model.gate > 0, "otherwise the tests here say nothing"
    every = fitted(read_every=1).engine().model
    assert isinstance(every, NetworkErrors)
    assert every.grid is None


def test_scores_of_another_reading_are_not_taken_for_ones_own() -> None:
    """The weights may well be the same."""
    own = [fitted(**options).scorer_ for options in ({}, {"read_every": 1}, {"read_every": 4})]
    assert own[0]["weights"] == own[1]["weights"]
    assert own[0] != own[1] != own[2] != own[0]
    assert set(own[1]) == {"weights", "score"}, "as earlier versions wrote it into their scores"


@pytest.mark.parametrize("score", ["fused", "mahalanobis"])
def test_a_carried_state_scores_the_same_in_any_cut(score: str) -> None:
    detector = fitted(has_linear_part=False, encoding="carried", score=score)
    block = rows_of(detector, messy_log())
    whole = detector.engine().score(block)
    assert isinstance(detector.engine().model, CarriedErrors)
    assert np.isfinite(whole.score[7:200]).all()
    for size in (1, 97):
        engine = detector.engine()
        parts = [engine.score(block.take(slice(at, at + size))) for at in range(0, len(block), size)]
        score_of_parts = np.concatenate([part.score for part in parts])
        np.testing.assert_allclose(score_of_parts, whole.score, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(np.concatenate([part.status for part in parts]), whole.status)


def test_a_carried_state_needs_no_more_than_its_context() -> None:
    detector = fitted(has_linear_part=False, encoding="carried", score="mahalanobis")
    context = detector.engine().context_rows
    assert context == 2 * 256 + 8
    log = log_of(context + 300, seed=4)
    whole = scores_of(detector, log)
    for row in (context, context + 57, context + 299):
        part = scores_of(detector, log.iloc[row - context : row + 1].reset_index(drop=True))
        np.testing.assert_allclose(part[-1], whole[row], rtol=1e-5, atol=1e-6)


def test_numpy_networks_are_nobody_elses() -> None:
    """Their buffers would be written by several threads otherwise."""
    detector = fitted()
    first, second = (detector.engine(network="numpy").model for _ in range(2))
    assert isinstance(first, NetworkErrors)
    assert isinstance(second, NetworkErrors)
    assert isinstance(first.network, NumpyLSTM)
    assert first.network is not second.network


def test_a_linear_detector_has_nothing_to_choose() -> None:
    detector = Detector(config=DetectorConfig(window=8, lags=2)).fit(log_of(600))
    assert detector.engine(network="numpy").model is detector.engine().model


def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no NumPy version of the transformer"):
        fitted(model="transformer").engine(network="numpy")
    with pytest.raises(UsageError, match="bfloat16 needs torch"):
        fitted().engine(network="numpy", precision="bfloat16")
    broken = dict(fitted()._parts.arrays)
    broken["network.output.bias"] = broken["network.output.bias"][:2]
    detector = fitted()
    parts = type(detector._parts)(detector.config_, 3, broken, 60.0)
    for network in ("torch", "numpy"):
        with pytest.raises(ArtefactError, match=r"output\.(bias|weight)"):
            parts.built(network)


def test_bfloat16_scores_are_near_those_of_float32() -> None:
    for options in ({}, {"has_linear_part": False}):
        detector = fitted(**options)
        exact, rough = scores_of(detector, messy_log()), scores_of(detector, messy_log(), precision="bfloat16")
        np.testing.assert_array_equal(np.isnan(exact), np.isnan(rough))
        known = np.isfinite(exact)
        assert (exact[known] != rough[known]).any()
        assert np.median(np.abs(exact - rough)[known]) < 0.01


def test_an_lstm_scores_without_torch(tmp_path: Path) -> None:
    fitted().save(tmp_path / "d.sensorad")
    log_of(50).to_parquet(tmp_path / "log.parquet")
    code = (
        "import sys, sensorad\n"
        "detector = sensorad.load('d.sensorad', has_model=False)\n"
        "engine = detector.engine(network='numpy')\n"
        "scores = [engine.score(block) for block in detector.open_log('log.parquet').blocks()]\n"
        "assert scores[0].score[20] > 0\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0

"""Ready networks, objectives and exposures in the place of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

import sensorad
from sensorad import Detector, UsageError
from sensorad.config import DetectorConfig
from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.training import Denoising, MaskedReconstruction, Repair, ScoreHinge


def log(n_rows: int = 400) -> pd.DataFrame:
    course = np.sin(np.arange(n_rows) / 15)
    noise = 0.1 * np.random.default_rng(0).normal(size=(n_rows, 2))
    time = pd.date_range("2024-03-01", periods=n_rows, freq="min", tz="UTC")
    return pd.DataFrame({"time": time, "flow": course + noise[:, 0], "power": 2 * course + noise[:, 1]})


def test_a_network_stands_for_its_kind_and_sizes() -> None:
    ready = Detector(LSTMAutoencoder(2, LSTMConfig(width=8, code=4)), window=8, epochs=1).fit(log())
    said = DetectorConfig(model="lstm", network={"width": 8, "code": 4}, window=8, epochs=1)
    np.testing.assert_array_equal(ready.score(log())["score"], Detector(config=said).fit(log()).score(log())["score"])
    with pytest.raises(UsageError, match="got a Linear"):
        Detector(nn.Linear(2, 2))  # type: ignore[arg-type]


def test_an_objective_with_settings_of_its_own_is_trained_and_kept(tmp_path: Path) -> None:
    network = LSTMAutoencoder(2, LSTMConfig(width=8, code=4, near_zero=False))
    losses = {}
    for sigma in (0.1, 3.0):
        detector = Detector(network, objective=Denoising(sigma=sigma), window=8, epochs=2).fit(log())
        losses[sigma] = detector.training_["records"][-1]["train_losses"][-1]
    assert losses[3.0] > 1.05 * losses[0.1], "what is told apart from more noise is told less well"
    detector.save(tmp_path / "detector")
    again = sensorad.load(tmp_path / "detector")
    assert again.config_.objective == {"name": "denoising", "sigma": 3.0, "dropout": 0.0}
    assert again.config_ == detector.config_


def test_objectives_with_lists_come_back_from_json() -> None:
    config = Detector("lstm", objective=MaskedReconstruction(span=(2, 3))).config
    assert DetectorConfig.from_json(config.to_json()) == config


def test_an_exposure_brings_its_settings() -> None:
    detector = Detector("lstm", exposure=Repair(kinds=("bias", "lag"), share=0.3))
    assert detector.config.exposure == "repair"
    assert detector.config.exposure_kinds == ("bias", "lag")
    assert detector.config.exposure_settings == {"share": 0.3, "faulty_weight": 3.0}
    assert Detector("lstm", exposure={"name": "hinge", "margin": 2.0}).config.exposure_settings == {"margin": 2.0}
    assert DetectorConfig.from_json(detector.config.to_json()) == detector.config
    with pytest.raises(UsageError, match="no settings share"):
        Detector("lstm", exposure={"name": "hinge", "share": 0.3})
    with pytest.raises(UsageError, match="named in the exposure and beside it"):
        Detector("lstm", exposure=Repair(kinds=("bias",)), exposure_kinds=["lag"])


def test_its_settings_change_the_training() -> None:
    network = LSTMAutoencoder(2, LSTMConfig(width=8, code=4, near_zero=False))
    records = [
        Detector(network, exposure=exposure, window=8, epochs=1).fit(log()).training_["records"][-1]["train_losses"]
        for exposure in ("hinge", ScoreHinge(margin=3.0), ScoreHinge())
    ]
    assert records[0] == records[2]
    assert records[1][0] > records[0][0] + 0.5

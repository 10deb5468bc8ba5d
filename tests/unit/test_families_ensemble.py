"""Ensembles as detectors: members that differ, one training, one artefact, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sensorad
from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.error_models.ensemble_errors import EnsembleErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.numpy_randnet import NumpyRandNet
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.errors import ArtefactError, UsageError
from sensorad.export.reference import Reference
from sensorad.families.ensemble import EnsembleFamily
from sensorad.members import usual_members
from sensorad.model_parts import ModelParts

LSTM = {"model": "lstm", "network": {"width": 8, "code": 3, "near_zero": False}}
RANDNET = {"model": "randnet", "network": {"width": 8, "code": 3, "near_zero": False}}
MEMBERS: tuple[dict[str, Any], ...] = (
    {"model": "linear", "window": 2},
    LSTM,
    {**LSTM, "window": 2},
    RANDNET,
    RANDNET,
    {"model": "shape", "window": 4},
)


def log_of(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 6.0 + np.arange(3)) + 0.2 * rng.normal(size=(n_rows, 3))
    log = pd.DataFrame(wave, columns=["a", "b", "c"])
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


def config_of(**options: Any) -> DetectorConfig:
    return DetectorConfig(**{"model": "ensemble", "window": 8, "lags": 2, "epochs": 1, "members": MEMBERS} | options)


@cache
def fitted(has_linear_part: bool = True) -> Detector:
    members = MEMBERS if has_linear_part else MEMBERS[1:]
    return Detector(config=config_of(has_linear_part=has_linear_part, members=members)).fit(log_of(500))


def model_of(detector: Detector, network: str = "torch") -> EnsembleErrors:
    model = detector.engine(network=network).model
    assert isinstance(model, EnsembleErrors)
    return model


def test_members_share_linear_parts_and_have_their_own_weights() -> None:
    model = model_of(fitted())
    networks = [member for member in model.members if isinstance(member, NetworkErrors)]
    assert [member.length for member in networks] == [8, 2, 8, 8]
    assert list(model.pcas) == [8, 2]
    for member in networks:
        assert member.pca is model.pcas[member.length]
        assert member.autoregression is model.autoregression
    assert model.members[0].pca is model.pcas[2]
    names = set(fitted()._parts.arrays)
    assert {"pca.8.components", "pca.2.components", "autoregression.weights", "member.5.centroids"} <= names
    assert len([name for name in names if name.startswith("pca.")]) == 2
    assert not any(name.startswith(("pca.", "autoregression.")) for name in fitted(has_linear_part=False)._parts.arrays)


def test_members_with_equal_settings_differ_and_the_seed_decides_all() -> None:
    arrays = fitted()._parts.arrays
    for part in ("encoder.connected", "encoder.weight", "output.weight"):
        assert not np.array_equal(arrays[f"member.3.network.{part}"], arrays[f"member.4.network.{part}"])
    seeds = [member.random_state for member in config_of().each_member]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [member.random_state for member in config_of().each_member]
    assert not set(seeds) & {member.random_state for member in config_of(random_state=1).each_member}
    # a member does not change when another one is added behind it
    assert seeds[:2] == [member.random_state for member in config_of(members=MEMBERS[:2]).each_member]


def test_the_record_tells_of_every_member() -> None:
    records = fitted().training_["records"]
    assert len(records) == 4 * 3
    fingerprints = [record["fingerprint"] for record in records]
    seeds = [str(member.random_state) for member in config_of().each_member[1:5]]
    assert [print_.split(":")[1] for print_ in fingerprints] == [seed for seed in seeds for _ in range(3)]
    assert "6 members" in fitted().training_["roles"]["error statistics and threshold"]


def test_a_killed_fit_goes_on_in_the_member_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorad.training import Trainer

    calls: list[Path] = []
    train = Trainer.fit

    def watched(self: Trainer, *args: Any, **options: Any) -> Any:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(options["checkpoint"])
        return train(self, *args, **options)

    monkeypatch.setattr(Trainer, "fit", watched)
    with pytest.raises(KeyboardInterrupt):
        Detector(config=config_of()).fit(log_of(500), checkpoint=tmp_path)
    assert [path.parent.name for path in calls] == ["member-1"] * 3 + ["member-2"] * 2
    kept = {path: path.read_bytes() for path in calls}
    monkeypatch.undo()
    again = Detector(config=config_of()).fit(log_of(500), checkpoint=tmp_path)
    assert again.weights_hash_ == fitted().weights_hash_
    assert all(path.read_bytes() == data for path, data in kept.items()), "what was finished is not trained again"


def test_networks_share_the_time() -> None:
    limits = [member.time_limit_seconds for member in config_of(time_limit_seconds=60.0).each_member]
    assert limits == [15.0] * 6
    assert [member.time_limit_seconds for member in config_of().each_member] == [None] * 6


def test_settings_of_the_whole_hold_for_members_that_have_none() -> None:
    own = config_of(
        objective="plain", stride=3, members=(LSTM, {**LSTM, "objective": "denoising", "epochs": 2}, MEMBERS[5])
    )
    assert [member.objective for member in own.each_member] == ["plain", "denoising", None]
    assert [member.epochs for member in own.each_member] == [1, 2, None]
    assert [member.length for member in own.each_member] == [8, 8, 4]
    assert [member.members for member in own.each_member] == [(), (), ()]
    assert DetectorConfig.from_json(json.loads(json.dumps(own.to_json()))) == own


def test_without_members_there_are_the_usual_ones_and_a_saved_detector_keeps_them(tmp_path: Path) -> None:
    config = DetectorConfig(model="ensemble", epochs=0, lags=2)
    log = log_of(160).assign(**{f"d{seed}": log_of(160, seed=seed)["a"] for seed in range(1, 6)})
    detector = Detector(config=config).fit(log)
    assert detector.config_.length == 20, "no more cells than rows"
    assert detector.config_.members == usual_members(20, has_linear_part=True)
    lengths = {member.length for member in detector.config_.each_member}
    assert lengths == {20, 5}
    models = [member.model for member in detector.config_.each_member]
    assert {"linear", "shape", "lstm", "randnet"} == set(models)
    detector.save(tmp_path / "usual.sensorad")
    assert sensorad.load(tmp_path / "usual.sensorad").config_ == detector.config_
    assert all(member["model"] != "linear" for member in usual_members(30, has_linear_part=False))
    longer = config_of(window=None, members=({**LSTM, "window": 12},))
    assert longer.fitted_to(10, 5).length == 12
    assert longer.fitted_to(10_000, 3).length == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": ({"model": "lstm", "window": 9},)}, "member 1 .*9 rows|9 rows"),
        ({"members": (LSTM, {"modle": "lstm"})}, "'modle'.*member 2"),
        ({"members": ({"window": 4},)}, "a model expected.*member 1"),
        ({"members": ("lstm",)}, "settings by name expected, got 'lstm'"),
        ({"members": ({"model": "lstmm"},)}, "did you mean 'lstm'"),
        ({"members": ({"model": "ensemble"},)}, "ensemble cannot be a member"),
        ({"members": ({"model": "lstm", "window": 1},)}, "window must be"),
        ({"members": ({"model": "lstm", "score": "sse"},)}, "'score'"),
        ({"members": ({"model": "linear", "objective": "plain"},)}, "no training objective"),
        ({"has_linear_part": False}, "nothing without its linear part"),
        ({"network": {"width": 8}}, "no network of its own"),
        ({"members": (LSTM,) * 65}, "at most 64 members, got 65"),
        ({"model": "lstm"}, "only an ensemble has members"),
        ({"encoding": "carried"}, "carry its state"),
    ],
    ids=[
        *(
            "longer window",
            "misspelt",
            "no model",
            "no mapping",
            "unknown model",
            "an ensemble",
            "short window",
            "score",
        ),
        *("objective of a linear one", "linear without", "network of the whole", "many", "no ensemble", "carried"),
    ],
)
def test_members_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config_of(**options)


def test_a_stream_needs_torch_only_where_a_member_does() -> None:
    in_numpy = model_of(fitted(), "numpy")
    kinds = [type(member.network) for member in in_numpy.members if isinstance(member, NetworkErrors)]
    assert kinds == [NumpyLSTM, NumpyLSTM, NumpyRandNet, NumpyRandNet]
    assert model_of(fitted(), "numpy") is not in_numpy, "an LSTM in NumPy serves one thread at a time"
    assert model_of(fitted()) is model_of(fitted())
    assert all(isinstance(m.network, TorchWindows) for m in model_of(fitted()).members if isinstance(m, NetworkErrors))
    batch, numpy = (fitted().engine(network=name) for name in ("torch", "numpy"))
    (block,) = fitted().open_log(log_of(200, seed=3)).blocks()
    np.testing.assert_allclose(numpy.score(block).score, batch.score(block).score, rtol=1e-5, atol=1e-5)


def test_scores_of_rows_need_nothing_but_numpy(tmp_path: Path) -> None:
    fitted().save(tmp_path / "ensemble.sensorad")
    program = """
import sys, sensorad
stream = sensorad.load("ensemble.sensorad", has_model=False).stream()
for at in range(30):
    row = stream.update(1_714_521_600_000_000_000 + at * 60 * 10**9, {"a": 0.0, "b": 0.0, "c": 0.1})
assert row.status == "scored", row
assert not {"torch", "sklearn", "pandas", "scipy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="an ensemble has no ONNX form"):
        Reference(fitted().engine())
    with pytest.raises(UsageError, match="several networks"):
        fitted().engine(network="some.onnx")
    with pytest.raises(TypeError, match="no arrays known"):
        EnsembleFamily().arrays(model_of(fitted()).members[1])


@pytest.mark.parametrize("has_linear_part", [True, False])
def test_arrays_that_are_not_those_of_the_members_are_refused(has_linear_part: bool) -> None:
    detector = fitted(has_linear_part)
    arrays = dict(detector._parts.arrays)
    ModelParts(detector.config_, 3, arrays, 60.0).built()
    own = [name for name in arrays if name.startswith(("member.", "pca.", "autoregression."))]
    assert len(own) > 40
    for name in own:
        good = arrays[name]
        for wrong in (good[:-1], good[None], good.astype(np.float64), np.full_like(good, np.nan)):
            if name.startswith(("pca.", "autoregression.")) and wrong.shape == good.shape and wrong.dtype == good.dtype:
                continue  # reading a file has refused what is not finite
            if (
                name.endswith(".centroids")
                and wrong.ndim == 3
                and wrong.dtype == good.dtype
                and np.isfinite(wrong).all()
            ):
                continue  # any number of centroids is a model
            if name.endswith(".gate") and wrong.shape == good.shape and wrong.dtype == good.dtype:
                continue
            with pytest.raises(ArtefactError):
                ModelParts(detector.config_, 3, {**arrays, name: wrong}, 60.0).built()
        with pytest.raises(ArtefactError):
            ModelParts(detector.config_, 3, {key: array for key, array in arrays.items() if key != name}, 60.0).built()
    for name in ("member.0.spare", "member.9.gate", "member.spare", "member.1.network.spare", "pca.4.components"):
        with pytest.raises(ArtefactError):
            ModelParts(detector.config_, 3, {**arrays, name: np.zeros(1, np.float32)}, 60.0).built()

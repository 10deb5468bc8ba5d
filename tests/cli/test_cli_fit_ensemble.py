"""`--model ensemble` and `--model shape`: fitted, scored, streamed, and refused where they cannot be exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_process import cli, make_log

import sensorad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with log.parquet."""
    found = tmp_path_factory.mktemp("ensemble")
    make_log(700, seed=0).to_parquet(found / "log.parquet", index=False)
    return found


def test_an_ensemble_is_fitted_in_one_go(folder: Path) -> None:
    args = ("--model", "ensemble", "--epochs", "1", "--window", "12", "--loss-curve", "c.svg", "--time-limit", "10min")
    run = cli("fit", "log.parquet", "-o", "e.sensorad", *args, cwd=folder).ok()
    assert "8 members" in run.err
    assert (folder / "c.svg").read_text().startswith("<svg")
    assert not (folder / "e.sensorad.checkpoint").exists(), "with the folders of its members"
    detector = sensorad.load(folder / "e.sensorad")
    assert {(own.model, own.length) for own in detector.config_.each_member} == {
        (model, length) for model in ("linear", "shape", "lstm", "randnet") for length in (12, 3)
    }
    assert {own.time_limit_seconds for own in detector.config_.each_member} == {150.0}
    cli("score", "log.parquet", "-m", "e.sensorad", "-o", "s.parquet", cwd=folder).ok()
    cli("export", "e.sensorad", "-o", "e.onnx", cwd=folder).refused(2, "E_USAGE", "an ensemble has no ONNX form")


def test_a_shape_model_is_no_network(folder: Path) -> None:
    args = ("fit", "log.parquet", "-o", "s.sensorad", "--model", "shape", "--window", "12")
    cli(*args, "--loss-curve", "d.svg", cwd=folder).refused(2, "E_USAGE", "no training curve")
    cli(*args, "--no-linear-part", cwd=folder).ok()
    assert sensorad.load(folder / "s.sensorad").config_.has_linear_part is False
    cli("export", "s.sensorad", "-o", "s.onnx", cwd=folder).refused(2, "E_USAGE", "a shape model has no ONNX form")

"""``sensorad export``: real processes, files that other programs run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from cli_process import cli, environment, left_in, make_log


@pytest.fixture(scope="module")
def lstm(workshop: Path) -> Path:
    """A detector with an LSTM, trained for one epoch, beside the others in the workshop."""
    arguments = ("--model", "lstm", "--window", "12", "--epochs", "1", "--budget", "3/day")
    cli("fit", "normal.parquet", "-o", "lstm.sensorad", *arguments, cwd=workshop).ok()
    return workshop / "lstm.sensorad"


def test_an_export_says_what_it_wrote_and_runs_elsewhere(workshop: Path, tmp_path: Path) -> None:
    run = cli(
        "export", workshop / "pump.sensorad", "-o", "pump.onnx", "--check", workshop / "new.parquet", cwd=tmp_path
    )
    run.ok()
    assert run.out == ""
    for words in (
        "Exported the detector",
        "linear, windows of 30 rows x 5 sensors",
        "float32 (windows, 30, 5)",
        "1,445",
    ):
        assert words in run.err
    assert left_in(tmp_path) == {"pump.onnx"}
    code = (
        "import json, sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession('pump.onnx', providers=['CPUExecutionProvider'])\n"
        "facts = json.loads(session.get_modelmeta().custom_metadata_map['sensorad'])\n"
        "log = numpy.load('log.npy')\n"
        "windows = numpy.stack([log[i : i + facts['window']] for i in range(len(log) - facts['window'] + 1)])\n"
        "numpy.save('expected.npy', session.run(['expected'], {'values': windows})[0])\n"
        "print(json.dumps(facts['sensors']))\n"
        "assert not {'sensorad', 'torch'} & sys.modules.keys()\n"
    )
    log = pd.read_parquet(workshop / "new.parquet")
    sensors = ["flow", "power", "temp", "level", "lamp"]
    np.save(tmp_path / "log.npy", log[sensors].to_numpy(np.float32))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == sensors
    expected = np.load(tmp_path / "expected.npy")
    cli("score", workshop / "new.parquet", "-m", workshop / "pump.sensorad", "-o", "s.parquet", cwd=tmp_path).ok()
    scores = pd.read_parquet(tmp_path / "s.parquet").iloc[29:]
    compared = 0
    for row, (_, score) in zip(expected, scores.iterrows(), strict=True):
        if score["top_sensors"] is None:
            continue
        for name, value in zip(score["top_sensors"], score["top_expected"], strict=True):
            assert row[sensors.index(name)] == pytest.approx(value, rel=1e-5)
            compared += 1
    assert compared > 5000


def test_json_names_inputs_outputs_and_differences(workshop: Path, tmp_path: Path) -> None:
    run = cli("export", workshop / "pump.sensorad", "-o", "pump.onnx", "--json", "--opset", "18", cwd=tmp_path).ok()
    said = json.loads(run.out)
    assert run.err == ""
    assert said["inputs"] == {"values": "float32 (windows, 30, 5)"}
    assert said["outputs"]["window_errors"] == "float64 (windows, 5)"
    assert said["compared_windows"] == 34
    assert max(said["largest_difference"].values()) <= 1e-6
    assert said["bytes"] == (tmp_path / "pump.onnx").stat().st_size
    inspected = json.loads(cli("inspect", workshop / "pump.sensorad", "--json").ok().out)
    assert said["weights"] in json.dumps(inspected)


def test_both_parts_of_a_network_are_written_and_hold_the_same_network(lstm: Path, tmp_path: Path) -> None:
    for part in ("detector", "network"):
        run = cli("export", lstm, "-o", f"{part}.onnx", "--part", part, "--json", cwd=tmp_path).ok()
        said = json.loads(run.out)
        assert (said["part"], said["model"], said["window"]) == (part, "lstm", 12)
        assert max(said["largest_difference"].values()) <= 1e-6
    sessions = [
        onnxruntime.InferenceSession(tmp_path / f"{part}.onnx", providers=["CPUExecutionProvider"])
        for part in ("detector", "network")
    ]
    names = [[value.name for value in session.get_inputs()] for session in sessions]
    assert names == [["values"], ["residual"]]


def test_what_stands_there_is_kept(workshop: Path, tmp_path: Path) -> None:
    (tmp_path / "pump.onnx").write_text("precious")
    pump = workshop / "pump.sensorad"
    cli("export", pump, "-o", "pump.onnx", cwd=tmp_path).refused(5, "E_IO", "exists already", "--force")
    assert (tmp_path / "pump.onnx").read_text() == "precious"
    cli("export", pump, "-o", "pump.onnx", "--force", "-q", cwd=tmp_path).ok()
    assert (tmp_path / "pump.onnx").stat().st_size > 5_000
    assert left_in(tmp_path) == {"pump.onnx"}


def test_wrong_use_is_refused_before_any_work(workshop: Path, tmp_path: Path) -> None:
    pump = workshop / "pump.sensorad"
    cli("export", pump, "-o", "-", cwd=tmp_path).refused(2, "E_USAGE", "an export is a file")
    cli("export", pump, "-o", pump / "a.onnx", cwd=tmp_path).refused(2, "E_USAGE", "among the input")
    cli("export", pump, "-o", "a.onnx", "--part", "all", cwd=tmp_path).refused(2, "E_USAGE", "--part", "network")
    cli("export", pump, "-o", "a.onnx", "--part", "network", cwd=tmp_path).refused(2, "E_USAGE", "linear", "no network")
    cli("export", tmp_path / "none", "-o", "a.onnx", cwd=tmp_path).refused(5, "E_IO", "none")
    make_log(100, seed=3).drop(columns="power").to_parquet(tmp_path / "other.parquet")
    cli("export", pump, "-o", "a.onnx", "--check", "other.parquet", cwd=tmp_path).refused(3, "E_SCHEMA", "power")
    assert left_in(tmp_path) == {"other.parquet"}


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_the_line_says_how_to_get_it(package: str, workshop: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n")
    path = os.pathsep.join([str(absent), os.environ["PYTHONPATH"]])
    run = cli("export", workshop / "pump.sensorad", "-o", "a.onnx", cwd=tmp_path, PYTHONPATH=path)
    run.refused(2, "E_USAGE", "not installed", "pip install 'sensorad[onnx]'")
    assert left_in(tmp_path) == {"absent"}

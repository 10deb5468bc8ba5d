"""A file that is not the network it should be is refused before it runs, and by name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_detectors import KINDS, fitted, plant_log

from sensorad import ArtefactError, Detector, StorageError, UsageError
from sensorad.error_models import onnx_windows
from sensorad.error_models.onnx_windows import OnnxFacts, OnnxWindows, onnx_session, read_onnx
from sensorad.export import export_onnx

FACTS = OnnxFacts("network", "lstm", 8, ("a", "b"), ("degC", None), 60.0, "ab" * 32)


def doubling(
    facts: str | None, *, shape: tuple[object, ...] = ("windows", 8, 2), kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """A network that doubles its input, with these words about itself."""
    values = [helper.make_tensor_value_info(name, kind, list(shape)) for name in ("residual", "output")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["residual", "residual"], ["output"])], "network", *map(_list, values)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if facts is not None:
        helper.set_model_props(model, {"sensorad": facts})
    return model


def _list(value: object) -> list[object]:
    return [value]


def written(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(FACTS.to_text()), **changes})


@pytest.fixture(scope="module")
def detectors() -> tuple[Detector, Detector]:
    """Two detectors of the same settings that learned from different rows."""
    return fitted(KINDS["lstm"], seed=1), fitted(KINDS["lstm"], seed=2)


@pytest.fixture(scope="module")
def network(detectors: tuple[Detector, Detector], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    export_onnx(detectors[0], path, part="network")
    return path


def test_a_network_runs_in_batches_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_windows, "BATCH_WINDOWS", 4)
    network = OnnxWindows(written(tmp_path / "a.onnx", doubling(FACTS.to_text())))
    windows = np.random.default_rng(0).normal(size=(11, 8, 2)).astype(np.float32)
    assert (network(windows) == 2 * windows).all()
    assert network(windows[:0]).shape == (0, 8, 2)
    assert network.facts == FACTS
    with pytest.raises(UsageError, match=r"windows of \(8, 2\) expected, got \(8, 3\)"):
        network(np.zeros((1, 8, 3), np.float32))


def test_the_network_of_another_detector_is_refused(detectors: tuple[Detector, Detector], network: Path) -> None:
    own, other = detectors
    assert own.engine(network=network).model.context_rows == own.engine().model.context_rows
    with pytest.raises(ArtefactError, match="made from other weights") as caught:
        other.engine(network=network)
    assert own.weights_hash_[:12] in str(caught.value)
    assert other.weights_hash_[:12] in str(caught.value)
    assert str(network) in str(caught.value)


def test_a_new_calibration_keeps_its_network(detectors: tuple[Detector, Detector], network: Path) -> None:
    recalibrated = fitted(KINDS["lstm"], seed=1)
    recalibrated.calibrate(plant_log(600, seed=8), method="quantile", q=0.9)
    assert recalibrated.threshold_ != detectors[0].threshold_
    recalibrated.engine(network=network)


def test_the_whole_detector_is_no_network(detectors: tuple[Detector, Detector], tmp_path: Path) -> None:
    export_onnx(detectors[0], tmp_path / "whole.onnx")
    with pytest.raises(ArtefactError, match=r"holds the 'detector' part.*--part network"):
        detectors[0].engine(network=tmp_path / "whole.onnx")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "not an ONNX file that sensorad wrote"),
        ("", "damaged"),
        ("[1, 2]", "damaged"),
        ("{" * 100_000, "damaged"),
        (" " * (2**20 + 1), "not an ONNX file that sensorad wrote"),
        (changed(format="other"), "damaged"),
        (changed(format_version=2), r"newer sensorad \(format 2\)"),
        (changed(format_version="1"), "damaged"),
        (changed(window="8"), "damaged"),
        (changed(sensors=[1, 2]), "damaged"),
        (changed(sensors=None), "damaged"),
        (changed(more=1), "damaged"),
        (changed(window=9), "float32 windows of 9 x 2"),
        (changed(sensors=["a", "b", "c"]), "float32 windows of 8 x 3"),
    ],
)
def test_a_file_that_says_something_else_is_refused(facts: str | None, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", doubling(facts))
    with pytest.raises(ArtefactError, match=words) as caught:
        OnnxWindows(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((3, 8, 2), TensorProto.FLOAT), (("windows", 8, 2), TensorProto.DOUBLE), ((8, 2), TensorProto.FLOAT)],
)
def test_another_input_than_said_is_refused(shape: tuple[object, ...], kind: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", doubling(FACTS.to_text(), shape=shape, kind=kind))
    with pytest.raises(ArtefactError, match="one input and one output of float32 windows of 8 x 2"):
        OnnxWindows(path)


def test_files_that_are_no_onnx_files_are_refused(
    tmp_path: Path, network: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(2**30 + 1)  # takes no space
    empty, junk, torn = (tmp_path / f"{name}.onnx" for name in ("empty", "junk", "torn"))
    empty.write_bytes(b"")
    junk.write_bytes(b"PAR1" * 1000)
    torn.write_bytes(network.read_bytes()[:-1000])
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    for path, words in (
        (huge, "has 1073741825 bytes, expected 1 to 1073741824"),
        (empty, "has 0 bytes"),
        (junk, "not an ONNX model that can be run"),
        (torn, "not an ONNX model that can be run"),
        (pipe, "not a regular file"),
        (tmp_path, "not a regular file"),
    ):
        with pytest.raises(ArtefactError, match=words) as caught:
            OnnxWindows(path)
        assert str(path) in str(caught.value)
    with pytest.raises(StorageError, match="No such file"):
        OnnxWindows(tmp_path / "absent.onnx")
    assert capfd.readouterr().err == ""


def test_a_model_that_reads_other_files_is_refused(tmp_path: Path) -> None:
    np.arange(2, dtype=np.float32).tofile(tmp_path / "secret.bin")
    model = doubling(FACTS.to_text())
    outside = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "secret.bin"), ("length", "8")):
        outside.external_data.add(key=key, value=value)
    model.graph.initializer.append(outside)
    model.graph.node[0].input[1] = "outside"
    with pytest.raises(ArtefactError, match="keeps arrays in other files"):
        OnnxWindows(written(tmp_path / "a.onnx", model))


def test_sensors_of_any_name_are_no_reference_to_a_file(tmp_path: Path) -> None:
    facts = OnnxFacts("network", "lstm", 8, ("\x08location", "location"), ("°C", None), 60.0, "ab" * 32)
    assert OnnxWindows(written(tmp_path / "a.onnx", doubling(facts.to_text()))).facts == facts


def test_an_unknown_operation_is_refused(tmp_path: Path) -> None:
    model = doubling(FACTS.to_text())
    model.graph.node[0].op_type = "Shell"
    with pytest.raises(ArtefactError, match="not an ONNX model that can be run"):
        OnnxWindows(written(tmp_path / "a.onnx", model))


def test_without_the_runtime_the_message_says_how_to_get_it(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"ONNX Runtime is not installed: pip install 'sensorad\[onnx\]'"):
        OnnxWindows(network)


def test_a_session_keeps_to_one_thread(network: Path) -> None:
    options = onnx_session(read_onnx(network), "network.onnx").get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)

"""Exported detectors and networks compute what the detector computes, for any number of windows."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx_detectors import KINDS, fitted, plant_log

from sensorad import ArtefactError, Detector, StorageError, UsageError
from sensorad.data import window_view
from sensorad.error_models import network_onnx
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.onnx_windows import OnnxFacts, OnnxWindows, onnx_session, read_onnx
from sensorad.export import TOLERANCE, OnnxExport, export_onnx

NETWORKS = [name for name in KINDS if name != "linear"]


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    return {name: fitted(config) for name, config in KINDS.items()}


@pytest.fixture(scope="module")
def exported(
    detectors: dict[str, Detector], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[Path, OnnxExport]]:
    """Every detector in every part, compared on a whole log too."""
    folder = tmp_path_factory.mktemp("exported")
    made = {}
    for name, detector in detectors.items():
        for part in ("detector", "network") if name in NETWORKS else ("detector",):
            path = folder / f"{name} {part}.onnx"
            rows = detector.open_log(plant_log(160, seed=2, has_flaws=True)).blocks()
            made[name, part] = path, export_onnx(detector, path, part=part, check=rows)
    return made


def log_windows(detector: Detector, n_rows: int = 60) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(N, L, C) windows in the sensors' units, one cell far beyond the knee of the scaling."""
    log = plant_log(n_rows, seed=4)
    log.loc[20, "TI-101"] += 60.0
    used = detector.engine().scaler.used_positions
    names = [detector.schema_.names[position] for position in used]
    return window_view(log[names].to_numpy(np.float32), detector.config_.length).copy()


def naive_linear(detector: Detector, window: np.ndarray[Any, Any]) -> tuple[list[float], list[float]]:
    """Expected newest row in the sensors' units and mean square errors of one window, number by number."""
    arrays, length = detector._parts.arrays, detector.config_.length
    used = [position for position, flag in enumerate(arrays["scaler.is_used"]) if flag > 0.5]
    flat = []
    for row in window:
        for value, position in zip(row, used, strict=True):
            z = (float(value) - arrays["scaler.centre"][position]) / arrays["scaler.scale"][position]
            size = abs(z) if abs(z) <= 5 else 5 + 5 * math.log1p((abs(z) - 5) / 5)
            flat.append(float(np.float32(math.copysign(size, z))))
    components = arrays["pca.components"]
    weights = [sum(float(components[i, k]) * flat[i] for i in range(len(flat))) for k in range(components.shape[1])]
    rebuilt = [sum(float(components[i, k]) * weights[k] for k in range(len(weights))) for i in range(len(flat))]
    expected, errors = [], []
    for c, position in enumerate(used):
        y = rebuilt[(length - 1) * len(used) + c]
        size = abs(y) if abs(y) <= 5 else 5 + 5 * math.expm1((abs(y) - 5) / 5)
        z = math.copysign(size, y)
        expected.append(z * arrays["scaler.scale"][position] + arrays["scaler.centre"][position])
        cells = [(flat[t * len(used) + c] - rebuilt[t * len(used) + c]) ** 2 for t in range(length)]
        errors.append(sum(cells) / length)
    return expected, errors


def test_a_linear_detector_is_its_formula_number_by_number(
    detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    detector, (path, _) = detectors["linear"], exported["linear", "detector"]
    windows = log_windows(detector)
    session = onnx_session(read_onnx(path), str(path))
    expected, _, errors = session.run(["expected", "reconstruction", "window_errors"], {"values": windows})
    for n in (0, 12, 13, 20, len(windows) - 1):
        naive_expected, naive_errors = naive_linear(detector, windows[n])
        assert expected[n] == pytest.approx(naive_expected, rel=1e-9)
        assert errors[n] == pytest.approx(naive_errors, rel=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_expectations_and_window_errors_are_the_engines(
    name: str, detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    """Against the errors that the engine works with, on rows of one segment."""
    detector, (path, _) = detectors[name], exported[name, "detector"]
    engine = detector.engine(network="torch")
    windows = log_windows(detector)
    rows = np.concatenate([windows[0], windows[1:, -1]])  # (T, C)
    whole = np.zeros((len(rows), len(engine.scaler.is_used)), np.float32)
    whole[:, engine.scaler.used_positions] = rows
    model = engine.model
    if isinstance(model, NetworkErrors) and model.grid is not None:
        model = replace(model, grid=None, read_every=1)
    scaled = engine.scaler.transform(whole)
    errors = model.errors(scaled, np.ones(rows.shape, bool), np.arange(len(rows)) * 60 * 10**9)
    first = engine.length - 1
    session = onnx_session(read_onnx(path), str(path))
    expected, reconstruction, window = session.run(None, {"values": windows})
    assert reconstruction.shape == windows.shape
    assert np.abs(window - errors.window[first:]).max() <= 1e-6 * max(1.0, errors.window[first:].max())
    units = engine.scaler.inverse(errors.expected[first:])
    scale = engine.scaler.scale[engine.scaler.used_positions]
    assert np.abs((expected - units) / scale).max() <= 2e-6  # the engine keeps expected rows in float32
    assert errors.window[first:].max() > 0.1


@pytest.mark.parametrize(("name", "part"), [(name, "detector") for name in KINDS] + [(n, "network") for n in NETWORKS])
def test_any_number_of_windows_gives_the_same(
    name: str, part: str, detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    path, written = exported[name, part]
    session = onnx_session(read_onnx(path), str(path))
    windows = log_windows(detectors[name], n_rows=600)
    if part == "network":
        windows = np.random.default_rng(0).normal(size=windows.shape).astype(np.float32)
    given = session.get_inputs()[0].name
    assert session.get_inputs()[0].shape[0] == "windows"
    together = session.run(None, {given: windows})
    for size in (1, 2, 3, 64, 512):
        for name_, alone, all_ in zip(
            written.outputs, session.run(None, {given: windows[:size]}), together, strict=True
        ):
            assert alone.shape == all_[:size].shape
            assert np.abs(alone - all_[:size]).max() <= 1e-6 * max(1.0, np.abs(all_).max()), name_


def score_difference(detector: Detector, network: str | Path | Callable[..., Any]) -> float:
    """Largest difference of the scores of a whole log from torch's, relative to max(1, |score|)."""
    by_torch, other = detector.engine(network="torch"), detector.engine(network="torch")
    if isinstance(network, str | Path):
        other = detector.engine(network=network)
        assert isinstance(other.model, NetworkErrors)
        assert isinstance(other.model.network, OnnxWindows)
    else:
        assert isinstance(other.model, NetworkErrors)
        other.model = replace(other.model, network=network)
    largest, n_scored = 0.0, 0
    for block in detector.open_log(plant_log(700, seed=3, has_flaws=True)).blocks():
        one, two = by_torch.score(block), other.score(block)
        known = np.isfinite(one.score)
        assert (np.isfinite(two.score) == known).all()
        assert (one.status == two.status).all()
        assert (one.reason == two.reason).all()
        size = np.maximum(1.0, np.abs(one.score[known]))
        largest = max(largest, float((np.abs(one.score - two.score)[known] / size).max()))
        n_scored += int(known.sum())
    assert n_scored > 600
    return largest


def exact(detector: Detector) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """The detector's network in float64: how far torch itself is from it is the noise of float32."""
    model = detector.engine(network="torch").model
    assert isinstance(model, NetworkErrors)
    module = network_onnx.module_of(model.network).double()

    def run(residual: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            return module(torch.from_numpy(residual.astype(np.float64))).numpy()

    return run


@pytest.mark.parametrize("name", ["lstm", "deep lstm alone"])
def test_scores_of_a_trained_network_are_those_of_torch(name: str, tmp_path: Path) -> None:
    settings = {**KINDS[name].network, "near_zero": True}
    detector = fitted(replace(KINDS[name], epochs=4, stride=1, network=settings))
    export_onnx(detector, tmp_path / "network.onnx", part="network")
    assert score_difference(detector, tmp_path / "network.onnx") <= 1e-6
    assert score_difference(detector, np.zeros_like) > 1e-3  # the network counts


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_of_an_unruly_network_are_as_exact_as_those_of_torch(
    name: str, detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    """Untrained, its output is as large as what it reads: the scores then show the rounding of float32 itself."""
    noise = score_difference(detectors[name], exact(detectors[name]))
    assert noise <= 2e-6
    assert score_difference(detectors[name], exported[name, "network"][0]) <= max(1e-6, 3 * noise)
    assert score_difference(detectors[name], np.zeros_like) > 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_are_those_of_torch_in_any_batch(
    name: str, detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    detector, (path, _) = detectors[name], exported[name, "network"]
    model = detector.engine(network="torch").model
    assert isinstance(model, NetworkErrors)
    network = OnnxWindows(path, detector.weights_hash_)
    length, n_sensors = network.facts.window, len(network.facts.sensors)
    residual = np.random.default_rng(0).normal(size=(1100, length, n_sensors)).astype(np.float32)
    own = model.network(residual)
    assert np.abs(own).max() > 0.05
    for size in (0, 1, 7, 512, 513, 1100):
        assert network(residual[:size]).shape == (size, length, n_sensors)
        assert np.abs(network(residual[:size]) - own[:size]).max(initial=0.0) <= 1e-6 * max(1.0, np.abs(own).max())
    strided = residual[::3].transpose(0, 2, 1).copy().transpose(0, 2, 1)  # not in the usual order of memory
    assert np.abs(network(strided) - own[::3]).max() <= 1e-6 * max(1.0, np.abs(own).max())


def test_what_is_written_says_what_it_is(
    detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    for (name, part), (path, written) in exported.items():
        data = path.read_bytes()
        session = onnx_session(data, str(path))
        facts = OnnxFacts.from_text(session.get_modelmeta().custom_metadata_map["sensorad"], str(path))
        assert facts == written.facts
        assert (facts.part, facts.weights) == (part, detectors[name].weights_hash_)
        assert facts.sensors[:3] == ("TI-101", "PI-7", "level")
        assert facts.window == detectors[name].config_.length
        assert facts.step_seconds == 60.0
        assert written.n_bytes == len(data)
        assert written.parity.worst <= TOLERANCE
        assert written.parity.n_windows > 100  # the log's windows, beside the random ones
        assert list(written.outputs) == [value.name for value in session.get_outputs()]
        for private in (b"site-packages", b".py", os.fspath(Path.cwd()).encode()):
            assert private not in data


def test_a_missing_cell_makes_its_own_window_unknown_and_no_other(
    detectors: dict[str, Detector], exported: dict[tuple[str, str], tuple[Path, OnnxExport]]
) -> None:
    for name in KINDS:
        path, _ = exported[name, "detector"]
        session = onnx_session(read_onnx(path), str(path))
        windows = log_windows(detectors[name])[:5]
        clean = session.run(None, {"values": windows})
        windows[2, 1, 0], windows[4, 0, 1] = np.nan, np.inf
        for whole, torn in zip(clean, session.run(None, {"values": windows}), strict=True):
            assert np.isnan(torn[[2, 4]]).all()
            others = [0, 1, 3]
            assert np.abs(torn[others] - whole[others]).max() <= 1e-6 * np.abs(whole).max()


def test_an_export_that_differs_is_not_kept(
    detectors: dict[str, Detector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_onnx, "KNEE", 4.0)
    with pytest.raises(ArtefactError, match=r"differs from the detector's own by .* deviations"):
        export_onnx(detectors["linear"], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused_by_name(detectors: dict[str, Detector], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the linear model has no network"):
        export_onnx(detectors["linear"], tmp_path / "a.onnx", part="network")
    with pytest.raises(UsageError, match="no part 'all'"):
        export_onnx(detectors["linear"], tmp_path / "a.onnx", part="all")
    (tmp_path / "old.onnx").write_text("precious")
    with pytest.raises(StorageError, match="exists"):
        export_onnx(detectors["linear"], tmp_path / "old.onnx")
    assert (tmp_path / "old.onnx").read_text() == "precious"
    carried = fitted(replace(KINDS["deep lstm alone"], encoding="carried"))
    with pytest.raises(UsageError, match="carried encoding"):
        export_onnx(carried, tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["old.onnx"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_the_message_says_how_to_get_it(
    package: str, detectors: dict[str, Detector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'sensorad\[onnx\]'"):
        export_onnx(detectors["linear"], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_scoring_by_onnx_loads_no_torch(
    name: str,
    detectors: dict[str, Detector],
    exported: dict[tuple[str, str], tuple[Path, OnnxExport]],
    tmp_path: Path,
) -> None:
    detectors[name].save(tmp_path / "model")
    plant_log(300, seed=5, has_flaws=True).to_parquet(tmp_path / "log.parquet")
    code = (
        "import sys, numpy as np, sensorad\n"
        "detector = sensorad.load(sys.argv[1], has_model=False)\n"
        "engine = detector.engine(network=sys.argv[3])\n"
        "score = np.concatenate([engine.score(block).score for block in detector.open_log(sys.argv[2]).blocks()])\n"
        "assert 'onnxruntime' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
        "np.save(sys.argv[4], score)\n"
    )
    path, _ = exported[name, "network"]
    arguments = [tmp_path / "model", tmp_path / "log.parquet", path, tmp_path / "score.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, timeout=120)
    own = detectors[name].score(plant_log(300, seed=5, has_flaws=True))["score"].to_numpy(float, na_value=np.nan)
    score = np.load(tmp_path / "score.npy")
    assert np.isfinite(score).sum() > 200
    np.testing.assert_allclose(score, own, rtol=5e-6, atol=5e-6)

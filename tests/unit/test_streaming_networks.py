"""Whatever runs a network, the stream says what batch says, and an exported one needs no torch."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx_detectors import KINDS, fitted, plant_log

from sensorad import Detector
from sensorad.errors import ArtefactError
from sensorad.streaming import Stream
from sensorad.types import RowBlock

NETWORKS = [name for name in KINDS if name != "linear"]


@cache
def _detector(name: str) -> Detector:
    return fitted(KINDS[name])


@cache
def _block(name: str) -> RowBlock:
    [block] = _detector(name).open_log(plant_log(180, seed=5, has_flaws=True)).blocks()
    return block


def _scores(stream: Stream, block: RowBlock, n_rows: int = 180) -> tuple[list[str], np.ndarray]:
    rows = []
    for at in range(n_rows):
        cells = np.where(block.flaw[at] == 0, block.values[at], np.nan)
        rows.append(stream.update(int(block.time[at]), cells))
    return [row.status for row in rows], np.array([np.nan if row.score is None else row.score for row in rows])


def _assert_like_batch(name: str, stream: Stream) -> None:
    block, detector = _block(name), _detector(name)
    status, score = _scores(stream, block)
    batch = detector.engine().score(block)
    has_score = ~np.isnan(batch.score)
    np.testing.assert_array_equal(np.isnan(score), ~has_score)
    scale = np.maximum(np.abs(batch.score[has_score]), detector.threshold_)
    assert (np.abs(score - batch.score)[has_score] / scale).max() <= 1e-5, "float32 in another order of sums"
    assert {"scored", "warmup", "degraded", "unscorable"} <= set(status)


@pytest.mark.parametrize("name", KINDS)
def test_the_stream_of_a_network_says_what_batch_says(name: str) -> None:
    _assert_like_batch(name, _detector(name).stream())


@pytest.mark.parametrize("name", NETWORKS)
def test_so_does_an_exported_network(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="exporting needs the extra 'onnx'")
    from sensorad.export import export_onnx

    path = tmp_path / "network.onnx"
    export_onnx(_detector(name), path, part="network")
    _assert_like_batch(name, _detector(name).stream(network=path))
    with pytest.raises(ArtefactError, match=r"belongs to|other weights|another detector"):
        fitted(KINDS[name], seed=9).stream(network=path)


def test_an_exported_transformer_streams_without_torch(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="exporting needs the extra 'onnx'")
    from sensorad.export import export_onnx

    detector = _detector("transformer")
    detector.save(tmp_path / "model.sensorad")
    export_onnx(detector, tmp_path / "network.onnx", part="network")
    program = (
        "import sys, sensorad\n"
        "stream = sensorad.load('model.sensorad', has_model=False).stream(network='network.onnx')\n"
        "for at in range(30):\n"
        "    row = stream.update(1_714_521_600_000_000_000 + at * 60 * 10**9, [70.0, 101_325.0, 0.001, 1.0])\n"
        "assert row.score is not None, row\n"
        "assert 'torch' not in sys.modules\n"
        "print('light')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "light", done.stderr[-2000:]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stop", [3, 50, 81, 131, 140])
def test_a_restart_changes_no_bit(name: str, stop: int) -> None:
    detector, block = _detector(name), _block(name)
    stream = detector.stream()
    _scores(stream, block, stop)
    again = detector.stream(state=stream.state_bytes())
    later = block.take(slice(stop, None))
    expected, found = _scores(stream, later, 180 - stop), _scores(again, later, 180 - stop)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])

"""The shape detector: its errors against loops, what it sees that a linear model cannot, and what it refuses."""

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
from sensorad.error_models import LinearErrors
from sensorad.error_models import centroid_errors as subject
from sensorad.error_models.centroid_errors import CentroidErrors
from sensorad.error_models.errors import AskedRows
from sensorad.errors import ArtefactError, UsageError
from sensorad.export.reference import Reference
from sensorad.model_parts import ModelParts
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.models.centroids import ShapeConfig, WindowCentroids

LENGTH, C = 6, 3


def _rows(n_rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(n_rows, C)), axis=0).astype(np.float32)


@cache
def _centroids() -> WindowCentroids:
    return WindowCentroids.fit([_rows(300)], LENGTH, ShapeConfig(centroids=12), seed=0)


def log_of(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Two sensors that jump together between 0 and 1: both low or both high, never one alone for long."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.integers(0, 2, n_rows // 25 + 1), 25)[:n_rows].astype(float)
    values = np.stack([level, level, np.sin(np.arange(n_rows) / 7)], axis=1) + 0.05 * rng.normal(size=(n_rows, 3))
    log = pd.DataFrame(values, columns=["a", "b", "c"])
    log.insert(0, "time", pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"))
    return log


@cache
def fitted(has_linear_part: bool = True) -> Detector:
    config = DetectorConfig(model="shape", window=8, lags=2, has_linear_part=has_linear_part)
    return Detector(config=config).fit(log_of(1200))


@pytest.mark.parametrize("batch", [4, 256])
def test_errors_are_those_of_loops(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SCORING_WINDOWS", batch)
    rows, usable = _rows(40, seed=1), np.random.default_rng(2).random((40, C)) > 0.1
    usable[10:16, 1] = False  # longer than a window
    found = CentroidErrors(_centroids(), None, None).errors(rows, usable, np.arange(40))
    assert np.isnan(found.window[: LENGTH - 1]).all()
    assert np.isnan(found.step).all()
    assert found.linear is found.window
    for row in range(LENGTH - 1, 40):
        window = rows[row - LENGTH + 1 : row + 1].astype(np.float64)
        distances = [((window - centroid) ** 2).sum() for centroid in _centroids().centroids.astype(np.float64)]
        nearest = _centroids().centroids[int(np.argmin(distances))]
        np.testing.assert_array_equal(found.expected[row], nearest[-1])
        for sensor in range(C):
            present = usable[row - LENGTH + 1 : row + 1, sensor]
            squares = [(window[at, sensor] - nearest[at, sensor]) ** 2 for at in range(LENGTH) if present[at]]
            expected = np.mean(squares) if squares else np.nan
            np.testing.assert_allclose(found.window[row, sensor], expected, rtol=1e-12)
            newest = window[-1, sensor] - nearest[-1, sensor] if present[-1] else np.nan
            np.testing.assert_allclose(found.newest[row, sensor], newest, rtol=1e-12)


def test_rows_of_several_segments_are_judged_each_in_its_own() -> None:
    rows = _rows(30, seed=3)
    age = np.r_[np.arange(12), np.arange(18)]
    at = np.array([3, 7, 11, 12, 16, 17, 29])
    model = CentroidErrors(_centroids(), None, None)
    found = model.errors_at(AskedRows(rows, np.ones(rows.shape, bool), np.arange(30), at, age[at]))
    whole = model.errors(rows, np.ones(rows.shape, bool), np.arange(30))
    is_ready = age[at] >= LENGTH - 1
    assert is_ready.tolist() == [False, True, True, False, False, True, True]
    np.testing.assert_array_equal(found.window[is_ready], whole.window[at[is_ready]])
    assert np.isnan(found.window[~is_ready]).all()


def test_beside_a_linear_part_only_windows_are_its_own() -> None:
    rows, usable = _rows(50, seed=4), np.ones((50, C), bool)
    pca, autoregression = WindowPCA.fit([_rows(300)], LENGTH, 0.9), RidgeAutoregression.fit([_rows(300)], 2, 1.0)
    found = CentroidErrors(_centroids(), pca, autoregression).errors(rows, usable, np.arange(50))
    alone = CentroidErrors(_centroids(), None, None).errors(rows, usable, np.arange(50))
    linear = LinearErrors(pca, autoregression).errors(rows, usable, np.arange(50))
    np.testing.assert_array_equal(found.window, alone.window)
    for name in ("newest", "expected", "step", "linear"):
        np.testing.assert_array_equal(getattr(found, name), getattr(linear, name))


def test_it_sees_what_lies_between_normal_shapes() -> None:
    """Both sensors stand half way for an hour. That is the mean of what is normal: no linear model can see it."""
    log = log_of(600, seed=1)
    faulted = log.copy()
    faulted.loc[300:360, ["a", "b"]] = 0.5
    inside = slice(310, 360)
    shape = fitted(has_linear_part=False)
    usual = np.nanquantile(shape.score(log)["score"], 0.99)
    assert (shape.score(faulted)["score"].to_numpy()[inside] > usual).all()
    linear = Detector(config=DetectorConfig(window=8, lags=2)).fit(log_of(1200))
    assert (linear.score(faulted)["score"].to_numpy()[inside] < np.nanquantile(linear.score(log)["score"], 0.99)).all()


def test_only_the_seed_decides_the_typical_windows() -> None:
    config = DetectorConfig(model="shape", window=8, lags=2)
    hashes = [Detector(config=config).fit(log_of(1200)).weights_hash_, fitted().weights_hash_]
    assert hashes[0] == hashes[1]
    other = DetectorConfig(model="shape", window=8, lags=2, random_state=1)
    assert Detector(config=other).fit(log_of(1200)).weights_hash_ != hashes[0]


@pytest.mark.parametrize("has_linear_part", [True, False])
def test_damaged_centroids_are_refused(has_linear_part: bool) -> None:
    detector = fitted(has_linear_part)
    arrays = dict(detector._parts.arrays)
    good = arrays["shape.centroids"]
    wrong = [good[:, 1:], good[..., :2], good.astype(np.float64), good + np.float32(np.inf)]
    for array in wrong:
        with pytest.raises(ArtefactError):
            ModelParts(detector.config_, 3, {**arrays, "shape.centroids": array}, 60.0).built()
    with pytest.raises(ArtefactError):
        ModelParts(detector.config_, 3, {**arrays, "shape.spare": good}, 60.0).built()


def test_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="a shape model has no ONNX form"):
        Reference(fitted().engine())
    with pytest.raises(UsageError, match="no network to run"):
        fitted().engine(network="some.onnx")
    with pytest.raises(UsageError, match="'width'"):
        Detector(config=DetectorConfig(model="shape", window=8, network={"width": 3})).fit(log_of(300))
    with pytest.raises(UsageError, match="read_every"):
        DetectorConfig(model="shape", read_every=3)


def test_scores_of_rows_need_nothing_but_numpy(tmp_path: Path) -> None:
    fitted().save(tmp_path / "shape.sensorad")
    program = """
import sys, sensorad
stream = sensorad.load("shape.sensorad", has_model=False).stream()
for at in range(30):
    row = stream.update(1_714_521_600_000_000_000 + at * 60 * 10**9, {"a": 0.0, "b": 0.0, "c": 0.1})
assert row.status == "scored", row
assert not {"torch", "sklearn", "pandas", "scipy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sensorad.load(tmp_path / "shape.sensorad").weights_hash_ == fitted().weights_hash_

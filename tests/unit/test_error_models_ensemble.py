"""Errors of ensembles against their members one by one, and what the schemes make of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from sensorad.data import TimeGrid
from sensorad.error_models import LinearErrors, SensorErrors
from sensorad.error_models.centroid_errors import CentroidErrors
from sensorad.error_models.ensemble_errors import EnsembleErrors, Member, median_of
from sensorad.error_models.errors import AskedRows, PredictionErrors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.models import RidgeAutoregression, WindowPCA
from sensorad.models.centroids import ShapeConfig, WindowCentroids
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.scoring import FusedScheme
from sensorad.scoring.single import MahalanobisScheme, SquaredErrorScheme

LENGTH, SHORT, C = 6, 2, 3


class Telling(nn.Module):
    """Rebuilds a fifth of a window, with its largest cell as a channel."""

    n_channels = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.2 * x

    def read(self, x: torch.Tensor, gate: float) -> tuple[torch.Tensor, None, torch.Tensor]:
        return self(x), None, x.abs().amax((1, 2))[:, None]


def _rows(n_rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_rows)[:, None] / 5 + np.arange(C))
    return (wave + 0.2 * rng.normal(size=(n_rows, C))).astype(np.float32)


def _usable(n_rows: int) -> np.ndarray:
    usable = np.random.default_rng(5).random((n_rows, C)) > 0.1
    usable[20:24, 1] = False  # longer than the short windows, shorter than the long ones
    return usable


@cache
def _pca(length: int) -> WindowPCA:
    return WindowPCA.fit([_rows(300)], length, 0.7)


@cache
def _steps() -> RidgeAutoregression:
    return RidgeAutoregression.fit([_rows(300)], 2, 1.0)


def _network(length: int) -> TorchWindows:
    return TorchWindows(DenseAutoencoder(length * C, DenseConfig(widths=(5,)), length).eval())


def _shape(length: int) -> WindowCentroids:
    return WindowCentroids.fit([_rows(300)], length, ShapeConfig(centroids=12), seed=0)


@cache
def _ensemble(kind: str) -> EnsembleErrors:
    members: list[Member]
    if kind == "alone":
        members = [
            NetworkErrors(_network(LENGTH), 1.0, LENGTH, None, None),
            NetworkErrors(TorchWindows(Telling()), 1.0, SHORT, None, None),
            CentroidErrors(_shape(LENGTH), None, None),
            CentroidErrors(_shape(4), None, None),
        ]
        return EnsembleErrors(tuple(members), LENGTH, {}, None)
    grid = TimeGrid.of_rows(3, 1.0)
    members = [
        LinearErrors(_pca(SHORT), _steps()),
        NetworkErrors(_network(LENGTH), 0.7, LENGTH, _pca(LENGTH), _steps(), grid, 3),
        NetworkErrors(TorchWindows(Telling()), 0.7, SHORT, _pca(SHORT), _steps()),
        CentroidErrors(_shape(4), None, None),
        LinearErrors(_pca(LENGTH), _steps()),
    ]
    return EnsembleErrors(tuple(members), LENGTH, {length: _pca(length) for length in (LENGTH, SHORT)}, _steps())


@pytest.mark.parametrize("kind", ["alone", "linear"])
def test_members_say_what_each_says_alone(kind: str) -> None:
    rows, usable, time = _rows(60, 1), _usable(60), np.arange(60) * 10**9
    ensemble = _ensemble(kind)
    found = ensemble.errors(rows, usable, time)
    assert found.members is not None
    assert found.members.shape == (60, len(ensemble.members), C)
    alone = [member.errors(rows, usable, time) for member in ensemble.members]
    for row in range(60):
        if row < LENGTH - 1:
            assert np.isnan(found.members[row]).all()
            assert np.isnan(found.window[row]).all()
            assert np.isnan(found.newest[row]).all()
            assert np.isnan(found.expected[row]).all()
            continue
        for at, errors in enumerate(alone):
            np.testing.assert_allclose(found.members[row, at], errors.window[row], rtol=1e-6)
        for sensor in range(C):
            said = [errors.window[row, sensor] for errors in alone if np.isfinite(errors.window[row, sensor])]
            np.testing.assert_allclose(found.window[row, sensor], np.median(said) if said else np.nan, rtol=1e-6)
    if kind == "alone":
        assert np.isnan(found.step).all()
        assert found.linear is found.window
        np.testing.assert_allclose(found.channels[LENGTH:], alone[1].channels[LENGTH:])
        newest = np.median([errors.newest for errors in alone], axis=0)
        np.testing.assert_allclose(found.newest[LENGTH:], newest[LENGTH:], rtol=1e-9)
        return
    assert isinstance(found, PredictionErrors)
    linear = LinearErrors(_pca(LENGTH), _steps()).errors(rows, usable, time)
    np.testing.assert_array_equal(found.step, linear.step)
    np.testing.assert_array_equal(found.linear, linear.window)
    assert not np.array_equal(found.window, found.linear, equal_nan=True)
    assert found.channels.shape == (60, 1)


@pytest.mark.parametrize("kind", ["alone", "linear"])
def test_rows_of_several_segments_are_judged_each_in_its_own(kind: str) -> None:
    rows, usable = _rows(50, 2), _usable(50)
    time = np.r_[np.arange(22), 1000 + np.arange(28)] * 10**9
    age = np.r_[np.arange(22), np.arange(28)]
    at = np.array([4, 9, 21, 23, 27, 40, 41, 49])
    found = _ensemble(kind).errors_at(AskedRows(rows, usable, time, at, age[at]))
    parts = [_ensemble(kind).errors(rows[part], usable[part], time[part]) for part in (slice(0, 22), slice(22, 50))]
    for name, values in found.parts().items():
        if name != "autoregression":
            expected = np.concatenate([part.parts()[name] for part in parts])[at]
            np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9, err_msg=name)


def test_its_errors_depend_on_as_many_rows_as_it_says() -> None:
    ensemble = _ensemble("linear")
    assert ensemble.context_rows == max(member.context_rows for member in ensemble.members)
    rows, usable, time = _rows(60, 3), np.ones((60, C), bool), np.arange(60) * 10**9
    late = slice(60 - ensemble.context_rows - 1, 60)
    whole, part = ensemble.errors(rows, usable, time), ensemble.errors(rows[late], usable[late], time[late])
    np.testing.assert_allclose(part.members[-1], whole.members[-1], rtol=1e-6)


def test_medians_leave_out_what_is_not_known() -> None:
    rng = np.random.default_rng(0)
    for n_members in (1, 2, 3, 4, 5):
        values = rng.normal(size=(40, n_members, 2))
        values[rng.random(values.shape) < 0.3] = np.nan
        found = median_of(values)
        for row in range(40):
            for column in range(2):
                known = [value for value in values[row, :, column] if np.isfinite(value)]
                expected = np.median(known) if known else np.nan
                np.testing.assert_allclose(found[row, column], expected, rtol=1e-12)


def test_the_fused_score_takes_the_members_evidence_and_others_the_median_error() -> None:
    rows = _rows(400, 4)
    ensemble = _ensemble("linear")
    errors = ensemble.errors(rows, np.ones(rows.shape, bool), np.arange(400) * 10**9)
    scheme = FusedScheme.fit([errors], np.full(C, 0.01))
    assert len(scheme.members) == 5
    # one member alone is alarmed: the four others do not follow it
    faulted = errors.members.copy()
    faulted[300:, 3] *= 1e6
    lone = SensorErrors(**errors.parts() | {"members": faulted})
    several = errors.members.copy()
    several[300:, 1:4] *= 1e6
    most = SensorErrors(**errors.parts() | {"members": several})
    plain, one, three = (scheme.evidence(case).score[300:] for case in (errors, lone, most))
    assert np.mean(one - plain) < 0.5
    assert np.mean(three - plain) > 2.0
    for kind in (SquaredErrorScheme, MahalanobisScheme):
        bare = SensorErrors(errors.window, errors.newest, errors.expected, errors.step, errors.linear)
        both = [kind.fit([case], np.full(C, 0.01)).evidence(case).score for case in (errors, bare)]
        np.testing.assert_array_equal(*both)

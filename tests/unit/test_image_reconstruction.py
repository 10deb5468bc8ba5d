"""Scores of rebuilt images against loops, ensembles that know normal images alone, and what the recipes claim."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError, UsageError
from sensorad.metrics import auc_roc
from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.scoring.image_scores import CodeDistance, TailMedian, pixel_cross_entropy, squared_error
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Reconstruction
from sensorad_datasets.images import load_images
from sensorad_datasets.recipes.base import Plan
from sensorad_datasets.recipes.linear_autoencoder import (
    FULL_BATCH,
    least_squares_subspace,
    linear_fit,
    principal_subspace,
)
from sensorad_datasets.recipes.one_class import KINDS, MEMBERS, Scores, linear_scores, network_scores, with_ensemble
from sensorad_datasets.recipes.registry import recipe
from sensorad_datasets.recipes.training import seeded, train


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_scores_of_pixels_are_means_over_an_image() -> None:
    images, rebuilt = rng(0).random((3, 1, 4, 5)), rng(1).random((3, 1, 4, 5)).astype(np.float32)
    for at in range(3):
        pairs = list(zip(images[at].ravel(), rebuilt[at].ravel().astype(float), strict=True))
        assert squared_error(images, rebuilt)[at] == pytest.approx(sum((x - y) ** 2 for x, y in pairs) / 20)
        entropy = -sum(x * math.log(y) + (1 - x) * math.log(1 - y) for x, y in pairs) / 20
        assert pixel_cross_entropy(images, rebuilt)[at] == pytest.approx(entropy)


def test_a_pixel_that_was_ruled_out_costs_a_finite_amount() -> None:
    assert pixel_cross_entropy(np.ones((1, 1)), np.zeros((1, 1)))[0] == pytest.approx(-math.log(1e-6))
    assert pixel_cross_entropy(np.ones((1, 1)), np.ones((1, 1)))[0] == pytest.approx(1e-6, rel=1e-3)


def test_a_code_is_measured_along_the_axes_of_normal_codes() -> None:
    mix = np.array([[2.0, 0.0], [1.9, 0.3]])
    codes = rng().normal(size=(20_000, 2)) @ mix.T + 5.0
    usual = CodeDistance.fit(codes, np.full(len(codes), 0.5))
    asked = np.array([[7.0, 6.9], [5.3, 4.7]])  # far along the wide axis, and near across it
    slow = [(point - 5.0) @ np.linalg.inv(mix @ mix.T) @ (point - 5.0) / 2 for point in asked]
    np.testing.assert_allclose(usual.distance(asked), slow, rtol=0.05)
    assert usual.distance(asked)[1] > usual.distance(asked)[0]
    np.testing.assert_allclose(
        usual.with_error(asked, np.array([1.0, 0.25])), usual.distance(asked) + np.array([2.0, 0.5])
    )
    assert np.mean(usual.distance(codes)) == pytest.approx(1.0, abs=0.01)


def test_the_median_of_members_outvotes_one_and_knows_only_normal_images() -> None:
    normal = [rng(at).exponential(size=2_000) for at in range(3)]
    ensemble = TailMedian.fit(normal)
    asked = [np.array([0.1, 9.0, 9.0]), np.array([50.0, 9.0, 0.0]), np.array([0.2, 9.0, 9.0])]
    score = ensemble.score(asked)
    assert score[0] < 0.5, "one member alone is alarmed"
    assert score[1] > 2.5
    assert score[2] > 2.5, "one member alone is silent"
    alone = np.concatenate([ensemble.score([part[at : at + 1] for part in asked]) for at in range(3)])
    np.testing.assert_array_equal(alone, score)
    scaled = TailMedian.fit([7.0 * part + 1.0 for part in normal]).score([7.0 * part + 1.0 for part in asked])
    np.testing.assert_allclose(scaled, score, rtol=1e-3)


def test_an_ensemble_needs_members_and_normal_images() -> None:
    with pytest.raises(UsageError, match="at least one member"):
        TailMedian.fit([])
    with pytest.raises(TooLittleDataError, match="20 normal values"):
        TailMedian.fit([np.ones(5)])
    with pytest.raises(UsageError, match="scores of 1 members expected, got 2"):
        TailMedian.fit([rng().random(50)]).score([np.ones(2), np.ones(2)])


def points_of(seed: int) -> NDArray[np.float64]:
    turned = np.linalg.qr(rng(seed).normal(size=(3, 3)))[0]
    points: NDArray[np.float64] = rng(seed + 1).normal(size=(500, 3)) * [2.0, 1.0, 0.3] @ turned.T
    points -= points.mean(0)
    return points


@pytest.mark.parametrize("seed", [0, 1])
def test_a_linear_autoencoder_ends_in_the_principal_subspace(seed: int) -> None:
    """From three dimensions to two, on the trainer of all networks (Baldi and Hornik 1989)."""
    points = points_of(seed).astype(np.float32).astype(np.float64)
    network = DenseAutoencoder(3, DenseConfig(widths=(2,), activation="linear"), seeded(seed))
    x = torch.from_numpy(points.astype(np.float32))
    decoder = network.get_parameter("decoder.0.weight")
    before = linear_fit(decoder.detach().double().numpy().copy(), points)
    train(network, Reconstruction(), x, seeded(seed, 1), replace(FULL_BATCH, epochs=800))
    error = float((network(x) - x).detach().double().square().mean())
    fit = linear_fit(decoder.detach().double().numpy(), points, error)
    assert before.angles[0] > 1.0
    assert fit.angles[0] < 0.01
    assert fit.excess == pytest.approx(0.0, abs=1e-4)


def test_least_squares_in_turn_find_the_same_subspace_of_images() -> None:
    flat = load_images("digits").train[:600].reshape(600, -1).astype(np.float64)
    centred = flat - flat.mean(0)
    decoder = least_squares_subspace(centred, 6, seeded(3))
    fit = linear_fit(decoder, centred)
    assert fit.angles[0] < 0.01
    assert len(fit.angles) == 6
    # The angle by hand: cosines are the singular values of the product of two orthonormal bases.
    cosines = np.linalg.svd(np.linalg.qr(decoder)[0].T @ principal_subspace(centred, 6), compute_uv=False)
    assert np.degrees(np.arccos(cosines.min().clip(-1.0, 1.0))) == pytest.approx(fit.angles[0], abs=1e-4)
    wrong = linear_fit(np.eye(64)[:, :6], centred)
    assert wrong.angles[0] > 10.0
    assert wrong.excess > 0.1


def test_linear_rows_are_errors_of_reconstruction() -> None:
    train_images, judged = (torch.from_numpy(rng(seed).random((60, 1, 4, 5))).float() for seed in (0, 1))
    found = linear_scores(train_images, judged)
    flat = train_images.flatten(1).double().numpy()
    mean = flat.mean(0)
    vectors = np.linalg.svd(flat - mean)[2][:16]
    for at in (0, 17):
        x = judged[at].flatten().double().numpy()
        assert found["mean image"][1][at] == pytest.approx(np.mean((x - mean) ** 2))
        left = x - mean - vectors.T @ (vectors @ (x - mean))
        assert found["PCA, 16"][1][at] == pytest.approx(np.mean(left**2))


def test_the_score_of_an_image_depends_on_no_other_judged_image() -> None:
    """One class normal: whatever is learned, tails included, comes from its training images."""
    images = load_images("digits")
    shown, judged = (torch.from_numpy(part) for part in (images.train[images.train_labels == 4], images.test[:200]))
    config = TrainConfig(epochs=4, batch_size=16, learning_rate=1e-3, scheduler="none", patience=None)
    found: Scores = {}
    fewer: Scores = {}
    for scores, asked in ((found, judged), (fewer, judged[:7])):
        scores.update(linear_scores(shown, asked))
        for name in KINDS:
            scores.update(network_scores(name, shown, asked, 5, config)[1])
    whole, part = with_ensemble(found), with_ensemble(fewer)
    assert set(MEMBERS) < set(whole)
    for name, (_, score) in whole.items():
        assert score.shape == (200,)
        np.testing.assert_allclose(part[name][1], score[:7], rtol=1e-4, atol=1e-5, err_msg=name)
    is_anomalous = images.test_labels[:200] != 4
    for name in ("PCA, 16", "autoencoder: squared error", "wide denoising: error + code"):
        assert auc_roc(is_anomalous, whole[name][1]) > 0.9, name


@pytest.mark.parametrize("name", ["I11", "I12", "I13", "I14", "I15"])
def test_recipes_run_from_end_to_end_on_the_small_set(name: str) -> None:
    outcome = recipe(name).run(Plan(is_quick=True), 0)
    assert outcome.cells
    assert all(math.isfinite(cell.value) for cell in outcome.cells)
    assert outcome.pictures
    assert len({picture.name for picture in outcome.pictures}) == len(outcome.pictures)

"""Window-PCA: its matrix without windows, its subspace by other roads, and a network that finds the same one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.decomposition import TruncatedSVD

from sensorad.data import window_view
from sensorad.models import WindowPCA, window_gram


def _rows(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.cumsum(rng.normal(size=(n_rows, n_sensors)), axis=0) / 5.0).astype(np.float32)


def _waves(n_rows: int, n_sensors: int, seed: int = 0) -> np.ndarray:
    wave = np.sin(np.arange(n_rows)[:, None] / 5.0 + np.arange(n_sensors))
    return (wave + 0.3 * np.random.default_rng(seed).normal(size=wave.shape)).astype(np.float32)


@given(st.integers(1, 8), st.integers(0, 30), st.integers(1, 4), st.integers(0, 99))
def test_the_gram_matrix_is_a_sum_over_windows(length: int, extra: int, n_sensors: int, seed: int) -> None:
    rows = _rows(length + extra, n_sensors, seed)
    explicit = np.zeros((length * n_sensors, length * n_sensors))
    for start in range(extra + 1):
        window = rows[start : start + length].astype(np.float64).ravel()
        explicit += np.outer(window, window)
    np.testing.assert_allclose(window_gram(rows, length), explicit, rtol=1e-9, atol=1e-9)


def test_it_is_the_truncated_svd_of_all_windows() -> None:
    rows = _waves(3000, 3)
    pca = WindowPCA.fit([rows], length=6, variance=0.9)
    windows = window_view(rows, 6).reshape(-1, 18).astype(np.float64)
    rank = pca.components.shape[1]
    assert 1 < rank < 18
    svd = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(windows)
    assert subspace_angles(pca.components.astype(np.float64), svd.components_.T).max() < 1e-5
    rebuilt = svd.inverse_transform(svd.transform(windows)).reshape(-1, 6, 3)
    np.testing.assert_allclose(pca.reconstruct(window_view(rows, 6)), rebuilt, atol=1e-5)


def test_it_keeps_the_variance_that_was_asked_for_and_no_component_more() -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    windows = window_view(rows, 3).reshape(-1, 12).astype(np.float64)
    total = (windows**2).sum()
    for variance in (0.2, 0.5, 0.8):
        components = WindowPCA.fit([rows], length=3, variance=variance).components.astype(np.float64)
        kept = ((windows @ components) ** 2).sum() / total
        one_less = ((windows @ components[:, :-1]) ** 2).sum() / total
        assert one_less < variance <= kept + 1e-6


def test_components_are_orthonormal_and_the_strongest_comes_first() -> None:
    rows = _waves(2000, 3)
    pca = WindowPCA.fit([rows], length=5, variance=0.9)
    gram = pca.components.T.astype(np.float64) @ pca.components
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)
    strength = ((window_view(rows, 5).reshape(-1, 15) @ pca.components) ** 2).sum(axis=0)
    assert (np.diff(strength) <= 0).all()


def test_no_window_spans_two_segments_and_short_segments_are_left_out() -> None:
    one, two = _waves(800, 2, 1), _waves(600, 2, 2)
    pca = WindowPCA.fit([one, two, _rows(4, 2, 3)], length=5, variance=0.9)
    explicit = window_gram(one, 5) + window_gram(two, 5)
    _, vectors = np.linalg.eigh(explicit)
    rank = pca.components.shape[1]
    assert subspace_angles(pca.components.astype(np.float64), vectors[:, ::-1][:, :rank]).max() < 1e-5


def test_nothing_to_reconstruct_has_no_components() -> None:
    pca = WindowPCA.fit([np.zeros((50, 2), np.float32)], length=4, variance=0.9)
    assert pca.components.shape == (8, 0)
    windows = np.ones((3, 4, 2), np.float32)
    np.testing.assert_array_equal(pca.reconstruct(windows), 0.0)


def test_one_direction_at_least_is_left_out() -> None:
    rows = _rows(3000, 1)
    pca = WindowPCA.fit([rows], length=2, variance=0.999999)
    assert pca.components.shape == (2, 1)


@pytest.mark.parametrize("length", [8, 30])
def test_the_reconstruction_of_a_window_does_not_depend_on_its_company(length: int) -> None:
    rows = _rows(400, 6)
    pca = WindowPCA.fit([rows], length, 0.9)
    windows = window_view(rows, length)
    whole = windows - pca.reconstruct(windows)
    for n in (1, 2, 3, 7, 64, 200):
        part = windows[:n] - pca.reconstruct(windows[:n])
        np.testing.assert_allclose(part, whole[:n], rtol=1e-9, atol=1e-12)


def test_a_linear_autoencoder_finds_the_subspace_of_pca() -> None:
    """Baldi and Hornik 1989: without activations, the best code is the leading principal subspace, 3-D -> 2-D here."""
    import torch

    from sensorad.models.dense import DenseAutoencoder, DenseConfig

    rng = np.random.default_rng(0)
    mix = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [2.0, 1.0, 0.2]
    points = rng.normal(size=(600, 3)) @ mix.T
    points -= points.mean(axis=0)
    network = DenseAutoencoder(3, DenseConfig(widths=(2,), activation="linear"), generator=0)
    x = torch.from_numpy(points.astype(np.float32))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(1200):
        optimiser.zero_grad()
        loss = ((network(x) - x) ** 2).mean()
        loss.backward()
        optimiser.step()
    decoder = [module for module in network.decoder if isinstance(module, torch.nn.Linear)][-1]
    found = decoder.weight.detach().numpy().astype(np.float64)  # (3, 2): its columns span what can be written
    pca = WindowPCA.fit([points.astype(np.float32)], length=1, variance=0.98)
    assert pca.components.shape == (3, 2)
    assert np.degrees(subspace_angles(found, pca.components.astype(np.float64)).max()) < 1.0
    left = points - pca.reconstruct(points[:, None].astype(np.float32))[:, 0]
    assert loss.item() == pytest.approx(float((left**2).mean()), rel=0.01)


def test_arrays_bring_it_back() -> None:
    pca = WindowPCA.fit([_rows(100, 2)], length=4, variance=0.8)
    again = WindowPCA.from_arrays(pca.to_arrays(), 4)
    np.testing.assert_array_equal(again.components, pca.components)
    assert again.length == 4

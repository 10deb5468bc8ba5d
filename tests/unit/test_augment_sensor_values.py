"""What jitter, scaling and magnitude warp do to values, beside slow loops and the laws they draw from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.stats import kstest

from sensorad.augment import Jitter, MagnitudeWarp, Scaling
from sensorad.augment.curves import spline_basis


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal_windows(n_windows: int = 8, length: int = 21, n_sensors: int = 5) -> np.ndarray:
    return rng(7).standard_normal((n_windows, length, n_sensors)).astype(np.float32)


def test_jitter_is_independent_noise_of_its_sigma_in_each_cell() -> None:
    windows = normal_windows(100)
    noise = Jitter(sigma=0.3)(windows, rng()) - windows
    assert kstest(noise.ravel() / 0.3, "norm").pvalue > 0.01
    rows = noise.reshape(-1, 5)
    assert np.abs(np.corrcoef(rows.T) - np.eye(5)).max() < 0.08
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.05
    # linear in sigma, from the same draws
    twice = Jitter(sigma=0.6)(windows, rng()) - windows
    np.testing.assert_allclose(twice, 2 * noise, atol=1e-5)


def test_scaling_multiplies_a_sensor_of_a_window_by_one_factor() -> None:
    windows = normal_windows(400)
    changed = Scaling(sigma=0.1)(windows, rng())
    factors = np.empty((400, 5))
    for n in range(400):
        for c in range(5):
            largest = np.abs(windows[n, :, c]).argmax()
            factors[n, c] = changed[n, largest, c] / windows[n, largest, c]
            np.testing.assert_allclose(changed[n, :, c], factors[n, c] * windows[n, :, c], rtol=1e-5)
    assert kstest((factors.ravel() - 1.0) / 0.1, "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(factors.T) - np.eye(5)).max() < 0.2
    # around 1: twice the sigma goes twice as far, from the same draws
    twice = Scaling(sigma=0.2)(windows, rng())
    np.testing.assert_allclose(twice - windows, 2 * (changed - windows), atol=1e-5)
    # 0, the mean of a scaled sensor, stays
    assert not Scaling(sigma=0.1)(np.zeros((2, 3, 1), np.float32), rng()).any()


@pytest.mark.parametrize("knots", [2, 3, 4, 6])
def test_magnitude_warp_is_a_natural_cubic_spline_around_one(knots: int) -> None:
    length = 5 * (knots - 1) + 1  # knots fall on rows
    places = np.linspace(0, length - 1, knots).round().astype(int)
    curves = MagnitudeWarp(sigma=0.2, knots=knots)(np.ones((300, length, 2), np.float32), rng())
    for n in range(20):
        for c in range(2):
            twin = CubicSpline(places, curves[n, places, c], bc_type="natural")(np.arange(length))
            np.testing.assert_allclose(curves[n, :, c], twin, atol=1e-5)
    at_knots = (curves[:, places] - 1.0) / 0.2  # (N, K, C)
    assert kstest(at_knots.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(at_knots.reshape(300, -1).T) - np.eye(2 * knots)).max() < 0.25
    twice = MagnitudeWarp(sigma=0.4, knots=knots)(np.ones((300, length, 2), np.float32), rng())
    np.testing.assert_allclose(twice - 1.0, 2 * (curves - 1.0), atol=1e-5)
    # the curve multiplies whatever there is
    windows = normal_windows(300, length, 2)
    changed = MagnitudeWarp(sigma=0.2, knots=knots)(windows, rng())
    np.testing.assert_allclose(changed, windows * curves, rtol=1e-5)


@pytest.mark.parametrize(("length", "knots"), [(2, 2), (7, 4), (30, 4), (30, 12), (5, 9)])
def test_spline_basis_beside_scipy(length: int, knots: int) -> None:
    values = rng(1).standard_normal(knots)
    twin = CubicSpline(np.linspace(0, 1, knots), values, bc_type="natural")(np.linspace(0, 1, length))
    basis = spline_basis(length, knots)
    np.testing.assert_allclose(basis @ values, twin, atol=1e-5)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        basis[0, 0] = 2.0

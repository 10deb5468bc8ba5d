"""The classifier of windows and the transforms that make labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sensorad.errors import UsageError
from sensorad.models.weights import state_arrays
from sensorad.models.window_classifier import (
    QUARTERS,
    TRANSFORMS,
    WindowClassifier,
    WindowClassifierConfig,
    transformed,
    transforms_for,
)

CONFIG = WindowClassifierConfig(width=4, reach=3, layers=2, classes=3)


def _network(seed: int = 0) -> WindowClassifier:
    return WindowClassifier(2, CONFIG, seed).eval()


def _slow_logits(network: WindowClassifier, window: np.ndarray) -> np.ndarray:
    """Row by row, neighbour by neighbour."""
    arrays = state_arrays(network)
    rows = window.astype(np.float64)
    for layer in range(CONFIG.layers):
        weight, bias = arrays[f"rows.{layer}.product.weight"], arrays[f"rows.{layer}.product.bias"]
        found = np.zeros((len(rows), CONFIG.width))
        for row in range(len(rows)):
            for feature in range(CONFIG.width):
                total = float(bias[feature])
                for sensor in range(rows.shape[1]):
                    for step in range(CONFIG.reach):
                        at = row + step - CONFIG.reach // 2
                        if 0 <= at < len(rows):
                            total += weight[feature, sensor * CONFIG.reach + step] * rows[at, sensor]
                found[row, feature] = max(total, 0.0)
        rows = found
    pooled = np.concatenate([rows.mean(axis=0), rows.max(axis=0)])
    return arrays["head.weight"] @ pooled + arrays["head.bias"]


def test_logits_are_those_of_double_loops() -> None:
    network = _network()
    windows = np.random.default_rng(0).normal(size=(3, 9, 2)).astype(np.float32)
    found = network(torch.from_numpy(windows)).detach().numpy()
    for n in range(3):
        np.testing.assert_allclose(found[n], _slow_logits(network, windows[n]), rtol=1e-5, atol=1e-6)


def test_windows_of_any_length_have_features_and_logits() -> None:
    for length in (1, 2, 50):
        x = torch.zeros(4, length, 2)
        assert _network().encode(x).shape == (4, 8)
        assert _network()(x).shape == (4, 3)


def test_the_seed_decides_the_weights_and_no_global_generator_does() -> None:
    torch.manual_seed(1)
    first = state_arrays(_network(3))
    torch.manual_seed(2)
    again = state_arrays(_network(3))
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other).any() for name, other in state_arrays(_network(4)).items())
    shapes = WindowClassifier.expected_shapes(2, CONFIG)
    assert shapes == {name: array.shape for name, array in first.items()}


@pytest.mark.parametrize(
    "settings", [{"reach": 4}, {"width": 0}, {"classes": 1}, {"dropout": 1.0}, {"layers": 0}, {"depth": 2}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        WindowClassifierConfig.from_json(settings)
    assert WindowClassifierConfig.from_json(CONFIG.to_json()) == CONFIG


def _slow_transform(name: str, window: np.ndarray, n_shown: int) -> np.ndarray:
    """(L', C) row by row."""
    length, n_sensors = window.shape
    shown = window[length - n_shown :]
    out = np.empty((n_shown, n_sensors))
    for row in range(n_shown):
        back = n_shown - 1 - row  # rows before the newest
        for sensor in range(n_sensors):
            if name == "identity":
                out[row, sensor] = shown[row, sensor]
            elif name == "reversal":
                out[row, sensor] = shown[back, sensor]
            elif name == "negation":
                out[row, sensor] = -shown[row, sensor]
            elif name == "neighbours":
                out[row, sensor] = shown[row, (sensor - 1) % n_sensors]
            elif name == "faster":
                out[row, sensor] = window[length - 1 - 2 * back, sensor]
            elif name == "slower":
                place = length - 1 - back / 2
                low = int(np.floor(place))
                high = min(low + 1, length - 1)
                out[row, sensor] = (1 - (place - low)) * window[low, sensor] + (place - low) * window[high, sensor]
            else:
                out[row, sensor] = shown[(row - QUARTERS.index(name) * n_shown // 4) % n_shown, sensor]
    return out


@pytest.mark.parametrize("length", [8, 9, 30, 31])
@pytest.mark.parametrize("names", [TRANSFORMS, QUARTERS, ("identity", "reversal", "negation", "neighbours")])
def test_transforms_are_those_of_double_loops(length: int, names: tuple[str, ...]) -> None:
    windows = np.random.default_rng(length).normal(size=(3, length, 4))
    found = transformed(torch.from_numpy(windows), names).numpy()
    n_shown = length // 2 if "faster" in names else length
    assert found.shape == (3 * len(names), n_shown, 4)
    for n in range(3):
        for at, name in enumerate(names):
            np.testing.assert_allclose(found[n * len(names) + at], _slow_transform(name, windows[n], n_shown))


def test_only_transforms_that_can_be_told_apart_are_offered() -> None:
    assert transforms_for(30, 5) == TRANSFORMS
    assert "neighbours" not in transforms_for(30, 1)
    assert transforms_for(7, 5) == ("identity", "reversal", "negation", "neighbours")
    with pytest.raises(UsageError, match="8 rows"):
        transformed(torch.zeros(1, 7, 1), ["faster"])
    with pytest.raises(UsageError, match="did you mean 'negation'"):
        transformed(torch.zeros(1, 8, 1), ["negatoin"])

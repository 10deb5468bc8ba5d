"""The autoencoder with random connections: against plain matrix products, in torch and in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sensorad.error_models.numpy_randnet import NumpyRandNet
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.randnet import RandNetAutoencoder
from sensorad.models.randnet_config import LAYERS, RandNetConfig
from sensorad.models.weights import load_state_arrays, state_arrays, state_shapes

LENGTH, C = 4, 3
CONFIG = RandNetConfig(width=10, code=5, near_zero=False)


def _network(config: RandNetConfig = CONFIG, seed: int = 0) -> RandNetAutoencoder:
    return RandNetAutoencoder(C, LENGTH, config, seed).eval()


def _windows(n: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, LENGTH, C)).astype(np.float32)


def test_equals_sums_over_the_connections_that_exist() -> None:
    arrays = state_arrays(_network())
    for window, rebuilt in zip(_windows(3), _network()(torch.from_numpy(_windows(3))).detach().numpy(), strict=True):
        values = window.ravel().astype(np.float64)
        for name in LAYERS:
            weight, connected, bias = (arrays[f"{name}.{part}"] for part in ("weight", "connected", "bias"))
            outputs = []
            for unit in range(len(bias)):
                total = float(bias[unit])
                for source in np.flatnonzero(connected[unit]):
                    total += float(weight[unit, source]) * values[source]
                outputs.append(total if name == "output" else max(total, 0.0))
            values = np.array(outputs)
        np.testing.assert_allclose(rebuilt.ravel(), values, atol=1e-5)


def test_connections_are_drawn_once_and_never_trained() -> None:
    wide = _network(RandNetConfig(width=400, code=100, connections=0.3))
    arrays = state_arrays(wide)
    for name in LAYERS:
        assert set(np.unique(arrays[f"{name}.connected"])) == {0.0, 1.0}
        assert arrays[f"{name}.connected"].mean() == pytest.approx(0.3, abs=0.03)
    assert not any("connected" in name for name, _ in wide.named_parameters())
    torch.manual_seed(0)
    before = torch.get_rng_state()
    same, other = _network(), _network(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    first = state_arrays(_network())
    assert all(np.array_equal(first[name], array) for name, array in state_arrays(same).items())
    assert not np.array_equal(first["encoder.connected"], state_arrays(other)["encoder.connected"])
    full = state_arrays(_network(RandNetConfig(connections=1)))
    assert all(full[f"{name}.connected"].all() for name in LAYERS)


def test_missing_connections_get_no_gradient() -> None:
    network = _network()
    network(torch.from_numpy(_windows())).square().sum().backward()
    for name in LAYERS:
        layer = network.get_submodule(name)
        assert not layer.weight.grad[layer.connected == 0].any()
        assert layer.weight.grad[layer.connected == 1].any()


def test_it_may_start_as_nothing() -> None:
    assert not _network(RandNetConfig(width=10, code=5))(torch.from_numpy(_windows())).any()


def test_shapes_are_known_without_memory() -> None:
    bare = RandNetAutoencoder(C, LENGTH, CONFIG, None)
    assert all(tensor.is_meta for tensor in bare.state_dict().values())
    assert state_shapes(bare) == CONFIG.shapes(LENGTH * C)


@pytest.mark.parametrize("n_windows", [1, 2, 300])
def test_numpy_says_what_torch_says(n_windows: int) -> None:
    arrays = state_arrays(_network())
    network = NumpyRandNet.from_arrays(arrays, CONFIG.to_json(), LENGTH * C)
    with torch.inference_mode():
        expected = _network()(torch.from_numpy(_windows(n_windows))).numpy()
    np.testing.assert_allclose(network(_windows(n_windows)), expected, atol=1e-6)
    assert all(np.array_equal(arrays[name], array) for name, array in network.to_arrays().items())


def test_weights_that_do_not_fit_are_refused() -> None:
    arrays = state_arrays(_network())
    for name in arrays:
        for wrong in ({**arrays, name: arrays[name][1:]}, {key: array for key, array in arrays.items() if key != name}):
            with pytest.raises(ArtefactError):
                NumpyRandNet.from_arrays(wrong, CONFIG, LENGTH * C)
            with pytest.raises(ArtefactError):
                load_state_arrays(_network(), wrong)


def test_settings_are_checked() -> None:
    assert RandNetConfig.from_json(CONFIG.to_json()) == CONFIG
    for wrong in ({"width": 0}, {"connections": 0.0}, {"connections": 1.5}, {"connections": "all"}, {"layers": 2}):
        with pytest.raises(UsageError):
            RandNetConfig.from_json(wrong)

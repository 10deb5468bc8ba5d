"""The LSTM in NumPy against loops and against torch, whole windows and with a carried state."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from naive_lstm import slow_autoencoder

from sensorad.error_models.numpy_lstm import MICRO_BATCH, NumpyLSTM
from sensorad.errors import ArtefactError, UsageError
from sensorad.models.lstm_config import LSTMConfig

CONFIGS = [
    LSTMConfig(width=6, code=3),
    LSTMConfig(width=5, code=None),
    LSTMConfig(width=4, code=2, layers=3),
    LSTMConfig(width=3, code=None, layers=2),
]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=str)


def weights_of(config: LSTMConfig, n_sensors: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Large enough for gates to open and close."""
    rng = np.random.default_rng(seed)
    shapes = config.shapes(n_sensors)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in sorted(shapes.items())}


def windows(n: int, length: int, n_sensors: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, length, n_sensors)).astype(np.float32)


@every_config
def test_windows_are_rebuilt_as_by_loops(config: LSTMConfig) -> None:
    weights = weights_of(config, 3)
    network, x = NumpyLSTM.from_arrays(weights, config), windows(5, 9, 3)
    for n in (1, 2, 5):
        for window, got in zip(x[:n], network(x[:n]), strict=True):
            np.testing.assert_allclose(got, slow_autoencoder(weights, config, window), atol=2e-5)


@every_config
def test_torch_rebuilds_the_same(config: LSTMConfig) -> None:
    import torch

    from sensorad.error_models.torch_windows import TorchWindows
    from sensorad.models.lstm import LSTMAutoencoder
    from sensorad.models.weights import load_state_arrays

    module = LSTMAutoencoder(3, config, 0)
    load_state_arrays(module, weights_of(config, 3))
    by_torch = TorchWindows(module.eval())
    network, x = NumpyLSTM.from_arrays(by_torch.to_arrays(), config.to_json()), windows(MICRO_BATCH + 7, 12, 3)
    np.testing.assert_allclose(network(x), by_torch(x), atol=2e-5)
    assert {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()} == config.shapes(3)
    assert not torch.is_grad_enabled() or module.output.weight.requires_grad, "gradients are left as they were"


@every_config
def test_weights_go_in_and_come_out(config: LSTMConfig) -> None:
    weights = weights_of(config, 2)
    network = NumpyLSTM.from_arrays(weights, config)
    found = network.to_arrays()
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
    before = network(windows(2, 5, 2))
    for array in (*weights.values(), *found.values()):
        array[...] = 0.0
    np.testing.assert_array_equal(network(windows(2, 5, 2)), before)


@every_config
def test_a_carried_state_describes_the_window_so_far(config: LSTMConfig) -> None:
    weights = weights_of(config, 3)
    network, x = NumpyLSTM.from_arrays(weights, config), windows(4, 11, 3)
    one, many, single = network.start(1)[0], network.start(4), network.start(1)
    for t in range(x.shape[1]):
        network.step(x[0, t], one)
        network.step(x[:, t], many)
        network.step(x[:1, t], single)
        expected = [slow_autoencoder(weights, config, window[: t + 1])[-1] for window in x]
        np.testing.assert_allclose(network.newest(many), expected, atol=2e-5)
        np.testing.assert_allclose(network.newest(one), expected[0], atol=2e-5)
        np.testing.assert_allclose(network.newest(single), expected[:1], atol=2e-5)


def test_states_of_machines_do_not_mix() -> None:
    config = CONFIGS[0]
    network, x = NumpyLSTM.from_arrays(weights_of(config, 3), config), windows(3, 8, 3)
    together, apart = network.start(3), network.start(3)
    for t in range(8):
        network.step(x[:, t], together)
        for machine in (2, 0, 1):
            network.step(x[machine, t], apart[machine])
            network(x[:2])  # windows read in between leave no trace
    np.testing.assert_allclose(apart, together, atol=1e-5)


def test_what_was_given_back_does_not_change_later() -> None:
    config = CONFIGS[0]
    network, x = NumpyLSTM.from_arrays(weights_of(config, 3), config), windows(4, 8, 3)
    first, state = network(x[:1]), network.start(2)
    network.step(x[:2, 0], state)
    newest = network.newest(state)
    kept = first.copy(), newest.copy()
    network(x[1:2])
    network.step(x[2:, 0], network.start(2))
    network.newest(network.start(2))
    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(newest, kept[1])


def test_weights_that_do_not_fit_are_refused() -> None:
    config = CONFIGS[0]
    weights = weights_of(config, 3)
    for change in ({"output.bias": np.zeros(4, np.float32)}, {"spare": np.zeros(1, np.float32)}):
        with pytest.raises(ArtefactError):
            NumpyLSTM.from_arrays(weights | change, config)
    with pytest.raises(ArtefactError, match="finite"):
        NumpyLSTM.from_arrays(weights | {"output.bias": np.full(3, np.nan, np.float32)}, config)
    with pytest.raises(ArtefactError, match="missing"):
        NumpyLSTM.from_arrays({}, config)
    with pytest.raises(UsageError, match="widht"):
        NumpyLSTM.from_arrays(weights, {"widht": 6})


def test_it_runs_without_torch() -> None:
    code = "import sys, sensorad.error_models.network_reading, sensorad.model_parts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

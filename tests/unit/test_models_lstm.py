"""The fused LSTM encoder-decoder against one written step by step, and its decoding order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from naive_lstm import slow_autoencoder

from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.models.weights import state_arrays


@pytest.mark.parametrize("code", [3, None])
@pytest.mark.parametrize("layers", [1, 2])
def test_equals_the_step_by_step_network(code: int | None, layers: int) -> None:
    config = LSTMConfig(width=6, code=code, layers=layers, near_zero=False)
    network = LSTMAutoencoder(2, config, 7)
    x = torch.randn(4, 11, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fast = network(x).numpy()
    for window, got in zip(x.numpy(), fast, strict=True):
        np.testing.assert_allclose(got, slow_autoencoder(state_arrays(network), config, window), atol=1e-5)


def test_newest_rows_alone_are_the_end_of_the_whole_window() -> None:
    network = LSTMAutoencoder(3, LSTMConfig(width=8, code=4, near_zero=False), 0)
    x = torch.randn(5, 20, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = network(x)
        for n_rows in (1, 4, 20):
            torch.testing.assert_close(network.decode(network.encode(x), n_rows), whole[:, -n_rows:])


def test_a_state_carried_over_the_rows_gives_the_same_code() -> None:
    network = LSTMAutoencoder(3, LSTMConfig(width=8, code=4), 0)
    x = torch.randn(5, 20, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        _, state = network.encoder(x[:, :13])
        _, state = network.encoder(x[:, 13:], state)
        torch.testing.assert_close(network.code_of_state(*state), network.encode(x))


def test_any_window_length_fits() -> None:
    network = LSTMAutoencoder(2, LSTMConfig(width=4, code=2), 0)
    assert network(torch.zeros(3, 1, 2)).shape == (3, 1, 2)
    assert network(torch.zeros(3, 64, 2)).shape == (3, 64, 2)


def test_forget_gates_start_open() -> None:
    arrays = state_arrays(LSTMAutoencoder(2, LSTMConfig(width=4), 0))
    for part in ("encoder", "decoder"):
        assert (arrays[f"{part}.bias_ih_l0"][4:8] == 1.0).all()

"""The dense autoencoder: against plain matrix products, for windows and for pictures."""

from __future__ import annotations

import numpy as np
import torch

from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.weights import state_arrays


def test_equals_plain_matrix_products() -> None:
    network = DenseAutoencoder(12, DenseConfig(widths=(8, 3), activation="tanh", output="sigmoid"), 0)
    x = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    weights = state_arrays(network)
    layer = x.reshape(5, 12).numpy()
    for name in ("encoder.0", "encoder.2", "decoder.0"):
        layer = np.tanh(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
    flat = 1.0 / (1.0 + np.exp(-(layer @ weights["decoder.2.weight"].T + weights["decoder.2.bias"])))
    np.testing.assert_allclose(network(x).detach().numpy(), flat.reshape(5, 4, 3), atol=1e-6)


def test_one_hidden_layer_is_enough() -> None:
    network = DenseAutoencoder(784, DenseConfig(widths=(32,), output="sigmoid"), 0)
    out = network(torch.zeros(2, 28, 28)).detach()
    assert out.shape == (2, 28, 28)
    assert float(out.min()) > 0.0
    assert float(out.max()) < 1.0
    assert sum(weight.numel() for weight in network.parameters()) == 784 * 32 + 32 + 32 * 784 + 784


def test_linear_layers_make_a_linear_network() -> None:
    network = DenseAutoencoder(6, DenseConfig(widths=(4, 2), activation="linear"), 0)
    one, other = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    zero = network(torch.zeros(1, 6))
    torch.testing.assert_close(network(one + other) - zero, network(one) - zero + network(other) - zero)

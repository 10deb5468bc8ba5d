"""The patch Transformer: attention against double loops, exact left filling, sensors that go together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.models.attention import CrossAttention, SelfAttention
from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig
from sensorad.models.weights import initialise, load_state_arrays, state_arrays
from sensorad.training import Reconstruction, TensorSource, TrainConfig, Trainer

Array = NDArray[np.float64]


def slow_norm(x: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def slow_attention(query: Array, key: Array, value: Array, heads: int) -> Array:
    """(S, D), (M, D), (M, D) -> (S, D), one head and one token at a time."""
    size = query.shape[1] // heads
    out = np.zeros_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for at in range(len(query)):
            weights = [math.exp(float(query[at, part] @ other[part]) / math.sqrt(size)) for other in key]
            for weight, row in zip(weights, value, strict=True):
                out[at, part] += weight / sum(weights) * row[part]
    return out


def test_self_attention_equals_double_loops() -> None:
    block = SelfAttention(8, 2)
    initialise(block, 0)
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    weights = state_arrays(block)
    for window, got in zip(x.numpy().astype(np.float64), block(x).detach().numpy(), strict=True):
        joint = slow_norm(window) @ weights["query_key_value.weight"].T + weights["query_key_value.bias"]
        mixed = slow_attention(*np.split(joint, 3, axis=1), heads=2)
        expected = window + mixed @ weights["output.weight"].T + weights["output.bias"]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_cross_attention_equals_double_loops() -> None:
    block = CrossAttention(8, 4)
    initialise(block, 0)
    generator = torch.Generator().manual_seed(0)
    x, memory = torch.randn(2, 5, 8, generator=generator), torch.randn(2, 3, 8, generator=generator)
    weights = state_arrays(block)
    for window, other, got in zip(x.numpy(), memory.numpy(), block(x, memory).detach().numpy(), strict=True):
        query = slow_norm(window.astype(np.float64)) @ weights["query.weight"].T + weights["query.bias"]
        key, value = np.split(other @ weights["key_value.weight"].T + weights["key_value.bias"], 2, axis=1)
        mixed = slow_attention(query, key, value, heads=4)
        np.testing.assert_allclose(got, window + mixed @ weights["output.weight"].T + weights["output.bias"], atol=1e-5)


@pytest.mark.parametrize("length", [25, 30, 31, 32])
def test_a_window_that_patches_do_not_divide_equals_a_longer_one_with_zeros_before(length: int) -> None:
    config = TransformerConfig(width=16, heads=2, layers=1, sensor_width=0, near_zero=False)
    short, whole = TransformerAutoencoder(3, length, config, 0), TransformerAutoencoder(3, 32, config, 1)
    load_state_arrays(whole, state_arrays(short))
    x = torch.randn(4, length, 3, generator=torch.Generator().manual_seed(0))
    filled = torch.cat([torch.zeros(4, 32 - length, 3), x], 1)
    torch.testing.assert_close(short(x), whole(filled)[:, 32 - length :])


def test_a_window_shorter_than_a_patch_works() -> None:
    assert TransformerAutoencoder(3, 5, TransformerConfig(width=8), 0)(torch.zeros(2, 5, 3)).shape == (2, 5, 3)


def test_patches_are_told_apart_by_their_place_in_the_window() -> None:
    network = TransformerAutoencoder(2, 16, TransformerConfig(width=16, sensor_width=0), 0)
    x = torch.randn(1, 16, 2, generator=torch.Generator().manual_seed(0))
    swapped = torch.cat([x[:, 8:], x[:, :8]], 1)
    assert float((network.encode(x) - network.encode(swapped)).detach().abs().max()) > 1e-3


def test_windows_do_not_see_each_other() -> None:
    network = TransformerAutoencoder(3, 30, TransformerConfig(width=16, near_zero=False), 0).eval()
    x = torch.randn(6, 30, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x)[4:5], network(x[4:5]))


def test_another_window_length_is_refused() -> None:
    with pytest.raises(UsageError, match="windows of 30 rows x 3 sensors expected, got \\(29, 3\\)"):
        TransformerAutoencoder(3, 30, TransformerConfig(width=8), 0)(torch.zeros(2, 29, 3))


def test_attention_among_sensors_sees_which_courses_go_together() -> None:
    """With the patches switched off, the code still changes when a sensor's course comes from another window."""
    network = TransformerAutoencoder(4, 24, TransformerConfig(width=16), 0).eval()
    with torch.no_grad():
        network.embedding.weight.zero_()
    x = torch.randn(8, 24, 4, generator=torch.Generator().manual_seed(0))
    broken = x.clone()
    broken[:, :, 2] = x[:, :, 2].roll(1, 0)
    assert float((network.encode(x) - network.encode(broken)).detach().abs().amax(1).min()) > 1e-3


def test_a_broken_correlation_is_not_reconstructed() -> None:
    """Each sensor alone looks normal; only together do they not."""
    generator = torch.Generator().manual_seed(0)
    phase = 2 * math.pi * torch.rand(512, 1, 1, generator=generator)
    wave = torch.sin(torch.arange(24)[None, :, None] * 0.4 + phase)  # (N, L, 1)
    x = torch.cat([wave, -wave, 0.5 * wave], 2)  # (N, L, C)
    network = TransformerAutoencoder(3, 24, TransformerConfig(width=32, layers=1, code=2), generator)
    config = TrainConfig(epochs=15, batch_size=64, learning_rate=5e-3)
    Trainer(config).fit(network, Reconstruction(), TensorSource(x[:448]), None, generator)
    normal = x[448:]
    broken = normal.clone()
    broken[:, :, 1] = -normal[:, :, 1]
    with torch.no_grad():
        errors = [(network(windows) - windows).square().mean((1, 2)).median() for windows in (normal, broken)]
    assert float(errors[0]) < 0.02
    assert float(errors[1]) > 10.0 * float(errors[0])

"""The LSTM encoder-decoder as its description reads: one window, one layer, one step at a time, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.models.lstm_config import LSTMConfig

Arrays = dict[str, NDArray[np.float32]]


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


def slow_lstm(
    weights: Arrays,
    prefix: str,
    rows: list[NDArray[np.float64]],
    hidden: NDArray[np.float64],
    cell: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """One window, one layer after the other, one step after the other; states (layers, D) are changed in place."""
    for layer in range(len(hidden)):
        weight_in, weight_state, bias_in, bias_state = (
            weights[f"{prefix}.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        outputs = []
        for row in rows:
            gates = weight_in @ row + bias_in + weight_state @ hidden[layer] + bias_state
            enter, forget, candidate, leave = np.split(gates, 4)
            cell[layer] = sigmoid(forget) * cell[layer] + sigmoid(enter) * np.tanh(candidate)
            hidden[layer] = sigmoid(leave) * np.tanh(cell[layer])
            outputs.append(hidden[layer].copy())
        rows = outputs
    return rows


def slow_autoencoder(weights: Arrays, config: LSTMConfig, window: NDArray[np.float32]) -> NDArray[np.float64]:
    """(L, C) -> (L, C)."""
    hidden, cell = np.zeros((config.layers, config.width)), np.zeros((config.layers, config.width))
    slow_lstm(weights, "encoder", [row.astype(np.float64) for row in window], hidden, cell)
    state = np.concatenate([hidden.ravel(), cell.ravel()])
    feed = np.zeros(1)
    if config.code is not None:
        feed = weights["narrow.weight"] @ state + weights["narrow.bias"]
        state = weights["widen.weight"] @ feed + weights["widen.bias"]
    hidden, cell = state.reshape(2, config.layers, config.width).copy()
    decoded = []
    for _ in window:
        top = slow_lstm(weights, "decoder", [feed], hidden, cell)[0]
        decoded.append(weights["output.weight"] @ top + weights["output.bias"])
    return np.array(decoded[::-1])  # the first row decoded is the newest one

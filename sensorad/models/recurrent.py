"""Recurrent halves that several networks are put together from: windows to numbers, and numbers to windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sensorad.models.weights import bare

__all__ = ["RecurrentDecoder", "RecurrentEncoder"]


class RecurrentEncoder(nn.Module):
    """An LSTM that reads a window of any length; its final state gives ``n_outputs`` numbers.

    Parameters
    ----------
    n_sensors, width, layers, n_outputs
        C, D, stacked LSTM layers, numbers to give.
    """

    def __init__(self, n_sensors: int, width: int, layers: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = bare(nn.LSTM, n_sensors, width, layers, batch_first=True)
        self.narrow = bare(nn.Linear, 2 * layers * width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, n_outputs)."""
        _, (hidden, cell) = self.lstm(x)  # 2 x (layers, N, D)
        outputs: Tensor = self.narrow(torch.cat([hidden, cell]).transpose(0, 1).flatten(1))  # (N, n_outputs)
        return outputs


class RecurrentDecoder(nn.Module):
    """An LSTM that writes a window of any length from a code, newest row first.

    It gets the code at every step and never its own output, as in `sensorad.models.lstm`.

    Parameters
    ----------
    code, width, layers, n_outputs
        Numbers of the code, D, stacked LSTM layers, numbers of each row.
    """

    def __init__(self, code: int, width: int, layers: int, n_outputs: int) -> None:
        super().__init__()
        self.widen = bare(nn.Linear, code, 2 * layers * width)
        self.lstm = bare(nn.LSTM, code, width, layers, batch_first=True)
        self.output = bare(nn.Linear, width, n_outputs)

    def forward(self, code: Tensor, length: int) -> Tensor:
        """(N, code) -> (N, length, n_outputs), in forward time order."""
        state = self.widen(code).unflatten(1, (-1, self.lstm.hidden_size))  # (N, 2 layers, D)
        hidden, cell = state.transpose(0, 1).contiguous().chunk(2)  # 2 x (layers, N, D)
        steps, _ = self.lstm(code[:, None].expand(-1, length, -1), (hidden, cell))  # (N, length, D)
        rows: Tensor = self.output(steps).flip(1)  # (N, length, n_outputs)
        return rows

    def start_at_zero(self) -> None:
        """Make every output exactly 0 until the first step of training."""
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

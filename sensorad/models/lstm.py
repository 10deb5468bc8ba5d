"""LSTM encoder-decoder: reads a window, keeps a narrow code of it, writes the window back newest row first.

After Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", ICML 2016 anomaly
detection workshop. One thing differs on purpose: the decoder never reads its own output. It gets the code at
every step instead, so that the whole decoder is one fused call and training and use are the same computation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sensorad.models.checks import at_least
from sensorad.models.lstm_config import LSTMConfig
from sensorad.models.weights import bare, initialise, state_shapes

__all__ = ["LSTMAutoencoder", "LSTMConfig"]


class LSTMAutoencoder(nn.Module):
    """Reconstructs windows (N, L, C) of any length through a code of ``config.code`` numbers.

    Parameters
    ----------
    n_sensors
        C.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = LSTMAutoencoder(3, LSTMConfig(width=8, code=2))
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 30, 3]), torch.Size([5, 2]))

    The newest rows alone cost as many decoder steps as there are rows:

    >>> network.decode(network.encode(x), 4).shape
    torch.Size([5, 4, 3])
    """

    def __init__(self, n_sensors: int, config: LSTMConfig, generator: torch.Generator | int | None = 0) -> None:
        super().__init__()
        at_least(1, n_sensors=n_sensors)
        self.n_sensors = n_sensors
        self.config = config
        state = 2 * config.layers * config.width
        self.encoder = bare(nn.LSTM, n_sensors, config.width, config.layers, batch_first=True)
        self.narrow = None if config.code is None else bare(nn.Linear, state, config.code)
        self.widen = None if config.code is None else bare(nn.Linear, config.code, state)
        self.decoder = bare(nn.LSTM, config.code or 1, config.width, config.layers, batch_first=True)
        self.output = bare(nn.Linear, config.width, n_sensors)
        initialise(self, generator)
        if config.near_zero and generator is not None:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    @classmethod
    def expected_shapes(cls, n_sensors: int, config: LSTMConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_sensors, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each window: (N, L, C) -> (N, code), or (N, 2 layers width) without a narrow code."""
        _, (hidden, cell) = self.encoder(x)  # 2 x (layers, N, D)
        return self.code_of_state(hidden, cell)

    def code_of_state(self, hidden: Tensor, cell: Tensor) -> Tensor:
        """Code of an encoder state that was reached by any way, such as one carried from row to row.

        Parameters
        ----------
        hidden, cell : (layers, N, D)
        """
        state = torch.cat([hidden, cell]).transpose(0, 1).flatten(1)  # (N, 2 layers D)
        return state if self.narrow is None else self.narrow(state)  # (N, code)

    def decode(self, code: Tensor, length: int) -> Tensor:
        """The newest ``length`` rows that the code describes, in forward time order: (N, code) -> (N, length, C)."""
        state = code if self.widen is None else self.widen(code)  # (N, 2 layers D)
        state = state.view(len(code), 2 * self.config.layers, self.config.width).transpose(0, 1).contiguous()
        hidden, cell = state.chunk(2)  # 2 x (layers, N, D)
        # The code at every step, not in the first state alone, from which it fades: the validation loss is lower.
        feed = code.new_zeros(len(code), 1) if self.widen is None else code
        steps, _ = self.decoder(feed[:, None].expand(-1, length, -1), (hidden, cell))  # (N, length, D)
        # The first step decoded is the newest row: the one best remembered, and enough alone for a cheap score.
        rows: Tensor = self.output(steps).flip(1)  # (N, length, C)
        return rows

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction of windows: (N, L, C) -> (N, L, C)."""
        return self.decode(self.encode(x), x.shape[1])

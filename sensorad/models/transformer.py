"""Transformer encoder-decoder on patches of rows, with a code so narrow that the window cannot be copied.

Attention after Vaswani et al., "Attention is all you need", NeurIPS 2017; patches as tokens after Nie et al.,
"A time series is worth 64 words", ICLR 2023 (one token per row costs ten times an LSTM); one token per sensor
after Liu et al., "iTransformer", ICLR 2024: attention among sensors compares the courses of two sensors
directly, so that a broken correlation changes the code.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.errors import UsageError
from sensorad.models.attention import CrossAttention, FeedForward, SelfAttention
from sensorad.models.checks import at_least, checked_options
from sensorad.models.weights import bare, initialise, parameter, state_shapes

__all__ = ["DecoderBlock", "EncoderBlock", "SensorMixing", "TransformerAutoencoder", "TransformerConfig"]


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Sizes of a `TransformerAutoencoder`.

    Attributes
    ----------
    width, heads, layers, feedforward
        Width of a token, attention heads, blocks in encoder and in decoder, hidden units of a block.
    patch
        Rows per token. A window that it does not divide is filled up with zeros before its oldest row.
    code
        Numbers that describe a window.
    memory
        Tokens into which the decoder spreads the code, to have something to choose from.
    sensor_width
        Width of the tokens that stand for a sensor's whole course in the window; 0: no attention among sensors.
    dropout
        Share of values dropped in training. 0 by default: the narrow code regularises already, and
        dropout costs 1.7x the training time on a CPU.
    near_zero
        Start with an output of exactly 0, for a network that learns what a linear model left over.
    """

    width: int = 64
    heads: int = 4
    layers: int = 2
    feedforward: int = 128
    patch: int = 8
    code: int = 16
    memory: int = 4
    sensor_width: int = 16
    dropout: float = 0.0
    near_zero: bool = True

    def __post_init__(self) -> None:
        at_least(1, 4096, width=self.width, feedforward=self.feedforward, patch=self.patch, code=self.code)
        at_least(1, 64, heads=self.heads, layers=self.layers, memory=self.memory)
        at_least(0, 1024, sensor_width=self.sensor_width)
        if self.width % self.heads:
            raise UsageError(f"heads must divide width, got {self.heads} and {self.width}", where="model configuration")
        if not (math.isfinite(self.dropout) and 0.0 <= self.dropout < 1.0):
            raise UsageError(f"dropout must be in [0, 1), got {self.dropout}", where="model configuration")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> TransformerConfig:
        return cls(**checked_options(cls, row))


class SensorMixing(nn.Module):
    """One token that tells how the courses of all sensors in a window go together: (N, L, C) -> (N, 1, D)."""

    def __init__(self, n_sensors: int, length: int, config: TransformerConfig) -> None:
        super().__init__()
        width = config.sensor_width
        self.course = bare(nn.Linear, length, width)
        self.sensors = parameter(n_sensors, width)
        self.attention = SelfAttention(width, 1, config.dropout)
        self.feedforward = FeedForward(width, 2 * width, config.dropout)
        self.summary = bare(nn.Linear, n_sensors * width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.course(x.transpose(1, 2)) + self.sensors  # (N, C, sensor_width)
        tokens = self.feedforward(self.attention(tokens))  # (N, C, sensor_width)
        token: Tensor = self.summary(tokens.flatten(1))[:, None]  # (N, 1, D)
        return token


class EncoderBlock(nn.Module):
    """Self-attention, then the feed-forward layer."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config.width, config.heads, config.dropout)
        self.feedforward = FeedForward(config.width, config.feedforward, config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.feedforward(self.attention(x))
        return tokens


class DecoderBlock(nn.Module):
    """A look at the memory, self-attention, then the feed-forward layer."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.memory = CrossAttention(config.width, config.heads, config.dropout)
        self.attention = SelfAttention(config.width, config.heads, config.dropout)
        self.feedforward = FeedForward(config.width, config.feedforward, config.dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        tokens: Tensor = self.feedforward(self.attention(self.memory(x, memory)))
        return tokens


class TransformerAutoencoder(nn.Module):
    """Reconstructs windows (N, L, C) of a fixed length through a code of ``config.code`` numbers.

    All rows are decoded at once, from learned positions inside the window: where the window lies in the log
    makes no difference.

    Parameters
    ----------
    n_sensors, length
        C and L.
    config
        Sizes.
    generator
        Source of the first weights: a CPU generator or a seed. None builds shapes without memory.

    Examples
    --------
    >>> network = TransformerAutoencoder(3, 30, TransformerConfig(width=16, code=2))
    >>> x = torch.ones(5, 30, 3)
    >>> network(x).shape, network.encode(x).shape
    (torch.Size([5, 30, 3]), torch.Size([5, 2]))
    """

    def __init__(
        self, n_sensors: int, length: int, config: TransformerConfig, generator: torch.Generator | int | None = 0
    ) -> None:
        super().__init__()
        at_least(1, n_sensors=n_sensors, length=length)
        self.n_sensors = n_sensors
        self.length = length
        self.config = config
        width, n_patches = config.width, math.ceil(length / config.patch)
        self.fill = n_patches * config.patch - length
        n_tokens = n_patches + (1 if config.sensor_width else 0)
        self.embedding = bare(nn.Linear, config.patch * n_sensors, width)
        self.mixing = SensorMixing(n_sensors, length, config) if config.sensor_width else None
        self.positions = parameter(n_tokens, width)
        self.encoder = nn.Sequential(*(EncoderBlock(config) for _ in range(config.layers)))
        self.encoder_norm = bare(nn.LayerNorm, width)
        self.narrow = bare(nn.Linear, n_tokens * width, config.code)
        self.widen = bare(nn.Linear, config.code, config.memory * width)
        self.queries = parameter(n_patches, width)
        self.decoder = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.decoder_norm = bare(nn.LayerNorm, width)
        self.output = bare(nn.Linear, width, config.patch * n_sensors)
        initialise(self, generator)
        if config.near_zero and generator is not None:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    @classmethod
    def expected_shapes(cls, n_sensors: int, length: int, config: TransformerConfig) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, without allocating any."""
        return state_shapes(cls(n_sensors, length, config, None))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each window: (N, L, C) -> (N, code)."""
        if x.shape[1:] != (self.length, self.n_sensors):
            raise UsageError(
                f"windows of {self.length} rows x {self.n_sensors} sensors expected, got {tuple(x.shape[1:])}",
                hint="a Transformer reads windows of the length it was built for",
            )
        rows = functional.pad(x, (0, 0, self.fill, 0))  # (N, patches * patch, C)
        tokens = self.embedding(rows.reshape(len(x), -1, self.config.patch * self.n_sensors))  # (N, patches, D)
        if self.mixing is not None:
            tokens = torch.cat([tokens, self.mixing(x)], 1)  # (N, patches + 1, D)
        tokens = self.encoder_norm(self.encoder(tokens + self.positions))  # (N, tokens, D)
        code: Tensor = self.narrow(tokens.flatten(1))  # (N, code)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The window that a code describes: (N, code) -> (N, L, C)."""
        memory = self.widen(code).unflatten(1, (self.config.memory, self.config.width))  # (N, memory, D)
        tokens = self.queries.expand(len(code), -1, -1)  # (N, patches, D)
        for block in self.decoder:
            tokens = block(tokens, memory)  # (N, patches, D)
        rows: Tensor = self.output(self.decoder_norm(tokens))  # (N, patches, patch * C)
        return rows.reshape(len(code), -1, self.n_sensors)[:, self.fill :]  # (N, L, C)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction of windows: (N, L, C) -> (N, L, C)."""
        return self.decode(self.encode(x))

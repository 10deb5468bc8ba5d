"""Attention blocks of the Transformer: normalise first, add last (pre-norm residual blocks)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sensorad.models.dropout import Dropout
from sensorad.models.weights import bare

__all__ = ["CrossAttention", "FeedForward", "SelfAttention"]


class SelfAttention(nn.Module):
    """Every token looks at every token of its own sequence: (N, S, D) -> (N, S, D)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm = bare(nn.LayerNorm, width)
        self.query_key_value = bare(nn.Linear, width, 3 * width)
        self.output = bare(nn.Linear, width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        joint = self.query_key_value(self.norm(x))  # (N, S, 3D)
        query, key, value = joint.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # 3 x (N, H, S, D/H)
        added: Tensor = self.dropout(self.output(_attend(query, key, value)))  # (N, S, D)
        return x + added


class CrossAttention(nn.Module):
    """Every token looks at every token of a memory: (N, S, D), (N, M, D) -> (N, S, D)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm = bare(nn.LayerNorm, width)
        self.query = bare(nn.Linear, width, width)
        self.key_value = bare(nn.Linear, width, 2 * width)
        self.output = bare(nn.Linear, width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        query = self.query(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (N, H, S, D/H)
        joint = self.key_value(memory)  # (N, M, 2D)
        key, value = joint.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # 2 x (N, H, M, D/H)
        added: Tensor = self.dropout(self.output(_attend(query, key, value)))  # (N, S, D)
        return x + added


class FeedForward(nn.Module):
    """Each token on its own through one hidden layer: (N, S, D) -> (N, S, D)."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = bare(nn.LayerNorm, width)
        self.hidden = bare(nn.Linear, width, hidden)
        self.output = bare(nn.Linear, hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.dropout(self.output(functional.gelu(self.hidden(self.norm(x)))))  # (N, S, D)
        return x + added


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention with the heads put side by side again: (N, H, S, D/H) -> (N, S, D)."""
    mixed: Tensor = functional.scaled_dot_product_attention(query, key, value)  # (N, H, S, D/H)
    return torch.flatten(mixed.transpose(1, 2), 2)  # (N, S, D)

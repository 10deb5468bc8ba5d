"""Optimisers by name, and the learning rate as a function of the step.

The rate is computed, not carried by a scheduler object: a resumed run needs only the number of the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from sensorad.training.config import TrainConfig

__all__ = ["LearningRate", "build_optimiser", "clip_gradients"]

WARM_UP = 0.3
START_SHARE = 1 / 25
"""Share of the steps spent rising, and of the highest rate to rise from (Smith and Topin 2019, usual values)."""


def build_optimiser(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of ``config``, in its fused or multi-tensor form: fewest Python steps per update."""
    options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    match config.optimiser:
        case "adam":
            return torch.optim.Adam(parameters, fused=True, **options)
        case "adamw":
            return torch.optim.AdamW(parameters, fused=True, **options)
        case "sgd":
            return torch.optim.SGD(parameters, momentum=0.9, fused=True, **options)
        case "adadelta":
            return torch.optim.Adadelta(parameters, foreach=True, **options)
        case "radam":
            return torch.optim.RAdam(parameters, foreach=True, **options)


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Scale all gradients by one factor so that their joint norm is at most ``limit``.

    On a CPU the norm is read and nothing is written in the usual case that it is small: half the time of
    torch's own function, which matters beside the step of a dense network (0.05 of 1 ms). Elsewhere reading it
    would make the host wait in every step.
    """
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    if not gradients:
        return
    if gradients[0].device.type != "cpu":
        nn.utils.clip_grad_norm_(parameters, limit)
        return
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])).item()
    if norm > limit:
        for gradient in gradients:
            gradient.mul_(limit / norm)


class LearningRate:
    """The rate of each step, by ``config.scheduler``.

    Parameters
    ----------
    config
        Scheduler, highest rate, plateau patience.
    n_steps
        Steps of the whole run if nothing stops it early.

    Examples
    --------
    >>> rate = LearningRate(TrainConfig(learning_rate=0.1, scheduler="cosine"), n_steps=100)
    >>> [round(rate.at(step), 4) for step in (0, 50, 100)]
    [0.1, 0.05, 0.0]
    """

    def __init__(self, config: TrainConfig, n_steps: int) -> None:
        self._config = config
        self._n_steps = max(n_steps, 1)
        self.scale = 1.0
        self.lowest: float | None = None
        self.n_stale = 0

    def at(self, step: int) -> float:
        """Rate of the ``step``-th step, counted from 0."""
        highest, done = self._config.learning_rate, step / self._n_steps
        match self._config.scheduler:
            case "none":
                return highest
            case "plateau":
                return highest * self.scale
            case "cosine":
                return highest * _cosine(1.0, 0.0, done)
            case "one_cycle" if done < WARM_UP:
                return highest * _cosine(START_SHARE, 1.0, done / WARM_UP)
            case "one_cycle":
                return highest * _cosine(1.0, 0.0, (done - WARM_UP) / (1.0 - WARM_UP))

    def judge(self, loss: float) -> None:
        """Take note of an epoch's loss; halves the rate of "plateau" when it has stopped improving."""
        if self.lowest is None or loss < self.lowest:
            self.lowest, self.n_stale = loss, 0
            return
        self.n_stale += 1
        if self.n_stale >= self._config.plateau_patience:
            self.scale, self.n_stale = 0.5 * self.scale, 0

    def to_json(self) -> dict[str, Any]:
        return {"scale": self.scale, "lowest": self.lowest, "n_stale": self.n_stale}

    def restore(self, row: dict[str, Any]) -> None:
        """Continue from what `to_json` gave."""
        self.scale, self.lowest, self.n_stale = row["scale"], row["lowest"], row["n_stale"]


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

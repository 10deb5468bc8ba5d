"""Networks trained on images by the trainer of sensors, with the guard against networks that were born dead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sensorad.training.batches import TensorSource
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Objective
from sensorad.training.record import TrainingRecord
from sensorad.training.trainer import Trainer

__all__ = ["IMAGE_CONFIG", "Living", "answers", "seeded", "train", "train_living"]

IMAGE_CONFIG = TrainConfig(
    epochs=5, batch_size=32, learning_rate=1e-3, scheduler="none", patience=None, gradient_clip=None
)
"""The published set-up: Adam at 1e-3, batches of 32, five epochs, nothing else."""

LEAST_ACCURACY = 0.6
"""Of a living classifier after its first epoch, on the images that it was trained on."""

SAME = 1e-6
"""Answers that differ less than this from image to image are one constant answer."""


def seeded(seed: int, *stream: int) -> torch.Generator:
    """A generator of its own for each seed and each purpose."""
    drawn = np.random.SeedSequence(seed, spawn_key=stream).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(drawn >> 2))


def train(
    network: nn.Module,
    objective: Objective,
    images: Tensor,
    generator: torch.Generator,
    config: TrainConfig = IMAGE_CONFIG,
    *,
    labels: Tensor | None = None,
    validation: TensorSource | None = None,
    after_epoch: Callable[[int, float], None] | None = None,
) -> TrainingRecord:
    """Train ``network`` in place on images (N, channels, H, W) and leave it in evaluation mode.

    ``after_epoch`` is called with the number of each epoch, from 1, and its training loss; the network may be judged
    there (and is put back into training by the next epoch).
    """
    said = None if after_epoch is None else lambda epoch, _most, loss, _validation: after_epoch(epoch, loss)
    source = TensorSource(images, labels=labels)
    return Trainer(config).fit(network, objective, source, validation, generator, progress=said)


def answers(network: nn.Module, images: Tensor, batch: int = 1_000) -> Tensor:
    """What a network in evaluation mode answers to all images, without gradients."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(part) for part in torch.split(images, batch)])


@dataclass(frozen=True, slots=True)
class Living:
    """A trained network, and how many draws of first weights it took to get one that answers."""

    network: nn.Module
    record: TrainingRecord
    n_restarted: int
    is_collapsed: bool


class _DeadError(Exception):
    """Raised between two epochs to stop a training that cannot get anywhere."""


def train_living(
    build: Callable[[torch.Generator], nn.Module],
    objective: Objective,
    images: Tensor,
    labels: Tensor,
    seed: int,
    config: TrainConfig = IMAGE_CONFIG,
    *,
    is_guarded: bool = True,
    most_restarts: int = 10,
    after_epoch: Callable[[nn.Module, int], None] | None = None,
) -> Living:
    """A classifier whose answers depend on the image, from the first draw of weights that gives one.

    A small network of rectifiers is now and then drawn so that a whole layer answers 0 to everything, and never learns.
    With the guard such a draw is noticed after its first epoch (accuracy on the training images below
    `LEAST_ACCURACY` and the same answer to all of them) and replaced by the next one.

    ``after_epoch`` is called with the network and the number of each epoch, from 1; after a restart from 1 again.
    """
    probe = images[:1_000]
    for attempt in range(most_restarts + 1):
        generator = seeded(seed, attempt)
        network = build(generator)

        def dead(network: nn.Module = network) -> bool:
            found = answers(network, probe)
            right = (found.argmax(1) == labels[: len(probe)]).float().mean()
            return bool(right < LEAST_ACCURACY) and bool(found.std(0).max() < SAME)

        def watch(epoch: int, _loss: float, dead: Callable[[], bool] = dead, network: nn.Module = network) -> None:
            if is_guarded and epoch == 1 and dead():
                raise _DeadError
            if after_epoch is not None:
                after_epoch(network, epoch)

        try:
            record = train(network, objective, images, generator, config, labels=labels, after_epoch=watch)
        except _DeadError:
            continue
        return Living(network, record, attempt, dead())
    raise RuntimeError(f"{most_restarts + 1} draws of weights, and none that answers")

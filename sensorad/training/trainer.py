"""The training loop: any network, any objective, any source of batches.

Own code on purpose: general trainers cost 0.8-1.5 ms a step, which doubles the step of a small network. What
they are used for is here: early stopping, best weights, clipping, mixed precision, a guard against NaN, and
resuming after a kill with exactly the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from sensorad.errors import TooLittleDataError, UsageError
from sensorad.models.dropout import Dropout
from sensorad.training.batches import BatchSource
from sensorad.training.config import TrainConfig
from sensorad.training.objectives import Objective
from sensorad.training.record import TrainingRecord
from sensorad.training.run import TrainingRun

__all__ = ["Progress", "Trainer"]

Progress = Callable[[int, int, float, float | None], None]
"""Called after every epoch with (epoch from 1, epochs at most, training loss, validation loss or None)."""


class Trainer:
    """Trains networks in place by one configuration.

    Parameters
    ----------
    config
        How to train.

    Examples
    --------
    >>> from sensorad.models.dense import DenseAutoencoder, DenseConfig
    >>> from sensorad.training.batches import TensorSource
    >>> from sensorad.training.objectives import Reconstruction
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(256, 1, generator=generator) * torch.ones(8)
    >>> network = DenseAutoencoder(8, DenseConfig(widths=(2,)), generator)
    >>> trainer = Trainer(TrainConfig(epochs=10, batch_size=32, learning_rate=0.02))
    >>> record = trainer.fit(network, Reconstruction(), TensorSource(x), None, generator)
    >>> record.stopped_because, record.n_steps, record.train_losses[-1] < 0.1 * record.train_losses[0]
    ('epochs', 80, True)
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def fit(
        self,
        model: nn.Module,
        objective: Objective,
        train: BatchSource,
        validation: BatchSource | None,
        generator: torch.Generator,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
        device: str | torch.device = "cpu",
        fingerprint: str = "",
    ) -> TrainingRecord:
        """Train ``model`` until a reason to stop, and leave it in evaluation mode with its best weights.

        Parameters
        ----------
        train, validation
            Items to learn from, and items that decide when to stop and which weights are best. Without the
            latter the weights of the last epoch are kept.
        generator
            CPU generator behind shuffling, noise and dropout. Same state, same result.
        checkpoint
            File to resume from if it exists, and to write to. After a kill at any time the same call gives
            the same weights as if nothing had happened. It stays when training is done; the caller deletes it.
        progress
            Called after every epoch.
        device
            Where the network runs and stays.
        fingerprint
            Fingerprint of the data: a checkpoint made from other data is refused.

        Raises
        ------
        TooLittleDataError
            If a source is empty.
        TrainingError
            If a loss or weight becomes NaN or infinite before the first epoch has ended.
        ArtefactError
            If the checkpoint is damaged or belongs to another configuration, network, seed or data.
        StorageError
            If the checkpoint cannot be read or written.
        UsageError
            If the generator is not a CPU generator, or the network draws from torch's global generator.
        """
        for name, source in (("training", train), ("validation", validation)):
            if source is not None and len(source) == 0:
                raise TooLittleDataError(f"the {name} source has no items", hint="more rows or shorter windows")
        if generator.device.type != "cpu":
            raise UsageError(f"a CPU generator expected, got one on {generator.device}")
        with _own_randomness(model, generator):
            run = TrainingRun(
                self.config, model, objective, train, validation, generator, torch.device(device), fingerprint
            )
            if checkpoint is not None and checkpoint.exists():
                run.restore(checkpoint)
            written = time.monotonic()
            while run.stopped is None:
                run.advance()
                if progress is not None and run.stopped != "non_finite":
                    judged = run.validation_losses[-1] if run.validation_losses else None
                    progress(len(run.train_losses), self.config.epochs, run.train_losses[-1], judged)
                due = time.monotonic() - written >= self.config.checkpoint_every_seconds
                if checkpoint is not None and (due or run.stopped is not None):
                    run.save(checkpoint)
                    written = time.monotonic()
            return run.finish()


@contextmanager
def _own_randomness(model: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Let the network's dropout draw from ``generator`` while training; refuse dropout that cannot."""
    own = [module for module in model.modules() if isinstance(module, Dropout)]
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            share = module.p
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            share = module.dropout
        else:
            continue
        if share > 0.0:
            raise UsageError(
                f"{type(module).__name__} {name!r} draws from torch's global generator: results would not repeat",
                hint="use sensorad.models.dropout.Dropout",
            )
    for dropout in own:
        dropout.generator = generator
    try:
        yield
    finally:
        for dropout in own:
            dropout.generator = None

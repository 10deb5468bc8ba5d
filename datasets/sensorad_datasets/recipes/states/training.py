"""Class-and-state classification: one network for each fold, each judged on what it has not learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.augment.image import ImageAugment
from sensorad.models.backbone_classifier import BackboneClassifier
from sensorad.training.batches import Batch, TensorSource
from sensorad.training.classification import Classification
from sensorad.training.config import TrainConfig
from sensorad.training.image_augmentation import Augmented
from sensorad.training.record import TrainingRecord
from sensorad.training.trainer import Trainer
from sensorad_datasets.images.folder import load_part_folder
from sensorad_datasets.images.labelled import PartImages
from sensorad_datasets.recipes.states.config import StateConfig
from sensorad_datasets.recipes.states.ensemble import StateEnsemble, probabilities
from sensorad_datasets.recipes.states.folds import (
    Fold,
    balanced_repeats,
    balanced_weights,
    channel_statistics,
    stratified_folds,
)
from sensorad_datasets.recipes.states.network import state_network
from sensorad_datasets.recipes.states.result import StateResult
from sensorad_datasets.recipes.training import seeded

__all__ = ["FoldProgress", "TrainedFold", "classify_states", "cross_validate", "train_fold"]

FoldProgress = Callable[[int, int, float, float | None], None]
"""Called after every epoch with (fold from 1, epoch from 1, training loss, validation loss)."""

INIT, TRAINING = 0, 1
"""Streams of random numbers of a fold."""


@dataclass(frozen=True, slots=True)
class TrainedFold:
    """The network of one fold, in evaluation, and how it came about."""

    fold: Fold
    network: BackboneClassifier
    record: TrainingRecord


def classify_states(
    directory: str | Path, options: StateConfig, progress: FoldProgress | None = None
) -> tuple[StateResult, StateEnsemble]:
    """Train and judge networks on a folder in the layout of MVTec AD.

    Parameters
    ----------
    directory
        As `sensorad_datasets.images.folder.load_part_folder` reads it.
    options
        How.
    progress
        Called after every epoch.

    Returns
    -------
    result, ensemble
        What came out, as plain values that can be written as JSON; the networks, that can be written as safetensors and
        classify new images.

    Raises
    ------
    UsageError, StorageError, DataError, ArtefactError
        As the folder, the backbone and the options have it.
    """
    return cross_validate(load_part_folder(directory, options.size), options, progress)


def cross_validate(
    parts: PartImages, options: StateConfig, progress: FoldProgress | None = None, *, most_folds: int | None = None
) -> tuple[StateResult, StateEnsemble]:
    """One network for each of the folds, or of the first ``most_folds``; see `classify_states`."""
    folds = stratified_folds(parts.labels, options.folds, options.seed)[:most_folds]
    answers = np.full((len(parts), len(parts.classes)), np.nan)  # (N, K); NaN: judged in no fold
    trained = []
    for at, fold in enumerate(folds):
        found = train_fold(parts, fold, at, options, progress)
        answers[fold.validation] = probabilities(found.network, torch.from_numpy(parts.images[fold.validation]))
        trained.append(found)
    result = StateResult.judged(parts, options, folds, answers, [found.record for found in trained])
    return result, StateEnsemble(tuple(found.network for found in trained), parts.class_names, options)


def train_fold(
    parts: PartImages, fold: Fold, at: int, options: StateConfig, progress: FoldProgress | None = None
) -> TrainedFold:
    """The network of the fold with number ``at``; nothing of it but when to stop comes from the validation images.

    Statistics of the channels, numbers of the classes and every step rest on the training images. Early stopping keeps
    the weights with the lowest loss on the validation images, as the published set-up did, so that what is measured
    on them is a little too good.
    """
    labels = torch.from_numpy(parts.labels)
    images = torch.from_numpy(parts.images)
    n_classes = len(parts.classes)
    mean, sd = channel_statistics(parts.images, fold.training)
    network = state_network(options, n_classes, mean, sd, seeded(options.seed, at, INIT))
    weights = balanced_weights(parts.labels[fold.training], n_classes) if options.balance == "weights" else ()
    learned = balanced_repeats(parts.labels, fold.training) if options.balance == "sampling" else fold.training
    objective = Augmented(Classification(class_weights=weights), _augment(parts, options))
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimiser=options.optimiser,
        learning_rate=options.rate,
        weight_decay=options.weight_decay,
        scheduler="none",
        patience=options.patience,
        gradient_clip=None,
    )

    def said(epoch: int, _most: int, loss: float, judged: float | None) -> None:
        if progress is not None:
            progress(at + 1, epoch, loss, judged)

    record = Trainer(config).fit(
        network,
        objective,
        _Chosen(TensorSource(images, labels=labels), learned),
        _Chosen(TensorSource(images, labels=labels), fold.validation),
        seeded(options.seed, at, TRAINING),
        progress=said,
    )
    return TrainedFold(fold, network, record)


def _augment(parts: PartImages, options: StateConfig) -> ImageAugment:
    share = 0.5 if options.is_flipped else 0.0
    return ImageAugment(
        rotation=options.rotation,
        shift=options.shift,
        zoom=options.zoom,
        flip=share,
        vertical_flip=share,
        flip_excluded=parts.classes_of(options.flip_excluded),
        padding="border",
    )


class _Chosen:
    """Some items of a source, some of them perhaps several times."""

    def __init__(self, source: TensorSource, positions: NDArray[np.int64]) -> None:
        self._source = source
        self._positions = torch.from_numpy(np.asarray(positions, np.int64))

    def __len__(self) -> int:
        return len(self._positions)

    def take(self, indices: Tensor) -> Batch:
        """The items at ``indices`` (N,) int64 of the chosen ones, valid until the next call."""
        return self._source.take(self._positions[indices])

"""I14: an autoencoder of all images, whose lower layers a classifier with few labels begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sensorad.models.dense import DenseAutoencoder, DenseConfig
from sensorad.models.dense_classifier import DenseClassifier
from sensorad.training.classification import Classification
from sensorad.training.objectives import PixelCrossEntropy

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .training import IMAGE_CONFIG, answers, seeded, train

__all__ = ["RECIPE"]

ENCODER = DenseConfig(widths=(256, 128, 64), output="sigmoid")

LABELS = (100, 200, 500, 1_000, 2_000)
SMALL_LABELS = (50, 100, 200, 500)

PRETRAINING = replace(IMAGE_CONFIG, epochs=5, batch_size=128)
SMALL_PRETRAINING = replace(PRETRAINING, epochs=60, batch_size=32)
FINE_TUNING = replace(IMAGE_CONFIG, epochs=20)

SCRATCH, PRETRAINED, HEAD_FIRST = "from scratch", "pre-trained", "pre-trained, last layer first"
HEAD_EPOCHS = 5
"""Of all epochs, those in which the last layer learns alone."""


def _run(plan: Plan, seed: int) -> SeedOutcome:
    images, outcome = plan.images(), SeedOutcome()
    shown, labels = torch.from_numpy(images.train), torch.from_numpy(images.train_labels)
    test, n_features, n_classes = torch.from_numpy(images.test), images.train[0].size, len(images.class_names)

    autoencoder = DenseAutoencoder(n_features, ENCODER, seeded(seed, 0))
    config = SMALL_PRETRAINING if plan.is_small else PRETRAINING
    if plan.is_quick:
        config = replace(config, epochs=2)
    train(autoencoder, PixelCrossEntropy(), shown, seeded(seed, 1), config)

    found: dict[str, list[float]] = {variant: [] for variant in (SCRATCH, PRETRAINED, HEAD_FIRST)}
    sizes: tuple[int, ...] = SMALL_LABELS if plan.is_small else LABELS
    if plan.is_quick:
        sizes = sizes[:2]
    for size in sizes:
        chosen = torch.from_numpy(pictures.subsample(images.train_labels, seed, size))
        for variant, accuracies in found.items():
            # The same first weights, where they are not taken over, and the same order of images.
            network = DenseClassifier(n_features, ENCODER, n_classes, seeded(seed, 2))
            if variant != SCRATCH:
                network.take_encoder(autoencoder)
            _fine_tune(network, shown[chosen], labels[chosen], seeded(seed, 3, size), variant == HEAD_FIRST)
            right = answers(network, test).argmax(1).numpy() == images.test_labels
            accuracies.append(float(np.mean(right)))
    for variant, accuracies in found.items():
        outcome.put(variant, **{f"{size:,} labels": value for size, value in zip(sizes, accuracies, strict=True)})
    outcome.pictures.append(
        pictures.curves("accuracy", found, "accuracy on the test part", xlabel="images with a label", x=sizes)
    )
    return outcome


def _fine_tune(
    network: DenseClassifier, images: Tensor, labels: Tensor, generator: torch.Generator, is_head_first: bool
) -> None:
    """All variants learn for as many epochs."""
    objective, epochs = Classification(), FINE_TUNING.epochs
    if is_head_first:
        network.learn_encoder(False)
        train(network, objective, images, generator, replace(FINE_TUNING, epochs=HEAD_EPOCHS), labels=labels)
        network.learn_encoder(True)
        epochs -= HEAD_EPOCHS
    train(network, objective, images, generator, replace(FINE_TUNING, epochs=epochs), labels=labels)


RECIPE = Recipe(
    "I14",
    "Pre-training with few labels",
    _run,
    sets=("mnist", "fashion_mnist", "digits"),
    n_protocol_sets=2,
    n_seeds=6,
    published={(PRETRAINED, "500 labels"): "rises"},
    differences=tuple(Difference(PRETRAINED, SCRATCH, f"{size:,} labels") for size in LABELS),
    about="An autoencoder 784 -> 256 -> 128 -> 64 and back learns all training images without their labels, for five "
    "epochs. A classifier of the same lower layers then learns from few images with labels, as many of each class, for "
    "20 epochs in batches of 32: from scratch, from the layers of the autoencoder, and from these with the last layer "
    "alone in the first five epochs. Accuracy on the whole test part.",
)

"""The split of ten digits that most recipes share: 0 to 3 are normal, 4 to 6 may be exposed, 7 to 9 are anomalies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.config import TrainConfig

from .base import Plan
from .training import IMAGE_CONFIG, answers

__all__ = ["ANOMALOUS", "EXPOSED", "NORMAL", "Split", "builder", "config_for", "split_of"]

NORMAL, EXPOSED, ANOMALOUS = (0, 1, 2, 3), (4, 5, 6), (7, 8, 9)

SMALL_FACTOR, QUICK_FACTOR = 12, 1
"""480 small images are 15 batches: with so many times the epochs a network learns as much from them as it needs."""


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, channels, H, W) and labels of the parts of one set.

    Attributes
    ----------
    train, labels
        Normal images to learn from, and their classes, positions among the normal ones.
    normal, normal_labels
        Normal images of the test part.
    exposed, exposed_test
        Outliers that may be shown in training, and those of the same classes in the test part.
    anomalous, anomalous_labels
        Of the test part alone; labels are positions among the anomalous classes.
    """

    train: Tensor
    labels: Tensor
    normal: Tensor
    normal_labels: NDArray[np.int64]
    exposed: Tensor
    exposed_test: Tensor
    anomalous: Tensor
    anomalous_labels: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, H, W)."""
        channels, height, width = self.train.shape[1:]
        return int(channels), int(height), int(width)

    def roc_auc(self, network: nn.Module, score: Callable[[Tensor], Tensor], anomalous: Tensor | None = None) -> float:
        """How well ``score`` of the answers (N, ...) -> (N,) tells anomalies from normal test images.

        Higher is more anomalous; ``anomalous`` are by default the anomalies of the test part.
        """
        low = score(answers(network, self.normal)).numpy()
        high = score(answers(network, self.anomalous if anomalous is None else anomalous)).numpy()
        return auc_roc(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high]))

    def accuracy(self, network: nn.Module) -> float:
        """Share of the normal test images whose class is named."""
        return float((answers(network, self.normal).argmax(1).numpy() == self.normal_labels).mean())


def split_of(plan: Plan, normal: Sequence[int] = NORMAL) -> Split:
    """The parts of the plan's set."""
    images = plan.images()
    own, exposed, anomalous = images.of(normal), images.of(EXPOSED), images.of(ANOMALOUS)
    return Split(
        torch.from_numpy(own.train),
        torch.from_numpy(own.train_labels),
        torch.from_numpy(own.test),
        own.test_labels,
        torch.from_numpy(exposed.train),
        torch.from_numpy(exposed.test),
        torch.from_numpy(anomalous.test),
        anomalous.test_labels,
    )


def config_for(plan: Plan, config: TrainConfig = IMAGE_CONFIG) -> TrainConfig:
    """The training of the protocol, with more epochs on the small set."""
    if not plan.is_small:
        return replace(config, epochs=1) if plan.is_quick else config
    return replace(config, epochs=config.epochs * (QUICK_FACTOR if plan.is_quick else SMALL_FACTOR))


def builder(
    shape: tuple[int, int, int], config: ImageClassifierConfig | None = None
) -> Callable[[torch.Generator], nn.Module]:
    """What draws a new classifier of such images from a generator; by default the 474-parameter one."""
    chosen = config or ImageClassifierConfig()
    return lambda generator: ImageClassifier(shape, chosen, generator)

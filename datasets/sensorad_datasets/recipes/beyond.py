"""Beyond the published figures on their own split: a larger network, and neighbours in what it has learned to see.

What is scored was decided on digits 4 to 6 of the training part, which the network without exposure never sees, and
which are no anomalies of the test. With exposure these digits are shown in training, as in I7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sensorad.error_models.confidence import max_probability_score
from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.classification import Classification, SetExposure

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .embedding import neighbour_distance
from .splits import Split, builder, config_for, split_of
from .training import IMAGE_CONFIG, answers, train_living

__all__ = ["RECIPE"]

CONFIG = replace(IMAGE_CONFIG, batch_size=64, scheduler="one_cycle")
SMOOTHING = 0.2
PLAIN, EXPOSED = "smoothing 0.2", "exposure + smoothing 0.2"
DOUBT, NEIGHBOURS = "1 - MSP", "neighbours"


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, outcome = split_of(plan), SeedOutcome()
    objectives = {
        PLAIN: Classification(label_smoothing=SMOOTHING),
        EXPOSED: Classification(label_smoothing=SMOOTHING, exposure=SetExposure(split.exposed.numpy())),
    }
    drawn = {}
    for variant, objective in objectives.items():
        living = train_living(
            builder(split.shape, ImageClassifierConfig.larger()),
            objective,
            split.train,
            split.labels,
            seed,
            config_for(plan, CONFIG),
            is_guarded=plan.is_guarded,
        )
        outcome.count(f"{variant}: collapsed", int(living.is_collapsed))
        if living.is_collapsed or not isinstance(living.network, ImageClassifier):
            continue
        parts = {"normal": split.normal, "anomalous": split.anomalous, "validation": split.exposed}
        for name, score in ((DOUBT, _doubt), (NEIGHBOURS, _strangeness)):
            scores = {kind: score(living.network, split, images).numpy() for kind, images in parts.items()}
            outcome.put(variant, **{name: _auc(scores, "anomalous")})
            if variant == PLAIN:
                outcome.put(variant, **{f"{name}, digits 4-6": _auc(scores, "validation")})
            is_anomalous = np.repeat([False, True], [len(scores["normal"]), len(scores["anomalous"])])
            drawn[f"{variant}, {name}"] = (is_anomalous, np.concatenate([scores["normal"], scores["anomalous"]]))
        outcome.put(variant, accuracy=split.accuracy(living.network))
    outcome.pictures = [pictures.roc("roc", drawn)]
    return outcome


def _doubt(network: ImageClassifier, split: Split, images: Tensor) -> Tensor:
    return max_probability_score(answers(network, images))


def _strangeness(network: ImageClassifier, split: Split, images: Tensor) -> Tensor:
    """(N,) mean of 1 - cosine to the nearest training images, of the features before the logits."""
    known, own = _in_parts(network.encode, split.train), _in_parts(network.encode, images)
    return neighbour_distance(known, own, is_cosine=True)


def _in_parts(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([function(part) for part in torch.split(images, 1_000)])


def _auc(scores: Mapping[str, np.ndarray], kind: str) -> float:
    low, high = scores["normal"], scores[kind]
    return auc_roc(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high]))


RECIPE = Recipe(
    "beyond",
    "The split of I1, as well as we can",
    _run,
    published={(PLAIN, DOUBT): "0.927"},
    differences=(Difference(EXPOSED, PLAIN, DOUBT), Difference(EXPOSED, PLAIN, NEIGHBOURS)),
    about="A network of 105,476 parameters, five epochs. Beside its doubt, the distance of an image to its five "
    "nearest training images among the features before the logits (1 - cosine). Digits 4 to 6 of the training part "
    "decide which score is taken where no outlier is exposed; 7 to 9 are the test.",
)

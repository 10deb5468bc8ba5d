"""Beyond the published figures on their own split: a larger network, and neighbours in what it has learned to see.

What is scored was decided on digits 4 to 6 of the training part, which no network of the rows without exposure sees,
and which are no anomalies of the test. With exposure these digits are shown in training, as in I7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sensorad.error_models.confidence import max_probability_score
from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.classification import Classification, SetExposure

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .splits import Split, builder, config_for, split_of
from .training import IMAGE_CONFIG, train_living

__all__ = ["RECIPE"]

CONFIG = replace(IMAGE_CONFIG, batch_size=64, scheduler="one_cycle")
SMOOTHING = 0.2
N_MEMBERS = 3
N_NEIGHBOURS = 5
"""Nearest training images whose distance is averaged."""


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, outcome = split_of(plan), SeedOutcome()
    sizes = ImageClassifierConfig.larger()
    smoothed = Classification(label_smoothing=SMOOTHING)
    exposed = Classification(label_smoothing=SMOOTHING, exposure=SetExposure(split.exposed.numpy()))
    trained = []
    for objective, n_members in ((smoothed, N_MEMBERS), (exposed, 1)):
        for member in range(n_members):
            living = train_living(
                builder(split.shape, sizes),
                objective,
                split.train,
                split.labels,
                seed * N_MEMBERS + member,
                config_for(plan, CONFIG),
                is_guarded=plan.is_guarded,
            )
            outcome.count("collapsed", int(living.is_collapsed))
            trained.append(cast(ImageClassifier, living.network))
    members, with_exposure = trained[:N_MEMBERS], trained[N_MEMBERS:]
    drawn = {}
    for variant, networks in (
        ("smoothing 0.2", members[:1]),
        (f"smoothing 0.2, {N_MEMBERS} networks", members),
        ("exposure + smoothing 0.2", with_exposure),
    ):
        seen_before = networks is with_exposure
        for name, score in (("1 - MSP", _doubt), ("neighbours", _strangeness)):
            scores = {kind: score(networks, split, part) for kind, part in _parts(split).items()}
            outcome.put(variant, **{name: _auc(scores, "anomalous")})
            if not seen_before:
                outcome.put(variant, **{f"{name}, digits 4-6": _auc(scores, "validation")})
            is_anomalous = np.repeat([False, True], [len(scores["normal"]), len(scores["anomalous"])])
            drawn[f"{variant}, {name}"] = (
                is_anomalous,
                torch.cat([scores["normal"], scores["anomalous"]]).numpy(),
            )
    outcome.put("smoothing 0.2", accuracy=split.accuracy(members[0]))
    outcome.put("exposure + smoothing 0.2", accuracy=split.accuracy(with_exposure[0]))
    outcome.pictures = [pictures.roc("roc", drawn)]
    return outcome


def _parts(split: Split) -> dict[str, Tensor]:
    return {"normal": split.normal, "anomalous": split.anomalous, "validation": split.exposed}


def _doubt(networks: Sequence[ImageClassifier], split: Split, images: Tensor) -> Tensor:
    """(N,) log(1 - MSP) of the mean of the networks' probabilities."""
    means = torch.stack([_in_parts(network, images).softmax(1) for network in networks]).mean(0)
    return max_probability_score(means.log())


def _strangeness(networks: Sequence[ImageClassifier], split: Split, images: Tensor) -> Tensor:
    """(N,) mean over networks of 1 - cosine to the nearest training images, of the features before the logits."""
    found = []
    for network in networks:
        known = nn.functional.normalize(_in_parts(network.encode, split.train), dim=1)  # (M, F)
        own = nn.functional.normalize(_in_parts(network.encode, images), dim=1)  # (N, F)
        nearest = torch.cat([(part @ known.T).topk(N_NEIGHBOURS, 1).values for part in torch.split(own, 500)])
        found.append(1.0 - nearest.mean(1))
    return torch.stack(found).mean(0)


def _in_parts(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([function(part) for part in torch.split(images, 1_000)])


def _auc(scores: Mapping[str, Tensor], kind: str) -> float:
    low, high = scores["normal"].numpy(), scores[kind].numpy()
    return auc_roc(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high]))


RECIPE = Recipe(
    "beyond",
    "The split of I1, as well as we can",
    _run,
    published={("smoothing 0.2", "1 - MSP"): "0.927"},
    differences=(
        Difference("smoothing 0.2, 3 networks", "smoothing 0.2", "1 - MSP"),
        Difference("smoothing 0.2, 3 networks", "smoothing 0.2", "neighbours"),
        Difference("exposure + smoothing 0.2", "smoothing 0.2", "1 - MSP"),
    ),
    about="A network of 105,476 parameters, smoothing 0.2, five epochs. Beside its doubt, the distance of an image to "
    "its five nearest training images among the features before the logits. Digits 4 to 6 of the training part decide "
    "which score is taken where no outlier is exposed; 7 to 9 are the test.",
)

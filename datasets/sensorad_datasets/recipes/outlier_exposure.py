"""I7: images of other digits shown in training as outliers, for which no class may be likelier than another."""

from __future__ import annotations

import numpy as np

from sensorad.error_models.confidence import energy_score, max_probability_score, uniform_score
from sensorad.training.classification import Classification, SetExposure

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .confidence import scores_of
from .splits import builder, config_for, split_of
from .training import train_living

__all__ = ["RECIPE"]

SMOOTHING = 0.2
SCORES = {"1 - MSP": max_probability_score, "-H(u; f)": uniform_score, "energy": energy_score}


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, config, outcome = split_of(plan), config_for(plan), SeedOutcome()
    exposure = SetExposure(split.exposed.numpy())
    objectives = {
        "smoothing 0.2": Classification(label_smoothing=SMOOTHING),
        "exposure": Classification(exposure=exposure),
        "exposure + smoothing 0.2": Classification(label_smoothing=SMOOTHING, exposure=exposure),
    }
    drawn = {}
    for variant, objective in objectives.items():
        living = train_living(
            builder(split.shape), objective, split.train, split.labels, seed, config, is_guarded=plan.is_guarded
        )
        outcome.count(f"{variant}: collapsed", int(living.is_collapsed))
        if living.is_collapsed:
            continue
        network = living.network
        for kind, images in (("unseen 7-9", split.anomalous), ("seen 4-6", split.exposed_test)):
            measures = {f"{name}, {kind}": split.roc_auc(network, score, images) for name, score in SCORES.items()}
            outcome.put(variant, **measures)
        outcome.put(variant, accuracy=split.accuracy(network))
        found = scores_of(network, split, max_probability_score)
        is_anomalous = np.repeat([False, True], [len(found["normal"]), len(found["anomalous"])])
        drawn[variant] = (is_anomalous, np.concatenate(list(found.values())))
        name = variant.replace(" + ", "-").replace(" ", "-")
        outcome.pictures.append(pictures.histograms(f"scores-{name}", found, "log(1 - MSP)"))
    outcome.pictures.append(pictures.roc("roc", drawn))
    return outcome


RECIPE = Recipe(
    "I7",
    "Outlier exposure",
    _run,
    published={("exposure + smoothing 0.2", "1 - MSP, unseen 7-9"): "rises"},
    differences=tuple(
        Difference("exposure + smoothing 0.2", "smoothing 0.2", f"{name}, unseen 7-9")
        for name in ("1 - MSP", "-H(u; f)")
    ),
    about="I1 with digits 4 to 6 of the training part as outliers, as many in each batch as there are normal images, "
    "and half the cross-entropy to an even answer added to the loss (Hendrycks, Mazeika and Dietterich 2019). Digits "
    "7 to 9 are never seen in training.",
)

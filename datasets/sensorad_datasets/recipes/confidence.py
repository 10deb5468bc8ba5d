"""I1 and I2: the doubt of a small classifier of four digits tells others apart, plain and with smoothed labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.error_models.confidence import energy_score, max_logit_score, max_probability_score, uniform_score
from sensorad.training.classification import Classification

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .splits import Split, builder, config_for, split_of
from .training import Living, answers, train_living

__all__ = ["RECIPES", "SCORES", "put_scores", "scores_of"]

HOT = 3.0
"""Temperature of the published experiment."""

SCORES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "1 - MSP": max_probability_score,
        "T = 3": lambda logits: max_probability_score(logits / HOT),
        "-H(u; f)": uniform_score,
        "energy": energy_score,
        "max logit": max_logit_score,
    }
)
"""Columns of the tables -> score of logits (N, K), higher = more anomalous."""

SMOOTHINGS = (0.0, 0.1, 0.2, 0.3)


def scores_of(network: nn.Module, split: Split, score: Callable[[Tensor], Tensor]) -> dict[str, NDArray[np.float32]]:
    """Scores of the normal and of the anomalous test images."""
    parts = {"normal": split.normal, "anomalous": split.anomalous}
    return {name: score(answers(network, images)).numpy() for name, images in parts.items()}


def put_scores(outcome: SeedOutcome, variant: str, living: Living, split: Split) -> None:
    """One row of ROC-AUCs and accuracy; a network that answers a constant is counted, and left out of the means."""
    outcome.count(f"{variant}: collapsed", int(living.is_collapsed))
    outcome.count(f"{variant}: restarted", living.n_restarted)
    if living.is_collapsed:
        return
    network = living.network
    measures = {name: split.roc_auc(network, score) for name, score in SCORES.items()}
    outcome.put(variant, **measures, accuracy=split.accuracy(network))


def _run(smoothings: tuple[float, ...], plan: Plan, seed: int) -> SeedOutcome:
    split, config, outcome = split_of(plan), config_for(plan), SeedOutcome()
    drawn, losses, scores = {}, {}, {}
    for share in smoothings:
        variant = f"smoothing {share:g}" if share else "plain"
        objective = Classification(label_smoothing=share)
        living = train_living(
            builder(split.shape), objective, split.train, split.labels, seed, config, is_guarded=plan.is_guarded
        )
        put_scores(outcome, variant, living, split)
        losses[variant] = living.record.train_losses
        scores[variant] = found = scores_of(living.network, split, max_probability_score)
        is_anomalous = np.repeat([False, True], [len(found["normal"]), len(found["anomalous"])])
        drawn[variant] = (is_anomalous, np.concatenate(list(found.values())))
    outcome.pictures = [
        pictures.curves("training", losses, "cross-entropy"),
        pictures.roc("roc", drawn),
        *(
            pictures.histograms(f"scores-{name.replace(' ', '-')}", found, "log(1 - MSP)")
            for name, found in scores.items()
        ),
    ]
    return outcome


RECIPES = (
    Recipe(
        "I1",
        "Classifier as anomaly detector",
        partial(_run, (0.0,)),
        published={("plain", "1 - MSP"): "0.868"},
        about="Normal digits 0 to 3, anomalies 7 to 9 (test part only); 474 parameters, cross-entropy, Adam at 0.001, "
        "batches of 32, five epochs. ROC-AUC by score.",
    ),
    Recipe(
        "I2",
        "Label smoothing",
        partial(_run, SMOOTHINGS),
        published={
            ("plain", "1 - MSP"): "0.868",
            ("smoothing 0.1", "1 - MSP"): "0.927",
            ("smoothing 0.2", "1 - MSP"): "0.918",
        },
        differences=tuple(Difference(f"smoothing {share:g}", "plain", "1 - MSP") for share in SMOOTHINGS[1:]),
        about="I1 with a share of each label spread over all classes.",
    ),
)

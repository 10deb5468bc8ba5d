"""Where a classifier puts digits that it has never seen: its features flattened by t-SNE, and how far off they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sensorad.error_models.confidence import max_probability_score
from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.classification import Classification

from . import pictures
from .base import Difference, Picture, Plan, Recipe, SeedOutcome
from .splits import ANOMALOUS, NORMAL, Split, builder, config_for, split_of
from .training import answers, train_living

__all__ = ["RECIPE", "neighbour_distance"]

N_NEIGHBOURS = 5

N_KNOWN = 3_000
"""Training images among which neighbours are looked for; more change the third digit and take longer."""

N_POINTS = 700
"""In a picture: more hide one another."""

LARGER_EPOCHS = 2
"""Of the larger network where the small one has five: a step takes ten times as long, and it has learnt by then."""

DISTANCE, COSINE, DOUBT = "5-NN distance", "5-NN cosine distance", "1 - MSP"


@dataclass(frozen=True, slots=True)
class _Way:
    """A row: which network, trained for how long, with how much of the labels spread."""

    net: str
    config: ImageClassifierConfig
    epochs: int | None
    smoothing: float

    @property
    def name(self) -> str:
        return f"{self.net}: {f'smoothing {self.smoothing:g}' if self.smoothing else 'plain'}"


WAYS = tuple(
    _Way(net, config, epochs, smoothing)
    for net, config, epochs in (
        ("474", ImageClassifierConfig(), None),
        ("larger", ImageClassifierConfig.larger(), LARGER_EPOCHS),
    )
    for smoothing in (0.0, 0.2)
)


def neighbour_distance(
    known: Tensor, features: Tensor, n_neighbours: int = N_NEIGHBOURS, *, is_cosine: bool = False, batch: int = 1_000
) -> Tensor:
    """Mean distance of each row of ``features`` (N, F) to its nearest rows of ``known`` (M, F): (N,).

    Euclidean, or 1 - cosine, of which a row without any length is 1 away from all.

    Examples
    --------
    >>> known = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 90.0]])
    >>> neighbour_distance(known, torch.tensor([[0.0, 0.0]]), 2)
    tensor([2.])
    """
    if is_cosine:
        known, features = (nn.functional.normalize(rows) for rows in (known, features))
    found = []
    for start in range(0, len(features), batch):
        part = features[start : start + batch]
        far = 1.0 - part @ known.T if is_cosine else torch.cdist(part, known)  # (n, M)
        found.append(far.topk(n_neighbours, largest=False).values.mean(1))
    return torch.cat(found)


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, outcome = split_of(plan), SeedOutcome()
    names = plan.images().class_names
    for way in WAYS:
        config = config_for(plan)
        if way.epochs is not None and not plan.is_small:
            config = replace(config, epochs=min(way.epochs, config.epochs))
        living = train_living(
            builder(split.shape, way.config),
            Classification(label_smoothing=way.smoothing),
            split.train,
            split.labels,
            seed,
            config,
            is_guarded=plan.is_guarded,
        )
        outcome.count(f"{way.name}: collapsed", int(living.is_collapsed))
        outcome.count(f"{way.name}: restarted", living.n_restarted)
        if not living.is_collapsed and isinstance(living.network, ImageClassifier):
            features = _judge(living.network, split, way, seed, outcome)
            outcome.pictures.append(_picture(features, split, way, names, seed))
    outcome.notes = [
        f"Distances to the nearest {N_NEIGHBOURS} of at most {N_KNOWN:,} normal training images, in the features "
        "before the logits."
    ]
    if not plan.is_small:
        outcome.notes.append(f"The larger network is trained for {LARGER_EPOCHS} epochs.")
    return outcome


def _judge(network: ImageClassifier, split: Split, way: _Way, seed: int, outcome: SeedOutcome) -> Tensor:
    """One row; returns the features (N, F) of normal and then of anomalous test images."""
    known = answers(network.encoder, split.train[pictures.subsample(split.labels, seed, N_KNOWN)])  # (M, F)
    features = answers(network.encoder, torch.cat([split.normal, split.anomalous]))  # (N, F)
    # In evaluation nothing is dropped between the features and the logits.
    logits = answers(network.head, features)  # (N, K)
    is_anomalous = np.arange(len(features)) >= len(split.normal)
    scores = {
        DISTANCE: neighbour_distance(known, features),
        COSINE: neighbour_distance(known, features, is_cosine=True),
        DOUBT: max_probability_score(logits),
    }
    measures = {name: auc_roc(is_anomalous, score.numpy()) for name, score in scores.items()}
    said = logits[: len(split.normal)].argmax(1).numpy()
    outcome.put(way.name, **measures, accuracy=float((said == split.normal_labels).mean()))
    return features


def _picture(features: Tensor, split: Split, way: _Way, names: tuple[str, ...], seed: int) -> Picture:
    """Points of test images by class, and again as normal and anomalous."""
    normal, anomalous = (
        np.take(kinds, own) for kinds, own in ((NORMAL, split.normal_labels), (ANOMALOUS, split.anomalous_labels))
    )
    classes = np.concatenate([normal, anomalous])  # (N,)
    chosen = pictures.subsample(classes, seed, N_POINTS)
    is_anomalous = chosen >= len(normal)
    return pictures.embedding(
        f"tsne-{way.name.replace(': ', '-').replace(' ', '-')}",
        features[chosen].numpy(),
        seed,
        {"by class": (classes[chosen], names), "by kind": (is_anomalous, ("normal", "anomalous"))},
        title=f"t-SNE of test images before the logits, {way.name}",
    )


RECIPE = Recipe(
    "I4",
    "Feature embedding plot",
    _run,
    differences=tuple(
        Difference(f"{net}: smoothing 0.2", f"{net}: plain", measure)
        for net in ("474", "larger")
        for measure in (DISTANCE, COSINE)
    ),
    about="The classifiers of I1 with and without label smoothing, and a larger one: t-SNE of what they make of test "
    "images before the logits, and how well the distance to normal training images tells digits 7 to 9 apart there "
    "(ROC-AUC), which does not depend on how t-SNE lays them out.",
)

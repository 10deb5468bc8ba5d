"""I5: a network that tells by how much an image was turned, trained without class labels, as an anomaly detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from sensorad.error_models.confidence import circular_distance, circular_score, log_probability_score
from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifierConfig
from sensorad.models.window_classifier import TURNS, transformed
from sensorad.training.classification import Classification

from . import pictures
from .base import Plan, Recipe, SeedOutcome
from .splits import ANOMALOUS, builder, config_for, split_of
from .training import answers, seeded, train

__all__ = ["RECIPE"]

N_TURNS = len(TURNS)


def _steps(logits: Tensor) -> Tensor:
    """(N, 4, 4) -> (N,) mean over turns of the distance on the circle between the turn said and that applied."""
    applied = torch.arange(N_TURNS)
    return circular_distance(logits.argmax(2), applied, N_TURNS).float().mean(1)


def _upright_steps(logits: Tensor) -> Tensor:
    """The same of the upright image alone: the published score, which takes three values."""
    return circular_distance(logits[:, 0].argmax(1), torch.tensor(0), N_TURNS).float()


def _upright(logits: Tensor) -> Tensor:
    """1 - p(upright) of the upright image."""
    return 1.0 - logits[:, 0].softmax(1)[:, 0]


SCORES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "circular, upright": _upright_steps,
        "circular, four turns": _steps,
        "expected circular": circular_score,
        "1 - p, upright": _upright,
        "log-probability": log_probability_score,
    }
)
"""Columns -> score of logits (N, 4, 4): [image, turn applied, turn said]."""


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, config, outcome = split_of(plan), config_for(plan), SeedOutcome()
    small, larger = ImageClassifierConfig(), ImageClassifierConfig.larger(classes=N_TURNS)
    losses = {}
    variants = {
        "474 parameters": (small, Classification(transforms=TURNS)),
        "474 parameters, smoothing 0.2": (small, Classification(transforms=TURNS, label_smoothing=0.2)),
        "larger network": (larger, Classification(transforms=TURNS)),
    }
    for variant, (sizes, objective) in variants.items():
        network = builder(split.shape, sizes)(seeded(seed))
        losses[variant] = train(network, objective, split.train, seeded(seed, 1), config).train_losses
        is_collapsed = bool(answers(network, split.train[:1_000]).std(0).max() < 1e-6)
        outcome.count(f"{variant}: collapsed", int(is_collapsed))
        if is_collapsed:
            continue
        logits = {name: _turned(network, part) for name, part in (("normal", split.normal), ("all", split.anomalous))}
        for name, digit in (("7-9", None), *((str(digit), place) for place, digit in enumerate(ANOMALOUS))):
            some = logits["all"] if digit is None else logits["all"][torch.from_numpy(split.anomalous_labels == digit)]
            parts = {"normal": logits["normal"], "anomalous": some}
            measures = {column: _auc(score, parts) for column, score in SCORES.items()}
            outcome.put(f"{variant}, digits {name}" if digit is None else f"{variant}, digit {name}", **measures)
        right = logits["normal"].argmax(2) == torch.arange(N_TURNS)
        outcome.put(f"{variant}, digits 7-9", **{"turns told": float(right.float().mean())})
    outcome.pictures = [pictures.curves("training", losses, "cross-entropy")]
    return outcome


def _turned(network: nn.Module, images: Tensor) -> Tensor:
    """(N, 4, 4) logits of every image under every turn."""
    found = torch.cat([answers(network, transformed(part, TURNS)) for part in torch.split(images, 500)])
    return found.view(-1, N_TURNS, N_TURNS)


def _auc(score: Callable[[Tensor], Tensor], logits: Mapping[str, Tensor]) -> float:
    low, high = score(logits["normal"]), score(logits["anomalous"])
    labels = torch.cat([torch.zeros(len(low)), torch.ones(len(high))])
    return auc_roc(labels.numpy(), torch.cat([low, high]).double().numpy())


RECIPE = Recipe(
    "I5",
    "Rotation prediction",
    _run,
    published={("474 parameters, digits 7-9", "circular, upright"): "0.856"},
    about="The network of I1 says by which quarter of a circle an image was turned (Gidaris, Singh and Komodakis "
    "2018), trained on digits 0 to 3 without their labels. ROC-AUC by score, for all anomalies and for each digit. The "
    "distance on the circle between the turn said and that applied is the published score; the others are softer.",
)

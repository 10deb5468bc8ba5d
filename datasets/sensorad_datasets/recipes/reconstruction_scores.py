"""I15: images that a network learned to rebuild are normal, all others anomalies; many networks, many scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sensorad.metrics import auc_roc
from sensorad.training.config import TrainConfig
from sensorad_datasets.images import ImageSet

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .one_class import KINDS, Scores, linear_scores, network_scores, with_ensemble
from .training import IMAGE_CONFIG, answers

__all__ = ["RECIPE", "OneClass"]

NORMAL_CLASSES = {"mnist": (0, 4, 8), "digits": (0, 4, 8), "fashion_mnist": (0, 5, 8)}
SEVERAL, OTHERS = (0, 1, 2, 3), (7, 8, 9)
"""Normal together, and anomalies, of the split of several classes."""

STEPS = 1_500
"""Of every training: 16 epochs of 6,000 images in batches of 64, however many images there are."""

MEAN = "mean of one-class splits"
BEST = "wide denoising: error + code"
N_SHOWN = 8


@dataclass(frozen=True, slots=True)
class OneClass:
    """Normal images to learn from; images to judge, and which of those are anomalous."""

    name: str
    train: Tensor
    judged: Tensor
    is_anomalous: NDArray[np.bool_]


def _splits(images: ImageSet, is_quick: bool) -> list[OneClass]:
    """One class normal among all ten for each of the shown ones, and four classes against three others."""
    found = []
    for kind in NORMAL_CLASSES[images.name]:
        alone = torch.from_numpy(images.train[images.train_labels == kind])
        found.append(OneClass(str(kind), alone, torch.from_numpy(images.test), images.test_labels != kind))
    if is_quick:
        return found[:1]
    own = images.of(SEVERAL)
    kept = np.isin(images.test_labels, SEVERAL + OTHERS)
    is_anomalous = ~np.isin(images.test_labels[kept], SEVERAL)
    return [
        *found,
        OneClass("0-3 / 7-9", torch.from_numpy(own.train), torch.from_numpy(images.test[kept]), is_anomalous),
    ]


def _run(plan: Plan, seed: int) -> SeedOutcome:
    outcome, by_split = SeedOutcome(), {}
    for at, split in enumerate(_splits(plan.images(), plan.is_quick)):
        found = linear_scores(split.train, split.judged)
        networks: dict[str, nn.Module] = {}
        for name in KINDS:
            networks[name], own = network_scores(name, split.train, split.judged, seed, _config_for(plan, split))
            found |= own
        found = with_ensemble(found)
        by_split[split.name] = {row: auc_roc(split.is_anomalous, scores[1]) for row, scores in found.items()}
        if at == 0:
            _draw(outcome, split, found, networks)
    one_class = [name for name in by_split if "/" not in name]
    for row in next(iter(by_split.values())):
        areas = {name: found[row] for name, found in by_split.items()}
        outcome.put(row, **areas, **{MEAN: float(np.mean([areas[name] for name in one_class]))})
    shown = {row: cell.value for cell in outcome.cells if cell.measure == MEAN for row in (cell.variant,)}
    outcome.pictures.append(pictures.bars("areas", shown, ylabel="ROC-AUC, mean of one-class splits", bottom=0.5))
    return outcome


def _config_for(plan: Plan, split: OneClass) -> TrainConfig:
    """As many epochs as give all splits the same number of steps."""
    batch, steps = (16, 16 if plan.is_quick else 600) if plan.is_small else (64, 100 if plan.is_quick else STEPS)
    epochs = max(1, round(steps * batch / len(split.train)))
    return replace(IMAGE_CONFIG, epochs=epochs, batch_size=batch)


def _draw(outcome: SeedOutcome, split: OneClass, found: Scores, networks: dict[str, nn.Module]) -> None:
    """Of the first split: what is rebuilt, curves, scores, and the images that the best score gets wrong."""
    odd = np.flatnonzero(split.is_anomalous)[:N_SHOWN]
    usual = np.flatnonzero(~split.is_anomalous)[:N_SHOWN]
    shown = split.judged[np.concatenate([usual, odd])]
    rows = {"input": shown} | {
        name: answers(networks[name], shown) for name in ("autoencoder", "wide denoising", "variational", "adversarial")
    }
    outcome.pictures.append(pictures.image_grid("reconstructions", rows, title="Normal images, and anomalies"))
    listed = {
        "PCA": "PCA, 16",
        "squared error": "autoencoder: squared error",
        "cross-entropy": "autoencoder of cross-entropy: cross-entropy",
        "error + code": BEST,
    }
    lines = {label: (split.is_anomalous, found[row][1]) for label, row in listed.items()}
    outcome.pictures.append(pictures.roc("roc", lines))
    score = np.log(found[BEST][1])
    parts = {"normal": score[~split.is_anomalous], "anomalous": score[split.is_anomalous]}
    outcome.pictures.append(pictures.histograms("scores", parts, f"log of {BEST}"))
    order = np.argsort(score)
    missed = [at for at in order if split.is_anomalous[at]][:N_SHOWN]
    mistaken = [at for at in order[::-1] if not split.is_anomalous[at]][:N_SHOWN]
    hardest = {"anomalies with low scores": split.judged[missed], "normal with high scores": split.judged[mistaken]}
    outcome.pictures.append(pictures.image_grid("hardest", hardest))


RECIPE = Recipe(
    "I15",
    "Reconstruction as anomaly score",
    _run,
    sets=("mnist", "fashion_mnist", "digits"),
    n_protocol_sets=2,
    differences=tuple(
        Difference(own, beside, MEAN)
        for own, beside in (
            ("autoencoder: squared error", "PCA, 16"),
            (BEST, "PCA, 16"),
            (BEST, "autoencoder: squared error"),
            ("autoencoder of cross-entropy: squared error", "autoencoder of cross-entropy: cross-entropy"),
            ("variational of cross-entropy: squared error", "variational of cross-entropy: -ELBO"),
        )
    ),
    about="One class is normal: networks learn its images of the training part, and the whole test part is judged. "
    "The last column has four normal classes, 0 to 3, against 7 to 9. ROC-AUC. A wide code may copy anomalies as well "
    "as anything: noise keeps it from that, and the distance of a code from those of normal images, as sensors have it "
    "for errors, sees what the error does not. Noise, width and length of the wide network were settled on other "
    "classes (2 and 6 of MNIST, 2 and 7 of Fashion-MNIST), judged on training images that were held out, after a first "
    "look at the classes shown here.",
)

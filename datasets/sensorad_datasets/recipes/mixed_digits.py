"""I8: a classifier trained on mixtures of digits, with and without mixing their labels."""

from __future__ import annotations

import numpy as np

from sensorad.augment.mixup import MixupConfig, mixup
from sensorad.training.classification import Classification

from . import pictures
from .base import Difference, Picture, Plan, Recipe, SeedOutcome
from .confidence import put_scores
from .splits import Split, builder, config_for, split_of
from .training import train_living

__all__ = ["RECIPE"]

ALPHAS = (0.1, 0.2, 0.4, 1.0)
N_SHOWN = 8


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, config, outcome = split_of(plan), config_for(plan), SeedOutcome()
    objectives = {"plain": Classification()}
    objectives |= {f"alpha {alpha:g}, labels mixed": Classification(mixup=alpha) for alpha in ALPHAS}
    objectives |= {f"alpha {alpha:g}, labels kept": Classification(mixup=alpha, mixed_labels="own") for alpha in ALPHAS}
    losses = {}
    for variant, objective in objectives.items():
        living = train_living(
            builder(split.shape), objective, split.train, split.labels, seed, config, is_guarded=plan.is_guarded
        )
        put_scores(outcome, variant, living, split)
        losses[variant] = living.record.train_losses
    outcome.pictures = [pictures.curves("training", losses, "cross-entropy"), _samples(split, seed)]
    return outcome


def _samples(split: Split, seed: int) -> Picture:
    """Mixtures beside what they are made of."""
    images = split.train[:N_SHOWN, 0].numpy()
    found = mixup(images, np.random.default_rng(seed), MixupConfig(1.0, same_mode=False))
    rows = {"image": images, "partner": images[found.partner], "mixture": found.windows}
    return pictures.image_grid("mixtures", rows)


RECIPE = Recipe(
    "I8",
    "Mixup",
    _run,
    published={("alpha 0.2, labels mixed", "1 - MSP"): "rises"},
    differences=(
        *(Difference(f"alpha {alpha:g}, labels mixed", "plain", "1 - MSP") for alpha in ALPHAS),
        *(Difference(f"alpha {alpha:g}, labels kept", f"alpha {alpha:g}, labels mixed", "1 - MSP") for alpha in ALPHAS),
    ),
    about="I1 on mixtures of two images, weights from Beta(alpha, alpha) (Zhang et al. 2018); labels mixed as the "
    "images are, or kept as those of the first image, for comparison.",
)

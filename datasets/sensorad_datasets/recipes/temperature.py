"""I3: logits divided by a temperature that is fitted on validation data; how sure may a classifier be?"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.error_models.confidence import fit_temperature, max_probability_score
from sensorad.metrics import expected_calibration_error, negative_log_likelihood
from sensorad.training.classification import Classification

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .splits import builder, config_for, split_of
from .training import answers, seeded, train_living

__all__ = ["RECIPE"]

VALIDATION_SHARE = 0.1
SMOOTHINGS = (0.0, 0.1)
HOT = 3.0


def _run(plan: Plan, seed: int) -> SeedOutcome:
    split, outcome = split_of(plan), SeedOutcome()
    order = torch.randperm(len(split.train), generator=seeded(seed, 1))
    n_held = round(VALIDATION_SHARE * len(order))
    held, kept = order[:n_held], order[n_held:]
    for share in SMOOTHINGS:
        name = f"smoothing {share:g}" if share else "plain"
        living = train_living(
            builder(split.shape),
            Classification(label_smoothing=share),
            split.train[kept],
            split.labels[kept],
            seed,
            config_for(plan),
            is_guarded=plan.is_guarded,
        )
        outcome.count(f"{name}: collapsed", int(living.is_collapsed))
        if living.is_collapsed:
            continue
        network = living.network
        fitted = fit_temperature(answers(network, split.train[held]).numpy(), split.labels[held].numpy())
        normal, anomalous = answers(network, split.normal), answers(network, split.anomalous)
        certain = {}
        for label, heat in (("as trained", 1.0), ("fitted T", fitted), ("T = 3", HOT)):
            said = (normal / heat).softmax(1).double().numpy()
            certain[label] = (said.max(axis=1), said.argmax(axis=1) == split.normal_labels)
            outcome.put(
                f"{name}, {label}",
                temperature=heat,
                NLL=negative_log_likelihood(said, split.normal_labels),
                ECE=expected_calibration_error(said, split.normal_labels),
                accuracy=float(certain[label][1].mean()),
                **{"ROC-AUC": split.roc_auc(network, partial(_doubt, heat))},
            )
            outcome.pictures.append(
                pictures.histograms(
                    f"scores-{name}-{label}".replace(" ", "-").replace("=-", ""),
                    {"normal": _msp(normal, heat), "anomalous": _msp(anomalous, heat)},
                    "largest softmax probability",
                )
            )
        outcome.pictures.append(pictures.reliability(f"reliability-{name.replace(' ', '-')}", certain))
    return outcome


def _doubt(heat: float, logits: torch.Tensor) -> torch.Tensor:
    return max_probability_score(logits / heat)


def _msp(logits: torch.Tensor, heat: float) -> NDArray[np.float32]:
    return (logits / heat).softmax(1).amax(1).numpy()


RECIPE = Recipe(
    "I3",
    "Temperature scaling",
    _run,
    differences=tuple(
        Difference(f"{name}, fitted T", f"{name}, as trained", measure)
        for name in ("plain", "smoothing 0.1")
        for measure in ("NLL", "ECE", "accuracy", "ROC-AUC")
    ),
    about="I1 and I2 with a tenth of the training images kept back: the temperature is the one at which their labels "
    "are likeliest. NLL, calibration error (15 bins) and accuracy are of the normal test images; the temperature "
    "changes how sure an answer is, never which.",
)

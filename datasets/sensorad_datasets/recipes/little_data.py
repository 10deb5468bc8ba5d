"""Image augmentation with 600 training images: at equal epochs, where it also has more steps, and at equal steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sensorad.augment.image import ImageAugment, enlarged
from sensorad.error_models.confidence import max_probability_score
from sensorad.metrics import auc_roc
from sensorad.models.image_classifier import ImageClassifierConfig
from sensorad.training.classification import Classification

from . import pictures
from .base import Difference, Plan, Recipe, SeedOutcome
from .splits import builder, split_of
from .training import IMAGE_CONFIG, Living, answers, seeded, train_living

__all__ = ["AUGMENT", "READINGS", "RECIPE", "Reading", "Task", "Way", "drawn", "judged", "ways"]

SMOOTHING = 0.2

AUGMENT = ImageAugment(rotation=30.0, shift=0.1)
"""As published; a tenth of the side is 2 pixels and a bit."""

N_FOLD = 10
EPOCHS = 8
"""Of the enlarged set: 1,504 steps."""

N_TRAIN, N_VALIDATION = 600, 1_000

N_LOOKS = 8
"""Points of a training curve; each costs as much as a tenth of an epoch of the enlarged set."""

SMALL_TRAIN, SMALL_EPOCHS = 100, 20
"""On the small set, whose training part has about 600 images of five digits in all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the published protocol: which digits are normal, and every how many-th test image counts."""

    name: str
    normal: tuple[int, ...]
    step: int


READINGS = (
    Reading("normal 0-4, whole test part", (0, 1, 2, 3, 4), 1),
    Reading("normal 0-3, half of the test part", (0, 1, 2, 3), 2),
)
"""The source writes 0-4, and counts 3,584 test images: half of those of 0-3 and 7-9."""

SCORE = "1 - MSP"
NETS: tuple[tuple[str, Callable[[int], ImageClassifierConfig]], ...] = (
    ("474", lambda classes: ImageClassifierConfig(classes=classes)),
    ("larger", ImageClassifierConfig.larger),
)
TITLES = {"474": "474 parameters", "larger": "larger network"}
DRAWN = ("plain, equal steps", "augmented")
"""Rows of which there are curves and histograms."""

SHOWN = 12
"""Images of the picture of augmented ones."""

_Scores = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Images (N, channels, H, W) and labels (N,) of a reading, the shape of an image, epochs of the enlarged set."""

    train: Tensor
    labels: Tensor
    validation: Tensor
    validation_labels: Tensor
    normal: Tensor
    normal_labels: Tensor
    anomalous: Tensor
    n_classes: int
    epochs: int
    shape: tuple[int, int, int]

    def steps(self, n_fold: int) -> int:
        """In an epoch of a set enlarged ``n_fold``."""
        return -(-n_fold * len(self.train) // IMAGE_CONFIG.batch_size)


@dataclass(slots=True)
class _Course:
    """Losses on training and on validation images as they are, after so many steps."""

    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Way:
    """A row: how often the images are shown, in how many guises."""

    name: str
    n_fold: int
    epochs: int


def _run(plan: Plan, seed: int) -> SeedOutcome:
    outcome = SeedOutcome()
    for reading in READINGS:
        task = drawn(plan, reading, seed)
        _compare(task, reading, plan, seed, outcome)
        outcome.notes.append(
            f"{reading.name}: {len(task.train):,} training images, {len(task.validation):,} others of the training "
            f"part for validation; judged on {len(task.normal):,} normal and {len(task.anomalous):,} anomalous images."
        )
    outcome.notes.append(
        f"Augmented: the set {N_FOLD}-fold, {task.epochs} epochs of {task.steps(N_FOLD):,} steps. Equal epochs: the "
        f"set itself, {task.epochs} epochs of {task.steps(1)} steps. Losses are those of the images as they are, with "
        "the smoothed labels; the gap is that of validation less that of training images."
    )
    return outcome


def drawn(plan: Plan, reading: Reading, seed: int) -> Task:
    """The images of one seed; training and validation images are different ones of the training part."""
    split = split_of(plan, reading.normal)
    n_train = SMALL_TRAIN if plan.is_small else N_TRAIN
    chosen = pictures.subsample(split.labels, seed, n_train)
    rest = np.setdiff1d(np.arange(len(split.labels)), chosen)
    others = rest[pictures.subsample(split.labels[rest], seed + 1, N_VALIDATION)]
    normal, anomalous = judged(len(split.normal), len(split.anomalous), reading)
    epochs = 1 if plan.is_quick else SMALL_EPOCHS if plan.is_small else EPOCHS
    return Task(
        split.train[chosen],
        split.labels[chosen],
        split.train[others],
        split.labels[others],
        split.normal[normal],
        torch.from_numpy(split.normal_labels[normal]),
        split.anomalous[anomalous],
        len(reading.normal),
        epochs,
        split.shape,
    )


def judged(n_normal: int, n_anomalous: int, reading: Reading) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which test images count: every so-many-th of all normal and anomalous ones in one row.

    Examples
    --------
    >>> normal, anomalous = judged(4_157, 3_011, READINGS[1])
    >>> len(normal) + len(anomalous)
    3584
    """
    together = np.arange(0, n_normal + n_anomalous, reading.step)
    return together[together < n_normal], together[together >= n_normal] - n_normal


def ways(task: Task) -> tuple[Way, ...]:
    """All rows of a table; equal steps to within half an epoch."""
    longer = round(task.epochs * task.steps(N_FOLD) / task.steps(1))
    return (
        Way("plain, equal epochs", 1, task.epochs),
        Way("plain, equal steps", 1, longer),
        Way("augmented", N_FOLD, task.epochs),
    )


def _compare(task: Task, reading: Reading, plan: Plan, seed: int, outcome: SeedOutcome) -> None:
    """The rows of one reading, and of the first one pictures."""
    is_first = reading == READINGS[0]
    large = enlarged(task.train, N_FOLD, AUGMENT, seeded(seed, 600))
    for net, config in NETS:
        courses: dict[str, _Course] = {}
        scores: dict[str, _Scores] = {}
        for way in ways(task):
            n_looks = min(N_LOOKS, task.epochs) if is_first and way.name in DRAWN else 1
            living, course = _trained(task, large, config(task.n_classes), way, plan, seed, n_looks)
            variant = f"{net}: {way.name}"
            outcome.count(f"{variant}: collapsed", int(living.is_collapsed))
            if not living.is_collapsed:
                courses[way.name] = course
                scores[way.name] = _judge(task, living.network, course, variant, reading, outcome)
        if is_first:
            _draw(net, courses, scores, outcome)
    if is_first:
        shown = torch.linspace(0, len(task.train) - 1, SHOWN).long()
        copies = large.reshape(N_FOLD, *task.train.shape)[:5, shown, 0]  # (5, SHOWN, H, W)
        rows = {f"copy {fold}" if fold else "image": images.numpy() for fold, images in enumerate(copies)}
        outcome.pictures.append(pictures.image_grid("augmented", rows, title="Augmented training images"))


def _trained(
    task: Task, large: Tensor, config: ImageClassifierConfig, way: Way, plan: Plan, seed: int, n_looks: int
) -> tuple[Living, _Course]:
    course = _Course()
    looks = {round(way.epochs * (look + 1) / n_looks) for look in range(n_looks)}

    def watch(network: nn.Module, epoch: int) -> None:
        if epoch in looks:
            course.steps.append(epoch * task.steps(way.n_fold))
            course.train.append(_loss(network, task.train, task.labels))
            course.validation.append(_loss(network, task.validation, task.validation_labels))

    living = train_living(
        builder(task.shape, config),
        Classification(label_smoothing=SMOOTHING),
        large[: way.n_fold * len(task.train)],
        task.labels.repeat(way.n_fold),
        seed,
        replace(IMAGE_CONFIG, epochs=way.epochs),
        is_guarded=plan.is_guarded,
        after_epoch=watch,
    )
    return living, course


def _loss(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float(functional.cross_entropy(answers(network, images), labels, label_smoothing=SMOOTHING))


def _judge(
    task: Task, network: nn.Module, course: _Course, variant: str, reading: Reading, outcome: SeedOutcome
) -> _Scores:
    """One row; returns the scores of normal and of anomalous images."""
    logits = answers(network, task.normal)
    scores: _Scores = {
        "normal": max_probability_score(logits).numpy(),
        "anomalous": max_probability_score(answers(network, task.anomalous)).numpy(),
    }
    measures = {
        SCORE: auc_roc(*_together(scores)),
        "accuracy": float((logits.argmax(1) == task.normal_labels).float().mean()),
        "training loss": course.train[-1],
        "validation loss": course.validation[-1],
        "gap": course.validation[-1] - course.train[-1],
    }
    outcome.put(variant, reading.name, **measures)
    return scores


def _together(scores: _Scores) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which are anomalous (N,), and the scores (N,)."""
    sizes = [len(scores["normal"]), len(scores["anomalous"])]
    return np.repeat([False, True], sizes), np.concatenate([scores["normal"], scores["anomalous"]])


def _draw(net: str, courses: dict[str, _Course], scores: dict[str, _Scores], outcome: SeedOutcome) -> None:
    if any(name not in courses for name in DRAWN):
        return
    plain, augmented = (courses[name] for name in DRAWN)
    lines = {
        "plain: training": plain.train,
        "plain: validation": plain.validation,
        "augmented: training": augmented.train,
        "augmented: validation": augmented.validation,
    }
    outcome.pictures += [
        pictures.curves(
            f"training-{net}",
            lines,
            "cross-entropy",
            xlabel="steps",
            x=augmented.steps,
            title=f"Little data, {TITLES[net]}",
        ),
        pictures.roc(
            f"roc-{net}", {name: _together(found) for name, found in scores.items()}, title=f"ROC, {TITLES[net]}"
        ),
        *(
            pictures.histograms(
                f"scores-{net}-{name.split(',')[0]}",
                scores[name],
                "log(1 - MSP)",
                title=f"Scores, {TITLES[net]}, {name}",
            )
            for name in DRAWN
        ),
    ]


RECIPE = Recipe(
    "I6",
    "Augmentation with little data",
    _run,
    published=MappingProxyType({("larger: augmented", SCORE): "rises", ("larger: augmented", "gap"): "shrinks"}),
    differences=tuple(
        Difference(f"{net}: augmented", f"{net}: plain, {how}", measure, READINGS[0].name)
        for net in ("474", "larger")
        for how in ("equal epochs", "equal steps")
        for measure in (SCORE, "gap")
    )
    + tuple(
        Difference(f"{net}: augmented", f"{net}: plain, equal steps", SCORE, READINGS[1].name)
        for net in ("474", "larger")
    ),
    about="600 stratified training images, label smoothing 0.2; rotation within 30 degrees and shift within a tenth of "
    "the side, the set enlarged 10-fold. At equal epochs augmentation has ten times the steps, which alone would help; "
    "at equal steps it has to win by itself. The source says digits 0-4 are normal and counts half the test images of "
    "0-3 and 7-9: both readings are shown.",
)

"""Mixup against label noise: a classifier that is trained long enough learns wrong labels by heart, or does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from sensorad.errors import UsageError
from sensorad.models.image_classifier import ImageClassifier, ImageClassifierConfig
from sensorad.training.classification import Classification

from .base import Difference, Plan, Recipe, SeedOutcome
from .pictures import curves
from .training import IMAGE_CONFIG, answers, seeded, train

__all__ = ["METHODS", "NOISE", "RECIPE", "Method", "NoisyLabels", "noisy_labels"]

NOISE = (0.2, 0.5, 0.8)
"""Shares of the training labels that are replaced."""

N_TRAIN, N_HELD_OUT = 4_000, 1_000
"""Images with noisy labels, and others of the training part with true ones that choose the best epoch."""

EPOCHS, BATCH = 25, 64
SMALL_EPOCHS, SMALL_BATCH, SMALL_HELD_OUT = 45, 32, 298
"""On the small set, whose other 900 training images make half as many batches."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row: what keeps the network from learning wrong labels by heart."""

    name: str
    alpha: float = 0.0
    dropout: float = 0.0


METHODS = (
    Method("plain"),
    Method("dropout 0.5", dropout=0.5),
    Method("mixup 1", alpha=1.0),
    Method("mixup 8", alpha=8.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class NoisyLabels:
    """Labels (N,) int64 as given in training, and which of them were replaced, (N,) bool, by another or the same."""

    labels: Tensor
    is_replaced: Tensor


def noisy_labels(labels: Tensor, share: float, n_classes: int, generator: torch.Generator) -> NoisyLabels:
    """Exactly ``share`` of the labels (N,), rounded, replaced by classes drawn evenly from all, the true one included.

    Raises
    ------
    UsageError
        Where ``share`` is not in [0, 1].

    Examples
    --------
    >>> found = noisy_labels(torch.zeros(1000, dtype=torch.int64), 0.5, 10, torch.Generator().manual_seed(0))
    >>> int(found.is_replaced.sum()), int(found.labels[~found.is_replaced].max())
    (500, 0)
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"a share of labels in [0, 1] expected, got {share}")
    n = len(labels)
    is_replaced = torch.zeros(n, dtype=torch.bool)
    is_replaced[torch.randperm(n, generator=generator)[: round(share * n)]] = True
    drawn = torch.randint(n_classes, (n,), generator=generator)
    return NoisyLabels(torch.where(is_replaced, drawn, labels), is_replaced)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """Images (N, channels, H, W) and true labels (N,) of the three parts, and how long to train."""

    train: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    n_classes: int
    epochs: int
    batch: int


@dataclass(slots=True)
class _Course:
    """Held-out error after each epoch, in percent, and the weights of the epoch in which it was lowest."""

    errors: list[float]
    best: dict[str, Tensor]


def _run(plan: Plan, seed: int) -> SeedOutcome:
    """All noise levels and methods; the same images, wrong labels, first weights and steps for all methods."""
    task = _drawn(plan, seed)
    outcome = SeedOutcome()
    for level, share in enumerate(NOISE):
        _images, real = task.train
        given = noisy_labels(real, share, task.n_classes, seeded(seed, 1, level)).labels
        noise = f"{100 * share:.0f} % noise"
        lines = {}
        for method in METHODS:
            measures, course = _trained(task, given, method, seed)
            outcome.put(f"{noise}: {method.name}", "", **measures)
            lines[method.name] = course.errors
        outcome.put(f"{noise}: the labels", "", training_error_real=100.0 * float((given != real).float().mean()))
        title = f"Error while {100 * share:.0f} % of the labels are noise"
        outcome.pictures.append(
            curves(f"label_noise_{100 * share:.0f}", lines, "error on held-out images, %", title=title)
        )
    outcome.notes = [
        f"{len(task.train[0]):,} training images, {task.epochs} epochs in batches of {task.batch}. Errors in percent.",
        f"The best epoch is chosen on {len(task.held_out[0]):,} other training images with true labels, and judged, "
        "like the last one, on all test images; the published best is the lowest test error of all epochs.",
        "Replaced labels are drawn from all classes, so that a tenth of them is right by chance.",
    ]
    return outcome


def _drawn(plan: Plan, seed: int) -> _Task:
    found = plan.images()
    order = torch.randperm(len(found.train), generator=seeded(seed, 0))
    n_held_out = SMALL_HELD_OUT if plan.is_small else N_HELD_OUT
    n_train = min(N_TRAIN, len(order) - n_held_out)
    epochs, batch = (SMALL_EPOCHS, SMALL_BATCH) if plan.is_small else (EPOCHS, BATCH)
    if plan.is_quick:
        n_train, epochs = min(n_train, 200), 2
    images, labels = torch.from_numpy(found.train), torch.from_numpy(found.train_labels)
    first, second = order[:n_train], order[n_train : n_train + n_held_out]
    return _Task(
        (images[first], labels[first]),
        (images[second], labels[second]),
        (torch.from_numpy(found.test), torch.from_numpy(found.test_labels)),
        len(found.class_names),
        epochs,
        batch,
    )


def _trained(task: _Task, given: Tensor, method: Method, seed: int) -> tuple[dict[str, float], _Course]:
    images, real = task.train
    generator = seeded(seed, 2)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    config = ImageClassifierConfig.larger(task.n_classes, method.dropout)
    network = ImageClassifier(shape, config, generator)
    course = _Course([], {})

    def judge(_epoch: int, _loss: float) -> None:
        error = _error(network, *task.held_out)
        if not course.errors or error < min(course.errors):
            course.best = {name: weights.detach().clone() for name, weights in network.state_dict().items()}
        course.errors.append(error)

    settings = replace(IMAGE_CONFIG, epochs=task.epochs, batch_size=task.batch)
    objective = Classification(mixup=method.alpha)
    train(network, objective, images, generator, settings, labels=given, after_epoch=judge)
    said = answers(network, images).argmax(1)
    last = _error(network, *task.test)
    network.load_state_dict(course.best)
    best = _error(network, *task.test)
    return {
        "best": best,
        "last": last,
        "last_minus_best": last - best,
        "training_error_real": 100.0 * float((said != real).float().mean()),
        "training_error_given": 100.0 * float((said != given).float().mean()),
    }, course


def _error(network: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Percent of the images that are put into a wrong class."""
    return 100.0 * float((answers(network, images).argmax(1) != labels).float().mean())


_HALF = "50 % noise"

RECIPE = Recipe(
    "I9",
    "Mixup against label noise",
    _run,
    ("mnist", "fashion_mnist", "digits"),
    MappingProxyType(
        {
            (f"{_HALF}: plain", "best"): "18.8 (CIFAR-10)",
            (f"{_HALF}: plain", "last"): "44.6 (CIFAR-10)",
            (f"{_HALF}: mixup 8", "best"): "11.3 (CIFAR-10, alpha 32)",
            (f"{_HALF}: mixup 8", "last"): "12.7 (CIFAR-10, alpha 32)",
        }
    ),
    tuple(
        Difference(f"{100 * share:.0f} % noise: {method}", f"{100 * share:.0f} % noise: plain", measure)
        for share in NOISE
        for method in ("mixup 1", "mixup 8")
        for measure in ("best", "last")
    ),
    "20, 50 and 80 % of the labels of 4,000 training images are replaced by classes drawn at random; a network of "
    "105,000 weights is trained with and without mixup, and with dropout. Test error at the best and the last epoch, "
    "training error against real labels and against those given. Source: Zhang et al. 2018, mixup, section 3.4.",
)

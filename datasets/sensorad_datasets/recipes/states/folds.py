"""Folds of strongly unbalanced classes, and what may be learned from the training part of a fold alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import TooLittleDataError, UsageError

__all__ = ["Fold", "balanced_repeats", "balanced_weights", "channel_statistics", "stratified_folds"]

LARGEST_REPEAT = 8
"""An image is not shown more often than this in an epoch: three images, however often, are three images."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Positions of the images to learn from and of those to judge by; both in ascending order."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]


def stratified_folds(labels: NDArray[np.int64], n_folds: int, seed: int) -> list[Fold]:
    """Folds in which each class has its share, classes with fewer members than folds included.

    A class with at least ``n_folds`` members is spread by scikit-learn's `StratifiedKFold`. The members of a rarer one
    are judged in as many different folds as there are members, those that are smallest so far. The only member of a
    class is learned from in every fold and judged in none: no network could know a class that it has never seen.

    Parameters
    ----------
    labels : (N,)
        Class of each image.
    n_folds
        At least 2.
    seed
        Behind the shuffling.

    Raises
    ------
    UsageError
        Fewer than two folds.
    TooLittleDataError
        Fewer than two images a fold.

    Examples
    --------
    >>> folds = stratified_folds(np.array([0] * 6 + [1] * 3 + [2] * 2 + [3]), 3, seed=0)
    >>> [np.bincount(np.array([0] * 6 + [1] * 3 + [2] * 2 + [3])[fold.validation]).tolist() for fold in folds]
    [[2, 1, 1], [2, 1, 1], [2, 1]]
    """
    from sklearn.model_selection import StratifiedKFold

    if n_folds < 2:
        raise UsageError(f"at least two folds expected, got {n_folds}", where="folds")
    if len(labels) < 2 * n_folds:
        raise TooLittleDataError(f"{n_folds} folds need at least {2 * n_folds} images, got {len(labels)}")
    counts = np.bincount(labels)
    common = np.flatnonzero(counts[labels] >= n_folds)
    fold_of = np.full(len(labels), -1)  # -1: learned from in every fold
    if len(common):
        split = StratifiedKFold(n_folds, shuffle=True, random_state=seed % 2**32)
        for at, (_, judged) in enumerate(split.split(common, labels[common])):
            fold_of[common[judged]] = at
    generator = np.random.default_rng(seed)
    for label in np.flatnonzero((counts > 1) & (counts < n_folds)):
        members = generator.permutation(np.flatnonzero(labels == label))
        sizes = np.bincount(fold_of[fold_of >= 0], minlength=n_folds)
        fold_of[members] = np.argsort(sizes, kind="stable")[: len(members)]
    return [Fold(np.flatnonzero(fold_of != at), np.flatnonzero(fold_of == at)) for at in range(n_folds)]


def channel_statistics(images: NDArray[np.float32], chosen: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels of the chosen images (N, channels, H, W).

    Examples
    --------
    >>> images = np.zeros((3, 1, 2, 2), np.float32)
    >>> images[1], images[2] = 1.0, 9.0
    >>> channel_statistics(images, np.array([0, 1]))
    ([0.5], [0.5])
    """
    # One image at a time: a copy of all of them in float64 would be twice the size of the set.
    n_pixels = len(chosen) * images.shape[2] * images.shape[3]
    total = sum((images[at].sum((1, 2), dtype=np.float64) for at in chosen), np.zeros(images.shape[1]))
    mean = total / n_pixels
    square = sum((((images[at] - mean[:, None, None]) ** 2).sum((1, 2)) for at in chosen), np.zeros(images.shape[1]))
    return mean.tolist(), np.sqrt(square / n_pixels).tolist()


def balanced_weights(labels: NDArray[np.int64], n_classes: int) -> tuple[float, ...]:
    """Weights of classes by the inverse square root of their numbers, with mean 1 over the images.

    The plain inverse lets three images outweigh their neighbours sixteen times, each step that they are in.

    Examples
    --------
    >>> balanced_weights(np.array([0] * 16 + [1] * 4), 2)
    (0.8333333333333334, 1.6666666666666667)
    """
    counts = np.bincount(labels, minlength=n_classes)
    weights = np.maximum(counts, 1) ** -0.5
    return tuple((weights / weights[labels].mean()).tolist())


def balanced_repeats(labels: NDArray[np.int64], positions: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """``positions``, those of rarer classes several times: by the square root of how much rarer than the commonest.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1])
    >>> balanced_repeats(labels, range(5)).tolist()
    [0, 1, 2, 3, 4, 4]
    """
    chosen = np.asarray(positions)
    counts = np.bincount(labels[chosen])
    times = np.sqrt(counts.max() / counts[labels[chosen]])
    return np.repeat(chosen, np.clip(np.round(times), 1, LARGEST_REPEAT).astype(np.int64))

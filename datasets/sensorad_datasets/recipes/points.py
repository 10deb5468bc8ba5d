"""Clouds of points: drawn at random from many items, laid flat by t-SNE, and shown by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import UsageError

from .base import Picture
from .style import COLOURS, MARKERS, new_axes, words_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_POINTS", "embedding", "scatter", "subsample", "tsne"]

MOST_POINTS = 1_500
"""Of a cloud of points: more make a file large and a t-SNE slow, and show no more."""


def scatter(
    name: str,
    points: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    *,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> Picture:
    """Points (N, 2), a colour and a marker for each label (N,), the position of its name.

    Raises
    ------
    UsageError
        More than `MOST_POINTS` points; take a `subsample`.
    """
    where, classes = np.asarray(points, float), np.asarray(labels, int)
    _check_points(len(where))

    def draw(figure: Figure) -> None:
        axes = new_axes(figure, title or words_of(name), xlabel, ylabel)
        _show(axes, where, classes, class_names, is_bare=not (xlabel or ylabel))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.6)

    return Picture(name, draw, width=6.4, height=4.8)


def embedding(
    name: str,
    features: ArrayLike,
    seed: int,
    colourings: Mapping[str, tuple[ArrayLike, Sequence[str]]],
    *,
    title: str = "",
) -> Picture:
    """`tsne` of features (N, F), side by side once for each (labels (N,), class_names); embedded only when drawn.

    Raises
    ------
    UsageError
        As `scatter`.
    """
    rows = np.asarray(features, np.float32)
    _check_points(len(rows))
    panels = {label: (np.asarray(labels, int), names) for label, (labels, names) in colourings.items()}

    def draw(figure: Figure) -> None:
        points = tsne(rows, seed)
        figure.suptitle(title or words_of(name), weight="bold", size=11)
        for axes, (label, (classes, names)) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            axes.set_title(label, weight="normal")
            _show(axes, points, classes, names, is_bare=True)
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=min(len(np.unique(classes)), 8),
                markerscale=1.6, columnspacing=1.0, handletextpad=0.1,
            )  # fmt: skip

    return Picture(name, draw, width=4.6 * len(panels), height=4.8)


def subsample(labels: ArrayLike, seed: int, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Positions, in order, of at most ``most`` items drawn at random, each label with its share of them.

    Examples
    --------
    >>> labels = np.array([0] * 60 + [1] * 30)
    >>> np.bincount(labels[subsample(labels, seed=0, most=9)])
    array([6, 3])
    """
    classes = np.asarray(labels)
    draws = np.random.default_rng(seed).random(len(classes))
    # Each item by its place among its own kind, as a share: the smallest shares are an even part of every kind.
    place = np.empty(len(classes))
    for label in np.unique(classes):
        own = np.flatnonzero(classes == label)
        place[own[np.argsort(draws[own])]] = (np.arange(len(own)) + 0.5) / len(own)
    return np.sort(np.argsort(place, kind="stable")[:most])


def tsne(features: ArrayLike, seed: int, *, perplexity: float = 30.0) -> NDArray[np.float64]:
    """Features (N, F) as points (N, 2) whose neighbours stay neighbours (van der Maaten and Hinton 2008).

    Distances between clusters mean nothing. Raises `UsageError` for more than `MOST_POINTS`; take a `subsample`.
    """
    from sklearn.manifold import TSNE

    rows = np.asarray(features, np.float32)
    _check_points(len(rows))
    embedding = TSNE(2, perplexity=min(perplexity, (len(rows) - 1) / 3), init="pca", random_state=seed)
    return np.asarray(embedding.fit_transform(rows), np.float64)


def _show(
    axes: Axes, points: NDArray[np.float64], classes: NDArray[np.int64], names: Sequence[str], *, is_bare: bool
) -> None:
    """The points of each class, and of three or more its name in their middle; bare axes have no numbers."""
    for label in np.unique(classes):
        own = points[classes == label]
        axes.scatter(
            own[:, 0], own[:, 1], s=14, c=COLOURS[label % 10], marker=MARKERS[label % 10], alpha=0.8, linewidths=0,
            label=names[label],
        )  # fmt: skip
        if len(names) > 2:  # the two sides of everything have no middle
            axes.annotate(
                names[label], np.median(own, axis=0), weight="bold", ha="center", va="center",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )  # fmt: skip
    if is_bare:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#bbbbbb")


def _check_points(n_points: int) -> None:
    """Refuse more than `MOST_POINTS`."""
    if n_points > MOST_POINTS:
        raise UsageError(f"at most {MOST_POINTS:,} points expected, got {n_points:,}", hint="take a subsample")

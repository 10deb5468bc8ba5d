"""Pictures of the classification of states: the parts, training curves, confusion matrix and hardest examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.training.record import TrainingRecord
from sensorad_datasets.images.labelled import PartImages
from sensorad_datasets.recipes import pictures
from sensorad_datasets.recipes.base import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion", "gallery", "hardest", "histories"]

SHOWN = 8


def gallery(name: str, parts: PartImages, n_each: int = 6) -> Picture:
    """The first images of each class, a row for each; rare classes have shorter rows."""
    rows = {label: parts.images[parts.labels == at][:n_each] for at, label in enumerate(parts.class_names)}
    return pictures.image_grid(name, rows, title="Generated parts")


def histories(name: str, records: Sequence[TrainingRecord]) -> Picture:
    """Training and validation loss of the first fold, and validation losses of the others."""
    first = records[0]
    lines = {"training, fold 1": first.train_losses, "validation, fold 1": first.validation_losses}
    lines |= {f"validation, fold {at}": record.validation_losses for at, record in enumerate(records[1:3], start=2)}
    return pictures.curves(f"curves-{name}", lines, "cross-entropy", title=f"Training of the {name} network")


def hardest(name: str, test: PartImages, answers: NDArray[np.float64], n: int = SHOWN) -> Picture:
    """Images whose own class got the least probability (N, K): what they are above what was answered."""
    own = answers[np.arange(len(test)), test.labels]
    chosen = np.argsort(own, kind="stable")[:n]
    names = test.class_names
    titles = [f"{names[test.labels[at]]}\nas {names[answers[at].argmax()]}" for at in chosen]
    images = test.images[chosen]
    n_rows, n_columns = (2, (n + 1) // 2)

    def draw(figure: Figure) -> None:
        for at, (image, title) in enumerate(zip(images, titles, strict=True)):
            axes = figure.add_subplot(n_rows, n_columns, at + 1)
            axes.imshow(image.transpose(1, 2, 0), interpolation="none")
            axes.set_title(title, fontsize=7.0)
            axes.set_axis_off()

    return Picture(name, draw, width=1.9 * n_columns, height=2.2 * n_rows)


def confusion(name: str, truth: NDArray[np.int64], found: NDArray[np.int64], class_names: Sequence[str]) -> Picture:
    """Shares of each class (rows) that were given each answer (columns)."""
    counts = np.zeros((len(class_names), len(class_names)))
    np.add.at(counts, (truth, found), 1.0)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1.0)
    side = 2.5 + 0.3 * len(class_names)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Greys", vmin=0.0, vmax=1.0)
        ticks = range(len(class_names))
        axes.set_xticks(ticks, class_names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
        axes.set_yticks(ticks, class_names, fontsize=7.5)
        axes.set_xlabel("answer")
        axes.set_ylabel("class")
        for row, column in zip(*np.nonzero(counts), strict=True):
            share = shares[row, column]
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100.0 * share:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
        axes.set_title("Answers to test images, per cent of each class")

    return Picture(name, draw, width=side, height=side)

"""The pictures of the image experiments: each a `Picture` that fills a matplotlib figure, saved as SVG.

Series differ in lightness, dash or marker as well as in colour, so that a grey print can be read. matplotlib comes with
the extra ``vision``, is imported when a picture is saved and not before, and keeps none of the settings made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensorad.errors import UsageError
from sensorad.metrics.ranking import auc_roc

from .base import Picture
from .points import MOST_POINTS, embedding, scatter, subsample, tsne
from .style import COLOURS, DASHES, MARKERS, VISION_EXTRA, legend_below, need_matplotlib, new_axes, save, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MOST_POINTS",
    "VISION_EXTRA",
    "bars",
    "curves",
    "embedding",
    "histograms",
    "image_grid",
    "need_matplotlib",
    "reliability",
    "roc",
    "save",
    "scatter",
    "subsample",
    "tsne",
]

GRID_GAP = 1
"""Pixels between two images of a grid."""


def curves(
    name: str,
    values: Mapping[str, ArrayLike],
    ylabel: str,
    *,
    xlabel: str = "epoch",
    x: ArrayLike | None = None,
    title: str = "",
    is_log: bool = False,
) -> Picture:
    """One line per entry, its values (E,) at 1, 2, ... or at ``x`` (E,); ``is_log`` of the vertical axis."""
    series = {label: np.asarray(line, float) for label, line in values.items()}
    places = None if x is None else np.asarray(x, float)

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = new_axes(figure, title or words_of(name), xlabel, ylabel)
        for at, (label, line) in enumerate(series.items()):
            across = np.arange(1, len(line) + 1) if places is None else places
            axes.plot(
                across, line, label=label, color=COLOURS[at % 10], linestyle=DASHES[at % 10], marker=MARKERS[at % 10],
                markersize=4 if len(line) <= 30 else 0, linewidth=1.6,
            )  # fmt: skip
        if is_log:
            axes.set_yscale("log")
        elif places is None:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend_below(axes, len(series))

    return Picture(name, draw)


def histograms(name: str, scores: Mapping[str, ArrayLike], xlabel: str, *, bins: int = 50, title: str = "") -> Picture:
    """Density of each entry's scores over the same bins: the first filled, the others hatched outlines."""
    series = {label: np.asarray(found, float) for label, found in scores.items()}
    together = np.concatenate(list(series.values()))
    edges = np.histogram_bin_edges(together, bins)

    def draw(figure: Figure) -> None:
        axes = new_axes(figure, title or words_of(name), xlabel, "density")
        for at, (label, found) in enumerate(series.items()):
            heights, _ = np.histogram(found, edges, density=True)
            if at == 0:
                axes.stairs(heights, edges, fill=True, color="#b9cfe4", label=label)
                axes.stairs(heights, edges, color=COLOURS[0], linewidth=0.8)
            else:
                colour = ("#c4510a", *COLOURS[2:])[(at - 1) % 9]
                axes.stairs(
                    heights, edges, edgecolor=colour, facecolor="none", fill=False, linewidth=1.4,
                    hatch=("////", "\\\\\\\\", "....", "xxxx")[(at - 1) % 4], label=label,
                )  # fmt: skip
        axes.grid(axis="x", visible=False)
        legend_below(axes, len(series))

    return Picture(name, draw)


def roc(name: str, found: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str = "") -> Picture:
    """Receiver operating curves of (is_anomalous (N,), scores (N,)), with the area under each."""
    series = {label: (np.asarray(truth, bool), np.asarray(score, float)) for label, (truth, score) in found.items()}

    def draw(figure: Figure) -> None:
        axes = new_axes(
            figure, title or words_of(name), "share of normal images above", "share of anomalous images above"
        )
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for at, (label, (truth, score)) in enumerate(series.items()):
            false, true = _roc_points(truth, score)
            axes.plot(
                false, true, color=COLOURS[at % 10], linestyle=DASHES[at % 10], linewidth=1.6,
                label=f"{label} ({auc_roc(truth, score):.3f})",
            )  # fmt: skip
        axes.set_aspect("equal")
        axes.legend(loc="lower right", title="area under the curve")

    return Picture(name, draw, width=4.6, height=4.6)


def image_grid(
    name: str,
    rows: Mapping[str, ArrayLike],
    *,
    column_titles: Sequence[str] = (),
    title: str = "",
    is_inverted: bool = True,
) -> Picture:
    """Rows of images (n, H, W), (n, 1, H, W) or (n, 3, H, W) in [0, 1], their names at the left.

    ``is_inverted`` draws grey images dark on white, as ink; colours stay as they are.
    """
    strips = {label: _as_channels(np.asarray(images, float)) for label, images in rows.items()}  # (n, H, W, 1 or 3)
    most = max(len(images) for images in strips.values())
    height, width = next(iter(strips.values())).shape[1:3]
    sheet = np.ones((len(strips) * (height + GRID_GAP) - GRID_GAP, most * (width + GRID_GAP) - GRID_GAP, 3))
    for row, images in enumerate(strips.values()):
        shown = 1.0 - images if is_inverted and images.shape[3] == 1 else images
        for column, image in enumerate(shown.clip(0.0, 1.0)):
            top, left = row * (height + GRID_GAP), column * (width + GRID_GAP)
            sheet[top : top + height, left : left + width] = image
    shown_as = (255.0 * sheet).round().astype(np.uint8)

    def draw(figure: Figure) -> None:
        axes = new_axes(figure, title or words_of(name), "", "")
        axes.imshow(shown_as, interpolation="none")
        middles = np.arange(len(strips)) * (height + GRID_GAP) + (height - 1) / 2
        axes.set_yticks(middles, list(strips))
        across = np.arange(len(column_titles)) * (width + GRID_GAP) + (width - 1) / 2
        axes.set_xticks(across, list(column_titles), fontsize=7.5)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    wide = 8.0
    labels = 0.09 * max(len(label) for label in strips) + 0.3
    tall = (wide - labels) * sheet.shape[0] / sheet.shape[1] + 0.5 + (0.3 if column_titles else 0.0)
    if tall > wide:
        wide, tall = labels + (wide - 0.5) * sheet.shape[1] / sheet.shape[0], wide
    return Picture(name, draw, width=max(wide, 3.0), height=tall)


def reliability(
    name: str, found: Mapping[str, tuple[ArrayLike, ArrayLike]], *, bins: int = 15, title: str = ""
) -> Picture:
    """Share that is right against confidence (N,), in equal bins, with the calibration error of (confidence, is_right).

    The error is the mean over images of |share right - confidence| of their bin (Naeini et al. 2015). Areas of
    markers follow the numbers of images.
    """
    series = {label: (np.asarray(sure, float), np.asarray(right, float)) for label, (sure, right) in found.items()}

    def draw(figure: Figure) -> None:
        axes = new_axes(figure, title or words_of(name), "confidence", "share that is right")
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for at, (label, (sure, right)) in enumerate(series.items()):
            place = np.minimum((sure * bins).astype(int), bins - 1)
            n = np.bincount(place, minlength=bins)
            kept = n > 0
            mean_sure = np.bincount(place, sure, bins)[kept] / n[kept]
            mean_right = np.bincount(place, right, bins)[kept] / n[kept]
            error = float(np.average(np.abs(mean_right - mean_sure), weights=n[kept]))
            colour, dash = COLOURS[at % 10], DASHES[at % 10]
            axes.plot(
                mean_sure, mean_right, color=colour, linestyle=dash, linewidth=1.4, label=f"{label} ({error:.3f})"
            )
            axes.scatter(mean_sure, mean_right, s=10 + 150 * n[kept] / n.sum(), color=colour, marker=MARKERS[at % 10])
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        axes.legend(loc="upper left", title="calibration error")

    return Picture(name, draw, width=4.6, height=4.6)


def bars(
    name: str,
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    *,
    ylabel: str = "",
    title: str = "",
    bottom: float = 0.0,
) -> Picture:
    """A bar per entry, or per series and entry, with its number on top; the axis starts at ``bottom``."""
    series: dict[str, dict[str, float]] = {}
    for label, value in values.items():
        if isinstance(value, Mapping):
            series[label] = {entry: float(number) for entry, number in value.items()}
        else:
            series.setdefault("", {})[label] = float(value)
    entries = list(dict.fromkeys(entry for row in series.values() for entry in row))

    def draw(figure: Figure) -> None:
        axes = new_axes(figure, title or words_of(name), "", ylabel)
        wide = 0.8 / len(series)
        for at, (label, row) in enumerate(series.items()):
            across = [entries.index(entry) + (at - (len(series) - 1) / 2) * wide for entry in row]
            shown = axes.bar(
                across, [value - bottom for value in row.values()], 0.92 * wide, bottom, label=label or None,
                color=("#6f94b8", "#e9b872", "#a9d3ab", "#b79ac8", "#bfbfbf")[at % 5], edgecolor="#333333",
                linewidth=0.6, hatch=("", "///", "...", "xxx", "\\\\\\")[at % 5],
            )  # fmt: skip
            if len(entries) * len(series) <= 24:
                axes.bar_label(shown, [f"{value:.3g}" for value in row.values()], padding=2, fontsize=7.5)
        is_long = max(len(entry) for entry in entries) * len(entries) > 70
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
        axes.set_xticks(range(len(entries)), entries, **turned)
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.12)
        axes.set_ylim(bottom=bottom)
        legend_below(axes, len(series))

    return Picture(name, draw, width=max(4.5, min(9.0, 1.5 + 0.5 * len(entries) * len(series))))


def _roc_points(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Shares of false and of true alarms at each threshold, thinned to what can be seen."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true = np.append(0, np.cumsum(truth[order])[last]) / truth.sum()
    false = np.append(0, np.cumsum(~truth[order])[last]) / (~truth).sum()
    step = np.floor((true + false) * 120).astype(int)
    kept = np.append(np.flatnonzero(np.diff(step)), len(step) - 1)
    kept = np.union1d(kept, [0])
    return false[kept], true[kept]


def _as_channels(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, H, W), (n, 1, H, W) or (n, 3, H, W) -> (n, H, W, 1 or 3)."""
    if images.ndim == 3:
        return images[..., None]
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UsageError(f"images (n, H, W), (n, 1, H, W) or (n, 3, H, W) expected, got {images.shape}")
    return np.moveaxis(images, 1, 3)

"""How pictures look and how they are saved: one style, and settings of matplotlib that end with the picture."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorad.errors import StorageError, UsageError

from .base import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "VISION_EXTRA",
    "legend_below",
    "need_matplotlib",
    "new_axes",
    "save",
    "words_of",
]

VISION_EXTRA = "pip install 'sensorad[vision]'"
"""What installs everything that pictures and pre-trained networks need."""

COLOURS = ("#174a7c", "#e08214", "#5aae61", "#7b3294", "#8c8c8c", "#b2182b", "#80b1d3", "#4d3b1f", "#d6a6c9", "#222222")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)), (0, (3, 1, 1, 1)), "-", "--")
MARKERS = "o^sDvPX*<>"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "sensorad",
}


def need_matplotlib() -> None:
    """Raise `UsageError` where pictures cannot be drawn; to be asked before a long run, not after it."""
    try:
        import_module("matplotlib.figure")
    except ImportError as error:
        raise UsageError("pictures need matplotlib, which is not installed", hint=VISION_EXTRA) from error


def save(picture: Picture, directory: str | Path) -> Path:
    """Write ``picture`` as an SVG file named after it; the same picture gives the same bytes.

    Raises
    ------
    UsageError
        matplotlib is not installed.
    StorageError
        The file cannot be written.
    """
    need_matplotlib()
    import matplotlib.style
    from matplotlib.figure import Figure

    path = Path(directory) / f"{re.sub(r'[^a-z0-9]+', '-', picture.name.lower()).strip('-')}.svg"
    # "default" first: whatever style the user has set up, the same picture comes out. Restored on leaving.
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(picture.width, picture.height))
        picture.draw(figure)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        except OSError as error:
            raise StorageError(f"the picture cannot be written: {error.strerror}", where=str(path)) from error
    return path


def new_axes(figure: Figure, title: str, xlabel: str, ylabel: str) -> Axes:
    """The only axes of a figure."""
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return axes


def words_of(name: str) -> str:
    """A title made of a name such as "roc_of_embeddings"."""
    words = re.sub(r"\broc\b", "ROC", re.sub(r"[_-]+", " ", name))
    return words[:1].upper() + words[1:]


def legend_below(axes: Axes, n_entries: int) -> None:
    """Below the axes, where it can cover nothing; none where there is nothing to tell apart."""
    if n_entries > 1:
        axes.figure.legend(loc="outside lower center", ncols=min(n_entries, 3))

"""Drawn parts of five products in good and defective states, strongly unbalanced, in the folder layout of MVTec AD.

Made to exercise the classification of states where no photographs may be shipped, and not to stand for photographs.
Brackets are asymmetric, and one of their states is the part mounted the wrong way round: the mirror image of a good
one. Whoever mirrors brackets to get more of them teaches that the two are one. All other products look alike mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import StorageError, UsageError, unknown_name
from sensorad_datasets.images.labelled import GOOD, PartImages
from sensorad_datasets.images.part_shapes import Canvas, bracket, capsule, mesh, tile, washer

__all__ = ["FLIPPED_PRODUCT", "PART_COUNTS", "part_images", "write_parts"]

FLIPPED_PRODUCT = "bracket"
"""The product of which a mirrored good part is a defect."""

PART_COUNTS: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        ("bracket", GOOD): 36,
        ("bracket", "flipped"): 16,
        ("bracket", "chipped"): 12,
        ("bracket", "scratched"): 10,
        ("capsule", GOOD): 30,
        ("capsule", "dented"): 12,
        ("capsule", "misprinted"): 10,
        ("mesh", GOOD): 28,
        ("mesh", "broken"): 10,
        ("mesh", "thread"): 3,
        ("tile", GOOD): 32,
        ("tile", "cracked"): 12,
        ("tile", "stained"): 8,
        ("washer", GOOD): 40,
        ("washer", "chipped"): 14,
        ("washer", "scratched"): 12,
        ("washer", "stained"): 6,
    }
)
"""Images of each (product, state) by default: thirteen to one at the extremes."""

DRAWERS: Mapping[str, Callable[[Canvas, str], None]] = MappingProxyType(
    {"bracket": bracket, "capsule": capsule, "mesh": mesh, "tile": tile, "washer": washer}
)


def part_images(
    generator: np.random.Generator, counts: Mapping[tuple[str, str], int] = PART_COUNTS, size: int = 64
) -> PartImages:
    """So many images of each (product, state), each with its own place, turn, light and noise.

    Raises
    ------
    UsageError
        An unknown product or state, or an impossible number or size.

    Examples
    --------
    >>> parts = part_images(np.random.default_rng(0), {("bracket", "good"): 2, ("bracket", "flipped"): 1})
    >>> parts.images.shape, parts.labels.tolist(), parts.class_names
    ((3, 3, 64, 64), [0, 0, 1], ('bracket-good', 'bracket-flipped'))
    """
    if isinstance(size, bool) or not 16 <= size <= 1024:
        raise UsageError(f"size must be from 16 to 1024 pixels, got {size!r}", where="generated parts")
    for (product, state), n in counts.items():
        if (product, state) not in PART_COUNTS:
            raise unknown_name("generated part", f"{product}-{state}", [f"{one}-{other}" for one, other in PART_COUNTS])
        if n < 1:
            raise UsageError(f"at least one image expected, got {n}", where=f"{product}-{state}")
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    images = np.empty((len(labels), 3, size, size), np.float32)
    classes = tuple(counts)
    for at, label in enumerate(labels):
        product, state = classes[label]
        canvas = Canvas(size, generator)
        DRAWERS[product](canvas, state)
        images[at] = canvas.finished()
    return PartImages(images, labels.astype(np.int64), classes)


def write_parts(
    directory: str | Path,
    generator: np.random.Generator,
    counts: Mapping[tuple[str, str], int] = PART_COUNTS,
    size: int = 64,
) -> Path:
    """The same images as PNG files of eight bits in the layout that `load_part_folder` reads; good ones under train.

    Raises
    ------
    UsageError
        Pillow is not installed, or as `part_images` has it.
    StorageError
        ``directory`` exists and is not empty, or cannot be written.
    """
    try:
        pillow = import_module("PIL.Image")
    except ImportError as error:
        raise UsageError(
            "writing image files needs the package Pillow, which is not installed",
            hint="pip install 'sensorad[vision]'",
        ) from error
    root = Path(directory)
    parts = part_images(generator, counts, size)
    try:
        if root.exists() and any(root.iterdir()):
            raise StorageError("the folder is not empty", where=str(root), hint="name another one")
        written = dict.fromkeys(parts.classes, 0)
        for image, label in zip(parts.images, parts.labels, strict=True):
            product, state = parts.classes[label]
            place = root / product / ("train" if state == GOOD else "test") / state
            place.mkdir(parents=True, exist_ok=True)
            pixels: NDArray[np.uint8] = np.round(255.0 * image.transpose(1, 2, 0)).astype(np.uint8)
            pillow.fromarray(pixels).save(place / f"{written[product, state]:03d}.png", format="PNG")
            written[product, state] += 1
    except OSError as error:
        raise StorageError(f"cannot write images: {error.strerror}", where=str(root)) from error
    return root

"""Images in the folder layout of MVTec AD, read as one class for each product and state.

::

    ROOT/<product>/train/good/*.png
    ROOT/<product>/test/<state>/*.png     good among the states
    ROOT/<product>/ground_truth/...       masks of defects, not read here

Train and test part of that layout are meant for learning from good parts alone. Whoever classifies states learns from
all of them, so both parts are read, and split anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, StorageError, TooLittleDataError, UsageError
from sensorad_datasets.images.labelled import GOOD, PartImages
from sensorad_datasets.storage import natural_order

__all__ = ["load_part_folder"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
FORMATS = ("PNG", "JPEG", "BMP")
"""What is decoded, whatever the file is called: other decoders of the library never see the bytes."""

LARGEST_PIXELS = 80_000_000
"""Per image; more would be a mistake or an attack. Pillow warns from 89 million on."""

MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
"""Eight bits a channel, or fewer."""

SHOWN = 5
LAYOUT = "expected ROOT/<product>/train/good/*.png and ROOT/<product>/test/<state>/*.png"


def load_part_folder(root: str | Path, size: int = 64) -> PartImages:
    """All images below ``root``, resized to ``size`` x ``size`` pixels and labelled product-state.

    Parameters
    ----------
    root
        Folder with one folder for each product.
    size
        Side of the images in pixels. Images that are not square are squeezed, not cut: a defect may be at the edge.
        N images take 12 N size^2 bytes.

    Raises
    ------
    UsageError
        Pillow is not installed, or an impossible size.
    StorageError
        The folder does not exist or cannot be read.
    DataError
        Another layout; a folder of a state that holds no images, or something that is none; an image that cannot be
        decoded. The message names what is wrong.
    TooLittleDataError
        Fewer than two classes.
    """
    if isinstance(size, bool) or not 8 <= size <= 4096:
        raise UsageError(f"size must be from 8 to 4096 pixels, got {size!r}", where="image folder")
    pillow = _pillow()
    folder = Path(root)
    if not folder.is_dir():
        raise StorageError("the folder with images does not exist", where=str(folder), hint=LAYOUT)
    found: dict[tuple[str, str], list[Path]] = {}
    for product, state, place in _states(folder):
        found.setdefault((product, state), []).extend(_image_files(place))
    if len(found) < 2:
        raise TooLittleDataError(
            f"at least two classes are needed, got {len(found)}", where=str(folder), hint="a product in two states"
        )
    paths = [path for files in found.values() for path in files]
    images = np.empty((len(paths), 3, size, size), np.float32)
    for at, path in enumerate(paths):
        images[at] = _read_image(pillow, path, size)
    labels = np.repeat(np.arange(len(found)), [len(files) for files in found.values()])
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return PartImages(images, labels.astype(np.int64), tuple(found), names)


def _pillow() -> Any:
    try:
        return import_module("PIL.Image")
    except ImportError as error:
        raise UsageError(
            "reading image files needs the package Pillow, which is not installed",
            hint="pip install 'sensorad[vision]'",
        ) from error


def _states(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(product, state, folder) in natural order, good first of each product; files beside the folders are let be."""
    products = [place for place in _folders(root) if (place / "train").is_dir() or (place / "test").is_dir()]
    if not products:
        raise DataError("no folder of a product found", where=str(root), hint=LAYOUT)
    for product in products:
        good = product / "train" / GOOD
        if (product / "train").is_dir():
            if other := [place.name for place in _folders(product / "train") if place.name != GOOD]:
                names = ", ".join(other[:SHOWN])
                raise DataError(f"only 'good' is expected in train, got {names}", where=str(product), hint=LAYOUT)
            if not good.is_dir():
                raise DataError("there is no train/good", where=str(product), hint=LAYOUT)
            yield product.name, GOOD, good
        tested = _folders(product / "test") if (product / "test").is_dir() else []
        for place in sorted(tested, key=lambda place: place.name != GOOD):
            yield product.name, place.name, place


def _folders(place: Path) -> list[Path]:
    """Folders in natural order; hidden ones are not the user's."""
    try:
        inside = [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise StorageError(f"cannot list a folder: {error.strerror}", where=str(place)) from error
    return sorted(inside, key=lambda path: natural_order(path.name))


def _image_files(place: Path) -> list[Path]:
    try:
        inside = sorted(place.iterdir(), key=lambda path: natural_order(path.name))
    except OSError as error:
        raise StorageError(f"cannot list a folder: {error.strerror}", where=str(place)) from error
    odd = [path.name for path in inside if path.suffix.lower() not in SUFFIXES or not path.is_file()]
    if odd:
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        raise DataError(
            f"not images: {', '.join(odd[:SHOWN])}{more}",
            where=str(place),
            hint="a folder of a state holds images alone (.png, .jpg, .bmp); move the others elsewhere",
        )
    if not inside:
        raise DataError(
            "a folder without images", where=str(place), hint="remove it, or put the images of the state in"
        )
    return inside


def _read_image(pillow: Any, path: Path, size: int) -> NDArray[np.float32]:
    """(3, size, size) float32 in [0, 1]."""
    hint = "the file is damaged or not an image; save it again as PNG, or remove it"
    try:
        with pillow.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise DataError(f"{image.width} x {image.height} pixels are too many for one image", where=str(path))
            if image.mode not in MODES:
                raise DataError(
                    f"8 bits a channel expected, got an image of mode {image.mode}",
                    where=str(path),
                    hint="convert it to 8 bits: which range of values matters is yours to say",
                )
            squeezed = image.convert("RGB").resize((size, size), pillow.Resampling.BILINEAR)
    except PermissionError as error:
        raise StorageError(f"cannot read an image: {error.strerror}", where=str(path)) from error
    # Decoders raise what they like when bytes are damaged, and their warnings may have been made errors.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, pillow.DecompressionBombError, Warning) as error:
        raise DataError(f"cannot decode an image: {error}", where=str(path), hint=hint) from error
    pixels: NDArray[np.uint8] = np.asarray(squeezed)  # (size, size, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255.0)

"""Sets of small grey images by name: the digits that come with scikit-learn, MNIST and Fashion-MNIST.

Images are (N, 1, H, W) float32 in [0, 1]. Nothing is parsed before its checksum agrees with SHA256SUMS.
"""

from __future__ import annotations

import functools
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, StorageError, UsageError, unknown_name
from sensorad_datasets.storage import SetFolder, data_root

from .idx import read_idx

__all__ = ["IDX_FILES", "IMAGE_SETS", "ImageSet", "load_images"]

_DIGITS = tuple(str(digit) for digit in range(10))
_CLASSES = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion_mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}

IMAGE_SETS: tuple[str, ...] = tuple(_CLASSES)
"""Names that `load_images` knows."""

IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
"""Name of each part in an NPZ file -> name of the published file that holds it."""

_SIDE = 28


@dataclass(frozen=True, eq=False, slots=True)
class ImageSet:
    """Training and test images with their classes; arrays are shared between callers and must not be changed.

    Attributes
    ----------
    name
        Name of the set.
    train, test
        (N, channels, H, W) float32 in [0, 1].
    train_labels, test_labels
        (N,) int64, positions in ``class_names``.
    class_names
        One name a class.
    """

    name: str
    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, H, W) of one image."""
        channels, height, width = self.train.shape[1:]
        return int(channels), int(height), int(width)

    def of(self, classes: Sequence[int]) -> ImageSet:
        """Training and test images of these classes alone; labels become positions in ``classes``.

        Raises
        ------
        UsageError
            Where a class does not exist, is named twice or none is named.

        Examples
        --------
        >>> set(load_images("digits").of((7, 8)).test_labels.tolist())
        {0, 1}
        """
        chosen = [int(kind) for kind in classes]
        n_known = len(self.class_names)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(n_known)):
            raise UsageError(
                f"no choice of classes of {self.name}: {chosen}", hint=f"different numbers from 0 to {n_known - 1}"
            )
        position = np.full(n_known, -1, np.int64)
        position[chosen] = np.arange(len(chosen))
        train, test = position[self.train_labels], position[self.test_labels]
        return ImageSet(
            self.name,
            self.train[train >= 0],
            train[train >= 0],
            self.test[test >= 0],
            test[test >= 0],
            tuple(self.class_names[kind] for kind in chosen),
        )


def load_images(name: str = "digits", root: str | Path | None = None) -> ImageSet:
    """A set of images by name, read once a process.

    Parameters
    ----------
    name
        One of `IMAGE_SETS`. "digits" comes with scikit-learn (1,797 images of 8 x 8; the first two thirds of each class
        are the training part) and needs no data folder. The others have 60,000 and 10,000 images of 28 x 28.
    root
        The data folder, by default what SENSORAD_DATA names. It holds a folder of the set's name with a SHA256SUMS and
        either ``<name>.npz`` (x_train, y_train, x_test, y_test) or the four published IDX files, plain or ``.gz``.

    Raises
    ------
    UsageError
        Where there is no such set.
    StorageError
        Where the set is not in the data folder.
    DataError
        Where a checksum, shape, type or label is wrong.

    Examples
    --------
    >>> load_images("digits").shape
    (1, 8, 8)
    """
    if name not in _CLASSES:
        raise unknown_name("image set", name, IMAGE_SETS)
    if name == "digits":
        return _load_digits()
    hint = (
        f"'sensorad data fetch {name} -o DIR' with SENSORAD_DATA=DIR obtains it; the set 'digits' (--data digits) "
        "needs no data"
    )
    try:
        folder = data_root(root) / name
        if not folder.is_dir():
            raise StorageError(f"image set {name!r} is not in the data folder", where=str(folder))
        return _load_folder(name, folder.resolve())
    except StorageError as error:
        raise StorageError(error.what, where=error.where, hint=hint) from error


@functools.lru_cache(maxsize=1)
def _load_digits() -> ImageSet:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    is_train = np.zeros(len(labels), bool)
    for kind in range(10):
        rows = np.flatnonzero(labels == kind)
        # In index order: the set lists its writers one after the other, so most test images are by other hands.
        is_train[rows[: round(len(rows) * 2 / 3)]] = True
    scaled = (images.reshape(-1, 1, 8, 8) / 16.0).astype(np.float32)
    kinds = labels.astype(np.int64)
    return ImageSet("digits", scaled[is_train], kinds[is_train], scaled[~is_train], kinds[~is_train], _DIGITS)


@functools.lru_cache(maxsize=4)
def _load_folder(name: str, path: Path) -> ImageSet:
    folder = SetFolder.open(name, path.parent)
    archive = f"{name}.npz"
    parts = _read_archive(folder, archive) if archive in folder.sums else _read_idx_files(name, folder)
    for part, where in parts.values():
        _check_bytes(part, where)
    images, kinds = {}, {}
    for split in ("train", "test"):
        images[split], kinds[split] = _checked(name, *parts[f"x_{split}"], *parts[f"y_{split}"])
    return ImageSet(name, images["train"], kinds["train"], images["test"], kinds["test"], _CLASSES[name])


_Parts = dict[str, tuple[NDArray[Any], str]]  # x_train, ... -> array, where it came from


def _read_archive(folder: SetFolder, file: str) -> _Parts:
    where = str(folder.path / file)
    content = folder.read(file)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {part: (archive[part], f"{where}, {part}") for part in IDX_FILES}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"not an NPZ file with plain arrays {', '.join(IDX_FILES)}: {error}", where=where, hint="obtain it again"
        ) from error


def _read_idx_files(name: str, folder: SetFolder) -> _Parts:
    parts: _Parts = {}
    for part, plain in IDX_FILES.items():
        file = next((file for file in (plain, f"{plain}.gz") if file in folder.sums), None)
        if file is None:
            raise StorageError(
                f"neither {name}.npz nor {plain}[.gz] is listed in its SHA256SUMS", where=str(folder.path)
            )
        where = str(folder.path / file)
        parts[part] = read_idx(folder.read(file), where), where
    return parts


def _check_bytes(values: NDArray[Any], where: str) -> None:
    if values.dtype != np.uint8:
        raise DataError(f"values of type {values.dtype}, expected uint8", where=where, hint="obtain the set again")


def _checked(
    name: str, images: NDArray[np.uint8], where: str, labels: NDArray[np.uint8], labels_where: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    n_classes = len(_CLASSES[name])
    hint = "obtain the set again"
    if images.ndim != 3 or images.shape[1:] != (_SIDE, _SIDE) or len(images) == 0:
        raise DataError(
            f"images of shape {images.shape}, expected (N, {_SIDE}, {_SIDE}), N > 0", where=where, hint=hint
        )
    if labels.shape != images.shape[:1]:
        raise DataError(f"labels of shape {labels.shape} for {len(images):,} images", where=labels_where, hint=hint)
    if int(labels.max()) >= n_classes:
        row = int(np.argmax(labels >= n_classes))
        raise DataError(
            f"label {labels[row]} of image {row}, expected 0 to {n_classes - 1}", where=labels_where, hint=hint
        )
    return np.divide(images[:, None], np.float32(255.0), dtype=np.float32), labels.astype(np.int64)

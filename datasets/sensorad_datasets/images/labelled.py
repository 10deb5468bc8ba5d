"""Images of products in several states, each with its class: what the folder loader and the generator give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError

__all__ = ["GOOD", "PartImages"]

GOOD = "good"
"""The state without a defect."""


@dataclass(frozen=True, slots=True, eq=False)
class PartImages:
    """Images with the product that they show and the state that it is in.

    Attributes
    ----------
    images : (N, 3, H, W) float32
        In [0, 1].
    labels : (N,) int64
        Position in ``classes``.
    classes : one per class
        (product, state).
    files : one per image
        Where each came from; empty for images that were never in a file.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[tuple[str, str], ...]
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def class_names(self) -> tuple[str, ...]:
        """product-state of each class."""
        return tuple(f"{product}-{state}" for product, state in self.classes)

    @property
    def products(self) -> tuple[str, ...]:
        """Each once, in the order of the classes."""
        return tuple(dict.fromkeys(product for product, _ in self.classes))

    def counts(self) -> dict[str, int]:
        """Images of each class by its name."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.class_names, found, strict=True)}

    def classes_of(self, products: tuple[str, ...]) -> tuple[int, ...]:
        """All classes of these products, whatever the state.

        Raises
        ------
        DataError
            A product of which there are no images.
        """
        if unknown := sorted(set(products) - set(self.products)):
            raise DataError(
                f"there are no images of {', '.join(map(repr, unknown))}", hint=f"products: {', '.join(self.products)}"
            )
        return tuple(at for at, (product, _) in enumerate(self.classes) if product in products)

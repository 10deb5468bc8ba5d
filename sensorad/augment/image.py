"""Images turned, shifted, zoomed and mirrored into more of them, each by its own draw. Imports torch.

All that is done to an image is one affine map, so that it is interpolated once, however many things are done to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from sensorad.augment.checks import check_number, check_whole
from sensorad.errors import DataError, UsageError

__all__ = ["ImageAugment", "ImageMoves", "PaddingName", "enlarged", "moved"]

PaddingName = Literal["zeros", "border", "reflection"]

LARGEST_ZOOM = 0.9
"""An image that shrinks to less than a tenth is none."""

WHERE = "image augmentation"


@dataclass(frozen=True, slots=True)
class ImageMoves:
    """What is done to each of N images, in this order: mirrored, turned, zoomed, shifted; all about the middle.

    Attributes
    ----------
    is_mirrored : (N, 2) bool
        Left with right, top with bottom.
    angles : (N,)
        Degrees, counter-clockwise as seen.
    zooms : (N,)
        Factors; above 1 = larger.
    shifts : (N, 2)
        To the right as a share of the width, downwards as a share of the height.
    """

    is_mirrored: Tensor
    angles: Tensor
    zooms: Tensor
    shifts: Tensor


@dataclass(frozen=True, slots=True)
class ImageAugment:
    """Moves each image of a batch by its own draw, evenly within the bounds.

    Attributes
    ----------
    rotation
        Largest angle, degrees, to either side.
    shift
        Largest shift as a share of the side, in each direction.
    zoom
        Factors from 1 - zoom to 1 + zoom.
    flip, vertical_flip
        Probability that left and right, top and bottom change places.
    flip_excluded
        Classes that are never mirrored: those of which a mirrored image is another class, or a defect.
    padding
        What comes in from outside the image: "zeros", "border" (the nearest pixel) or "reflection".

    Examples
    --------
    >>> images, generator = torch.rand(8, 1, 28, 28), torch.Generator().manual_seed(0)
    >>> augment = ImageAugment(rotation=15.0, shift=0.1, flip=0.5, flip_excluded=(3,))
    >>> augment(images, generator, labels=torch.arange(8) % 4).shape
    torch.Size([8, 1, 28, 28])
    >>> ImageAugment.from_json(augment.to_json()) == augment
    True
    """

    rotation: float = 30.0
    shift: float = 0.1
    zoom: float = 0.0
    flip: float = 0.0
    vertical_flip: float = 0.0
    flip_excluded: tuple[int, ...] = ()
    padding: PaddingName = "zeros"

    def __post_init__(self) -> None:
        for name, most in (("rotation", 180.0), ("shift", 1.0), ("zoom", LARGEST_ZOOM)):
            check_number(name, getattr(self, name), 0.0, most, WHERE)
        for name in ("flip", "vertical_flip"):
            check_number(name, getattr(self, name), 0.0, 1.0, WHERE)
        if isinstance(self.flip_excluded, str):
            raise UsageError(f"flip_excluded must be classes, got {self.flip_excluded!r}", where=WHERE)
        for label in self.flip_excluded:
            check_whole("a class in flip_excluded", label, 0, WHERE)
        object.__setattr__(self, "flip_excluded", tuple(sorted(set(self.flip_excluded))))
        if self.padding not in get_args(PaddingName):
            raise UsageError(f"padding is one of {', '.join(get_args(PaddingName))}, got {self.padding!r}", where=WHERE)

    @property
    def is_identity(self) -> bool:
        """With these settings nothing can change."""
        return not (self.rotation or self.shift or self.zoom or self.flip or self.vertical_flip)

    @property
    def needs_labels(self) -> bool:
        """Some classes are mirrored and others are not."""
        return bool(self.flip_excluded) and (self.flip > 0.0 or self.vertical_flip > 0.0)

    def __call__(self, images: Tensor, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Changed copies of ``images``, no value beyond theirs and the padding's.

        Parameters
        ----------
        images : (N, channels, H, W) float
            Finite.
        generator
            Source of all randomness. What one image gets does not depend on settings or labels of the others.
        labels : (N,) of whole numbers, optional
            Classes; needed where `needs_labels`.

        Returns
        -------
        (N, channels, H, W)
            A new tensor of the same dtype on the same device.

        Raises
        ------
        UsageError
            A shape or dtype does not fit, or labels are needed and missing.
        DataError
            A pixel is NaN or infinite.
        """
        _check_images(images)
        moves = self.draw(len(images), generator, labels)
        return images.clone() if self.is_identity else moved(images, moves, self.padding)

    def draw(self, n_images: int, generator: torch.Generator, labels: Tensor | None = None) -> ImageMoves:
        """Moves for so many images; always six numbers of ``generator`` for each."""
        drawn = torch.rand((n_images, 6), generator=generator, device=generator.device)
        is_mirrored = drawn[:, :2] < torch.tensor([self.flip, self.vertical_flip], device=drawn.device)
        if self.needs_labels:
            kept = self._is_excluded(n_images, labels).to(drawn.device)  # (N,)
            is_mirrored &= ~kept[:, None]
        even = 2.0 * drawn - 1.0
        return ImageMoves(
            is_mirrored, self.rotation * even[:, 2], 1.0 + self.zoom * even[:, 3], self.shift * even[:, 4:]
        )

    def _is_excluded(self, n_images: int, labels: Tensor | None) -> Tensor:
        if labels is None:
            raise UsageError("some classes are not to be mirrored: labels are needed", where=WHERE, hint="give labels")
        if labels.shape != (n_images,) or labels.is_floating_point():
            came = f"{tuple(labels.shape)} {labels.dtype}"
            raise UsageError(f"labels ({n_images},) of whole numbers expected, got {came}", where=WHERE)
        return torch.isin(labels, torch.tensor(self.flip_excluded, device=labels.device))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"flip_excluded": list(self.flip_excluded)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ImageAugment:
        """The settings of `to_json`; unknown names are refused."""
        if unknown := sorted(row.keys() - {field.name for field in fields(cls)}):
            raise UsageError(f"unknown settings {unknown}", where=WHERE)
        return cls(**dict(row) | {"flip_excluded": tuple(row.get("flip_excluded", ()))})


def moved(images: Tensor, moves: ImageMoves, padding: PaddingName = "zeros") -> Tensor:
    """Images (N, channels, H, W) after ``moves``, interpolated between the four nearest pixels.

    Examples
    --------
    >>> image = torch.tensor([[1.0, 2.0, 3.0]]).view(1, 1, 1, 3)
    >>> still, mirror = torch.zeros(1), torch.tensor([[True, False]])
    >>> moved(image, ImageMoves(mirror, still, still + 1.0, torch.zeros(1, 2)))
    tensor([[[[3., 2., 1.]]]])
    """
    if not len(images):
        return images.clone()
    height, width = images.shape[2:]
    angles = torch.deg2rad(moves.angles).to(images)
    cosine, sine = angles.cos() / moves.zooms.to(images), angles.sin() / moves.zooms.to(images)
    # Pixels are looked up backwards: where in the image is what will be here? Rows point downwards, so that this turns
    # what is seen counter-clockwise. Distances from the middle are pixels; grid_sample's run from -1 to 1.
    back = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)  # (N, 2, 2)
    back = torch.where(moves.is_mirrored.to(images.device)[:, :, None], -back, back)
    half = torch.tensor([width / 2, height / 2]).to(images)
    back = back * half / half[:, None]
    offset = -(back @ (2.0 * moves.shifts.to(images))[:, :, None])  # (N, 2, 1)
    grid = functional.affine_grid(torch.cat([back, offset], 2), list(images.shape), align_corners=False)
    found = functional.grid_sample(images, grid, "bilinear", padding, align_corners=False)
    least, most = (float(value) for value in images.aminmax())
    # Weights of four pixels add up to 1 but for rounding; losses on shares want no 1.0000001.
    return found.clamp_(min(least, 0.0), max(most, 0.0)) if padding == "zeros" else found.clamp_(least, most)


def enlarged(
    images: Tensor, n_fold: int, augment: ImageAugment, generator: torch.Generator, labels: Tensor | None = None
) -> Tensor:
    """The images (N, channels, H, W) themselves, followed by ``n_fold - 1`` augmented copies of all of them.

    Copy k of image n is at k N + n: ``labels.repeat(n_fold)`` are the labels of all.

    Examples
    --------
    >>> images = torch.rand(4, 1, 8, 8)
    >>> large = enlarged(images, 3, ImageAugment(), torch.Generator().manual_seed(0))
    >>> large.shape, torch.equal(large[:4], images)
    (torch.Size([12, 1, 8, 8]), True)
    """
    check_whole("n_fold", n_fold, 1, "enlarged")
    _check_images(images)
    return torch.cat([images, *(augment(images, generator, labels) for _ in range(n_fold - 1))])


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        came = f"{tuple(images.shape)} {images.dtype}"
        raise UsageError(f"images (N, channels, H, W) of a floating type expected, got {came}", where=WHERE)
    if not math.isfinite(float(images.sum())) and not bool(images.isfinite().all()):
        image = int(images.isfinite().flatten(1).all(1).logical_not().nonzero()[0])
        raise DataError("pixels must be finite", where=f"{WHERE}, image {image}")

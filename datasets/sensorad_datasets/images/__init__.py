"""Image sets and generated images on which the published image experiments run.

>>> digits = load_images("digits")
>>> digits.train.shape, digits.of((0, 1)).train.shape
((1198, 1, 8, 8), (240, 1, 8, 8))
"""

from __future__ import annotations

from .sets import IMAGE_SETS, ImageSet, load_images
from .wafer import WAFER_PATTERNS, WaferMaps, wafer_combinations, wafer_maps

__all__ = [
    "IMAGE_SETS",
    "WAFER_PATTERNS",
    "ImageSet",
    "WaferMaps",
    "load_images",
    "wafer_combinations",
    "wafer_maps",
]

"""All recipes by name; a module is imported when one of its recipes is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from sensorad.errors import unknown_name

from .base import Recipe

__all__ = ["RECIPE_HOMES", "recipe"]

RECIPE_HOMES: Mapping[str, str] = MappingProxyType(
    {
        "I1": "confidence",
        "I2": "confidence",
        "I3": "temperature",
        "I4": "embedding",
        "I5": "rotation",
        "I6": "little_data",
        "I7": "outlier_exposure",
        "I8": "mixed_digits",
        "I9": "label_noise",
        "I10": "mixed_defects",
        "I11": "autoencoders",
        "I12": "linear_autoencoder",
        "I13": "autoencoders",
        "I14": "pretraining",
        "I15": "reconstruction_scores",
        "I16": "states.recipe",
        "beyond": "beyond",
    }
)
"""Name of a recipe -> module below this package."""


def recipe(name: str) -> Recipe:
    """The recipe of that name, in capitals or not.

    Examples
    --------
    >>> recipe("i2").title
    'Label smoothing'
    """
    known = {each.lower(): each for each in RECIPE_HOMES}
    if name.lower() not in known:
        raise unknown_name("recipe", name, tuple(RECIPE_HOMES))
    chosen = known[name.lower()]
    module = import_module(f"{__package__}.{RECIPE_HOMES[chosen]}")
    recipes: tuple[Recipe, ...] = getattr(module, "RECIPES", None) or (module.RECIPE,)
    return next(each for each in recipes if each.name == chosen)

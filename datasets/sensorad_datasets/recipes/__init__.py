"""Published image experiments, run on the trainer, objectives, scores and thresholds that sensors use.

>>> from sensorad_datasets.recipes import recipe
>>> found = recipe("I2")
>>> found.run(found.plan("digits", None, is_quick=True), 0).cells[0].variant
'plain'
"""

from __future__ import annotations

from .base import Cell, Difference, Picture, Plan, Recipe, SeedOutcome
from .registry import RECIPE_HOMES, recipe
from .runner import KeptSeed, RecipeRun, run_recipes
from .tables import recipe_text, recipe_values

__all__ = [
    "RECIPE_HOMES",
    "Cell",
    "Difference",
    "KeptSeed",
    "Picture",
    "Plan",
    "Recipe",
    "RecipeRun",
    "SeedOutcome",
    "recipe",
    "recipe_text",
    "recipe_values",
    "run_recipes",
]

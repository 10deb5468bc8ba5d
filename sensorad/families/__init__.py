"""How each family of models is learned, kept in an artefact and put together again."""

from __future__ import annotations

from sensorad.families.base import Family, Progress, Runtime, Trained
from sensorad.families.registry import family_for, family_of

__all__ = ["Family", "Progress", "Runtime", "Trained", "family_for", "family_of"]

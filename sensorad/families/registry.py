"""Families by name: a new one is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sensorad.config import DetectorConfig
from sensorad.families.auto import AutoFamily
from sensorad.families.base import Family
from sensorad.families.classifier import ClassifierFamily
from sensorad.families.cross import CrossFamily
from sensorad.families.ensemble import EnsembleFamily
from sensorad.families.exposed import ExposedFamily
from sensorad.families.linear import LinearFamily
from sensorad.families.network import NetworkFamily
from sensorad.families.shape import ShapeFamily
from sensorad.models import model_kind

__all__ = ["FAMILIES", "family_for", "family_of"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "auto": AutoFamily(),
        "classifier": ClassifierFamily(),
        "cross": CrossFamily(),
        "ensemble": EnsembleFamily(),
        "linear": LinearFamily(),
        "network": NetworkFamily(),
        "shape": ShapeFamily(),
    }
)


def family_of(model: str) -> Family:
    """The family of the model of that name.

    Examples
    --------
    >>> type(family_of("lstm")).__name__
    'NetworkFamily'
    """
    return FAMILIES[model_kind(model).family]


def family_for(config: DetectorConfig) -> Family:
    """The family of the model of ``config``, with a head of exposure where it asks for one.

    Examples
    --------
    >>> type(family_for(DetectorConfig(exposure="head"))).__name__
    'ExposedFamily'
    """
    family = family_of(config.model)
    return ExposedFamily(family) if config.exposure == "head" else family

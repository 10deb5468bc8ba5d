"""Families by name: a new one is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sensorad.families.base import Family
from sensorad.families.linear import LinearFamily
from sensorad.families.network import NetworkFamily
from sensorad.models import model_kind

__all__ = ["FAMILIES", "family_of"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "linear": LinearFamily(),
        "network": NetworkFamily(),
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

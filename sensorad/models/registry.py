"""Detector kinds by name: a new network is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sensorad.errors import unknown_name

__all__ = ["MODELS", "ModelKind", "model_kind"]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """What the rest needs to know of a kind of model before it is built.

    Attributes
    ----------
    name
        Name in Python and on the command line.
    summary
        One line for people.
    length
        Default window length in rows.
    objective
        Default training objective; "" for a model without a network.
    build
        (n_sensors, length, settings, torch generator) -> torch module; None for a model without a network of its own.
        Typed loosely, since this module must be importable without torch.
    family
        Name in the registry of families, which learns it.
    """

    name: str
    summary: str
    length: int
    objective: str = ""
    build: Callable[[int, int, Mapping[str, Any], Any], Any] | None = None
    family: str = "network"


def _lstm(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig

    return LSTMAutoencoder(n_sensors, LSTMConfig.from_json(dict(settings)), generator)


def _transformer(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig

    return TransformerAutoencoder(n_sensors, length, TransformerConfig.from_json(dict(settings)), generator)


MODELS: Mapping[str, ModelKind] = MappingProxyType(
    {
        "linear": ModelKind("linear", "window-PCA and ridge autoregression across sensors", 30, family="linear"),
        "lstm": ModelKind("lstm", "LSTM encoder-decoder on what the linear model leaves", 30, "masked", _lstm),
        "transformer": ModelKind(
            "transformer", "Transformer encoder-decoder on patches of rows", 32, "masked", _transformer
        ),
    }
)


def model_kind(name: str) -> ModelKind:
    """The kind of that name.

    Raises
    ------
    UsageError
        No such model; names the closest one.

    Examples
    --------
    >>> model_kind("linear").length
    30
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]

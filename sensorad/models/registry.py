"""Detector kinds by name: a new network is one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from sensorad.errors import UsageError, unknown_name

__all__ = ["MODELS", "ModelKind", "ReadyNetwork", "model_kind", "plain_model"]


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
    has_networks
        Networks are trained for it, though it has none of its own.
    has_own_measure
        Its network measures errors in a way of its own, which torch alone computes.
    reads_windows
        What is trained reads windows of rows: it may skip some, and there are objectives, augmentation, mixup and
        exposure for it.
    """

    name: str
    summary: str
    length: int
    objective: str = ""
    build: Callable[[int, int, Mapping[str, Any], Any], Any] | None = None
    family: str = "network"
    has_networks: bool = False
    has_own_measure: bool = False
    reads_windows: bool = True

    @property
    def is_trained(self) -> bool:
        """It learns in epochs."""
        return self.build is not None or self.has_networks


def _lstm(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig

    return LSTMAutoencoder(n_sensors, LSTMConfig.from_json(dict(settings)), generator)


def _transformer(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.transformer import TransformerAutoencoder, TransformerConfig

    return TransformerAutoencoder(n_sensors, length, TransformerConfig.from_json(dict(settings)), generator)


def _randnet(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.randnet import RandNetAutoencoder
    from sensorad.models.randnet_config import RandNetConfig

    return RandNetAutoencoder(n_sensors, length, RandNetConfig.from_json(dict(settings)), generator)


def _variational(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.variational import VariationalAutoencoder, VariationalConfig

    return VariationalAutoencoder(n_sensors, VariationalConfig.from_json(dict(settings)), generator)


def _adversarial(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.adversarial import AdversarialAutoencoder, AdversarialConfig

    return AdversarialAutoencoder(n_sensors, AdversarialConfig.from_json(dict(settings)), generator)


def _classifier(n_sensors: int, length: int, settings: Mapping[str, Any], generator: Any) -> Any:
    from sensorad.models.window_classifier import WindowClassifier, WindowClassifierConfig

    return WindowClassifier(n_sensors, WindowClassifierConfig.from_json(dict(settings)), generator)


MODELS: Mapping[str, ModelKind] = MappingProxyType(
    {
        "linear": ModelKind("linear", "window-PCA and ridge autoregression across sensors", 30, family="linear"),
        "auto": ModelKind(
            "auto",
            "linear, or cross where the log shows that sensors hang together by curves",
            30,
            family="auto",
            has_networks=True,
            reads_windows=False,
        ),
        "ensemble": ModelKind(
            "ensemble", "median of unlike models of windows, long and short", 30, family="ensemble", has_networks=True
        ),
        "shape": ModelKind("shape", "nearest of typical normal windows, by k-means", 30, family="shape"),
        "classifier": ModelKind(
            "classifier",
            "how unsure a classifier of machines, modes or transforms is",
            30,
            "classification",
            _classifier,
            family="classifier",
        ),
        "cross": ModelKind(
            "cross",
            "each sensor as a network tells it from all others, beside the linear model",
            30,
            family="cross",
            has_networks=True,
            reads_windows=False,
        ),
        "lstm": ModelKind("lstm", "LSTM encoder-decoder on what the linear model leaves", 30, "masked", _lstm),
        "transformer": ModelKind(
            "transformer", "Transformer encoder-decoder on patches of rows", 32, "masked", _transformer
        ),
        "randnet": ModelKind("randnet", "dense autoencoder with random connections", 30, "masked", _randnet),
        "variational": ModelKind(
            "variational",
            "recurrent variational autoencoder, by reconstruction probability",
            30,
            "plain",
            _variational,
            has_own_measure=True,
        ),
        "adversarial": ModelKind(
            "adversarial",
            "recurrent autoencoder against a discriminator (GAN)",
            30,
            "plain",
            _adversarial,
            has_own_measure=True,
        ),
    }
)


NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "LSTMAutoencoder": "lstm",
        "TransformerAutoencoder": "transformer",
        "RandNetAutoencoder": "randnet",
        "VariationalAutoencoder": "variational",
        "AdversarialAutoencoder": "adversarial",
        "WindowClassifier": "classifier",
    }
)
"""Kinds by the class of their network, which is not imported here."""


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


class _Sizes(Protocol):
    """Configuration of a network."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


class ReadyNetwork(Protocol):
    """A network of this folder, such as an `LSTMAutoencoder`."""

    config: _Sizes


def plain_model(model: str | ReadyNetwork) -> tuple[str, dict[str, Any]]:
    """Name of a kind of model, and the sizes of its network where a ready one stands for it.

    Weights play no part: a fit learns its own, several times over.

    Raises
    ------
    UsageError
        An object that is no network of a detector.

    Examples
    --------
    >>> from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
    >>> plain_model(LSTMAutoencoder(3, LSTMConfig(width=8)))[1]["width"]
    8
    """
    if isinstance(model, str):
        return model, {}
    found = NETWORKS.get(type(model).__qualname__)
    if found is None or not type(model).__module__.startswith("sensorad.models."):
        raise UsageError(
            f"model is a name or a network of sensorad.models, got a {type(model).__qualname__}",
            hint=f"a network is one of {', '.join(NETWORKS)}",
        )
    return found, model.config.to_json()

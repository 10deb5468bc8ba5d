"""Several unlike models of windows, learned in one go and scored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel, LinearErrors
from sensorad.error_models.centroid_errors import CentroidErrors
from sensorad.error_models.crossfit import Fold
from sensorad.error_models.ensemble_errors import EnsembleErrors, Member
from sensorad.error_models.network_errors import NetworkErrors, StoredNetwork
from sensorad.errors import ArtefactError, UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.families.linear import LinearPart
from sensorad.families.network import network_of, network_plan
from sensorad.families.shape import centroids_of
from sensorad.models import RidgeAutoregression, WindowPCA, model_kind
from sensorad.models.autocovariance import LinearPrior
from sensorad.models.centroids import WindowCentroids
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.training import TrainingRecord

__all__ = ["EnsembleFamily"]

PREFIX = "member."
"""Of the names of arrays of members: "member.0.gate"."""


class EnsembleFamily:
    """Members of other families, with linear parts that they share."""

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`; each network has a directory of checkpoints of its own."""
        linear = _LinearParts(config, rows.prior)
        members, n_members = [], len(config.each_member)
        for number, own in enumerate(config.each_member):
            folder = None if checkpoint is None else checkpoint / f"member-{number}"
            members.append(_learn(own, rows, folds, linear, folder, _part_of(report, number, n_members)))
        records = [record for member in members for record in member.records]

        def fold_model(fold: Fold) -> ErrorModel:
            return _joined(config, [member.fold_model(fold) for member in members], linear, fold)

        whole = Fold([], rows.stretches)
        model = _joined(config, [member.model for member in members], linear, whole)
        how = f"{n_members} members that were fitted on the others" + (
            ", networks without half of the log" * bool(records)
        )
        return Trained(fold_model, model, how, records)

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        if not isinstance(model, EnsembleErrors):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        found: dict[str, NDArray[Any]] = {}
        if model.autoregression is not None:
            found |= model.autoregression.to_arrays()
            found |= {f"pca.{length}.components": pca.components for length, pca in model.pcas.items()}
        for number, member in enumerate(model.members):
            found |= {f"{PREFIX}{number}.{name}": array for name, array in _member_arrays(member).items()}
        return found

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        if not config.has_linear_part:
            return {}
        lengths = _linear_lengths(config)
        specs = {f"pca.{length}.components": ArraySpec((length * n_used, None), "float32") for length in lengths}
        return specs | {"autoregression.weights": ArraySpec((config.lags * n_used + 1, n_used), "float32")}

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return name.startswith(PREFIX)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        if runtime.network not in ("torch", "numpy"):
            raise UsageError("an ensemble has several networks, a file holds one", hint="leave the network out")
        pcas: dict[int, WindowPCA] = {}
        autoregression = None
        if config.has_linear_part:
            for length in _linear_lengths(config):
                components = arrays[f"pca.{length}.components"]
                pcas[length] = WindowPCA.from_arrays({"pca.components": components}, length)
            autoregression = RidgeAutoregression.from_arrays(arrays, config.lags)
        known = {name for name in arrays if self.own(name)}
        members = []
        for number, own in enumerate(config.each_member):
            prefix = f"{PREFIX}{number}."
            given = {name.removeprefix(prefix): arrays[name] for name in known if name.startswith(prefix)}
            known -= {prefix + name for name in given}
            members.append(_built(own, n_used, given, (pcas.get(own.length), autoregression), runtime))
        if known:
            raise ArtefactError(
                f"unknown arrays: {', '.join(sorted(known)[:3])}", hint="the configuration needs others"
            )
        return EnsembleErrors(tuple(members), config.length, pcas, autoregression)


@dataclass(frozen=True, slots=True)
class _Learned:
    """A member: one model for each fold and one for use."""

    fold_model: Callable[[Fold], Member]
    model: Member
    records: Sequence[TrainingRecord] = ()


@dataclass(slots=True)
class _LinearParts:
    """Linear parts by window length and rows, each fitted once and shared by members."""

    config: DetectorConfig
    prior: LinearPrior | None
    _pcas: dict[tuple[Any, ...], WindowPCA] = field(default_factory=dict)
    _steps: dict[tuple[Any, ...], RidgeAutoregression] = field(default_factory=dict)

    def of(self, fold: Fold, length: int) -> LinearPart:
        """Fitted on the kept rows of ``fold``, for windows of ``length`` rows."""
        config = self.config
        if not config.has_linear_part:
            return None, None
        kept = [stretch.rows for stretch in fold.kept]
        key = (*fold.held, *map(len, kept))
        if key not in self._steps:
            self._steps[key] = RidgeAutoregression.fit(kept, config.lags, config.penalty, self.prior)
        if (length, *key) not in self._pcas:
            self._pcas[length, *key] = WindowPCA.fit(kept, length, config.variance, self.prior)
        return self._pcas[length, *key], self._steps[key]


def _learn(
    config: DetectorConfig,
    rows: NormalRows,
    folds: Sequence[Fold],
    linear: _LinearParts,
    checkpoint: Path | None,
    report: Progress,
) -> _Learned:
    """One member."""
    whole = Fold([], rows.stretches)
    if not model_kind(config.model).is_trained:
        report(f"fitting, {config.model}", 0.0)
        return _Learned(lambda fold: _fitted(config, fold, linear), _fitted(config, whole, linear))
    from sensorad.error_models.network import cross_trained

    if checkpoint is not None:
        checkpoint.mkdir(parents=True, exist_ok=True)
    fold_model, model, records = cross_trained(
        network_plan(config, rows),
        folds,
        rows.stretches,
        lambda fold: linear.of(fold, config.length),
        checkpoint=checkpoint,
        progress=lambda what, epoch, n_epochs: report(f"{what}, {config.model}", epoch / n_epochs),
        fingerprint=f"{rows.fingerprint}:{config.random_state}",
    )
    return _Learned(lambda fold: _as_member(fold_model(fold)), _as_member(model), records)


def _fitted(config: DetectorConfig, fold: Fold, linear: _LinearParts) -> Member:
    """A member without a network."""
    if config.model == "shape":
        return CentroidErrors(centroids_of(fold, config), None, None)
    pca, autoregression = linear.of(fold, config.length)
    if pca is None or autoregression is None:
        raise TypeError("a linear member without a linear part")
    return LinearErrors(pca, autoregression)


def _joined(config: DetectorConfig, members: Sequence[Member], linear: _LinearParts, fold: Fold) -> EnsembleErrors:
    """The members of one fold with all linear parts that they need."""
    lengths = _linear_lengths(config) if config.has_linear_part else []
    parts = {length: linear.of(fold, length) for length in lengths}
    pcas = {length: pca for length, (pca, _) in parts.items() if pca is not None}
    autoregression = parts[config.length][1] if parts else None
    return EnsembleErrors(tuple(members), config.length, pcas, autoregression)


def _as_member(model: ErrorModel) -> NetworkErrors:
    if not isinstance(model, NetworkErrors):
        raise TypeError(f"{type(model).__name__} cannot be a member")
    return model


def _linear_lengths(config: DetectorConfig) -> list[int]:
    """Window lengths that need a linear part; that of the whole first."""
    members = [own.length for own in config.each_member if own.model != "shape"]
    return list(dict.fromkeys([config.length, *members]))


def _member_arrays(member: Member) -> dict[str, NDArray[Any]]:
    """Of a member alone, without its linear part."""
    if isinstance(member, LinearErrors):
        return {}
    if isinstance(member, CentroidErrors):
        return dict(member.centroids.to_arrays())
    if not isinstance(member.network, StoredNetwork):
        raise TypeError(f"no arrays known for {type(member.network).__name__}")
    own = {f"network.{name}": array for name, array in member.network.to_arrays().items()}
    return own | {"gate": np.array([member.gate], np.float32)}


def _built(config: DetectorConfig, n_used: int, arrays: Arrays, linear: LinearPart, runtime: Runtime) -> Member:
    """A member from its arrays."""
    pca, autoregression = linear
    if config.model == "shape":
        return CentroidErrors(WindowCentroids.from_arrays(arrays, config.length, n_used), None, None)
    if config.model == "linear":
        if pca is None or autoregression is None or arrays:
            raise ArtefactError("a linear member has no arrays of its own", hint="fit the detector again")
        return LinearErrors(pca, autoregression)
    gate = arrays.get("gate")
    if gate is None or not ArraySpec((1,), "float32").accepts(gate):
        raise ArtefactError("the gate of a member is one number", hint="the artefact is damaged")
    own = {name.removeprefix("network."): array for name, array in arrays.items() if name != "gate"}
    network = network_of(config, n_used, own, runtime)
    return _as_member(config.reading(runtime.step_seconds).errors(network, float(gate[0]), pca, autoregression))


def _part_of(report: Progress, number: int, n_members: int) -> Progress:
    """Progress of one member within the whole."""
    return lambda what, share: report(f"member {number + 1} of {n_members}: {what}", (number + share) / n_members)

"""Networks in the scoring scheme: training across folds, and back from an artefact. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.error_models.crossfit import Fold, Stretch, rows_outside
from sensorad.error_models.errors import ErrorModel
from sensorad.error_models.network_reading import Reading
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.torch_windows import Precision, TorchWindows
from sensorad.errors import TooLittleDataError
from sensorad.models.linear import RidgeAutoregression, WindowPCA
from sensorad.models.registry import model_kind
from sensorad.models.residual import ResidualAutoencoder
from sensorad.models.weights import load_state_arrays
from sensorad.training import Objective, TrainConfig, Trainer, TrainingRecord, WindowSource

__all__ = [
    "NetworkPlan",
    "NotingModule",
    "TrainedNetwork",
    "build_module",
    "cross_trained",
    "torch_network",
    "train_network",
]

GATE_WINDOWS = 512
"""Windows in one forward pass of the gate."""

VALIDATION_SHARE = 0.15
"""Newest part of each stretch that decides when to stop."""

NOTED_WINDOWS = 512
"""Windows, spread over all, by which a network judges its training."""

LARGEST_SEED = 2**63 - 1

LOWER_PARTS = ("course", "embedding", "encoder")
"""Parts of networks that read the sensors: a machine with little data keeps those of the others."""


@runtime_checkable
class NotingModule(Protocol):
    """A network that can tell how its training went beyond its losses."""

    def note(self, windows: Tensor) -> str:
        """A sentence for people on windows (N, L, C) of what it reads; "" where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """Everything that decides a network besides the data.

    Attributes
    ----------
    kind
        Name in the registry.
    length
        Rows per window.
    settings
        Of the network's configuration; the defaults where empty.
    objective, training
        What to learn, and how.
    stride
        Rows between two training windows.
    seed
        Of weights, order and noise.
    reading
        How it reads a log, for the errors out of fold and later ones alike.
    device
        "cpu" or "cuda".
    is_trained
        False keeps the first weights: the untrained control.
    start
        Weights to begin with, by name, such as those of a network for other machines; none = random ones. The parts
        that read the sensors (`LOWER_PARTS`) then stay as they are.
    """

    kind: str
    length: int
    settings: Mapping[str, Any]
    objective: Objective
    training: TrainConfig
    stride: int
    seed: int
    reading: Reading
    device: str = "cpu"
    is_trained: bool = True
    start: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def generator(self, run: int) -> torch.Generator:
        """A generator of its own for each training run."""
        return torch.Generator().manual_seed((self.seed * 1009 + run) % LARGEST_SEED)


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network with its record (None where it was not trained)."""

    module: ResidualAutoencoder
    record: TrainingRecord | None


def build_module(
    plan_kind: str,
    n_sensors: int,
    length: int,
    settings: Mapping[str, Any],
    pca: WindowPCA | None,
    generator: torch.Generator | None,
) -> ResidualAutoencoder:
    """The network of that kind on top of the linear part."""
    build = model_kind(plan_kind).build
    if build is None:
        raise TypeError(f"{plan_kind} has no network")
    components = None if pca is None else torch.from_numpy(pca.components)
    return ResidualAutoencoder(build(n_sensors, length, settings, generator), components)


def train_network(
    plan: NetworkPlan,
    stretches: Sequence[Stretch],
    pca: WindowPCA | None,
    *,
    run: int = 0,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int, float, float | None], None] | None = None,
    fingerprint: str = "",
) -> TrainedNetwork:
    """Train one network on windows of ``stretches``.

    Parameters
    ----------
    run
        Number of this run: each has its own random numbers.
    epochs
        Train exactly so long on everything, and let the network say how it went where it can (`NotingModule`): it is
        the one for use. None holds back the newest part of each stretch to decide.

    Raises
    ------
    TooLittleDataError
        No window fits into the stretches.
    """
    generator = plan.generator(run)
    n_sensors = stretches[0].rows.shape[1] if stretches else 0
    usable_stretches = [stretch for stretch in stretches if len(stretch) >= plan.length]
    if not usable_stretches:
        raise TooLittleDataError(
            f"no stretch of normal rows is as long as a window of {plan.length} rows",
            hint="add rows or use a shorter --window",
        )
    module = build_module(plan.kind, n_sensors, plan.length, plan.settings, pca, generator).to(plan.device)
    if plan.start:
        load_state_arrays(module.network, plan.start)
        for name, weight in module.network.named_parameters():
            weight.requires_grad_(name.partition(".")[0] not in LOWER_PARTS)
    module.eval()
    if not plan.is_trained:
        return TrainedNetwork(module, None)
    train, validation = _sources(usable_stretches, plan, with_validation=epochs is None)
    training = plan.training if epochs is None else replace(plan.training, epochs=epochs, patience=None)
    record = Trainer(training).fit(
        module,
        plan.objective,
        train,
        validation,
        generator,
        checkpoint=checkpoint,
        progress=progress,
        device=plan.device,
        fingerprint=fingerprint,
    )
    if epochs is not None:
        record = replace(record, note="; ".join(filter(None, (record.note, _note(module, train, plan.device)))))
    return TrainedNetwork(module, record)


def cross_trained(
    plan: NetworkPlan,
    folds: Sequence[Fold],
    stretches: Sequence[Stretch],
    linear: Callable[[Fold], tuple[WindowPCA | None, RidgeAutoregression | None]],
    *,
    checkpoint: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    fingerprint: str = "",
) -> tuple[Callable[[Fold], ErrorModel], ErrorModel, list[TrainingRecord]]:
    """Two networks for out-of-fold errors, each trained without half of the folds, and one trained on everything.

    The halves decide how long the last one trains (its length is the mean of their best epochs) and how far its output
    is trusted: the gate is the share of the halves' output that the rows they never saw confirm,
    sum(r n) / sum(n n) over residual r and output n, held within [0, 1]. Without a linear part it is 1.

    Returns
    -------
    The model of each fold, the final model, and the training records, final one last.
    """
    half = max(1, len(folds) // 2)
    networks: dict[int, TrainedNetwork] = {}
    gates: list[float] = []
    records: list[TrainingRecord] = []
    for side, excluded in enumerate((folds[:half], folds[half:])):
        held = [rows for fold in excluded for rows in fold.held]
        kept = rows_outside(stretches, held, plan.length)
        pca, _ = linear(Fold(held, kept))
        trained = train_network(
            plan,
            kept,
            pca,
            run=side,
            checkpoint=_part(checkpoint, f"half-{side}"),
            progress=_named(progress, f"part {side + 1} of 3"),
            fingerprint=f"{fingerprint}:{side}",
        )
        if pca is not None and plan.is_trained:  # a network alone is scored as published, with its whole output
            unseen = [stretches[s].part(a, b) for s, a, b in held]
            gates.append(_gate(trained.module, unseen, plan))
        if trained.record is not None:
            records.append(trained.record)
        for fold in excluded:
            networks[id(fold)] = trained
    gate = float(np.float32(np.mean(gates))) if gates else 1.0  # as an artefact keeps it

    def fold_model(fold: Fold) -> ErrorModel:
        return _errors(networks[id(fold)].module, gate, *linear(fold), plan)

    epochs = max(1, round(float(np.mean([record.best_epoch for record in records])))) if records else 1
    pca, autoregression = linear(Fold([], list(stretches)))
    final = train_network(
        plan,
        stretches,
        pca,
        run=2,
        epochs=epochs,
        checkpoint=_part(checkpoint, "final"),
        progress=_named(progress, "part 3 of 3"),
        fingerprint=f"{fingerprint}:final",
    )
    if final.record is not None:
        records.append(final.record)
    return fold_model, _errors(final.module, gate, pca, autoregression, plan), records


def torch_network(
    kind: str,
    n_sensors: int,
    length: int,
    settings: Mapping[str, Any],
    arrays: Mapping[str, NDArray[np.float32]],
    device: str = "cpu",
    precision: Precision = "float32",
) -> TorchWindows:
    """The network with these weights; raises `ArtefactError` where names, shapes or values do not fit."""
    build = model_kind(kind).build
    if build is None:
        raise TypeError(f"{kind} has no network")
    network = build(n_sensors, length, settings, None).to_empty(device="cpu")
    load_state_arrays(network, arrays)
    return TorchWindows(network.to(device).eval(), device, precision)


def _errors(
    module: ResidualAutoencoder,
    gate: float,
    pca: WindowPCA | None,
    autoregression: RidgeAutoregression | None,
    plan: NetworkPlan,
) -> ErrorModel:
    """Errors of a trained network on top of a linear part, which may be another than it was trained on."""
    network = TorchWindows(module.network.eval(), plan.device)
    if plan.reading.encoding == "carried":
        carried = NumpyLSTM.from_arrays(network.to_arrays(), plan.settings)
        return plan.reading.errors(carried, gate, pca, autoregression)
    return plan.reading.errors(network, gate, pca, autoregression)


def _sources(
    stretches: Sequence[Stretch], plan: NetworkPlan, *, with_validation: bool
) -> tuple[WindowSource, WindowSource | None]:
    """Windows to learn from, and windows of the newest rows of each stretch to judge by; none in both."""
    rows = np.concatenate([stretch.rows for stretch in stretches])
    missing = ~np.concatenate([stretch.usable for stretch in stretches])
    train, judge = [], []
    modes = _window_modes(stretches, plan.length)
    offset = 0
    for stretch in stretches:
        n_windows = len(stretch) - plan.length + 1
        n_judged = int(VALIDATION_SHARE * n_windows) if with_validation else 0
        train.append(
            offset + np.arange(0, max(1, n_windows - n_judged - (plan.length if n_judged else 0)), plan.stride)
        )
        judge.append(offset + np.arange(n_windows - n_judged, n_windows, plan.stride))
        offset += len(stretch)
    starts = np.concatenate(train)
    source = WindowSource(rows, missing, starts, plan.length, None if modes is None else modes[starts])
    starts = np.concatenate(judge)
    return source, WindowSource(rows, missing, starts, plan.length) if len(starts) else None


def _window_modes(stretches: Sequence[Stretch], length: int) -> NDArray[np.int64] | None:
    """(T,) for each row a number for the operating modes in which a window from there on begins and ends.

    So windows that cross from one mode into another are of a kind of their own. None where modes are not known.
    """
    known = [stretch.mode for stretch in stretches if stretch.mode is not None]
    if len(known) < len(stretches):
        return None
    mode = np.concatenate(known).astype(np.int64)
    last = np.minimum(np.arange(len(mode)) + length - 1, len(mode) - 1)
    found: NDArray[np.int64] = mode * (mode.max() + 2) + mode[last]
    return found


def _gate(module: ResidualAutoencoder, held: Sequence[Stretch], plan: NetworkPlan) -> float:
    """Share of the network's output that rows it never saw confirm, in [0, 1]."""
    agreement = power = 0.0
    with torch.inference_mode():
        for stretch in held:
            starts = np.arange(0, len(stretch) - plan.length + 1, plan.stride)
            if len(starts) == 0:
                continue
            source = WindowSource(stretch.rows, ~stretch.usable, starts, plan.length)
            for first in range(0, len(starts), GATE_WINDOWS):
                x = source.take(torch.arange(first, min(first + GATE_WINDOWS, len(starts)))).inputs.to(plan.device)
                residual = x - module.linear(x)
                output = module.network(residual)
                agreement += float((residual * output).sum())
                power += float((output * output).sum())
    return float(np.clip(agreement / power, 0.0, 1.0)) if power > 0 else 1.0


def _note(module: ResidualAutoencoder, source: WindowSource, device: str) -> str:
    """What a `NotingModule` says of itself, asked with windows from all over the source; "" of any other."""
    network: object = module.network
    if not isinstance(network, NotingModule):
        return ""
    chosen = np.linspace(0, len(source) - 1, min(len(source), NOTED_WINDOWS)).round().astype(np.int64)
    with torch.inference_mode():
        x = source.take(torch.from_numpy(chosen)).inputs.to(device)
        return network.note(x - module.linear(x))


def _part(checkpoint: Path | None, name: str) -> Path | None:
    return None if checkpoint is None else checkpoint / f"{name}.checkpoint"


def _named(
    progress: Callable[[str, int, int], None] | None, name: str
) -> Callable[[int, int, float, float | None], None] | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, _train, _validation: progress(f"training, {name}", epoch, n_epochs)

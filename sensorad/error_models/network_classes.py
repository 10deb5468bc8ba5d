"""Classifiers of windows in the scoring scheme: trained on either side of a log cut by time, and on everything.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.error_models.class_errors import ByTime, TimeSides
from sensorad.error_models.confidence import fit_temperature
from sensorad.error_models.crossfit import Stretch
from sensorad.error_models.torch_classes import TorchClasses
from sensorad.errors import TooLittleDataError
from sensorad.models.window_classifier import WindowClassifier, WindowClassifierConfig
from sensorad.training import TrainConfig, Trainer, TrainingRecord, WindowSource
from sensorad.training.classification import Classification, LabelledSource

__all__ = ["ClassPlan", "LabelledStretch", "TrainedClasses", "cross_trained_classes"]

VALIDATION_SHARE = 0.15
"""Newest part of each piece that decides when to stop."""

BLOCKS, BLOCK_WINDOWS = 8, 6
"""Most blocks of time, and windows' worth of rows that a block should have at least."""

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LabelledStretch:
    """Consecutive normal rows with the class (T,) of each, -1 where it has none; None: classes are made."""

    rows: Stretch
    label: NDArray[np.int64] | None

    def part(self, start: int, stop: int) -> LabelledStretch:
        """Rows ``start`` to before ``stop``."""
        return LabelledStretch(self.rows.part(start, stop), None if self.label is None else self.label[start:stop])


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """Everything that decides a classifier besides the data.

    Attributes
    ----------
    length
        Rows per window.
    network
        Of the classifier.
    objective, training
        What to learn, and how.
    confidence
        Name of the score.
    stride
        Rows between two training windows.
    seed
        Of weights, order, mixtures and faults.
    device
        "cpu" or "cuda".
    is_trained
        False keeps the first weights: the untrained control.
    """

    length: int
    network: WindowClassifierConfig
    objective: Classification
    training: TrainConfig
    confidence: str
    stride: int
    seed: int
    device: str = "cpu"
    is_trained: bool = True


@dataclass(frozen=True, slots=True)
class TrainedClasses:
    """What `cross_trained_classes` learns.

    Attributes
    ----------
    unseen
        The classifier that has not seen a window, whichever it is.
    final
        The one for use.
    records
        Of the training runs; that on everything last.
    accuracy
        Share of the windows that `unseen` names rightly.
    """

    unseen: ByTime
    final: TorchClasses
    records: list[TrainingRecord]
    accuracy: float


def cross_trained_classes(
    plan: ClassPlan,
    stretches: Sequence[LabelledStretch],
    *,
    checkpoint: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    fingerprint: str = "",
) -> TrainedClasses:
    """Two classifiers for errors out of sample, each trained on half of the blocks of time, and one on everything.

    Blocks of either side lie among those of the other: halves of a log in its order would hide whole machines or modes
    from each. On the blocks that it has not seen, each gets its temperature and what is usual; the last one gets the
    means of both, and trains for the mean of their best epochs.

    Raises
    ------
    TooLittleDataError
        A side has no window, or no window of a class.
    """
    times = [stretch.rows.time for stretch in stretches]
    n_rows = sum(len(time) for time in times)
    sides = TimeSides.of(times, int(np.clip(n_rows // (BLOCK_WINDOWS * plan.length), 2, BLOCKS)))
    kept = [[part for stretch in stretches for part in _on_side(stretch, sides, s, plan.length)] for s in (0, 1)]
    readers: list[TorchClasses] = []
    records: list[TrainingRecord] = []
    hits: list[NDArray[np.bool_]] = []
    for seen in (0, 1):
        module, record = _trained(
            plan,
            kept[seen],
            run=seen,
            checkpoint=None if checkpoint is None else checkpoint / f"half-{seen}.checkpoint",
            progress=_named(progress, f"part {seen + 1} of 3"),
            fingerprint=f"{fingerprint}:{seen}",
        )
        reader, right = _calibrated(plan, module, kept[1 - seen])
        readers.append(reader)
        hits.append(right)
        records += [] if record is None else [record]
    epochs = max(1, round(float(np.mean([record.best_epoch for record in records])))) if records else 1
    module, record = _trained(
        plan,
        stretches,
        run=2,
        epochs=epochs,
        checkpoint=None if checkpoint is None else checkpoint / "final.checkpoint",
        progress=_named(progress, "part 3 of 3"),
        fingerprint=f"{fingerprint}:final",
    )
    records += [] if record is None else [record]
    final = TorchClasses(
        module,
        plan.confidence,
        plan.objective.transforms,
        temperature=_stored(np.exp(np.mean([np.log(reader.temperature) for reader in readers]))),
        usual=_stored(np.mean([reader.usual for reader in readers])),
        device=plan.device,
    )
    # Windows that end on side 0 are read by the classifier that was trained on side 1.
    unseen = ByTime(sides, (readers[1], readers[0]))
    return TrainedClasses(unseen, final, records, float(np.concatenate(hits).mean()))


def _trained(
    plan: ClassPlan,
    stretches: Sequence[LabelledStretch],
    *,
    run: int,
    epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int, float, float | None], None] | None = None,
    fingerprint: str = "",
) -> tuple[WindowClassifier, TrainingRecord | None]:
    """One classifier; with ``epochs`` trained exactly so long on everything, else the newest rows decide."""
    generator = torch.Generator().manual_seed((plan.seed * 1009 + run) % LARGEST_SEED)
    train, validation = _sources(plan, stretches, with_validation=epochs is None)
    n_sensors = stretches[0].rows.rows.shape[1]
    module = WindowClassifier(n_sensors, plan.network, generator).to(plan.device).eval()
    if not plan.is_trained:
        return module, None
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
    return module, record


def _calibrated(
    plan: ClassPlan, module: WindowClassifier, unseen: Sequence[LabelledStretch]
) -> tuple[TorchClasses, NDArray[np.bool_]]:
    """The classifier with temperature and usual score of rows it has not seen; which windows it names rightly."""
    transforms = plan.objective.transforms
    raw = TorchClasses(module, plan.confidence, transforms, device=plan.device)
    source, _ = _sources(plan, unseen, with_validation=False)
    batch = source.take(torch.arange(len(source)))
    windows = batch.inputs.numpy().copy()
    logits = raw.logits(windows)
    if transforms:
        labels = np.tile(np.arange(len(transforms)), len(windows))
    elif batch.labels is not None:
        labels = batch.labels.numpy()
    flat = logits.reshape(-1, logits.shape[-1])
    # An untrained network is not made to mean anything.
    temperature = _stored(fit_temperature(flat, labels)) if plan.is_trained else 1.0
    warmed = replace(raw, temperature=temperature)
    usual = np.median(warmed.doubt(windows, np.zeros(len(windows), np.int64)).score)
    return replace(warmed, usual=_stored(usual)), flat.argmax(axis=1) == labels


def _on_side(stretch: LabelledStretch, sides: TimeSides, side: int, margin: int) -> list[LabelledStretch]:
    """Rows of a side, without those within ``margin`` rows of the other: no window of the other reaches them."""
    is_other = np.concatenate([[0], np.cumsum(sides.side(stretch.rows.time) != side)])
    row = np.arange(len(stretch.rows))
    low, high = np.maximum(row - margin, 0), np.minimum(row + margin + 1, len(row))
    is_kept = is_other[high] == is_other[low]
    edges = np.flatnonzero(np.diff(is_kept.astype(np.int8), prepend=0, append=0))
    return [stretch.part(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _sources(
    plan: ClassPlan, stretches: Sequence[LabelledStretch], *, with_validation: bool
) -> tuple[WindowSource | LabelledSource, WindowSource | LabelledSource | None]:
    """Labelled windows to learn from, and those of the newest rows of each stretch to judge by; none in both."""
    train, judge, label = [], [], []
    offset = 0
    for stretch in stretches:
        n_windows = len(stretch.rows) - plan.length + 1
        n_judged = int(VALIDATION_SHARE * max(n_windows, 0)) if with_validation else 0
        n_trained = n_windows - n_judged - (plan.length if n_judged else 0)
        train.append(offset + np.arange(0, max(n_trained, min(n_windows, 1)), plan.stride))
        judge.append(offset + np.arange(n_windows - n_judged, n_windows, plan.stride))
        offset += len(stretch.rows)
        if stretch.label is not None:
            label.append(stretch.label)
    if not stretches or not sum(map(len, train)):
        raise TooLittleDataError(
            f"a part of the log has no window of {plan.length} rows to learn classes from",
            hint="add rows or use a shorter --window",
        )
    rows = np.concatenate([stretch.rows.rows for stretch in stretches])
    missing = ~np.concatenate([stretch.rows.usable for stretch in stretches])
    labels = np.concatenate(label) if label else None

    def source(starts: NDArray[np.int64]) -> WindowSource | LabelledSource:
        if labels is None:
            return WindowSource(rows, missing, starts, plan.length)
        own = labels[starts + plan.length - 1]  # a window is of the class of its newest row
        return LabelledSource(
            WindowSource(rows, missing, starts[own >= 0], plan.length), torch.from_numpy(own[own >= 0])
        )

    found = source(np.concatenate(train))
    if not len(found):
        raise TooLittleDataError("a part of the log has no window with a label", hint="label more rows")
    held = source(np.concatenate(judge))
    return found, held if len(held) else None


def _stored(value: Any) -> float:
    """As an artefact keeps it."""
    return float(np.float32(value))


def _named(
    progress: Callable[[str, int, int], None] | None, name: str
) -> Callable[[int, int, float, float | None], None] | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, _train, _validation: progress(f"training, {name}", epoch, n_epochs)

"""Classifiers of windows: labels that a log carries, or the question which transform was applied to a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sensorad.artefact import ArraySpec
from sensorad.config import CLASS_SCORES, TRANSFORM_SCORES, DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.class_errors import ClassErrors, WindowDoubt
from sensorad.error_models.crossfit import Fold
from sensorad.errors import ArtefactError, UsageError
from sensorad.families.base import Arrays, Progress, Runtime, Trained
from sensorad.families.linear import LinearPart, linear_arrays, linear_from_arrays, linear_part, linear_specs
from sensorad.normal_rows import NormalRows

if TYPE_CHECKING:
    from sensorad.error_models.network_classes import ClassPlan, LabelledStretch
    from sensorad.training.classification import FaultExposure

__all__ = ["ClassifierFamily", "class_plan", "label_source", "labelled"]

LEAST_TRAINING_WINDOWS = 4000
"""Training windows lie closer together where the log would give fewer than this many."""

FEWEST_EPOCHS, MOST_EPOCHS = 8, 40
"""Passes over the windows unasked: the more, the fewer there are, so that a short log is learned as well."""

PREFIX = "network."
"""Of the names of the classifier's own weights."""

READING = "classifier.reading"
"""Temperature, usual score, and 1 where classes are transforms."""

WITHOUT_MODE = ""
"""Name of the mode of rows that have none."""

LEAST_CLASS_WINDOWS = 5
"""A class has rows for at least so many windows; rows of rarer ones have no class."""


class ClassifierFamily:
    """One classifier for windows of one length, beside a linear part or alone."""

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        """As `Family.learn`.

        Raises
        ------
        UsageError
            The log has no such labels.
        """
        from sensorad.error_models.network_classes import cross_trained_classes

        source = label_source(rows, config)
        stretches, names = labelled(rows, source, config.length)
        plan = class_plan(config, rows, source, len(names))
        found = cross_trained_classes(
            plan,
            stretches,
            checkpoint=checkpoint,
            progress=lambda what, epoch, n_epochs: report(what, epoch / n_epochs),
            fingerprint=rows.fingerprint,
        )
        whole = Fold([], rows.stretches)
        step_seconds = rows.timing.step_seconds

        def fold_model(fold: Fold) -> ErrorModel:
            return _errors(found.unseen, fold, config, rows, step_seconds)

        records = list(found.records)
        if records:
            records[-1] = replace(records[-1], note=_note(source, names, found.accuracy))
        beside = "a linear part fitted on the others and " if config.has_linear_part else ""
        return Trained(
            fold_model,
            _errors(found.final, whole, config, rows, step_seconds),
            f"{beside}a classifier trained on other blocks of time",
            records,
        )

    def arrays(self, model: ErrorModel) -> dict[str, NDArray[Any]]:
        """As `Family.arrays`."""
        from sensorad.error_models.torch_classes import TorchClasses

        if not isinstance(model, ClassErrors) or not isinstance(model.reader, TorchClasses):
            raise TypeError(f"no arrays known for {type(model).__name__}")
        reader = model.reader
        own = {f"{PREFIX}{name}": array for name, array in reader.to_arrays().items()}
        reading = np.array([reader.temperature, reader.usual, float(bool(reader.transforms))], np.float32)
        return linear_arrays(model.pca, model.autoregression) | own | {READING: reading}

    def specs(self, config: DetectorConfig, n_used: int) -> dict[str, ArraySpec]:
        """As `Family.specs`."""
        return linear_specs(config, n_used) | {READING: ArraySpec((3,), "float32")}

    def own(self, name: str) -> bool:
        """As `Family.own`."""
        return name.startswith(PREFIX)

    def built(self, config: DetectorConfig, n_used: int, arrays: Arrays, runtime: Runtime) -> ErrorModel:
        """As `Family.built`."""
        if runtime.network != "torch" or runtime.precision != "float32":
            raise UsageError("a classifier runs in torch, at its own precision", hint="leave network and precision out")
        from sensorad.error_models.torch_classes import TorchClasses
        from sensorad.models.weights import load_state_arrays
        from sensorad.models.window_classifier import WindowClassifier

        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if self.own(name)}
        temperature, usual, is_made = (float(value) for value in arrays[READING])
        bias = own.get("head.bias")
        if not temperature > 0.0 or bias is None or bias.ndim != 1:
            raise ArtefactError("the classifier is incomplete", where=READING, hint="fit the detector again")
        transforms = _transforms(config, n_used) if is_made else ()
        module = WindowClassifier(n_used, _sizes(config, len(bias)), None).to_empty(device="cpu")
        load_state_arrays(module, own)
        if transforms and len(transforms) != len(bias):
            raise ArtefactError("the classifier has other classes than transforms", hint="fit the detector again")
        reader = TorchClasses(
            module, _score_name(config, bool(transforms)), transforms, temperature, usual, config.device
        )
        return _beside(linear_from_arrays(config, arrays), reader, config, runtime.step_seconds)


def label_source(rows: NormalRows, config: DetectorConfig) -> str:
    """Where the labels come from: "mode", "machine" or "transform".

    Raises
    ------
    UsageError
        The log does not have the labels that were asked for.
    """
    n_machines = len(set(rows.machines))
    n_modes = len(_mode_codes(rows))
    if config.labels is None and config.class_score not in TRANSFORM_SCORES:
        return "mode" if n_modes > 1 else "machine" if n_machines > 1 else _made(config)
    source = config.labels or "transform"
    if source == "machine" and n_machines < 2:
        raise UsageError(
            "labels from machines need a log of two machines or more, this one has one",
            hint='name the column of machines (group), or use labels "transform"',
        )
    if source == "mode" and n_modes < 2:
        raise UsageError(
            f"labels from modes need a log with two operating modes or more, this one has {n_modes or 'none'}",
            hint='name the column of modes (mode), or use labels "machine" or "transform"',
        )
    return source


def labelled(rows: NormalRows, source: str, length: int) -> tuple[list[LabelledStretch], list[str]]:
    """Stretches with the class of each row, and the names of the classes; none of either for transforms.

    Raises
    ------
    UsageError
        Fewer than two classes have rows enough to learn from.
    """
    from sensorad.error_models.network_classes import LabelledStretch

    if source == "transform":
        return [LabelledStretch(stretch, None) for stretch in rows.stretches], []
    if source == "machine":
        found = [np.full(len(part), code) for part, code in zip(rows.stretches, rows.machines, strict=True)]
        candidates = sorted(set(rows.machines))
    else:
        found = [mode.astype(np.int64) for mode in rows.modes or []]
        candidates = _mode_codes(rows)
    counts = np.bincount(np.concatenate(found), minlength=max(candidates) + 1)
    codes = [code for code in candidates if counts[code] >= LEAST_CLASS_WINDOWS * length]
    if len(codes) < 2:
        raise UsageError(
            f"of the {len(candidates)} classes from labels {source!r} fewer than two have "
            f"{LEAST_CLASS_WINDOWS * length} rows or more",
            hint='add rows, or use labels "transform"',
        )
    place = np.full(len(counts), -1, np.int64)
    place[codes] = np.arange(len(codes))
    stretches = [LabelledStretch(part, place[code]) for part, code in zip(rows.stretches, found, strict=True)]
    return stretches, [rows.mode_names[code] if source == "mode" else f"machine {code + 1}" for code in codes]


def class_plan(config: DetectorConfig, rows: NormalRows, source: str, n_classes: int) -> ClassPlan:
    """How the classifier of ``config`` is built and trained on these rows.

    Raises
    ------
    UsageError
        Settings that a classifier has no use for.
    """
    from sensorad.error_models.network_classes import ClassPlan
    from sensorad.training import TrainConfig
    from sensorad.training.classification import Classification

    if config.augment:
        raise UsageError("a classifier is trained without augmentation", hint="leave augment out")
    n_sensors = rows.stretches[0].rows.shape[1]
    transforms = _transforms(config, n_sensors) if source == "transform" else ()
    widest = max(1, config.length // 4)
    stride = config.stride or int(np.clip(rows.n_rows // LEAST_TRAINING_WINDOWS, 1, widest))
    passes = LEAST_TRAINING_WINDOWS * FEWEST_EPOCHS * stride // max(1, rows.n_rows)
    epochs = config.epochs or int(np.clip(passes, FEWEST_EPOCHS, MOST_EPOCHS))
    return ClassPlan(
        length=config.length,
        network=_sizes(config, len(transforms) or n_classes),
        objective=Classification(
            label_smoothing=config.label_smoothing,
            mixup=config.mixup,
            consistency=1.0 if config.objective == "consistency" else 0.0,
            transforms=transforms,
            exposure=_exposure(config, rows),
        ),
        training=TrainConfig(epochs=epochs, time_limit_seconds=config.time_limit_seconds),
        confidence=_score_name(config, bool(transforms)),
        stride=stride,
        seed=config.random_state,
        device=config.device,
        is_trained=config.epochs != 0,
    )


def _exposure(config: DetectorConfig, rows: NormalRows) -> FaultExposure | None:
    if config.exposure != "uniform":
        return None
    from sensorad.augment.faults import FAULTS, SensorStatistics
    from sensorad.training.classification import FaultExposure

    values = np.concatenate([stretch.rows for stretch in rows.stretches])
    usable = np.concatenate([stretch.usable for stretch in rows.stretches])
    return FaultExposure(SensorStatistics.fit(values, usable), config.exposure_kinds or tuple(FAULTS))


def _transforms(config: DetectorConfig, n_sensors: int) -> tuple[str, ...]:
    from sensorad.models.window_classifier import QUARTERS, transforms_for

    return QUARTERS if config.class_score == "circular" else transforms_for(config.length, n_sensors)


def _made(config: DetectorConfig) -> str:
    """Labels are made where a log has none, unless the score was meant for others."""
    if config.class_score in CLASS_SCORES:
        raise UsageError(
            f"score {config.class_score!r} is of machines or modes, and the log has one machine and no modes",
            hint=f"name the column of either, or use one of {', '.join(TRANSFORM_SCORES)}",
        )
    return "transform"


def _score_name(config: DetectorConfig, is_made: bool) -> str:
    return config.class_score or (TRANSFORM_SCORES if is_made else CLASS_SCORES)[0]


def _sizes(config: DetectorConfig, n_classes: int) -> Any:
    from sensorad.models.window_classifier import WindowClassifierConfig

    return WindowClassifierConfig.from_json(dict(config.network) | {"classes": n_classes})


def _mode_codes(rows: NormalRows) -> list[int]:
    """Modes that rows have."""
    known = set(np.unique(np.concatenate(rows.modes)).tolist()) if rows.modes else set()
    return sorted(code for code in known if rows.mode_names[code] != WITHOUT_MODE)


def _note(source: str, names: Sequence[str], accuracy: float) -> str:
    """What the labels were, and how well they can be told."""
    if source == "transform":
        what = "which transform was applied to a window"
    else:
        what = f"the {'operating modes' if source == 'mode' else 'machines'} of the log ({len(names)})"
    return f"the classifier's labels are {what}; of rows that it had not seen it names {accuracy:.0%} rightly"


def _errors(
    reader: WindowDoubt, fold: Fold, config: DetectorConfig, rows: NormalRows, step_seconds: float
) -> ClassErrors:
    return _beside(linear_part(fold, config, rows.prior), reader, config, step_seconds)


def _beside(linear: LinearPart, reader: WindowDoubt, config: DetectorConfig, step_seconds: float) -> ClassErrors:
    pca, autoregression = linear
    reading = config.reading(step_seconds)
    return ClassErrors(reader, config.length, pca, autoregression, reading.grid, reading.read_every)

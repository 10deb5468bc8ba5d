"""From normal rows to a model with honest error statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sensorad.config import DetectorConfig
from sensorad.data import Timing
from sensorad.events import EventRule
from sensorad.models import RidgeAutoregression, WindowPCA, model_kind
from sensorad.normal_rows import NormalRows
from sensorad.scoring import ErrorModel, LinearErrors, Scheme, SensorErrors, scheme_class
from sensorad.scoring.crossfit import Fold, Stretch, blocked_folds, out_of_fold_errors
from sensorad.thresholds import CalibrationScores

if TYPE_CHECKING:
    from sensorad.scoring.network import NetworkPlan
    from sensorad.training import TrainingRecord

__all__ = ["Learned", "Progress", "default_rule", "learn", "network_plan"]

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""

ODD_BLOCK = 4.0
"""A block of time is reported where its usual squared error exceeds that of every other block so many times."""

LEAST_TRAINING_WINDOWS = 2000
"""Training windows lie closer together where the log would give fewer than this many."""


@dataclass(slots=True)
class Learned:
    """The outcome of a fit.

    Attributes
    ----------
    model, scheme
        For the engine.
    scores : CalibrationScores
        Out-of-fold scores of the normal rows, for the threshold.
    roles : dict of str to str
        Which rows played which part.
    records : list of TrainingRecord
        Of networks; the run on everything last.
    notes : list of str
        Blocks of time that look unlike the others.
    """

    model: ErrorModel
    scheme: Scheme
    scores: CalibrationScores
    roles: dict[str, str]
    records: list[TrainingRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


DEFAULT_EPOCHS = 8
"""Longer training still lowers the loss, but what it then learns to rebuild is faults as well (docs/methods.md)."""


def learn(
    rows: NormalRows, config: DetectorConfig, *, checkpoint: Path | None = None, progress: Progress | None = None
) -> Learned:
    """Fit out of fold for statistics and threshold scores, then on everything for use."""
    report: Progress = progress or (lambda _what, _share: None)
    length = config.length
    n_folds = config.folds if rows.n_rows >= 10 * length else 2
    folds = blocked_folds(rows.stretches, n_folds, margin=length)
    records: list[TrainingRecord] = []
    if model_kind(config.model).build is None:
        report("fitting, out of fold", 0.0)
        done = iter(range(1, n_folds + 1))

        def fit_fold(fold: Fold) -> ErrorModel:
            model = LinearErrors(*_linear(fold, config))
            report("fitting, out of fold", next(done) / (n_folds + 1))
            return model

        errors = out_of_fold_errors(rows.stretches, folds, fit_fold)
        model: ErrorModel = LinearErrors(*_linear(Fold([], rows.stretches), config))
        how = f"{n_folds} blocks of time, each scored by a model fitted on the others"
    else:
        fold_model, model, records = _learn_network(rows, folds, config, checkpoint, report)
        report("scoring, out of fold", 0.0)
        errors = out_of_fold_errors(rows.stretches, folds, fold_model)
        beside = "a linear part fitted on the others and " if config.has_linear_part else ""
        how = f"{n_folds} blocks of time, each scored by {beside}a network trained without its half of the log"
    noise = rows.scaler.noise[rows.scaler.used_positions]
    scheme = scheme_class(config.score).fit(errors, noise)
    report("fitted", 1.0)
    n_windows = sum(len(stretch) - length + 1 for stretch in rows.stretches)
    roles = {
        "error statistics and threshold": how,
        "final weights": f"all {rows.n_rows:,} usable rows, {n_windows:,} windows of {length} rows",
    }
    if records:
        roles["length of training"] = f"mean of the best epochs of the two halves: {records[-1].n_epochs}"
    return Learned(
        model, scheme, _normal_scores(rows, errors, scheme), roles, records, _odd_blocks(rows, folds, errors)
    )


def _linear(fold: Fold, config: DetectorConfig) -> tuple[WindowPCA, RidgeAutoregression]:
    kept = [stretch.rows for stretch in fold.kept]
    pca = WindowPCA.fit(kept, config.length, config.variance)
    return pca, RidgeAutoregression.fit(kept, config.lags, config.penalty)


def _learn_network(
    rows: NormalRows, folds: list[Fold], config: DetectorConfig, checkpoint: Path | None, report: Progress
) -> tuple[Callable[[Fold], ErrorModel], ErrorModel, list[TrainingRecord]]:
    from sensorad.scoring.network import cross_trained

    def linear(fold: Fold) -> tuple[WindowPCA | None, RidgeAutoregression | None]:
        return _linear(fold, config) if config.has_linear_part else (None, None)

    return cross_trained(
        network_plan(config, rows.stretches, rows.timing.step_seconds),
        folds,
        rows.stretches,
        linear,
        checkpoint=checkpoint,
        progress=lambda what, epoch, n_epochs: report(what, epoch / n_epochs),
        fingerprint=rows.fingerprint,
    )


def network_plan(config: DetectorConfig, stretches: list[Stretch], step_seconds: float) -> NetworkPlan:
    """How the network of ``config`` is built and trained on these rows."""
    from sensorad.scoring.network import NetworkPlan
    from sensorad.training import TrainConfig, objective_from_name

    kind = model_kind(config.model)
    n_rows = sum(len(stretch) for stretch in stretches)
    widest = max(1, config.length // 4)
    stride = config.stride or int(np.clip(n_rows // LEAST_TRAINING_WINDOWS, 1, widest))
    return NetworkPlan(
        kind=config.model,
        length=config.length,
        settings=dict(config.network),
        objective=objective_from_name(config.objective or kind.objective),
        training=TrainConfig(epochs=config.epochs or DEFAULT_EPOCHS, time_limit_seconds=config.time_limit_seconds),
        stride=stride,
        seed=config.random_state,
        reading=config.reading(step_seconds),
        device=config.device,
        is_trained=config.epochs != 0,
    )


def default_rule(config: DetectorConfig, timing: Timing, window_rows: int) -> EventRule:
    """How scores make events unless said otherwise; ``window_rows`` is how far back a score looks."""
    lags = config.lags if config.has_linear_part else 1
    return EventRule(
        merge_gap_rows=config.length,
        echo_rows=lags,
        window_rows=window_rows,
        step_seconds=timing.step_seconds,
    )


def _odd_blocks(rows: NormalRows, folds: list[Fold], errors: list[SensorErrors]) -> list[str]:
    """A sentence for each held-out block whose usual error is far above that of the others: it may not be normal."""
    usual = []
    for fold in folds:
        parts = [np.nansum(errors[position].window[start:stop], axis=1) for position, start, stop in fold.held]
        usual.append(float(np.median(np.concatenate(parts))))
    notes = []
    for number, fold in enumerate(folds):
        others = max(usual[:number] + usual[number + 1 :])
        if usual[number] > ODD_BLOCK * max(others, 1e-12):
            position, start, _ = fold.held[0]
            last, _, stop = fold.held[-1]
            begin, end = rows.stretches[position].time[start], rows.stretches[last].time[stop - 1]
            notes.append(
                f"the rows from {_second(begin)} to {_second(end)} fit the others badly (usual squared error "
                f"{usual[number] / max(others, 1e-12):.0f} times theirs): make sure that they are normal"
            )
    return notes


def _second(time: np.int64) -> str:
    """A time in nanoseconds, in words to the second."""
    return f"{np.datetime64(int(time), 'ns').astype('datetime64[s]')}Z"


def _normal_scores(rows: NormalRows, errors: list[SensorErrors], scheme: Scheme) -> CalibrationScores:
    scores = [scheme.evidence(part).score for part in errors]
    machine = [np.full(len(part), code, np.int32) for part, code in zip(rows.stretches, rows.machines, strict=True)]
    return CalibrationScores(
        time=np.concatenate([part.time for part in rows.stretches]),
        score=np.concatenate(scores),
        group=np.concatenate(machine),
        step_seconds=rows.timing.step_seconds,
        mode=None if rows.modes is None else np.concatenate(rows.modes),
        mode_names=rows.mode_names if rows.modes is not None else (),
    )

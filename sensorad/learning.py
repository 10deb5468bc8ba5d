"""From normal rows to a model with honest error statistics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sensorad.config import DetectorConfig
from sensorad.data import Timing
from sensorad.error_models import ErrorModel, LinearErrors, SensorErrors
from sensorad.error_models.crossfit import Fold, blocked_folds, out_of_fold_errors
from sensorad.events import EventRule
from sensorad.families import Progress, family_for
from sensorad.normal_rows import NormalRows
from sensorad.scoring import Scheme, scheme_class
from sensorad.thresholds import CalibrationScores

if TYPE_CHECKING:
    from sensorad.training import TrainingRecord

__all__ = ["Learned", "default_rule", "learn"]

ODD_BLOCK = 4.0
"""A block of time is reported where its usual squared error exceeds that of every other block so many times."""


@dataclass(slots=True)
class Learned:
    """The outcome of a fit.

    Attributes
    ----------
    model, scheme
        For the engine.
    config
        Settings of what was learned: those that were given, unless they left a choice.
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
    config: DetectorConfig
    scores: CalibrationScores
    roles: dict[str, str]
    records: list[TrainingRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def learn(
    rows: NormalRows, config: DetectorConfig, *, checkpoint: Path | None = None, progress: Progress | None = None
) -> Learned:
    """Fit out of fold for statistics and threshold scores, then on everything for use."""
    report: Progress = progress or (lambda _what, _share: None)
    length = config.length
    n_folds = config.folds if rows.n_rows >= 10 * length else 2
    folds = blocked_folds(rows.stretches, n_folds, margin=length)
    trained = family_for(config).learn(rows, folds, config, checkpoint=checkpoint, report=report)
    report("scoring, out of fold", 0.0)
    errors = out_of_fold_errors(rows.stretches, folds, trained.fold_model)
    noise = rows.scaler.noise[rows.scaler.used_positions]
    scheme = scheme_class(config.score).fit(errors, noise)
    report("fitted", 1.0)
    n_windows = sum(len(stretch) - length + 1 for stretch in rows.stretches)
    roles = {
        "error statistics and threshold": f"{n_folds} blocks of time, each scored by {trained.how}",
        "final weights": f"all {rows.n_rows:,} usable rows, {n_windows:,} windows of {length} rows",
    }
    if rows.prior is not None and config.has_linear_part:
        roles["start"] = f"a detector of other machines, which counts as {rows.prior.rows:,.0f} rows of the linear part"
    records = list(trained.records)
    if records and not isinstance(trained.model, LinearErrors):
        roles["length of training"] = f"mean of the best epochs of the two halves: {records[-1].n_epochs}"
    notes = [*_odd_blocks(rows, folds, errors), *dict.fromkeys(record.note for record in records if record.note)]
    return Learned(
        trained.model, scheme, trained.config or config, _normal_scores(rows, errors, scheme), roles, records, notes
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

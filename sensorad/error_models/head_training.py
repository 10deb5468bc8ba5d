"""Training of the head of exposure: on errors that come out of fold, as those that it will judge. Imports torch.

Faults are put into rows that the model beside it never saw, and the numbers of these rows are what the head learns
from. On rows that the model was fitted on, errors are smaller than they will ever be again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.augment.faults import FAULTS, SensorStatistics, inject_windows
from sensorad.error_models.crossfit import Fold, Stretch
from sensorad.error_models.errors import AskedRows, StackedErrorModel
from sensorad.error_models.fault_features import FEATURES, FaultFeatures
from sensorad.error_models.fault_head import FaultHead, FaultWeights, UsualNumbers
from sensorad.errors import TooLittleDataError
from sensorad.models.exposed import FaultNetwork
from sensorad.models.exposed_config import PULL
from sensorad.models.linear import RidgeAutoregression
from sensorad.models.other_sensors import OtherSensorsRegression
from sensorad.training.batches import TensorSource
from sensorad.training.config import TrainConfig
from sensorad.training.fault_detection import FaultDetection
from sensorad.training.trainer import Trainer

__all__ = ["HeadPlan", "TrainedHeads", "train_heads"]

Floats = NDArray[np.float64]

TRAINING = TrainConfig(epochs=3, batch_size=256, learning_rate=1e-2, patience=None)

MOST_WINDOWS, FEWEST_WINDOWS = 4000, 400
"""Normal windows that a head learns from, and as many with faults; fewer where sensors are many."""

MOST_CELLS = 12_000_000
"""Of all these windows with the rows before them."""

AT_ONCE = 256
"""Windows whose errors are worked out together."""


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """Everything that decides a head besides the data and the model beside it.

    Attributes
    ----------
    length
        Rows per window.
    lags, penalty
        Of the autoregression behind one-step errors.
    statistics
        Of the normal rows: what severities are measured by.
    kinds
        Faults to train on.
    pull
        As in `FaultDetection`.
    seed
        Of windows, faults and the order of training.
    """

    length: int
    lags: int
    penalty: float
    statistics: SensorStatistics
    kinds: tuple[str, ...] = tuple(FAULTS)
    pull: float = PULL
    seed: int = 0

    def features(self, kept: Sequence[Stretch]) -> FaultFeatures:
        """With models of the rows ``kept``."""
        rows = [stretch.rows for stretch in kept]
        steps = RidgeAutoregression.fit(rows, self.lags, self.penalty)
        return FaultFeatures(self.length, steps, OtherSensorsRegression.fit(rows))


@dataclass(frozen=True, slots=True)
class TrainedHeads:
    """Heads for rows of each fold, which they never saw, and the one for use."""

    of_fold: Callable[[Fold], FaultHead]
    final: FaultHead


@dataclass(frozen=True, slots=True)
class _Examples:
    """Numbers (N, C, F) of windows with faults and of the same without, and which sensors (N, C) are faulty."""

    faulty: Floats
    normal: Floats
    is_faulty: NDArray[np.bool_]


def train_heads(
    plan: HeadPlan,
    stretches: Sequence[Stretch],
    folds: Sequence[Fold],
    fold_model: Callable[[Fold], StackedErrorModel],
    report: Callable[[float], None] = lambda _share: None,
) -> TrainedHeads:
    """One head for each half of the folds, trained on the other half, and one trained on all.

    Raises
    ------
    TooLittleDataError
        No window fits into a half of the folds.
    """
    n_steps = len(folds) + 3
    features = [plan.features(fold.kept) for fold in folds]
    examples = []
    for number, fold in enumerate(folds):
        draws = np.random.default_rng([plan.seed, number])
        examples.append(_examples(plan, stretches, fold, fold_model(fold), features[number], len(folds), draws))
        report((number + 1) / n_steps)
    half = max(1, len(folds) // 2)
    sides = (examples[half:], examples[:half], examples)  # the first half of the folds learns from the second
    learned = []
    for number, side in enumerate(sides):
        learned.append(_learned(side, plan.pull, torch.Generator().manual_seed((plan.seed * 1009 + number) % 2**63)))
        report((len(folds) + number + 1) / n_steps)
    heads = {
        id(fold): FaultHead(features[number], *learned[0 if number < half else 1]) for number, fold in enumerate(folds)
    }
    final = FaultHead(plan.features(stretches), *learned[2])
    return TrainedHeads(lambda fold: heads[id(fold)], final)


def _examples(
    plan: HeadPlan,
    stretches: Sequence[Stretch],
    fold: Fold,
    model: StackedErrorModel,
    features: FaultFeatures,
    n_folds: int,
    draws: np.random.Generator,
) -> _Examples:
    """Windows of the rows that the fold holds out, each once as it is and once with a fault."""
    context = max(model.context_rows, features.context_rows)
    n_sensors = len(plan.statistics)
    n_windows = int(np.clip(MOST_CELLS // (2 * (context + 1) * n_sensors), FEWEST_WINDOWS, MOST_WINDOWS)) // n_folds
    pieces = [stretches[position].part(start, stop) for position, start, stop in fold.held]
    ends = [np.arange(plan.length - 1, len(piece)) for piece in pieces]  # rows with a whole window
    which = np.repeat(np.arange(len(pieces)), [len(rows) for rows in ends])
    places = np.concatenate([np.empty(0, np.int64), *ends])
    if not len(places):
        none = np.empty((0, n_sensors, len(FEATURES)))
        return _Examples(none, none, np.empty((0, n_sensors), np.bool_))
    chosen = np.sort(draws.choice(len(places), min(n_windows, len(places)), replace=False))
    exposed, normal, is_faulty = [], [], []
    for first in range(0, len(chosen), AT_ONCE):
        part = chosen[first : first + AT_ONCE]
        segments = [
            pieces[which[number]].part(max(0, int(places[number]) - context), int(places[number]) + 1)
            for number in part
        ]
        windows = np.stack([segment.rows[-plan.length :] for segment in segments])  # (N, L, C)
        usable = np.stack([segment.usable[-plan.length :] for segment in segments])
        found = inject_windows(windows, plan.statistics, draws, plan.kinds)
        mask = found.mask & usable
        faulty = [
            np.concatenate([segment.rows[: -plan.length], window])
            for segment, window in zip(segments, np.where(mask, found.windows, windows), strict=True)
        ]
        normal.append(_numbers(model, features, segments, [segment.rows for segment in segments]))
        exposed.append(_numbers(model, features, segments, faulty))
        is_faulty.append(mask.any(axis=1))
    return _Examples(np.concatenate(exposed), np.concatenate(normal), np.concatenate(is_faulty))


def _numbers(
    model: StackedErrorModel,
    features: FaultFeatures,
    segments: Sequence[Stretch],
    rows: Sequence[NDArray[np.float32]],
) -> Floats:
    """(N, C, F) numbers of the last row of each segment, with ``rows`` in place of its own; NaN of sensors without."""
    length = np.array([len(segment) for segment in segments])
    stops = np.cumsum(length)
    stacked = np.concatenate(rows)
    usable = np.concatenate([segment.usable for segment in segments])
    time = np.concatenate([segment.time for segment in segments])
    asked = AskedRows(stacked, usable, time, stops - 1, length - 1)
    found, is_there = features.of(asked, model.errors_at(asked).window)
    return np.where(is_there[..., None], found, np.nan)


def _learned(
    examples: Sequence[_Examples], pull: float, generator: torch.Generator
) -> tuple[UsualNumbers, FaultWeights]:
    """What is usual, and the weights of a network trained on the examples."""
    normal = np.concatenate([part.normal for part in examples])
    if not len(normal):
        raise TooLittleDataError(
            "no window of normal rows is left to learn faults from", hint="add rows or use a shorter --window"
        )
    faulty = np.concatenate([part.faulty for part in examples])
    usual = UsualNumbers.fit(normal)
    numbers = np.concatenate([usual.standardised(normal), usual.standardised(faulty)])  # (2 N, C, F)
    is_faulty = np.concatenate([part.is_faulty for part in examples])
    labels = np.concatenate([np.zeros_like(is_faulty), is_faulty]).astype(np.float32)
    network = FaultNetwork(len(FEATURES))
    source = TensorSource(torch.from_numpy(numbers), labels=torch.from_numpy(labels))
    Trainer(TRAINING).fit(network, FaultDetection(pull), source, None, generator)
    with torch.no_grad():
        parts = (network.log_weights.exp(), torch.stack([network.slope, network.bias]))
    return usual, FaultWeights(*(part.numpy().astype(np.float64) for part in parts))

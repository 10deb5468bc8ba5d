"""Networks that predict each sensor from all others: trained across halves of a log, and on everything.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.error_models.crossfit import Fold, Stretch, rows_outside
from sensorad.error_models.numpy_cross import REACH, NumpyCross, fit_linear, predict_linear
from sensorad.errors import TooLittleDataError
from sensorad.models.cross_config import LINEAR, CrossSensorConfig
from sensorad.models.cross_sensor import CrossSensorNetwork
from sensorad.models.weights import state_arrays
from sensorad.training import TrainConfig, Trainer, TrainingRecord
from sensorad.training.cross_sensor import HiddenSensors, LaggedSource

__all__ = ["CrossPlan", "CrossTrained", "cross_trained_sensors"]

STEPS, MOST_EPOCHS = 2500, 100
"""Of training unless said otherwise: so many steps, but no row more often than that."""

TRAINING = TrainConfig(batch_size=256, optimiser="adamw", learning_rate=2e-3, weight_decay=1e-4, patience=None)

SMALLEST_SCALE = 0.05
"""Deviations: what a linear prediction leaves of a sensor is learned in units of its size, but of no smaller one. Where
it leaves less, as of a sensor that never moves, there is nothing to gain."""

GATE_ROWS = 20_000
"""Rows of each half that the gate is worked out on at most, spread over all."""

WIDENING_CELLS, WIDENING_ROWS = 1_500_000, 1000
"""Predictions, and rows, of each half from which follows what a missing sensor does to the errors of others."""

LARGEST_SEED = 2**63 - 1

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class CrossPlan:
    """Everything that decides the networks besides the data.

    Attributes
    ----------
    network
        Sizes, and when a sensor is judged.
    epochs, time_limit_seconds
        Limits of each training run; epochs None follows from the length of the log, 0 leaves the networks untrained.
    stride
        Rows between two training rows.
    seed
        Of weights, order and hidden sensors.
    margin
        Rows beside held-out ones that are not trained on.
    device
        "cpu" or "cuda".
    """

    network: CrossSensorConfig
    epochs: int | None
    time_limit_seconds: float | None
    stride: int
    seed: int
    margin: int
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class CrossTrained:
    """What `cross_trained_sensors` learns.

    Attributes
    ----------
    of_fold
        The network that never saw the rows held out in a fold.
    final
        The one for use; None where nobody asked for it.
    gate, gain : (C,) float64
        Share of its output that counts, and share of the linear prediction's squared error that it takes away, both
        on rows it never saw.
    widening : (C, C) float64
        As in `CrossErrors`.
    records
        Of the training runs; that on everything last.
    """

    of_fold: Callable[[Fold], NumpyCross]
    final: NumpyCross | None
    gate: NDArray[np.float64]
    gain: NDArray[np.float64]
    widening: NDArray[np.float64]
    records: list[TrainingRecord]

    def judged(self, settings: CrossSensorConfig) -> NDArray[np.int64]:
        """(G,) sensors of which the network knows enough; none where these are too few."""
        known = np.flatnonzero(self.gain >= settings.least_gain)
        return known if len(known) >= settings.least_share * len(self.gain) else known[:0]


def cross_trained_sensors(
    plan: CrossPlan,
    folds: Sequence[Fold],
    stretches: Sequence[Stretch],
    *,
    is_alone: bool = False,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    fingerprint: str = "",
) -> CrossTrained:
    """Two networks, each trained without half of the folds, and one on everything.

    The last is only trained if it will be heard: where no sensor has the gain that is asked for, and the network is not
    ``is_alone``, there is none.

    Raises
    ------
    TooLittleDataError
        A half has no row with all lags before it.
    """
    half = max(1, len(folds) // 2)
    networks: dict[int, NumpyCross] = {}
    records: list[TrainingRecord] = []
    sums, errors = [], []
    for side, excluded in enumerate((folds[:half], folds[half:])):
        held = [rows for fold in excluded for rows in fold.held]
        network, record = _trained(
            plan,
            rows_outside(stretches, held, plan.margin),
            side,
            None if checkpoint is None else checkpoint / f"half-{side}.checkpoint",
            _named(progress, f"part {side + 1} of 3"),
            f"{fingerprint}:{side}",
        )
        records += [] if record is None else [record]
        networks |= {id(fold): network for fold in excluded}
        unseen = [stretches[s].part(max(0, a - REACH), b) for s, a, b in held]
        sums.append(_agreement(network, unseen))
        errors.append((network, unseen))
    ee, en, nn, count = np.sum(sums, axis=0)
    gate = np.clip(en / np.maximum(nn, 1e-12), 0.0, 1.0).astype(np.float32).astype(np.float64)  # as an artefact has it
    gain = np.where(ee > SMALLEST_SCALE**2 * count, (2.0 * gate * en - gate**2 * nn) / np.maximum(ee, 1e-12), 0.0)
    found = CrossTrained(lambda fold: networks[id(fold)], None, gate, gain, np.zeros((len(gate),) * 2), records)
    judged = np.arange(len(gate)) if is_alone else found.judged(plan.network)
    if len(judged) == 0:
        return found
    widening = np.zeros((len(gate),) * 2)
    widening[judged] = np.mean([_widening(network, unseen, gate, judged) for network, unseen in errors], axis=0)
    final, record = _trained(
        plan,
        stretches,
        2,
        None if checkpoint is None else checkpoint / "final.checkpoint",
        _named(progress, "part 3 of 3"),
        f"{fingerprint}:final",
    )
    records += [] if record is None else [record]
    return replace(found, final=final, widening=widening.astype(np.float32).astype(np.float64))


def _trained(
    plan: CrossPlan,
    stretches: Sequence[Stretch],
    run: int,
    checkpoint: Path | None,
    progress: Callable[[int, int, float, float | None], None] | None,
    fingerprint: str,
) -> tuple[NumpyCross, TrainingRecord | None]:
    """One network on the rows of ``stretches``; no record where it is left untrained."""
    kept = [stretch for stretch in stretches if len(stretch) > REACH]
    if not kept:
        raise TooLittleDataError(
            f"no stretch of normal rows is longer than the {REACH} rows that are looked back", hint="add rows"
        )
    generator = torch.Generator().manual_seed((plan.seed * 1009 + run) % LARGEST_SEED)
    linear = fit_linear([stretch.rows for stretch in kept], plan.network.penalty)
    n_sensors = linear.shape[1]
    module = CrossSensorNetwork(n_sensors, plan.network, generator).to(plan.device).eval()
    scale, record = np.ones(n_sensors, np.float32), None
    if plan.epochs != 0:
        source, scale = _source(kept, linear, plan.stride)
        usual = round(STEPS * TRAINING.batch_size / len(source))
        epochs = plan.epochs or int(np.clip(usual, 1, MOST_EPOCHS))
        record = Trainer(replace(TRAINING, epochs=epochs, time_limit_seconds=plan.time_limit_seconds)).fit(
            module,
            HiddenSensors(plan.network.most_hidden),
            source,
            None,
            generator,
            checkpoint=checkpoint,
            progress=progress,
            device=plan.device,
            fingerprint=fingerprint,
        )
    arrays = {LINEAR: linear, **state_arrays(module)}
    arrays["output.weight"] *= scale[:, None]
    arrays["output.bias"] *= scale
    return NumpyCross.from_arrays(arrays, plan.network, n_sensors), record


def _source(
    stretches: Sequence[Stretch], linear: NDArray[np.float32], stride: int
) -> tuple[LaggedSource, NDArray[np.float32]]:
    """What the linear prediction leaves of all rows, each sensor in units of its size, and these units (C,)."""
    rows = np.concatenate([stretch.rows for stretch in stretches])
    usable = np.concatenate([stretch.usable for stretch in stretches])
    ends = np.cumsum([len(stretch) for stretch in stretches])
    at = np.concatenate(
        [np.arange(end - len(part) + REACH, end, stride) for end, part in zip(ends, stretches, strict=True)]
    )
    left = np.zeros(rows.shape, np.float32)
    left[at] = rows[at] - predict_linear(linear, rows, at)
    scale = np.maximum(left[at].std(axis=0), SMALLEST_SCALE)
    left /= scale
    return LaggedSource(rows, usable, left, at), scale


def _agreement(network: NumpyCross, held: Sequence[Stretch]) -> NDArray[np.float64]:
    """(4, C) sums over rows: squared errors e of the linear prediction, e times corrections n, squares of n, and 1."""
    total = np.zeros((4, network.n_sensors))
    everything = np.arange(network.n_sensors)
    stride = max(1, -(-sum(map(len, held)) // GATE_ROWS))
    for stretch in held:
        at = np.arange(REACH, len(stretch), stride)
        linear, correction = network.parts(stretch.rows, stretch.usable, at, everything)
        known = stretch.usable[at]
        error = np.where(known, stretch.rows[at] - linear, 0.0)
        correction = np.where(known, correction, 0.0)
        pairs = ((error, error), (error, correction), (correction, correction), (known, known))
        total += [(a * b).sum(axis=0) for a, b in pairs]
    return total


def _widening(
    network: NumpyCross, held: Sequence[Stretch], gate: NDArray[np.float64], sensors: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(G, C) by how much of itself the mean squared error of ``sensors`` grows where another is missing.

    A missing sensor is read as what the others of the same row say of it, in place of the imputer, which also knows the
    row before: if anything, errors then grow by more.
    """
    n_sensors = network.n_sensors
    n_rows = int(np.clip(WIDENING_CELLS // (n_sensors * len(sensors)), 50, WIDENING_ROWS))
    stride = max(1, sum(map(len, held)) // n_rows)
    everything = np.concatenate([stretch.rows for stretch in held]).astype(np.float64)
    precision = np.linalg.inv(everything.T @ everything / len(everything) + 0.05 * np.eye(n_sensors))
    growth = np.zeros((len(sensors), n_sensors + 1))
    for stretch in held:
        at = np.arange(REACH, len(stretch), stride)
        guess = (stretch.rows - (stretch.rows @ precision) / np.diag(precision)).astype(np.float32)
        for missing in range(n_sensors + 1):  # the last: none
            rows, usable = stretch.rows, stretch.usable
            if missing < n_sensors:
                rows, usable = rows.copy(), usable.copy()
                rows[:, missing], usable[:, missing] = guess[:, missing], False
            linear, correction = network.parts(rows, usable, at, sensors)
            error = stretch.rows[at][:, sensors] - linear - gate[sensors] * correction
            growth[:, missing] += np.where(stretch.usable[at][:, sensors], error**2, 0.0).sum(axis=0)
    extra: NDArray[np.float64] = np.maximum(growth[:, :-1] / np.maximum(growth[:, -1:], 1e-12) - 1.0, 0.0)
    extra[np.arange(len(sensors)), sensors] = 0.0  # a missing sensor is not judged itself
    return extra


def _named(progress: Progress | None, name: str) -> Callable[[int, int, float, float | None], None] | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, _train, _validation: progress(f"training, {name}", epoch, n_epochs)

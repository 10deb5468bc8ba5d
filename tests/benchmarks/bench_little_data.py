"""What augmentation is worth to a network that has one to three days of a machine.

``SENSORAD_DATA=... python tests/benchmarks/bench_little_data.py [--machines N] [--seeds N] [--days 1 3]``

The last days of the training part of a machine of SMD train an LSTM alone, with every window; the two days before give
its error statistics, and the loss on normal windows that it never saw. The enlarged set holds each window and N - 1
changed copies of it. More windows are more steps in as many epochs, so both are compared at equal steps: in as many as
``plain`` takes for its epochs, and in N times as many. "gap" is the squared error of a cell on those windows minus that
on the real windows it learned from. VUS-PR is that of the test part, with buffers up to 100 rows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.augment import augment_from_names, enlarged
from sensorad.data import window_view
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.metrics import vus_pr
from sensorad.models.lstm import LSTMAutoencoder, LSTMConfig
from sensorad.models.residual import ResidualAutoencoder
from sensorad.normal_rows import NormalRows, read_normal_rows
from sensorad.scoring import FusedScheme, ScoringEngine
from sensorad.training import TrainConfig, Trainer
from sensorad.training.batches import TensorSource
from sensorad.training.objectives import Reconstruction
from sensorad_datasets import BenchmarkSeries, list_series, load_series
from sensorad_datasets.bench.measures import BUFFER, filled
from sensorad_datasets.bench.summary import paired_difference

Windows = NDArray[np.float32]

LENGTH, DAY, BATCH = 30, 1440, 64
STEPS = ("jitter", "scaling", "magnitude_warp", "time_warp", "shift", "crop", "slice", "dropout")
SETTINGS = LSTMConfig(near_zero=False)
PLAIN, LONG = "plain", "plain, N x the steps"
SAME, MORE = "N-fold", "N-fold, N x the steps"


@dataclass(frozen=True)
class ShortLog:
    """The last days of a machine, scaled by themselves, the two days before, and its test part."""

    series: BenchmarkSeries
    rows: NormalRows
    train: Windows
    unseen_rows: Windows
    form: LogFormat

    @classmethod
    def of(cls, name: str, days: int) -> ShortLog:
        series = load_series("smd", name)
        form = LogFormat(time=series.time_column, sensors=series.sensors, group=series.group_column)
        n_rows = series.train.num_rows
        log = SortedLog(SensorLog(series.train.slice(n_rows - days * DAY), form))
        rows = read_normal_rows(log.blocks(), log.schema, LENGTH)
        train = np.concatenate([window_view(part.rows, LENGTH) for part in rows.stretches if len(part) >= LENGTH])
        before = SortedLog(SensorLog(series.train.slice(n_rows - (days + 2) * DAY, 2 * DAY), form, schema=log.schema))
        values = np.concatenate([block.values for block in before.blocks()])
        unseen = rows.scaler.transform(values)[:, rows.scaler.used_positions]
        return cls(series, rows, train, np.nan_to_num(unseen).astype(np.float32), form)


def squared_error(module: ResidualAutoencoder, windows: Windows) -> float:
    """Mean over cells."""
    total = 0.0
    with torch.inference_mode():
        for part in torch.from_numpy(windows.copy()).split(512):
            total += float(((module(part) - part) ** 2).mean()) * len(part)
    return total / len(windows)


def judged(log: ShortLog, windows: Windows, n_steps: int, seed: int) -> tuple[float, float, float]:
    """Squared error on windows learned from and on unseen ones, and VUS-PR."""
    generator = torch.Generator().manual_seed(seed)
    module = ResidualAutoencoder(LSTMAutoencoder(windows.shape[2], SETTINGS, generator), None)
    epochs = max(1, round(n_steps / -(-len(windows) // BATCH)))
    training = TrainConfig(epochs=epochs, batch_size=BATCH, patience=None)
    Trainer(training).fit(module, Reconstruction(), TensorSource(torch.from_numpy(windows)), None, generator)
    module.eval()
    model = NetworkErrors(TorchWindows(module.network), 1.0, LENGTH, None, None)
    unseen = log.unseen_rows
    normal = model.errors(unseen, np.ones(unseen.shape, bool), np.arange(len(unseen)) * 60 * 10**9)
    rows = log.rows
    scheme = FusedScheme.fit([normal], rows.scaler.noise[rows.scaler.used_positions])
    engine = ScoringEngine(rows.scaler, rows.imputer, rows.timing, model, scheme, LENGTH)
    series = log.series
    score = np.full(series.test.num_rows, np.nan)
    test = SensorLog(series.test, log.form, schema=SortedLog(SensorLog(series.train, log.form)).schema)
    for block in SortedLog(test).blocks():
        score[block.index] = engine.score(block).score
    quality = vus_pr(series.labels[series.counted], filled(score)[series.counted], BUFFER)
    return squared_error(module, log.train), squared_error(module, window_view(unseen, LENGTH)), quality


def arms(log: ShortLog, n_fold: int, epochs: int, seed: int) -> Iterator[tuple[str, tuple[float, float, float]]]:
    steps = epochs * -(-len(log.train) // BATCH)
    large = enlarged(log.train, n_fold, augment_from_names(STEPS), np.random.default_rng(seed))
    for name, windows, n_steps in (
        (PLAIN, log.train, steps),
        (SAME, large, steps),
        (LONG, log.train, n_fold * steps),
        (MORE, large, n_fold * steps),
    ):
        yield name, judged(log, windows, n_steps, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--n-fold", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="of the plain set")
    options = parser.parse_args()
    if "SENSORAD_DATA" not in os.environ:
        print("left out: SENSORAD_DATA does not say where the benchmark sets are", file=sys.stderr)
        return
    torch.set_num_threads(1)
    machines = list_series("smd")[:: max(1, 13 // options.machines)][: options.machines]
    for days in options.days:
        found: dict[str, list[list[tuple[float, float, float]]]] = {name: [] for name in (PLAIN, SAME, LONG, MORE)}
        for machine in machines:
            log = ShortLog.of(machine, days)
            runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in found}
            for seed in range(options.seeds):
                for name, values in arms(log, options.n_fold, options.epochs, seed):
                    runs[name].append(values)
            for name, values in runs.items():
                found[name].append(values)
                print(days, machine, name, np.round(np.mean(values, axis=0), 4), file=sys.stderr, flush=True)
        print(f"\n{days} day(s), {len(machines)} machines, {options.seeds} seeds, N = {options.n_fold}\n")
        print(
            "| training set | learned from | unseen | gap | VUS-PR | minus plain, same steps | 95 % interval | better |"
        )
        print("|:---|---:|---:|---:|---:|---:|---:|---:|")
        mean = {name: np.mean(values, axis=1) for name, values in found.items()}  # (machines, 3)
        for name, values in mean.items():
            learned, unseen, quality = values.mean(axis=0)
            line = f"| {name} | {learned:.3f} | {unseen:.3f} | {unseen - learned:.3f} | {quality:.3f} |"
            if name in (SAME, MORE):
                pair = paired_difference(name, "", values[:, 2] - mean[PLAIN if name == SAME else LONG][:, 2])
                line += f" {pair.mean:+.3f} | {pair.low:+.3f} to {pair.high:+.3f} | {pair.n_wins} of {len(machines)} |"
            else:
                line += " | | |"
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""What the confidence of a classifier tells of faults: a fleet told apart by machine, a plant by its modes.

``SENSORAD_DATA=... python tests/benchmarks/bench_pretext.py [--parts fleet plant] [--seeds N] [--quick]``

The fleet: one classifier is trained on the training parts of all SMD machines together, with the machine as the class,
or with the transform that was applied to a window; it scores the test part of each. The plant: a classifier of its
operating modes (or of transforms), trained on 28 simulated days, scores 28 others with 28 faults. Each score stands
alone; as one more kind of evidence in the mean of the linear core of that machine, whose statistics are out of fold as
those of the classifier are; and guarded, as detectors have it: it may raise the core's score with twice the evidence,
and never lowers it.
Figures are VUS-PR; differences to the linear core are paired by machine or plant, after the mean over seeds. A window
is read at every tenth row.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from time import process_time

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from sensorad.config import CLASS_SCORES, TRANSFORM_SCORES, DetectorConfig
from sensorad.data import window_view
from sensorad.error_models import SensorErrors
from sensorad.error_models.class_errors import WindowDoubt
from sensorad.error_models.confidence import CONFIDENCES, TRANSFORM_CONFIDENCES
from sensorad.error_models.crossfit import blocked_folds, out_of_fold_errors
from sensorad.error_models.network_classes import TrainedClasses, cross_trained_classes
from sensorad.error_models.torch_classes import TorchClasses
from sensorad.families import family_of
from sensorad.families.classifier import class_plan, labelled
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.metrics import vus_pr
from sensorad.normal_rows import NormalRows, read_normal_rows
from sensorad.scoring import FusedScheme
from sensorad.scoring.tails import TailModel
from sensorad_datasets import list_series, load_series
from sensorad_datasets.bench.measures import BUFFER, filled
from sensorad_datasets.bench.plant_trial import PlantTrial, simulate_trial
from sensorad_datasets.bench.summary import paired_difference

Floats = NDArray[np.float64]
Row = tuple[str, str, tuple[float, float, float]]

READ_EVERY = 10
CORE, TRUE_CLASS = "linear core", "true class"
MEAN_WEIGHT = 1 / 3.5
PLANT_STRIDE = 7
VARIANTS: Mapping[str, dict[str, object]] = {
    "": {},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "mixup 0.2": {"mixup": 0.2},
    "exposure": {"exposure": "uniform"},
}
NAMES = {"msp": "1 - MSP", "entropy": "-H(u; f)", "energy": "energy", "max_logit": "-max logit"}
NAMES |= {TRUE_CLASS: "-log p of the true one", "log_probability": "log-probability", "circular": "circular"}


@dataclass(frozen=True)
class Machine:
    """One machine with its linear core, and the same rows as a classifier sees them."""

    name: str
    train: SensorErrors
    test: SensorErrors
    noise: Floats
    labels: NDArray[np.bool_]
    seen: NDArray[np.float32]
    unseen: NDArray[np.float32]
    time: NDArray[np.int64]

    @cached_property
    def core(self) -> Floats:
        """(T,) score of the linear core on the test part."""
        return FusedScheme.fit([self.train], self.noise).evidence(self.test).score

    @cached_property
    def core_vus(self) -> float:
        return self.vus(self.core)

    def vus(self, score: Floats) -> float:
        return vus_pr(self.labels, filled(score), BUFFER)

    def judged(self, train: Floats, test: Floats) -> tuple[float, float, float]:
        """VUS-PR of a channel (T,) alone, in the mean of the core, and where it may only raise the core's score."""
        parts = [
            replace(errors, channels=channel[:, None]) for errors, channel in ((self.train, train), (self.test, test))
        ]
        guarded = FusedScheme.fit(parts[:1], self.noise).evidence(parts[1]).score
        said = TailModel.fit(train).evidence(test)
        mean = np.where(np.isfinite(said), (1.0 - MEAN_WEIGHT) * self.core + MEAN_WEIGHT * said, self.core)
        return self.vus(test), self.vus(mean), self.vus(guarded)


@dataclass(frozen=True)
class Fleet:
    """Rows of all machines to train a classifier on, and the machines."""

    rows: NormalRows
    config: DetectorConfig
    machines: list[Machine]


def rows_of(table: pa.Table, form: LogFormat, length: int) -> NormalRows:
    log = SortedLog(SensorLog(table, form))
    return read_normal_rows(log.blocks(), log.schema, length)


def scaled(rows: NormalRows, table: pa.Table, form: LogFormat) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A log without holes as (T, C_used) deviations, and its times."""
    blocks = list(SortedLog(SensorLog(table, form)).blocks())
    values = np.concatenate([block.values for block in blocks])
    return rows.scaler.transform(values), np.concatenate([block.time for block in blocks])


def machine(
    name: str,
    train: pa.Table,
    test: pa.Table,
    form: LogFormat,
    labels: NDArray[np.bool_],
    fleet: NormalRows,
    config: DetectorConfig,
) -> Machine:
    """The linear core of one machine, fitted on its own training part alone."""
    own = rows_of(train, form, config.length)
    folds = blocked_folds(own.stretches, config.folds, config.length)
    linear = replace(config, model="linear")
    learned = family_of("linear").learn(own, folds, linear, checkpoint=None, report=lambda _what, _share: None)
    [errors] = out_of_fold_errors(own.stretches, folds, learned.fold_model)
    values, time = scaled(own, test, form)
    found = learned.model.errors(values, np.ones(values.shape, bool), time)
    seen, seen_time = scaled(fleet, train, form)
    return Machine(
        name,
        errors,
        SensorErrors(**found.parts()),  # blame is not asked for
        own.scaler.noise[own.scaler.used_positions],
        labels,
        seen,
        scaled(fleet, test, form)[0],
        seen_time,
    )


@cache
def smd(n_machines: int | None) -> Fleet:
    names = list_series("smd")[:n_machines]
    series = [load_series("smd", name) for name in names]
    tables = [part.train.append_column("machine", pa.array([part.series] * part.train.num_rows)) for part in series]
    config = DetectorConfig(model="classifier", window=30)
    sensors = series[0].sensors
    rows = rows_of(pa.concat_tables(tables), LogFormat("time", sensors, group="machine"), config.length)
    form = LogFormat("time", sensors)
    machines = [machine(part.series, part.train, part.test, form, part.labels, rows, config) for part in series]
    return Fleet(rows, config, machines)


def plant(seed: int, *, quick: bool) -> Fleet:
    days = 7 if quick else 28
    normal, faulty = simulate_trial(seed, PlantTrial(days, 1, 1, days, days))
    per_day = normal.num_rows // (days + 2)
    form = LogFormat("time", mode="mode")
    config = DetectorConfig(model="classifier", window=30)
    train = normal.slice(0, per_day * days)
    rows = rows_of(train, form, config.length)
    return Fleet(rows, config, [machine(f"plant {seed}", train, faulty.table, form, faulty.row_labels, rows, config)])


def trained(fleet: Fleet, source: str, variant: str, seed: int, stride: int, score: str) -> TrainedClasses:
    settings = dict(VARIANTS[variant]) | {"random_state": seed, "stride": stride, "class_score": score}
    config = replace(fleet.config, labels=source, **settings)  # type: ignore[arg-type]
    stretches, names = labelled(fleet.rows, source, config.length)
    return cross_trained_classes(class_plan(config, fleet.rows, source, len(names)), stretches)


def read(reader: WindowDoubt, rows: NDArray[np.float32], length: int) -> torch.Tensor:
    """Logits of the windows that are read, divided by the temperature."""
    assert isinstance(reader, TorchClasses)
    ends = np.arange(length - 1, len(rows), READ_EVERY)
    return torch.from_numpy(reader.logits(window_view(rows, length)[ends - (length - 1)])) / reader.temperature


def held(doubt: Floats, n_rows: int, length: int) -> Floats:
    """(T,) the last reading; NaN before the first."""
    return np.concatenate([np.full(length - 1, np.nan), np.repeat(doubt, READ_EVERY)])[:n_rows]


def channels(
    found: TrainedClasses, item: Machine, scores: list[str], length: int, place: int
) -> Iterator[tuple[str, Floats, Floats]]:
    """By score, the doubt in the training part, where it was not seen, and in the test part.

    Classifiers of machines are asked as well how unlikely they hold the true one, ``place``.
    """
    side = found.unseen.sides.side(item.time)
    logits = [read(reader, item.seen, length) for reader in found.unseen.readers]
    final = read(found.final, item.unseen, length)
    known = {score: (CONFIDENCES | TRANSFORM_CONFIDENCES)[score] for score in scores}
    if final.ndim == 2 and place >= 0:
        known[TRUE_CLASS] = lambda said: -said.log_softmax(1)[:, place]
    for score, measure in known.items():
        train, usual = np.full(len(item.time), np.nan), []
        for number, said in enumerate(logits):
            own = held(measure(said).numpy(), len(item.time), length)
            usual.append(float(np.nanmedian(own[side == number])))
            train[side == number] = own[side == number] - usual[-1]
        yield score, train, held(measure(final).numpy(), len(item.unseen), length) - float(np.mean(usual))


def measured(fleet: Fleet, sources: list[str], variants: list[str], seed: int, stride: int) -> Iterator[Row]:
    """Method, machine, VUS-PR alone, in the mean with the linear core, and guarded."""
    for source in sources:
        # Each score of transforms has transforms of its own; those of classes read one classifier.
        groups = [[name] for name in TRANSFORM_SCORES] if source == "transform" else [list(CLASS_SCORES)]
        for variant in [""] if source == "transform" else variants:
            for scores in groups:
                began = process_time()
                found = trained(fleet, source, variant, seed, stride, scores[0])
                print(
                    f"{source} {variant} {scores[0]}, seed {seed}: {found.accuracy:.1%} right, "
                    f"{process_time() - began:.0f} s",
                    file=sys.stderr,
                )
                for place, item in enumerate(fleet.machines):
                    true = place if source == "machine" else -1
                    for score, train, test in channels(found, item, scores, fleet.config.length, true):
                        method = ", ".join(part for part in (f"{source}: {NAMES[score]}", variant) if part)
                        yield method, item.name, item.judged(train, test)


def table(title: str, core: Mapping[str, float], rows: list[Row], unit: str) -> None:
    """Means, and paired differences to the linear core."""
    print(f"\n{title}; linear core {np.mean(list(core.values())):.3f}\n")
    print(f"| labels: score | alone | in the mean | 95 % interval | {unit} better | guarded | 95 % interval | better |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for method in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == method]
        names = list(dict.fromkeys(row[1] for row in own))
        values = np.array([np.mean([row[2] for row in own if row[1] == name], axis=0) for name in names])
        cells = [method, f"{values[:, 0].mean():.3f}"]
        for at in (1, 2):
            pair = paired_difference(method, CORE, values[:, at] - np.array([core[name] for name in names]))
            cells += [f"{pair.mean:+.3f}", f"{pair.low:+.3f} to {pair.high:+.3f}", f"{pair.n_wins} of {pair.n_series}"]
        print("| " + " | ".join(cells) + " |")


def run(parts: list[str], n_seeds: int, stride: int, variants: list[str], *, quick: bool) -> None:
    makers: dict[str, tuple[list[str], Callable[[int], Fleet]]] = {
        "fleet": (["machine", "transform"], lambda _seed: smd(3 if quick else None)),
        "plant": (["mode", "transform"], lambda seed: plant(seed, quick=quick)),
    }
    for part in parts:
        sources, make = makers[part]
        rows: list[Row] = []
        core: dict[str, float] = {}
        for seed in range(n_seeds):
            fleet = make(seed)
            core |= {item.name: item.core_vus for item in fleet.machines}
            spacing = stride if part == "fleet" else PLANT_STRIDE
            rows += measured(fleet, sources, variants, seed, spacing)
        what = f"SMD, {len(core)} machines" if part == "fleet" else f"{len(core)} simulated plants"
        table(f"{what}, {n_seeds} seeds", core, rows, "machines" if part == "fleet" else "plants")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("fleet", "plant"), default=("fleet", "plant"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--stride", type=int, default=40, help="rows between training windows of the fleet")
    parser.add_argument("--quick", action="store_true", help="three machines, a week of one plant, plain training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = list(options.parts)
    if "fleet" in parts and "SENSORAD_DATA" not in os.environ:
        print("the fleet is left out: SENSORAD_DATA does not say where the benchmark sets are", file=sys.stderr)
        parts.remove("fleet")
    began = process_time()
    run(
        parts,
        1 if options.quick else options.seeds,
        options.stride,
        [""] if options.quick else list(VARIANTS),
        quick=options.quick,
    )
    print(f"\n{process_time() - began:.0f} s of process time")


if __name__ == "__main__":
    main()

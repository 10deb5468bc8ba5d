"""Exposure to synthetic faults, judged on kinds of faults that were left out of it.

``python tests/benchmarks/bench_exposure.py [--quick] [--parts head networks trainings alarms] [--logs plant smd]
[--seeds N]``

A detector is fitted on the first part of a normal log. Faults of one kind, at one sensor each, 60 to 240 rows long (a
spike 1 to 3), with severities drawn evenly in their logarithm over the whole range of the kind in
`sensorad.augment.faults.FAULTS`, are put into the rest; values that go missing are left to quality events. The score of
a fault is the highest in its rows, and it is compared with the highest scores of the same rows without faults: AUC,
AUC-PR (half of the stretches are faulty, so 0.5 is chance) and the share of faults above all but 5 % of the others.

``head``: the linear model with exposure="head", trained on the 13 other kinds. ``pulls``: the same with weights that
are held back less and more (0 = free, "fixed" = not trained at all). ``networks``: an LSTM with repair, hinge or head,
trained without the kind and without all kinds that are like it (offsets, flat, bursts, timing): harder, and a quarter
of the fits. ``trainings``: an LSTM without a linear part, by how it is trained, against the plain one; what learns from
faults learns from those of the other three groups. ``alarms``: alarm events on normal rows that follow, under a line
that promises one a day.

Where a sensor does not move, a lag or another pace changes nothing but its noise; such faults count like all others,
and "moving" shows those of which the sensor moves by a standard deviation within them. SMD and ASD need SENSORAD_DATA.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sensorad import Detector
from sensorad.augment.faults import FAULTS, Fault, SensorStatistics, inject_random
from sensorad.config import DetectorConfig
from sensorad.error_models.crossfit import Fold, blocked_folds, out_of_fold_errors
from sensorad.families import Progress, Trained, family_of
from sensorad.families.exposed import ExposedFamily
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.metrics import auc_pr, auc_roc
from sensorad.models.exposed_config import PULL
from sensorad.normal_rows import NormalRows, read_normal_rows
from sensorad.scoring import FusedScheme, ScoringEngine
from sensorad.types import RowBlock
from sensorad_datasets import PlantConfig, simulate_plant
from sensorad_datasets.bench.methods import LSTM_TRAININGS
from sensorad_datasets.bench.summary import paired_difference

Floats = NDArray[np.float64]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "offsets": ("bias", "drift", "gain", "oscillation"),
    "flat": ("stuck", "saturation", "quantisation"),
    "bursts": ("spike", "dropout", "noise", "intermittent"),
    "timing": ("lag", "correlation", "frequency"),
}
TIMING = ("lag", "frequency")
LENGTHS = (60, 240)
GAP_ROWS = 60
SMOOTH_ROWS = 10
AT_FALSE = 0.05
DAY = 1440
MINUTE_NS = 60 * 10**9
EPOCHS = 8
PARTS = ("head", "pulls", "networks", "trainings", "alarms")
PULLS = {"0": 0.0, "0.03": 0.03, "0.3": 0.3, "3": 3.0, "30": 30.0, "fixed": 1e6}


@dataclass(frozen=True)
class Log:
    """A normal log in two parts."""

    name: str
    fit: pa.Table
    rest: pa.Table
    mode: str | None = None


@dataclass(frozen=True)
class Found:
    """Scores of the faults of one kind, of the same stretches without, and whether the sensor moves."""

    faulty: Floats
    normal: Floats
    moves: NDArray[np.bool_]

    def measures(self, chosen: NDArray[np.bool_] | None = None) -> tuple[float, float, float]:
        """AUC, AUC-PR, and the share of faults found at `AT_FALSE`."""
        faulty = self.faulty if chosen is None else self.faulty[chosen]
        if not len(faulty):
            return (float("nan"),) * 3
        labels = np.repeat([True, False], [len(faulty), len(self.normal)])
        scores = np.concatenate([faulty, self.normal])
        line = np.quantile(self.normal, 1.0 - AT_FALSE)
        return auc_roc(labels, scores), auc_pr(labels, scores), float((faulty > line).mean())


class Fitted:
    """Normal rows of a log, read once, with each base model learned once."""

    def __init__(self, log: Log, length: int, seed: int) -> None:
        form = LogFormat(time="time", mode=log.mode)
        source = SortedLog(SensorLog(log.fit, form))
        self.log, self.seed, self.length = log, seed, length
        self.rows: NormalRows = read_normal_rows(source.blocks(), source.schema, length)
        self.folds = blocked_folds(self.rows.stretches, 4, margin=length)
        names = source.schema.names
        self.values = np.stack([log.rest[name].to_numpy() for name in names], axis=1).astype(np.float32)
        self._bases: dict[str, Trained] = {}

    def engine(
        self, model: str, exposure: str | None = None, kinds: Sequence[str] = (), pull: float = PULL, **options: Any
    ) -> ScoringEngine:
        """A detector's engine; a head goes beside a base model that is learned once.

        ``options`` are further ones of `DetectorConfig`.
        """
        config = DetectorConfig(
            model=model,
            exposure=exposure,
            exposure_kinds=tuple(kinds),
            window=self.length,
            epochs=None if model == "linear" else EPOCHS,
            random_state=self.seed,
            **options,
        )
        if exposure == "head":
            family = ExposedFamily(_Once(self.base(replace(config, exposure=None, exposure_kinds=()))), pull)
            trained = family.learn(self.rows, self.folds, config, checkpoint=None, report=_silent)
        else:
            trained = self.base(config)
        errors = out_of_fold_errors(self.rows.stretches, self.folds, trained.fold_model)
        noise = self.rows.scaler.noise[self.rows.scaler.used_positions]
        scheme = FusedScheme.fit(errors, noise)
        rows = self.rows
        return ScoringEngine(rows.scaler, rows.imputer, rows.timing, trained.model, scheme, self.length)

    def base(self, config: DetectorConfig) -> Trained:
        key = repr(config)
        if key not in self._bases:
            trained = family_of(config.model).learn(self.rows, self.folds, config, checkpoint=None, report=_silent)
            models = {id(fold): trained.fold_model(fold) for fold in self.folds}
            self._bases[key] = replace(trained, fold_model=lambda fold: models[id(fold)])
        return self._bases[key]

    def faults(self, kind: str, n: int) -> tuple[list[Fault], NDArray[np.float32]]:
        """Faults of one kind in the rest of the log."""
        statistics = SensorStatistics.fit(self.values)
        draws = np.random.default_rng([self.seed, list(FAULTS).index(kind)])
        drawn, injected = inject_random(self.values, n, statistics, draws, (kind,), GAP_ROWS, lengths=LENGTHS)
        rows = injected.rows.astype(np.float32)
        for fault in drawn:
            if fault.variant == "missing":
                rows[fault.start : fault.start + fault.length] = self.values[fault.start : fault.start + fault.length]
        return [fault for fault in drawn if fault.variant != "missing"], rows

    def found(self, engine: Callable[[], ScoringEngine], normal: Floats, kind: str, n: int) -> Found:
        faults, values = self.faults(kind, n)
        score = scores_of(engine(), values)
        sigma = SensorStatistics.fit(self.values).sigma
        smooth = np.ones(SMOOTH_ROWS) / SMOOTH_ROWS
        highest, usual, moves = [], [], []
        for fault in faults:
            rows = slice(fault.start, fault.start + fault.length)
            highest.append(np.nanmax(score[rows]))
            usual.append(np.nanmax(normal[rows]))
            course = np.convolve(self.values[rows, fault.sensors[0]], smooth, "valid")
            moves.append(len(course) > 0 and np.ptp(course) >= sigma[fault.sensors[0]])
        return Found(np.array(highest), np.array(usual), np.array(moves, bool))


class _Once:
    """A family that has learned already."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    def learn(
        self,
        rows: NormalRows,
        folds: Sequence[Fold],
        config: DetectorConfig,
        *,
        checkpoint: Path | None,
        report: Progress,
    ) -> Trained:
        return self.trained


def _silent(_what: str, _share: float) -> None:
    pass


def scores_of(engine: ScoringEngine, values: NDArray[np.float32]) -> Floats:
    """Scores of rows a minute apart."""
    n = len(values)
    block = RowBlock(
        index=np.arange(n),
        time=np.arange(n) * MINUTE_NS,
        values=np.ascontiguousarray(values),
        flaw=np.zeros(values.shape, np.uint8),
        group=np.zeros(n, np.int32),
    )
    return engine.score(block).score


def logs(names: Sequence[str], seed: int, *, quick: bool) -> Iterator[Log]:
    """Normal logs by name; of SMD another three machines for each seed."""
    if "plant" in names:
        days = (7, 7) if quick else (10, 14)
        table = simulate_plant(PlantConfig(days=sum(days)), np.random.default_rng(seed)).table
        yield Log("plant", table.slice(0, days[0] * DAY), table.slice(days[0] * DAY), "mode")
    for set_name in ("smd", "asd"):
        if set_name not in names:
            continue
        if not os.environ.get("SENSORAD_DATA"):
            print(f"SENSORAD_DATA is not set: {set_name} is left out.")
            continue
        from sensorad_datasets import list_series, load_series

        series = list_series(set_name)
        for name in [series[(3 * seed + at) % len(series)] for at in range(1 if quick else 2)]:
            table = load_series(set_name, name).train
            n_fit = int(0.6 * table.num_rows)
            times = pa.array(1_704_067_200_000_000 + np.arange(table.num_rows) * 60_000_000, pa.timestamp("us", "UTC"))
            table = table.set_column(0, "time", times)
            yield Log(f"{set_name} {name}", table.slice(0, n_fit), table.slice(n_fit))


Rows = list[tuple[str, str, str, tuple[float, float, float], tuple[float, float, float]]]
"""(log and seed, kind, method, measures, measures of those that move)."""


def head_part(fitted: Fitted, kinds: Sequence[str], n: int, where: str, rows: Rows) -> None:
    """Linear model with and without a head, each kind left out alone."""
    plain = fitted.engine("linear")
    normal = scores_of(fitted.engine("linear"), fitted.values)
    for kind in kinds:
        others = [name for name in FAULTS if name != kind]
        exposed = fitted.engine("linear", "head", others)
        _note(fitted, plain, normal, kind, n, where, "linear", rows)
        _note(fitted, exposed, scores_of(_again(exposed), fitted.values), kind, n, where, "linear with head", rows)


def pull_part(fitted: Fitted, kinds: Sequence[str], n: int, where: str, rows: Rows) -> None:
    """Heads whose weights are held back less and more, each kind left out alone."""
    for kind in kinds:
        others = [name for name in FAULTS if name != kind]
        for name, pull in PULLS.items():
            engine = fitted.engine("linear", "head", others, pull)
            normal = scores_of(_again(engine), fitted.values)
            _note(fitted, engine, normal, kind, n, where, f"pull {name}" if pull < 1e6 else name, rows)


def network_part(fitted: Fitted, kinds: Sequence[str], n: int, where: str, rows: Rows) -> None:
    """LSTM plain and exposed, kinds left out with those that are like them."""
    for group in GROUPS.values():
        chosen = [kind for kind in group if kind in kinds]
        others = [name for name in FAULTS if name not in group]
        methods = {
            "lstm": ("lstm", None),
            "lstm with repair": ("lstm", "repair"),
            "lstm with hinge": ("lstm", "hinge"),
            "lstm with head": ("lstm", "head"),
            "linear with head": ("linear", "head"),
            "linear": ("linear", None),
        }
        for method, (model, exposure) in methods.items() if chosen else ():
            engine = fitted.engine(model, exposure, others if exposure else ())
            normal = scores_of(_again(engine), fitted.values)
            for kind in chosen:
                _note(fitted, engine, normal, kind, n, where, method, rows)


def training_part(fitted: Fitted, kinds: Sequence[str], n: int, where: str, rows: Rows) -> None:
    """LSTM without a linear part, by how it is trained."""
    for method, (_what, options) in {"masked": ("", {}), **LSTM_TRAININGS}.items():
        exposure = options.get("exposure")
        others = {name: value for name, value in options.items() if name != "exposure"}
        for group in GROUPS.values() if exposure else (tuple(FAULTS),):
            shown = [name for name in FAULTS if name not in group] if exposure else ()
            engine = fitted.engine("lstm", exposure, shown, has_linear_part=False, **others)
            normal = scores_of(_again(engine), fitted.values)
            for kind in group:
                if kind in kinds:
                    _note(fitted, engine, normal, kind, n, where, method, rows)


def _again(engine: ScoringEngine) -> ScoringEngine:
    """A fresh engine of the same detector."""
    return ScoringEngine(engine.scaler, engine.imputer, engine.timing, engine.model, engine.scheme, engine.length)


def _note(
    fitted: Fitted, engine: ScoringEngine, normal: Floats, kind: str, n: int, where: str, method: str, rows: Rows
) -> None:
    found = fitted.found(lambda: _again(engine), normal, kind, n)
    rows.append((where, kind, method, found.measures(), found.measures(found.moves)))


def print_tables(title: str, rows: Rows, pairs: Sequence[tuple[str, str]]) -> None:
    """AUC by kind and method, means, and paired differences over logs and kinds."""
    methods = list(dict.fromkeys(row[2] for row in rows))
    kinds = [kind for kind in FAULTS if any(row[1] == kind for row in rows)]

    def mean(kind: str | None, method: str, which: int, part: int = 3) -> float:
        values = [row[part][which] for row in rows if row[2] == method and kind in (None, row[1])]
        return float(np.nanmean(values))

    n_logs = len({row[0] for row in rows})
    print(f"\n{title}: {n_logs} logs, AUC / AUC-PR / share found at {AT_FALSE:.0%} false\n")
    print(f"| left out | severities | {' | '.join(methods)} |\n" + "|---" * (len(methods) + 2) + "|")
    for kind in kinds:
        fault = FAULTS[kind]
        cells = [" / ".join(f"{mean(kind, method, which):.3f}" for which in range(3)) for method in methods]
        print(f"| {kind} | {fault.low:g} to {fault.high:g} {fault.unit_of_severity} | {' | '.join(cells)} |")
        if kind in TIMING:
            cells = [" / ".join(f"{mean(kind, method, which, 4):.3f}" for which in range(3)) for method in methods]
            print(f"| {kind}, moving | | {' | '.join(cells)} |")
    cells = [" / ".join(f"{np.mean([mean(k, m, w) for k in kinds]):.3f}" for w in range(3)) for m in methods]
    print(f"| **mean of kinds** | | {' | '.join(cells)} |")
    cells = [f"{min(mean(kind, method, 0) for kind in kinds):.3f}" for method in methods]
    print(f"| lowest AUC | | {' | '.join(cells)} |")
    print("\n| difference | AUC (95 % interval) | AUC-PR (95 % interval) | better in |\n|---|---|---|---|")
    for method, other in pairs:
        own, plain = ({(row[0], row[1]): row[3] for row in rows if row[2] == name} for name in (method, other))
        shared = sorted(own.keys() & plain.keys())
        if not shared:
            continue
        cells = []
        for which in (0, 1):
            found = paired_difference(method, other, np.array([own[k][which] - plain[k][which] for k in shared]))
            cells.append(f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})")
        print(f"| {method} - {other} | {' | '.join(cells)} | {found.n_wins} of {found.n_series} |")


def alarm_part(seeds: Sequence[int], *, quick: bool) -> None:
    """Alarm events a day on normal rows that follow, where the line promises one."""
    fit_days, rest_days = (7, 7) if quick else (14, 28)
    print(f"\nAlarm events a day in the {rest_days} days after {fit_days} days of fitting, line for 1 a day at 90 %\n")
    print("| seed | linear | linear with head | lstm | lstm with repair | lstm with hinge |\n" + "|---" * 6 + "|")
    for seed in seeds:
        table = simulate_plant(PlantConfig(days=fit_days + rest_days), np.random.default_rng([seed, 7])).table
        cells = []
        for model, exposure in (
            ("linear", None),
            ("linear", "head"),
            ("lstm", None),
            ("lstm", "repair"),
            ("lstm", "hinge"),
        ):
            config = DetectorConfig(model=model, exposure=exposure, random_state=seed, epochs=None)
            detector = Detector(config=config)
            detector.fit(table.slice(0, fit_days * DAY), time="time", mode="mode", budget="1/day")
            found = detector.find_events(detector.open_log(table.slice(fit_days * DAY)))
            cells.append(f"{sum(event.kind != 'quality' for event in found) / rest_days:.2f}")
        print(f"| {seed} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short logs and few faults")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--logs", nargs="+", choices=("plant", "smd", "asd"), default=("plant", "smd"))
    parser.add_argument("--kinds", nargs="+", choices=tuple(FAULTS), default=tuple(FAULTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    began = time.process_time()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    n = 20 if options.quick else 40
    parts = {"head": head_part, "pulls": pull_part, "networks": network_part, "trainings": training_part}
    tables: dict[str, Rows] = {name: [] for name in parts}
    for seed in seeds if set(tables) & set(options.parts) else ():
        for log in logs(options.logs, seed, quick=options.quick):
            fitted = Fitted(log, 30, seed)
            for name, part in parts.items():
                if name in options.parts:
                    part(fitted, options.kinds, n, f"{log.name} seed {seed}", tables[name])
    if tables["head"]:
        print_tables("Each kind left out alone", tables["head"], [("linear with head", "linear")])
    if tables["pulls"]:
        pairs = [(f"pull {name}", "fixed") for name in ("0", "0.03", "0.3", "3", "30")]
        print_tables("Heads held back less and more, each kind left out alone", tables["pulls"], pairs)
    if tables["networks"]:
        pairs = [(f"lstm with {how}", "lstm") for how in ("repair", "hinge", "head")]
        print_tables("Kinds left out with all that are like them", tables["networks"], pairs)
    if tables["trainings"]:
        pairs = [(name, "plain") for name in ("masked", *LSTM_TRAININGS) if name != "plain"]
        print_tables("An LSTM alone, kinds left out with all that are like them", tables["trainings"], pairs)
    if "alarms" in options.parts:
        alarm_part(seeds, quick=options.quick)
    print(f"\n{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()

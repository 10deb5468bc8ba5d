"""What reading fewer windows, a carried state and bfloat16 cost in quality, and what they gain in time.

``SENSORAD_DATA=... python tests/benchmarks/bench_reading.py skab smd asd tep``. On each series a network is trained
once; then it reads the log in different ways, each with statistics of its own. Differences are to reading every window,
of the same network. Times are process CPU times of scoring, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sensorad.config import DetectorConfig
from sensorad.error_models import ErrorModel
from sensorad.error_models.carried_errors import CarriedErrors
from sensorad.error_models.crossfit import Fold, blocked_folds, out_of_fold_errors
from sensorad.error_models.network_errors import NetworkErrors
from sensorad.error_models.network_reading import Reading
from sensorad.error_models.numpy_lstm import NumpyLSTM
from sensorad.error_models.torch_windows import TorchWindows
from sensorad.families import family_of
from sensorad.logs import LogFormat, SensorLog, SortedLog
from sensorad.metrics import vus_pr
from sensorad.normal_rows import NormalRows, read_normal_rows
from sensorad.scoring import Scheme, ScoringEngine, scheme_class
from sensorad.types import RowBlock
from sensorad_datasets import BenchmarkSeries, list_series, load_series
from sensorad_datasets.bench.measures import BUFFER, filled
from sensorad_datasets.bench.tep import FIRST_FAULTY, LINE_QUANTILE, NORMAL, UNDETECTABLE

Read = Callable[[NetworkErrors], ErrorModel]
Row = dict[str, Any]

ALARM_QUANTILE = 0.999
"""Of the scores of normal rows: where the line stands for which alarms are compared."""

SHORT_LOG, REPEATS = 5000, 3
"""Shorter logs are scored so many times for the time, of which the shortest counts."""


@dataclass(frozen=True)
class Trained:
    """One network on one training log, to be read in any way."""

    config: DetectorConfig
    rows: NormalRows
    folds: list[Fold]
    of_fold: Callable[[Fold], ErrorModel]
    final: ErrorModel
    log_format: LogFormat
    schema: Any

    @classmethod
    def on(cls, series: BenchmarkSeries, model: str, has_linear_part: bool) -> Trained:
        form = LogFormat(time=series.time_column, sensors=series.sensors)
        log = SortedLog(SensorLog(series.train, form))
        config = DetectorConfig(model=model, has_linear_part=has_linear_part, read_every=1)
        rows = read_normal_rows(log.blocks(), log.schema, config.length)
        config = config.fitted_to(rows.n_rows, len(rows.scaler.used_positions))
        rows = read_normal_rows(log.blocks(), log.schema, config.length)
        folds = blocked_folds(rows.stretches, config.folds if rows.n_rows >= 10 * config.length else 2, config.length)
        learned = family_of(config.model).learn(rows, folds, config, checkpoint=None, report=lambda _what, _share: None)
        return cls(config, rows, folds, learned.fold_model, learned.model, form, log.schema)

    def statistics(self, read: Read, score: str) -> tuple[Scheme, float]:
        """The scheme on errors out of fold, and the alarm line."""
        errors = out_of_fold_errors(self.rows.stretches, self.folds, lambda fold: read(_network(self.of_fold(fold))))
        scheme = scheme_class(score).fit(errors, self.rows.scaler.noise[self.rows.scaler.used_positions])
        normal = np.concatenate([scheme.evidence(part).score for part in errors])
        return scheme, float(np.nanquantile(normal, ALARM_QUANTILE))

    def blocks(self, series: BenchmarkSeries) -> list[RowBlock]:
        return list(SortedLog(SensorLog(series.test, self.log_format, schema=self.schema)).blocks())

    def scores(self, read: Read, scheme: Scheme, blocks: Sequence[RowBlock]) -> tuple[NDArray[np.float64], float]:
        """Scores of the rows, and seconds."""
        rows = self.rows
        model = read(_network(self.final))
        found = np.full(sum(len(block) for block in blocks), np.nan)
        seconds = []
        for _ in range(REPEATS if len(found) < SHORT_LOG else 1):
            engine = ScoringEngine(rows.scaler, rows.imputer, rows.timing, model, scheme, self.config.length)
            began = process_time()
            for block in blocks:
                found[block.index] = engine.score(block).score
            seconds.append(process_time() - began)
        return found, min(seconds)


def ways(trained: Trained) -> Iterator[tuple[str, str, Read, bool]]:
    """Name, score, how to read, and whether the statistics are those of the way before."""
    length, step = trained.config.length, trained.rows.timing.step_seconds
    rough: Read = lambda model: replace(model, network=replace(_torch(model), precision="bfloat16"))  # noqa: E731
    if not trained.config.has_linear_part:
        for score in ("fused", "mahalanobis"):
            yield f"every window, {score}", score, lambda model: model, False
            yield f"every window, {score}, bfloat16", score, rough, True
            if trained.config.model == "lstm":
                yield f"carried, {score}", score, lambda model: _carried(model, length, step), False
        return
    for gate in (None, 1.0):
        opened: Read = lambda model, gate=gate: model if gate is None else replace(model, gate=gate)  # noqa: E731
        name = "" if gate is None else ", open gate"
        yield f"every window{name}", "fused", opened, False
        yield f"every window{name}, bfloat16", "fused", lambda model, opened=opened: rough(opened(model)), True
        for share in (8, 4, 2):
            reading = Reading(length, step, max(1, length // share))
            yield (
                f"every L/{share} rows{name}",
                "fused",
                lambda model, opened=opened, reading=reading: replace(
                    opened(model), grid=reading.grid, read_every=reading.read_every
                ),
                False,
            )


def measured(set_name: str, names: Sequence[str], model: str, has_linear_part: bool) -> Iterator[Row]:
    """Rows of figures of one set; one network for all faults of TEP, one for each series elsewhere."""
    groups = [names] if set_name == "tep" else [[name] for name in names]
    for group in groups:
        first = load_series(set_name, NORMAL if set_name == "tep" else group[0])
        trained = Trained.on(first, model, has_linear_part)
        tested = {name: load_series(set_name, name) for name in group}
        blocks = {name: trained.blocks(series) for name, series in tested.items()}
        gate = _network(trained.final).gate
        before: dict[str, NDArray[np.bool_]] = {}
        scheme: Scheme | None = None
        line = 0.0
        for way, score, read, keeps in ways(trained):
            if not keeps or scheme is None:
                scheme, line = trained.statistics(read, score)
            scored = {name: trained.scores(read, scheme, blocks[name]) for name in group}
            alarms = {name: found > line for name, (found, _) in scored.items()}
            for name, quality in _quality(set_name, tested, {n: found for n, (found, _) in scored.items()}).items():
                yield {
                    "set": set_name,
                    "model": model if has_linear_part else f"{model}-alone",
                    "series": name,
                    "way": way,
                    "quality": quality,
                    "gate": gate,
                    "equal": float(np.mean(alarms[name] == before[name])) if keeps else None,
                    "row_us": 1e6 * scored[name][1] / len(scored[name][0]),
                }
            if not keeps:
                before = alarms


def _quality(
    set_name: str, tested: dict[str, BenchmarkSeries], scores: dict[str, NDArray[np.float64]]
) -> dict[str, float]:
    """VUS-PR of each series; on TEP the detection rate of each detectable fault."""
    if set_name != "tep":
        return {
            name: vus_pr(series.labels[series.counted], filled(scores[name])[series.counted], BUFFER)
            for name, series in tested.items()
        }
    line = np.nanquantile(scores[NORMAL], LINE_QUANTILE)
    faults = [name for name in scores if name not in (NORMAL, *UNDETECTABLE)]
    return {name: float(np.mean(scores[name][FIRST_FAULTY:] > line)) for name in faults}


def _network(model: ErrorModel) -> NetworkErrors:
    assert isinstance(model, NetworkErrors)
    return model


def _torch(model: NetworkErrors) -> TorchWindows:
    assert isinstance(model.network, TorchWindows)
    return model.network


def _carried(model: NetworkErrors, length: int, step_seconds: float) -> CarriedErrors:
    network = _torch(model)
    carried = NumpyLSTM.from_arrays(network.to_arrays(), network.module.config)  # type: ignore[arg-type]
    found = Reading(length, step_seconds, encoding="carried").errors(carried, 1.0, None, None)
    assert isinstance(found, CarriedErrors)
    return found


def table(rows: Sequence[Row]) -> str:
    """Means over series, and differences to the first way with that score on the same series."""
    lines = ["| set | network | gate | reads | n | quality | difference | worst | alarms equal | us a row |"]
    lines.append("|---|---|--:|---|--:|--:|--:|--:|--:|--:|")
    keys = list(dict.fromkeys((row["set"], row["model"], row["way"]) for row in rows))
    base: dict[str, Row] = {}
    for key in keys:
        own = {row["series"]: row for row in rows if (row["set"], row["model"], row["way"]) == key}
        if key[2].startswith("every window") and "bfloat16" not in key[2]:
            base = own
        quality = np.array([row["quality"] for row in own.values()])
        gained = quality - [base[name]["quality"] for name in own]
        equal = [row["equal"] for row in own.values() if row["equal"] is not None]
        gate, cost = (np.mean([row[name] for row in own.values()]) for name in ("gate", "row_us"))
        figures = [f"{quality.mean():.4f}", f"{gained.mean():+.4f}", f"{gained.min():+.4f}"]
        figures += [f"{100 * np.mean(equal):.2f} %" if equal else "", f"{cost:.1f}"]
        lines.append("| " + " | ".join([*key[:2], f"{gate:.2f}", key[2], str(len(own)), *figures]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["skab", "smd", "asd", "tep"])
    parser.add_argument("--models", default="lstm,lstm-alone,transformer")
    parser.add_argument("--series", type=int, help="at most so many of each set")
    parser.add_argument("--json", type=Path, help="keep every figure in this file, one line each")
    options = parser.parse_args()
    if "SENSORAD_DATA" not in os.environ:
        print("left out: SENSORAD_DATA does not say where the benchmark sets are", file=sys.stderr)
        return
    torch.set_num_threads(1)
    rows: list[Row] = []
    for set_name in options.sets:
        names = list_series(set_name)
        if set_name != "tep" and options.series is not None:
            names = names[: options.series]
        for model in options.models.split(","):
            for row in measured(set_name, names, model.removesuffix("-alone"), not model.endswith("-alone")):
                rows.append(row)
                if options.json:
                    with options.json.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                print(row["set"], row["model"], row["series"], row["way"], f"{row['quality']:.4f}", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()

"""What a detector of other machines is worth to a new one: with a day of data, and with all there is.

Each machine of SMD (13) and ASD (8) is left out in turn: a detector of the others is fitted first, and the machine's
own starts from it (`Detector.fit(init=...)`, `sensorad fit --init`). Beside it stands the same fit from nothing. The
test part is the set's own; VUS-PR has buffers up to 100 rows.

    SENSORAD_DATA=... python tests/benchmarks/bench_fleet.py --models linear,lstm --seeds 5
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from time import process_time

import numpy as np
import pyarrow as pa

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.logs import LogFormat
from sensorad.metrics import vus_pr
from sensorad_datasets import BenchmarkSeries, list_series, load_series

SETS = ("smd", "asd")
BUFFER = 100
DAY_SECONDS = 86_400.0
DRAWS = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--models", default="linear")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--days", type=float, default=1.0, help="length of the short log")
    parser.add_argument("--quick", action="store_true", help="three machines: for a look, not for a result")
    options = parser.parse_args(arguments)
    if not os.environ.get("SENSORAD_DATA"):
        sys.exit("SENSORAD_DATA names no folder with the public benchmark sets")
    import torch

    torch.set_num_threads(1)
    for name in options.sets.split(","):
        names = list_series(name)[: 3 if options.quick else None]
        series = [load_series(name, one) for one in names]
        for model in options.models.split(","):
            seeds = 1 if model == "linear" else options.seeds
            rows = [_machine(series, at, model, seeds, options.days) for at in range(len(series))]
            print(_table(name, model, seeds, options.days, rows), flush=True)


def _machine(
    series: list[BenchmarkSeries], at: int, model: str, seeds: int, days: float
) -> tuple[str, dict[str, list[float]]]:
    """VUS-PR of each way on one machine, by seed."""
    own = series[at]
    fleet = pa.concat_tables(
        [
            other.train.append_column("machine", pa.array([other.series] * other.train.num_rows))
            for other in (*series[:at], *series[at + 1 :])
        ]
    )
    n_short = round(days * DAY_SECONDS / own.step_seconds)
    short = own.train.slice(max(0, own.train.num_rows - n_short))
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        config = DetectorConfig(model=model, random_state=seed)
        began = process_time()
        start = Detector(config=config).fit(fleet, format=replace(_form(own), group="machine"))
        found.setdefault("fleet seconds", []).append(process_time() - began)
        for name, log in (("short", short), ("whole", own.train)):
            for how, init in (("alone", None), ("started", start)):
                detector = Detector(config=config).fit(log, format=_form(own), init=init)
                found.setdefault(f"{name} {how}", []).append(_vus(detector, own))
        found.setdefault("fleet", []).append(_vus(start, own))
    print(
        f"  {own.series}: {', '.join(f'{key} {np.mean(value):.3f}' for key, value in found.items())}", file=sys.stderr
    )
    return own.series, found


def _form(series: BenchmarkSeries) -> LogFormat:
    return LogFormat(time=series.time_column, sensors=series.sensors)


def _vus(detector: Detector, series: BenchmarkSeries) -> float:
    score = np.full(series.test.num_rows, np.nan)
    form = replace(detector.later_format(), group=None)
    for block in detector.score_blocks(detector.open_log(series.test, format=form)):
        score[block.index] = block.score
    counted = series.counted
    score = np.nan_to_num(score, nan=float(np.nanmin(score)))
    return vus_pr(series.labels[counted], score[counted], BUFFER)


def _table(set_name: str, model: str, seeds: int, days: float, rows: list[tuple[str, dict[str, list[float]]]]) -> str:
    lines = [
        f"## {set_name}, {model}, short = the last {days:g} days of the training part, {seeds} seeds",
        "",
        "| machine | short, alone | short, started | whole, alone | whole, started | the others' detector as it is |",
        "|:---|---:|---:|---:|---:|---:|",
    ]
    ways = ("short alone", "short started", "whole alone", "whole started", "fleet")
    means = {way: np.array([np.mean(found[way]) for _, found in rows]) for way in ways}
    for at, (name, _) in enumerate(rows):
        lines.append(f"| {name} | " + " | ".join(f"{means[way][at]:.3f}" for way in ways) + " |")
    lines.append("| **mean** | " + " | ".join(f"{means[way].mean():.3f}" for way in ways) + " |")
    lines += ["", "| difference | mean | 95 % interval | better on |", "|:---|---:|---:|---:|"]
    generator = np.random.default_rng(0)
    for name in ("short", "whole"):
        gain = means[f"{name} started"] - means[f"{name} alone"]
        drawn = gain[generator.integers(0, len(gain), (DRAWS, len(gain)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        lines.append(
            f"| {name}: started - alone | {gain.mean():+.3f} | {low:+.3f} .. {high:+.3f} "
            f"| {int((gain > 0).sum())} of {len(gain)} |"
        )
    seconds = np.mean([found["fleet seconds"] for _, found in rows])
    return "\n".join([*lines, "", f"The detector of the others takes {seconds:.0f} s to fit.", ""])


if __name__ == "__main__":
    main()

"""What an ensemble gains over its linear part, which of its members bring it, and how their evidence is best joined.

``SENSORAD_DATA=... python tests/benchmarks/bench_ensemble.py skab asd smd --seeds 3``. On each series one ensemble of
the usual members is trained for each seed; then its members are joined in different ways, each with statistics of its
own. Differences are to the linear model on the same series, means over seeds, with 95 % bootstrap intervals over
series. ``--alone``: members without a linear part; differences are then to its long LSTM.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learned import LearnedSeries
from numpy.typing import NDArray

from sensorad.config import DetectorConfig
from sensorad.error_models import SensorErrors
from sensorad.scoring import FusedScheme
from sensorad_datasets import BenchmarkSeries, list_series, load_series
from sensorad_datasets.bench.summary import paired_difference

Row = dict[str, Any]
Chosen = Callable[[DetectorConfig], bool]

EPOCHS_QUICK = 1


class MeanScheme(FusedScheme):
    """The fused score with the mean of the members' evidence in place of the median."""

    __slots__ = ()

    def _window_evidence(self, errors: SensorErrors) -> dict[str, NDArray[np.float64]]:
        assert errors.members is not None
        found = [member.evidence(errors.members[:, at]) for at, member in enumerate(self.members)]
        return {name: np.mean([parts[name] for parts in found], axis=0) for name in found[0]}


@dataclass(frozen=True)
class Way:
    """Which members speak, what is made of what they say, and whether the linear part speaks beside them."""

    name: str
    chosen: Chosen = lambda _member: True
    scheme: type[FusedScheme] = FusedScheme
    has_second: bool = True


def ways(config: DetectorConfig) -> Iterator[Way]:
    """The base first."""
    longest = config.length
    if config.has_linear_part:
        yield Way("linear", lambda own: own.model == "linear" and own.length == longest, has_second=False)
    else:
        yield Way("lstm, long", lambda own: own.model == "lstm" and own.length == longest)
    yield Way("all members")
    yield Way("all, mean for median", scheme=MeanScheme)
    if config.has_linear_part:
        yield Way("all, no second opinion", has_second=False)
        yield Way("all, mean, no second opinion", scheme=MeanScheme, has_second=False)
    yield Way("no networks", lambda own: own.model in ("linear", "shape"))
    yield Way("no shapes", lambda own: own.model != "shape")
    yield Way("long windows", lambda own: own.length == longest)
    yield Way("short windows", lambda own: own.length < longest)
    for wanted in config.each_member:
        scale = "long" if wanted.length == longest else "short"
        same = (wanted.model, wanted.length)
        yield Way(f"{wanted.model}, {scale}", lambda own, same=same: (own.model, own.length) == same)


def measured(series: BenchmarkSeries, config: DetectorConfig) -> Iterator[Row]:
    """One ensemble trained on a series, its members joined in every way."""
    learned = LearnedSeries(series, config)
    for way in ways(learned.config):
        part = [at for at, own in enumerate(learned.config.each_member) if way.chosen(own)]

        def heard(errors: SensorErrors, part: Sequence[int] = part, has_second: bool = way.has_second) -> SensorErrors:
            return _heard(errors, part, has_second)

        yield {
            "set": series.set_name,
            "series": series.series,
            "seed": config.random_state,
            "way": way.name,
            "vus_pr": learned.vus_pr(
                lambda errors, part=part, way=way: _heard(errors, part, way.has_second), way.scheme
            ),
            "fit_seconds": learned.fit_seconds,
            "row_us": learned.row_us,
        }


def _heard(errors: SensorErrors, members: Sequence[int], has_second: bool) -> SensorErrors:
    """Errors with some of the members, and with a linear part that speaks for itself or does not."""
    assert errors.members is not None
    return replace(
        errors, members=errors.members[:, list(members)], linear=errors.linear if has_second else errors.window
    )


def table(rows: Sequence[Row]) -> str:
    """Means over series, and differences to the first way on the same series."""
    lines = ["| set | members | n | VUS-PR | difference | 95 % interval | wins | fit s | us a row |"]
    lines.append("|---|---|--:|--:|--:|---|--:|--:|--:|")
    for set_name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == set_name]
        names = list(dict.fromkeys(row["series"] for row in own))
        costs = [f"{np.mean([row[name] for row in own]):.1f}" for name in ("fit_seconds", "row_us")]
        base: NDArray[np.float64] | None = None
        for way in dict.fromkeys(row["way"] for row in own):
            quality = np.array([_mean(own, way, name) for name in names])
            base = quality if base is None else base
            pair = paired_difference(way, "", quality - base)
            said = [
                f"{quality.mean():.4f}",
                f"{pair.mean:+.4f}",
                f"{pair.low:+.4f} to {pair.high:+.4f}",
                str(pair.n_wins),
            ]
            lines.append("| " + " | ".join([set_name, way, str(len(names)), *said, *costs]) + " |")
    return "\n".join(lines)


def _mean(rows: Sequence[Row], way: str, name: str) -> float:
    """Over seeds."""
    return float(np.mean([row["vus_pr"] for row in rows if (row["way"], row["series"]) == (way, name)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["skab", "asd", "smd"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--series", type=int, help="at most so many of each set")
    parser.add_argument("--alone", action="store_true", help="without a linear part")
    parser.add_argument("--quick", action="store_true", help="two series, one seed, short training: for a look")
    parser.add_argument("--json", type=Path, help="keep every figure in this file, one line each")
    options = parser.parse_args()
    if "SENSORAD_DATA" not in os.environ:
        print("left out: SENSORAD_DATA does not say where the benchmark sets are", file=sys.stderr)
        return
    torch.set_num_threads(1)
    rows: list[Row] = []
    for set_name in options.sets:
        for name in list_series(set_name)[: 2 if options.quick else options.series]:
            series = load_series(set_name, name)
            for seed in range(1 if options.quick else options.seeds):
                config = DetectorConfig(
                    model="ensemble",
                    has_linear_part=not options.alone,
                    epochs=EPOCHS_QUICK if options.quick else None,
                    random_state=seed,
                )
                for row in measured(series, config):
                    rows.append(row)
                    if options.json:
                        with options.json.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                    print(set_name, name, seed, row["way"], f"{row['vus_pr']:.4f}", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()

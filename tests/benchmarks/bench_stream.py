"""Cost of a streamed row against re-scoring its window with an eager loop: ``python tests/benchmarks/bench_stream.py``.

Every way scores the same rows in turns, one core, process CPU time; the ratio of a round is time(loop) / time(way), and
the table has the median over the rounds. Percentiles are those of the single rows of all rounds, by the wall clock.
Networks keep their first weights: what they say costs as much as after training, and no gate closes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import reference
import torch

from sensorad import Detector
from sensorad.config import DetectorConfig

N_MACHINES = 1_000
SETTINGS = {
    "linear, windows of 30 rows (default)": DetectorConfig(),
    "linear, windows of 64 rows": DetectorConfig(window=64),
    "lstm, default mode, windows of 30 rows": DetectorConfig(model="lstm", epochs=0),
    "lstm, default mode, windows of 64 rows": DetectorConfig(model="lstm", window=64, epochs=0),
    "lstm, newest row only, carried state": DetectorConfig(
        model="lstm", window=64, epochs=0, has_linear_part=False, score="mahalanobis", encoding="carried"
    ),
}

Way = Callable[[int, np.ndarray], object]
"""Scores one row, given its number and values."""


def fitted(config: DetectorConfig, folder: Path) -> Detector:
    """A detector of simulated normal rows."""
    return Detector(config=config).fit(str(reference.write_log(folder / "normal.parquet", 12_000)), time="time")


def rows_of(detector: Detector) -> Way:
    """One row after the other, as plant software hands them over: a time and a mapping from names to numbers."""
    stream = detector.stream()
    names = detector.schema_.names

    def way(number: int, values: np.ndarray) -> object:
        time_ns = (reference.START + 10**6 + number) * 10**9
        return stream.update(time_ns, dict(zip(names, values.tolist(), strict=True)))

    return way


def loop() -> Way:
    scorer = reference.WindowLoop()
    return lambda _number, values: scorer.update(values)


def measured(ways: dict[str, Way], n_rounds: int, n_rows: int) -> dict[str, tuple[float, float, float, float]]:
    """Median ratio, microseconds a row, p50 and p99 in microseconds of each way; the first way is the measure."""
    values = reference.values_of(200 + n_rounds * n_rows, seed=1)
    for way in ways.values():
        for number in range(200):  # fills the windows
            way(number, values[number])
    spent: dict[str, list[float]] = {name: [] for name in ways}
    single: dict[str, list[int]] = {name: [] for name in ways}
    for turn in range(n_rounds):
        first = 200 + turn * n_rows
        for name, way in ways.items():
            began = time.process_time()
            for number in range(first, first + n_rows):
                before = time.perf_counter_ns()
                way(number, values[number])
                single[name].append(time.perf_counter_ns() - before)
            spent[name].append(time.process_time() - began)
    measure = spent[next(iter(ways))]
    return {
        name: (
            statistics.median(a / b for a, b in zip(measure, spent[name], strict=True)),
            statistics.median(spent[name]) / n_rows * 1e6,
            *(float(q) for q in np.percentile(single[name], [50, 99]) / 1e3),
        )
        for name in ways
    }


def fleet(detector: Detector, n_ticks: int) -> tuple[float, float]:
    """Microseconds a row of one machine by itself, and of `N_MACHINES` in one tick; both in turns."""
    names = [f"machine {number}" for number in range(N_MACHINES)]
    stream, alone = detector.stream(), rows_of(detector)
    values = reference.values_of((n_ticks + 100) * N_MACHINES, seed=2).reshape(N_MACHINES, -1, reference.N_SENSORS)
    line = reference.values_of((n_ticks + 100) * 100, seed=3)
    single, many = [], []
    for tick, rows in enumerate(values.transpose(1, 0, 2)):  # each machine has a stretch of the log
        began = time.process_time()
        stream.update_many((reference.START + 10**6 + tick) * 10**9, rows, names)
        between = time.process_time()
        for number in range(100):
            alone(100 * tick + number, line[100 * tick + number])
        ended = time.process_time()
        if tick >= 100:
            many.append((between - began) / N_MACHINES * 1e6)
            single.append((ended - between) / 100 * 1e6)
    return statistics.median(single), statistics.median(many)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=400, help="rows of each way in a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        detectors = {name: fitted(config, Path(folder)) for name, config in SETTINGS.items()}
    ways = {"eager autoregressive loop over windows of 64 rows": loop()}
    ways |= {name: rows_of(detector) for name, detector in detectors.items()}
    print("| one row of 8 sensors | times faster than the loop | us | p50, us | p99, us | p99 / p50 |")
    print("|---|---|---|---|---|---|")
    for name, (ratio, mean, median, high) in measured(ways, options.rounds, options.rows).items():
        print(f"| {name} | {ratio:.0f} | {mean:.1f} | {median:.1f} | {high:.1f} | {high / median:.1f} |")
    print(f"\n| a tick of {N_MACHINES:,} machines | us a row by itself | us a row in the tick | times cheaper |")
    print("|---|---|---|---|")
    for name in list(SETTINGS)[:1]:
        alone, together = fleet(detectors[name], n_ticks=40)
        print(f"| {name} | {alone:.1f} | {together:.2f} | {alone / together:.1f} |")


if __name__ == "__main__":
    main()

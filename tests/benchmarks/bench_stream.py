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
from sensorad.streaming.scorer import RowScorer

N_MACHINES = 1_000
CALIBRATION_ROWS = 240_000
"""2.8 days: enough to promise one event a day."""
WARM_ROWS = 700
"""Rows that fill windows and buffers first."""
SETTINGS = {
    "linear, windows of 30 rows (default)": DetectorConfig(),
    "linear, windows of 64 rows": DetectorConfig(window=64),
    "lstm, default mode, windows of 30 rows": DetectorConfig(model="lstm", epochs=0),
    "lstm, default mode, windows of 64 rows": DetectorConfig(model="lstm", window=64, epochs=0),
    "lstm, newest row only, carried state": DetectorConfig(
        model="lstm", window=64, epochs=0, has_linear_part=False, score="mahalanobis", encoding="carried"
    ),
}

Row = tuple[int, np.ndarray, dict[str, float]]
"""Time in ns, and the values as an array and by name."""

Way = Callable[[Row], object]
"""Scores one row."""


def fitted(config: DetectorConfig, folder: Path) -> Detector:
    """A detector of simulated normal rows, whose line lets one alarm event a day through."""
    detector = Detector(config=config).fit(str(reference.write_log(folder / "normal.parquet", 12_000)), time="time")
    more = reference.write_log(folder / "more.parquet", CALIBRATION_ROWS, seed=50)
    detector.calibrate(str(more), budget="1/day")
    return detector


def streamed(detector: Detector) -> Way:
    """One row after the other, as plant software hands them over: with events and a look at the data."""
    stream = detector.stream()
    return lambda row: stream.update(row[0], row[2])


def scored(detector: Detector) -> Way:
    """The score alone, of values that lie in an array already."""
    scorer = RowScorer(detector.engine())
    slot = scorer.slot("")
    return lambda row: scorer.one(slot, row[0], row[1])


def loop() -> Way:
    scorer = reference.WindowLoop()
    return lambda row: scorer.update(row[1])


def rows_of(values: np.ndarray) -> list[Row]:
    """(T, C) values as rows, one a second."""
    names = [f"S{sensor}" for sensor in range(values.shape[1])]
    first = reference.START + 10**6
    return [
        ((first + number) * 10**9, row, dict(zip(names, row.tolist(), strict=True)))
        for number, row in enumerate(values)
    ]


def measured(ways: dict[str, Way], n_rounds: int, n_rows: int) -> dict[str, tuple[float, float, float, float]]:
    """Median ratio, microseconds a row, p50 and p99 in microseconds of each way; the first way is the measure."""
    rows = rows_of(reference.values_of(WARM_ROWS + n_rounds * n_rows, seed=1))
    for way in ways.values():
        for row in rows[:WARM_ROWS]:
            way(row)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    single: dict[str, list[int]] = {name: [] for name in ways}
    for turn in range(n_rounds):
        first = WARM_ROWS + turn * n_rows
        for name, way in ways.items():
            began = time.process_time()
            for row in rows[first : first + n_rows]:
                before = time.perf_counter_ns()
                way(row)
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
    stream, alone = detector.stream(), streamed(detector)
    values = reference.values_of((n_ticks + 100) * N_MACHINES, seed=2).reshape(N_MACHINES, -1, reference.N_SENSORS)
    line = rows_of(reference.values_of((n_ticks + 100) * 100, seed=3))
    single, many = [], []
    for tick, rows in enumerate(values.transpose(1, 0, 2)):  # each machine has a stretch of the log
        began = time.process_time()
        stream.update_many((reference.START + 10**6 + tick) * 10**9, rows, names)
        between = time.process_time()
        for number in range(100):
            alone(line[100 * tick + number])
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
    for name, detector in detectors.items():
        ways[name] = streamed(detector)
        if name.startswith("linear"):
            ways[f"{name}, score alone"] = scored(detector)
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

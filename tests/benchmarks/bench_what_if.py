"""Seconds and memory for what is done with a year of stored scores; prints one table.

Run with ``python tests/benchmarks/bench_what_if.py``. Ten million rows are four months at one row a second, or a year
of nineteen machines at one row a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from sensorad import Detector
from sensorad.logs import ScoreWriter
from sensorad.types import RowBlock, ScoreBlock

BLOCK = 65_536
SECOND = 10**9
START = 1_704_067_200 * SECOND

MEASURED = """
import resource, sys, time
import sensorad_cli.main
began = time.perf_counter()
try:
    sensorad_cli.main.main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"TOOK {time.perf_counter() - began:.1f} {peak:.0f}", file=sys.stderr)
"""


def fitted() -> Detector:
    """A detector of two sensors: stored scores do not know how they were made."""
    draws = np.random.default_rng(0)
    load = np.cumsum(draws.normal(size=4000)) * 0.01
    log = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=4000, freq="s", tz="UTC"), "a": load, "b": -load})
    log[["a", "b"]] += 0.1 * draws.normal(size=(4000, 2))
    return Detector().fit(log)


def write_scores(path: Path, detector: Detector, n_rows: int) -> None:
    """Scores with a memory of half a minute, one row a second, two blamed sensors each."""
    draws = np.random.default_rng(1)
    state = 0.0
    metadata = {"detector": detector.scorer_, "files": [], "rule": detector.rule_.to_json(), "n_unsorted": 0}
    with ScoreWriter(path, detector.schema_, "time", None, detector.line_, metadata) as writer:
        for first in range(0, n_rows, BLOCK):
            n = min(BLOCK, n_rows - first)
            shocks = draws.normal(size=n) * np.sqrt(1 - 0.97**2)
            level = np.empty(n)
            for i, shock in enumerate(shocks.tolist()):
                state = 0.97 * state + shock
                level[i] = state
            rows = np.arange(first, first + n)
            empty = np.zeros((n, 2), np.float32), np.zeros((n, 2), np.uint8)
            block = ScoreBlock.empty_for(RowBlock(rows, START + rows * SECOND, *empty, np.zeros(n, np.int32)))
            block.score[:] = 0.5 * np.exp(0.5 * level)
            block.row_surprise[:] = 1.0
            block.status[:] = 0
            block.top_sensors[:, :2] = (0, 1)
            block.top_shares[:, :2] = (0.7, 0.3)
            writer.write(block)


def run(root: Path, *args: str) -> tuple[float, float]:
    """Seconds and peak MiB of one command, its imports included in the memory and left out of the time."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *args], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    seconds, peak = next(line for line in done.stderr.splitlines() if line.startswith("TOOK")).split()[1:]
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        detector = fitted()
        detector.save(root / "m.sensorad")
        began = time.perf_counter()
        write_scores(root / "scores.parquet", detector, options.rows)
        print(f"{options.rows:,} stored rows, made in {time.perf_counter() - began:.0f} s\n")
        stored = ("scores.parquet", "-m", "m.sensorad")
        commands = {
            "calibrate --what-if": ("calibrate", *stored, "--what-if", "--figure", "w.svg"),
            "calibrate --budget 1/day": ("calibrate", *stored, "--budget", "1/day", "-o", "m2.sensorad"),
            "calibrate --method pot": ("calibrate", *stored, "--method", "pot", "-o", "m3.sensorad"),
            "events": ("events", *stored, "-o", "events.parquet"),
        }
        print("| command | seconds | peak MiB |\n|---|---|---|")
        for name, args in commands.items():
            seconds, peak = run(root, *args)
            print(f"| {name} | {seconds:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    main()

"""Rows a second from Parquet to Parquet against fused stride-1 windows: ``python tests/benchmarks/bench_batch.py``.

All ways score the same log in turns, one core, process CPU time. The measure is an LSTM autoencoder that reads every
window of 64 rows in one fused call, 256 at a time; it gets a shorter log, for it is slow.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reference
import torch

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad_cli.scoring import score_to_files

SETTINGS: dict[str, tuple[DetectorConfig, dict[str, Any], int]] = {
    "linear, windows of 30 rows (default)": (DetectorConfig(), {}, 10),
    "linear, windows of 64 rows": (DetectorConfig(window=64), {}, 10),
    "lstm, default mode, windows of 30 rows": (DetectorConfig(model="lstm", epochs=0), {}, 4),
    "lstm, default mode, windows of 64 rows": (DetectorConfig(model="lstm", window=64, epochs=0), {}, 4),
    "lstm, default mode, windows of 64 rows, bfloat16": (
        DetectorConfig(model="lstm", window=64, epochs=0),
        {"precision": "bfloat16"},
        4,
    ),
    "lstm, newest row only, carried state": (
        DetectorConfig(
            model="lstm", window=64, epochs=0, has_linear_part=False, score="mahalanobis", encoding="carried"
        ),
        {},
        4,
    ),
}
"""Detector, options of its engine, and how many times longer its log is than that of the measure."""


def whole_run(detector: Detector, source: Path, target: Path, options: dict[str, Any]) -> None:
    """What ``sensorad score`` does: read, score, find events, write."""
    log = detector.open_log(str(source))
    engine = detector.engine(**options)
    score_to_files(detector, log, target, engine=engine, force=True, progress=lambda _what, _share: None)


def without_model(detector: Detector, source: Path, options: dict[str, Any]) -> float:
    """CPU seconds of the model's errors alone, on the same blocks."""
    log = detector.open_log(str(source))
    engine = detector.engine(**options)
    spent = 0.0
    for rows in log.blocks():
        scaled = engine.scaler.transform(rows.values)
        usable = rows.flaw[:, engine.scaler.used_positions] == 0
        began = time.process_time()
        engine.model.errors(scaled, usable, rows.time)
        spent += time.process_time() - began
    return spent


def timed(way: Callable[[], None]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=40_000, help="rows of the log of the measure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = reference.PlainLSTM().eval()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        normal = reference.write_log(root / "normal.parquet", 12_000)
        logs = {n: reference.write_log(root / f"{n}.parquet", n * options.rows, seed=9) for n in (1, 4, 10)}
        detectors = {
            name: Detector(config=config).fit(str(normal), time="time") for name, (config, _, _) in SETTINGS.items()
        }
        base: list[float] = []
        spent: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for turn in range(options.rounds + 1):
            seconds = timed(lambda: reference.fused_windows(logs[1], root / "fused.parquet", model))
            base += [seconds] if turn else []  # the first round warms up
            for name, (_, engine, times) in SETTINGS.items():
                detector = detectors[name]
                seconds = timed(
                    lambda detector=detector, times=times, engine=engine: whole_run(
                        detector, logs[times], root / "out.parquet", engine
                    )
                )
                spent[name] += [seconds / times] if turn else []
        print("| Parquet to Parquet, 8 sensors | rows/s | times the measure | share outside the model |")
        print("|---|---|---|---|")
        print(f"| fused LSTM windows of 64 rows, every row | {options.rows / statistics.median(base):,.0f} | 1.0 | |")
        for name, (_, engine, times) in SETTINGS.items():
            ratio = statistics.median(a / b for a, b in zip(base, spent[name], strict=True))
            typical = statistics.median(spent[name])
            share = 1.0 - without_model(detectors[name], logs[times], engine) / times / typical
            print(f"| {name} | {options.rows / typical:,.0f} | {ratio:.1f} | {share:.0%} |")


if __name__ == "__main__":
    main()

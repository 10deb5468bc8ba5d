"""A day of 1,000 machines at one row a second, and what it costs to stop: ``python tests/benchmarks/soak_fleet.py``.

Prints the memory of the process hour by hour, the times of a tick, and the time to save and restore the state.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import reference

from sensorad import Detector

N_MACHINES = 1_000
HOUR = 3_600


def resident() -> float:
    """MiB of memory in use now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    names = [f"machine {number}" for number in range(N_MACHINES)]
    mix, decay = reference.mixing(reference.N_SENSORS), reference.DECAY
    causes = generator.normal(size=(N_MACHINES, reference.N_CAUSES))
    spent, hourly, n_events = np.zeros(HOUR), [], 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        detector = Detector().fit(str(reference.write_log(root / "normal.parquet", 20_000)), time="time")
        more = reference.write_log(root / "more.parquet", 240_000, seed=50)  # 2.8 days
        detector.calibrate(str(more), budget="1/day")
        stream = detector.stream()
        print("| hour | memory, MiB | p50 of a tick, ms | p99, ms | largest, ms | events so far |")
        print("|---|---|---|---|---|---|")
        for hour in range(options.hours):
            for second in range(HOUR):
                causes = decay * causes + np.sqrt(1.0 - decay**2) * generator.normal(size=causes.shape)
                values = causes @ mix + reference.NOISE * generator.normal(size=(N_MACHINES, reference.N_SENSORS))
                values[generator.random(N_MACHINES) < 1e-5] += 30.0  # a spike now and then
                began = time.perf_counter()
                tick = stream.update_many((reference.START + 10**6 + hour * HOUR + second) * 10**9, values, names)
                spent[second] = time.perf_counter() - began
                n_events += sum(change.what == "opened" for change in tick.changes)
            hourly.append(resident())
            p50, p99 = np.percentile(spent, [50, 99]) * 1e3
            print(
                f"| {hour + 1} | {hourly[-1]:.1f} | {p50:.2f} | {p99:.2f} | {spent.max() * 1e3:.1f} | {n_events:,} |",
                flush=True,
            )
        later = hourly[1:] or hourly
        print(f"\nMemory after the first hour: {min(later):.1f} to {max(later):.1f} MiB")
        path = root / "stream.state"
        began = time.perf_counter()
        stream.save(path)
        saved = time.perf_counter()
        detector.stream(state=path)
        restored = time.perf_counter()
        size = path.stat().st_size / 2**20
        print(f"State of {N_MACHINES:,} machines: {size:.1f} MiB")
        print(f"Saved in {saved - began:.2f} s, restored in {restored - saved:.2f} s")


if __name__ == "__main__":
    main()

"""Peak memory of `sensorad score` above its imports, for short and ten times longer logs; prints one table.

Run with ``python tests/benchmarks/bench_memory.py``. The logs are simulated noise: memory does not depend on what the
values are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import reference

SIZES = {8: (200_000, 2_000_000), 38: (100_000, 1_000_000)}
"""Sensors, and rows of the two logs."""

MEASURED = """
import sys
import sensorad, pyarrow.parquet, sensorad.detector, sensorad.logs, sensorad.scoring, sensorad_cli.main
import sensorad_cli.commands.score
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
before = peak()
try:
    sensorad_cli.main.main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
print(f"PEAK {peak() - before:.0f} {before:.0f}")
"""


def main() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print("| rows x sensors | peak above imports, MiB | imports, MiB | seconds |")
        print("|---|---|---|---|")
        for n_sensors, lengths in SIZES.items():
            model = root / f"{n_sensors}.sensorad"
            normal = reference.write_log(root / f"normal{n_sensors}.parquet", 20_000, n_sensors)
            fit = ["fit", str(normal), "-o", str(model), "-q"]
            subprocess.run([sys.executable, "-m", "sensorad_cli.main", *fit], check=True, env=environment)
            for n_rows in lengths:
                log = reference.write_log(root / "log.parquet", n_rows, n_sensors, seed=100)
                score = ["score", str(log), "-m", str(model), "-o", str(root / "scores.parquet"), "-q", "--force"]
                began = time.perf_counter()
                result = subprocess.run(
                    [sys.executable, "-c", MEASURED, *score],
                    check=True,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                spent = time.perf_counter() - began
                peak, imports = result.stdout.split("PEAK ")[1].split()
                print(f"| {n_rows:,} x {n_sensors} | {peak} | {imports} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()

"""Peak memory of `sensorad score` above that for hardly any rows: short logs, and ten times longer ones; one table.

Run with ``python tests/benchmarks/bench_memory.py``. The peak for 100 rows is that of all imports.
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

FEW_ROWS = 100

MEASURED = """
import sys, sensorad_cli.main
try:
    sensorad_cli.main.main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
print("PEAK", int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024)
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
            imports = 0.0
            for n_rows in (FEW_ROWS, *lengths):
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
                peak = float(result.stdout.split("PEAK ")[1])
                imports = imports or peak
                if n_rows > FEW_ROWS:
                    above = f"{peak - imports:.0f} | {imports:.0f}"
                    print(f"| {n_rows:,} x {n_sensors} | {above} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()

"""Peak memory of `sensorad score` above its imports, for a short and a ten times longer log; prints one table.

Run with ``python tests/benchmarks/bench_memory.py``. The log is simulated noise on 8 sensors: memory does not depend
on what the values are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_SENSORS = 8
LENGTHS = (200_000, 2_000_000)
ROW_GROUP = 65_536

MEASURED = """
import resource, sys
import sensorad, pyarrow.parquet, sensorad.detector, sensorad.logs, sensorad.scoring, sensorad_cli.main
import sensorad_cli.commands.score
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    sensorad_cli.main.main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"PEAK {(after - before) / 1024:.0f} {before / 1024:.0f}")
"""


def write_log(path: Path, n_rows: int) -> None:
    """Two shared causes, own noise for each sensor, one row a second."""
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(2, N_SENSORS)).astype(np.float32)
    schema = pa.schema([("time", pa.timestamp("us", tz="UTC")), *((f"S{c}", pa.float32()) for c in range(N_SENSORS))])
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_page_checksum=True) as writer:
        for first in range(0, n_rows, ROW_GROUP):
            n = min(ROW_GROUP, n_rows - first)
            rows = generator.normal(size=(n, 2)).astype(np.float32) @ mix
            rows += 0.3 * generator.normal(size=rows.shape).astype(np.float32)
            stamps = 1_704_067_200_000_000 + (first + np.arange(n)) * 1_000_000
            columns = [
                pa.array(stamps, pa.timestamp("us", tz="UTC")),
                *(pa.array(rows[:, c]) for c in range(N_SENSORS)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def main() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_log(root / "normal.parquet", 20_000)
        fit = ["fit", str(root / "normal.parquet"), "-o", str(root / "m.sensorad"), "-q"]
        subprocess.run([sys.executable, "-m", "sensorad_cli.main", *fit], check=True, env=environment)
        print("| rows x sensors | peak above imports, MiB | imports, MiB | seconds |")
        print("|---|---|---|---|")
        for n_rows in LENGTHS:
            log = root / f"{n_rows}.parquet"
            write_log(log, n_rows)
            score = ["score", str(log), "-m", str(root / "m.sensorad"), "-o", str(root / f"s{n_rows}.parquet"), "-q"]
            began = time.perf_counter()
            result = subprocess.run(
                [sys.executable, "-c", MEASURED, *score], check=True, env=environment, capture_output=True, text=True
            )
            peak, imports = result.stdout.split("PEAK ")[1].split()
            print(f"| {n_rows:,} x {N_SENSORS} | {peak} | {imports} | {time.perf_counter() - began:.1f} |")


if __name__ == "__main__":
    main()

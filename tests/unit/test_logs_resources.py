"""What reading and writing logs costs: imports, memory, and time per row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PROBE = """
import sys
import numpy, pyarrow, pyarrow.parquet, pyarrow.compute
from sensorad.logs import ScoreWriter, SensorLog, SortedLog, read_scores
from sensorad.types import ScoreBlock

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")
before = peak()
n_rows = 0
if sys.argv[1] == "read":
    for block in SortedLog(SensorLog(sys.argv[2])).blocks():
        n_rows += len(block)
else:
    log = SensorLog(sys.argv[2])
    with ScoreWriter(sys.argv[3], log.schema, log.time_name, None, 1.0, force=True) as writer:
        for block in log.blocks():
            writer.write(ScoreBlock.empty_for(block))
    for block in read_scores(sys.argv[3]).blocks():
        n_rows += len(block)
print(n_rows, peak() - before, "pandas" in sys.modules)
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure memory")


def run(code: str, *arguments: object) -> list[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_import_needs_only_numpy() -> None:
    heavy = "torch pandas pyarrow scipy polars sklearn matplotlib"
    code = f"import sys, sensorad.logs; print(*(m for m in {heavy!r}.split() if m in sys.modules))"
    assert run(code) == []


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same kind of log, short, long, and long in a single row group."""
    folder = tmp_path_factory.mktemp("logs")
    rng = np.random.default_rng(0)
    out = {}
    for name, n_rows, row_group in (("short", 50_000, 65_536), ("long", 1_000_000, 65_536), ("block", 1_000_000, None)):
        times = pa.array(np.arange(n_rows) * 1_000_000 + 1_700_000_000_000_000, pa.timestamp("us", "UTC"))
        sensors = {f"s{n}": rng.normal(size=n_rows).astype(np.float32) for n in range(8)}
        out[name] = folder / f"{name}.parquet"
        pq.write_table(
            pa.table({"time": times, **sensors}),
            out[name],
            row_group_size=row_group or n_rows,
            use_dictionary=False,
            write_page_checksum=True,
        )
    return out


@needs_proc
@pytest.mark.parametrize(("work", "budget_mb"), [("read", 60), ("write", 150)])
def test_memory_does_not_depend_on_the_length_of_the_log(
    work: str, budget_mb: float, logs: dict[str, Path], tmp_path: Path
) -> None:
    peaks = {}
    for name, path in logs.items():
        n_rows, peak, _ = run(PROBE, work, path, tmp_path / "scores.parquet")
        assert int(n_rows) == (50_000 if name == "short" else 1_000_000)
        peaks[name] = float(peak)
    assert max(peaks.values()) < budget_mb, peaks
    # The long logs hold 32 MB of float32 cells: reading them whole would show at once.
    assert max(peaks.values()) < peaks["short"] + 25, peaks


@needs_proc
def test_reading_parquet_does_not_import_pandas(logs: dict[str, Path]) -> None:
    assert run(PROBE, "read", logs["short"])[2] == "False"

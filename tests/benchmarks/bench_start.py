"""Start-up of what must start fast, each in fresh processes: ``python tests/benchmarks/bench_start.py``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import reference

from sensorad import Detector
from sensorad.config import DetectorConfig

N_RUNS = 9
HEAVY = ("torch", "pandas", "pyarrow", "scipy", "sklearn", "onnxruntime")

MEASURED = """
import sys, time
began = time.perf_counter()
{body}
spent = time.perf_counter() - began
peak = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
print("FOUND", spent, peak, ",".join(name for name in {heavy} if name in sys.modules) or "-")
"""

WAYS = {
    "empty interpreter": "",
    "numpy": "import numpy",
    "import of the streaming scorer": "import sensorad.streaming",
    "linear: load, stream, first row": "{stream}",
    "lstm: load, stream, first row": "{stream}",
    "`sensorad --help`": "import contextlib, io, sensorad_cli.main\n"
    "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
    "    sensorad_cli.main.main(['--help'])",
}


def main() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        normal = str(reference.write_log(Path(folder) / "normal.parquet", 12_000))
        for name in ("linear", "lstm"):
            config = DetectorConfig(model=name, epochs=None if name == "linear" else 1)
            Detector(config=config).fit(normal, time="time").save(Path(folder) / name)
        print("| in a fresh process | s | peak, MiB | heavy packages loaded |")
        print("|---|---|---|---|")
        for name, body in WAYS.items():
            first_row = (
                f"import sensorad; stream = sensorad.load({str(Path(folder) / name.partition(':')[0])!r}, "
                f"has_model=False).stream()\nstream.update({reference.START * 10**9}, [0.0] * {reference.N_SENSORS})"
            )
            program = MEASURED.format(body=body.replace("{stream}", first_row), heavy=HEAVY)
            found = []
            for _ in range(N_RUNS):
                result = subprocess.run(
                    [sys.executable, "-c", program], check=True, env=environment, capture_output=True, text=True
                )
                found.append(result.stdout.split("FOUND ")[1].split())
            seconds, peak = (statistics.median(float(run[column]) for run in found) for column in (0, 1))
            print(f"| {name} | {seconds:.2f} | {peak:.0f} | {found[0][2]} |", flush=True)


if __name__ == "__main__":
    main()

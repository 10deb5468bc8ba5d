"""What scores rows in a plant program loads nothing heavy, seen from outside in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "pandas", "pyarrow", "scipy", "sklearn", "polars", "matplotlib", "onnxruntime")
GOLDEN = Path(__file__).parent / "golden"

PROGRAM = """
import sys
{body}
loaded = [name for name in {heavy} if name in sys.modules]
assert not loaded, loaded
print("light")
"""

STREAMING = """
import numpy as np
import sensorad
detector = sensorad.load({path!r}, has_model=False)
stream = detector.stream(lateness_seconds=0.0)
for at in range(40):
    values = {{"TI-101": 70.0 + at % 3, "PI-7": 1.5, "valve": None}}
    row = stream.update(1_714_521_600_000_000_000 + at * 60 * 10**9, values)
assert row.status in ("scored", "degraded"), row
row.to_json(), stream.ongoing(), stream.counts
stream.update_many("2024-05-01T01:00:00Z", np.ones((2, 3)), ["a", "b"])
stream = detector.stream(state=stream.state_bytes())
stream.finish()
"""


def _run(body: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body, heavy=HEAVY)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_program_notices_heavy_modules(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="pandas"):
        _run("import pandas", tmp_path)


@pytest.mark.parametrize("module", ["sensorad.streaming", "sensorad.streams", "sensorad.detector"])
def test_the_import_is_light(module: str, tmp_path: Path) -> None:
    assert _run(f"import {module}", tmp_path).strip() == "light"


@pytest.mark.parametrize("name", ["linear", "lstm", "modes"])
def test_loading_and_scoring_rows_is_light(name: str, tmp_path: Path) -> None:
    path = str(GOLDEN / f"detector_{name}.sensorad")
    assert _run(STREAMING.format(path=path), tmp_path).strip() == "light"

"""What every test relies on: one thread per process, repeatable examples, strict child processes, data by request."""

from __future__ import annotations

import os
from pathlib import Path

# before anything imports numpy or torch: several threads on two busy cores are slower than one, by far
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

_STRICT = str(Path(__file__).parent / "strict")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_STRICT, os.environ.get("PYTHONPATH")]))

# the same examples on every run, and no deadline: a busy machine is not a bug
settings.register_profile("sensorad", deadline=None, derandomize=True)
settings.load_profile("sensorad")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark sets; tests that ask for it are skipped where it is absent."""
    folder = os.environ.get("SENSORAD_DATA")
    if not folder:
        pytest.skip("SENSORAD_DATA does not name a folder of benchmark sets")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"SENSORAD_DATA names {folder}, which is not a directory")
    return path

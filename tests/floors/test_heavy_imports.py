"""What starts often starts light: seen from outside, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "pandas", "polars", "sklearn", "matplotlib", "plotly", "onnxruntime"}
COMMANDS = (
    *("bench", "calibrate", "data", "demo", "diff", "events", "export", "fit", "inject", "inspect", "label", "report"),
    *("score", "stream"),
)


def loaded_by(*arguments: str, cwd: Path) -> tuple[set[str], str]:
    """Top-level packages that a Python process loads, as its own import log lists them, and its standard output."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}, done.stdout


def test_the_import_log_sees_heavy_modules(tmp_path: Path) -> None:
    loaded, _ = loaded_by("-c", "import pandas", cwd=tmp_path)
    assert "pandas" in loaded & HEAVY


def test_the_package_itself_loads_nothing(tmp_path: Path) -> None:
    loaded, _ = loaded_by("-c", "import sensorad", cwd=tmp_path)
    assert "sensorad" in loaded
    assert not loaded & (HEAVY | {"numpy", "scipy", "pyarrow", "click", "rich", "safetensors"})


@pytest.mark.parametrize(
    "module",
    [
        *("thresholds", "events", "report", "logs", "metrics", "data", "artefact", "models", "errors", "types"),
        "detectability",
    ],
)
def test_plant_software_needs_no_torch(module: str, tmp_path: Path) -> None:
    loaded, _ = loaded_by("-c", f"import sensorad.{module}", cwd=tmp_path)
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((command, "--help") for command in COMMANDS)])
def test_help_is_light(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded, printed = loaded_by("-m", "sensorad_cli.main", *arguments, cwd=tmp_path)
    assert "sensorad_cli" in loaded
    assert ("Usage" if arguments[-1] == "--help" else "sensorad") in printed
    assert not loaded & (HEAVY | {"scipy"})

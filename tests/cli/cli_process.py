"""Real processes of the command and the small log that they work on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["FAULT", "SENSORS", "START", "STEP", "Run", "cli", "command_line", "environment", "left_in", "make_log"]

SENSORS = ("flow", "power", "temp", "level", "lamp")
STEP = pd.Timedelta("1min")
START = pd.Timestamp("2024-05-01T00:00:00Z")
FAULT = slice(900, 960)
"""Rows of `new_log` in which the power reads too high."""


@dataclass(frozen=True)
class Run:
    """What one process said and how it ended."""

    code: int
    out: str
    err: str

    def ok(self, code: int = 0) -> Run:
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err
        return self

    def refused(self, code: int, kind: str, *words: str) -> str:
        """The one line on stderr, which must hold these words."""
        self.ok(code)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith(f"error[{kind}]: "), lines[0]
        missing = [word for word in words if word not in lines[0]]
        assert not missing, f"{missing} not in {lines[0]}"
        return lines[0]


def environment(**changes: str) -> dict[str, str]:
    """This environment without settings of sensorad, one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SENSORAD_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | changes


def command_line(*args: object) -> list[str]:
    return [sys.executable, "-m", "sensorad_cli.main", *map(str, args)]


def cli(*args: object, cwd: Path | None = None, stdin: bytes | None = None, **changes: str) -> Run:
    """Run the command to its end."""
    done = subprocess.run(
        command_line(*args),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=environment(**changes),
        timeout=120,
        check=False,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


def make_log(n_rows: int, seed: int, start: pd.Timestamp = START) -> pd.DataFrame:
    """A pump that follows a daily load: flow drives power, temperature lags behind, the lamp never changes."""
    rng = np.random.default_rng(seed)
    times = pd.date_range(start, periods=n_rows, freq=STEP)
    minutes = ((times - START).total_seconds() / 60).to_numpy()
    load = np.sin(2 * np.pi * minutes / 1440) + 0.3 * np.sin(2 * np.pi * minutes / 97)
    flow = 50 + 10 * load + 0.3 * rng.normal(size=n_rows)
    columns = {
        "flow": flow,
        "power": 5 + 0.4 * flow + 0.1 * rng.normal(size=n_rows),
        "temp": 60 + 3 * np.roll(load, 5) + 0.1 * rng.normal(size=n_rows),
        "level": 2 + 0.2 * np.cos(2 * np.pi * minutes / 1440) + 0.01 * rng.normal(size=n_rows),
        "lamp": np.ones(n_rows),
    }
    return pd.DataFrame({"time": times, **columns})


def left_in(folder: Path) -> set[str]:
    """Names of everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}

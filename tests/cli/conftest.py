"""One small detector for all tests of the command line, made once by the command itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli_process import FAULT, START, STEP, cli, make_log


@pytest.fixture(scope="session")
def new_log() -> pd.DataFrame:
    """A day right after the training days, with one fault."""
    log = make_log(1440, seed=1, start=START + 7200 * STEP)
    log.loc[FAULT, "power"] += 4.0
    return log


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory, new_log: pd.DataFrame) -> Path:
    """A directory with normal.parquet, new.parquet, fit.txt (what fit said) and the fitted pump.sensorad."""
    folder = tmp_path_factory.mktemp("workshop")
    make_log(7200, seed=0).to_parquet(folder / "normal.parquet")
    new_log.to_parquet(folder / "new.parquet")
    fit = cli("fit", "normal.parquet", "-o", "pump.sensorad", "--budget", "3/day", cwd=folder).ok()
    assert fit.out == ""
    (folder / "fit.txt").write_text(fit.err)
    return folder


@pytest.fixture(scope="session")
def scored(workshop: Path) -> pd.DataFrame:
    """The scores of new.parquet, also as scores.parquet and events.parquet in the workshop."""
    args = ("score", "new.parquet", "-m", "pump.sensorad", "-o", "scores.parquet", "--events", "events.parquet")
    (workshop / "score.txt").write_text(cli(*args, cwd=workshop).ok().err)
    return pd.read_parquet(workshop / "scores.parquet")

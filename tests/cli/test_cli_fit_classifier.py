"""`fit --model classifier`: labels from machines, or made, and refusals that say what to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli_process import cli, make_log

import sensorad


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with fleet.parquet, of two machines, and one.parquet, of one."""
    folder = tmp_path_factory.mktemp("fleet")
    parts = [make_log(700, seed=seed).assign(machine=f"pump {seed}") for seed in (0, 1)]
    pd.concat(parts).sort_values("time", kind="stable").to_parquet(folder / "fleet.parquet", index=False)
    parts[0].to_parquet(folder / "one.parquet", index=False)
    return folder


SMALL = ("--model", "classifier", "--epochs", "1", "--window", "12", "--group", "machine")


def test_machines_are_classes(fleet: Path) -> None:
    args = ("--labels-from", "machine", "--class-score", "entropy", "--label-smoothing", "0.1", "--mixup", "0.2")
    run = cli("fit", "fleet.parquet", "-o", "fleet.sensorad", *SMALL, *args, cwd=fleet).ok()
    assert "the machines of the log (2)" in run.err
    config = sensorad.load(fleet / "fleet.sensorad").config_
    assert (config.labels, config.class_score, config.label_smoothing) == ("machine", "entropy", 0.1)


def test_one_machine_has_no_classes(fleet: Path) -> None:
    run = cli("fit", "one.parquet", "-o", "one.sensorad", *SMALL, "--labels-from", "machine", cwd=fleet)
    assert run.code != 0
    assert "two machines or more" in run.err
    assert not (fleet / "one.sensorad").exists()
    made = cli("fit", "one.parquet", "-o", "one.sensorad", *SMALL, cwd=fleet).ok()
    assert "which transform was applied to a window" in made.err

"""Scoring runs that are killed and go on: the same bytes as if nothing had happened, or a refusal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_process import FAULT, START, STEP, cli, environment, make_log

import sensorad
from sensorad.errors import ArtefactError, StorageError
from sensorad.logs import SortedLog
from sensorad.types import RowBlock
from sensorad_cli import scoring
from sensorad_cli.unfinished import UnfinishedRun

MACHINES = 3
N_ROWS = 100_000
SMALL_PARTS = """
import sys
from sensorad_cli import scoring
from sensorad_cli.main import main
scoring.PART_ROWS = 10_000
scoring.FLEET_ROWS = 20_000
sys.exit(main(sys.argv[1:]))
"""


class _Killed(BaseException):
    """Stands for the end of the process."""


class _Log:
    """A log whose reader dies before the block of this number, or at its end."""

    def __init__(self, log: SortedLog, last: int, at_end: bool = False) -> None:
        self._log, self._last, self._at_end = log, last, at_end

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def blocks(self, rows: int = 16_384) -> Iterator[RowBlock]:
        for number, block in enumerate(self._log.blocks(rows)):
            if number == self._last:
                raise _Killed
            yield block
        if self._at_end:
            raise _Killed


def _silent(_stage: str, _fraction: float | None) -> None:
    pass


def _long_log(unsorted: bool = False) -> pd.DataFrame:
    """Three machines row by row, with faults, holes and modes."""
    log = make_log(N_ROWS, seed=5, start=START + 9000 * STEP)
    log.loc[FAULT, "power"] += 4.0
    log.loc[60_000:60_400, "temp"] += 5.0
    log.loc[70_000:70_100, "flow"] = np.nan
    log["machine"] = [f"m{row % MACHINES}" for row in range(N_ROWS)]
    log["time"] = START + 9000 * STEP + STEP * (np.arange(N_ROWS) // MACHINES)
    if unsorted:
        log = log.iloc[np.r_[0:50_000, 50_300:50_600, 50_000:50_300, 50_600:N_ROWS]].reset_index(drop=True)
    return log


@pytest.fixture(scope="module")
def fleet(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with log.parquet, unsorted.parquet and what an undisturbed run makes of each."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("log", "unsorted"):
        _long_log(name == "unsorted").to_parquet(folder / f"{name}.parquet")
        cli(*_score(workshop, folder, name, folder / f"{name}-scores.parquet", folder / f"{name}-events.parquet")).ok()
    return folder


def _score(workshop: Path, fleet: Path, name: str, scores: Path, events: Path) -> list[str]:
    args = ["score", fleet / f"{name}.parquet", "-m", workshop / "pump.sensorad", "-o", scores, "--events", events]
    return [*map(str, args), "--group", "machine"]


@pytest.mark.parametrize("name", ["log", "unsorted"])
def test_killed_after_any_block(
    workshop: Path, fleet: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "FLEET_ROWS", 16_384)
    monkeypatch.setattr(scoring, "PART_ROWS", 30_000)  # two blocks
    detector = sensorad.load(workshop / "pump.sensorad")
    monkeypatch.chdir(fleet)
    target, events = tmp_path / "scores.parquet", tmp_path / "events.parquet"
    begun = []
    for last in (1, 3, 4, 6, 99):
        log = detector.open_log(str(fleet / f"{name}.parquet"), format=sensorad.LogFormat(time="time", group="machine"))
        try:
            with UnfinishedRun(target, {"log": name}) as unfinished:
                begun.append(unfinished.n_blocks)
                scoring.score_to_files(
                    detector, _Log(log, last), target, events, progress=_silent, unfinished=unfinished
                )
        except _Killed:
            assert not target.exists()
    assert begun == [0, 0, 2, 4, 6], "it goes on behind the last whole part"
    assert target.read_bytes() == (fleet / f"{name}-scores.parquet").read_bytes()
    assert events.read_bytes() == (fleet / f"{name}-events.parquet").read_bytes()
    assert not unfinished.path.exists()


def test_a_killed_process_goes_on(workshop: Path, fleet: Path, tmp_path: Path) -> None:
    scores, events = tmp_path / "scores.parquet", tmp_path / "events.parquet"
    args = [*_score(workshop, fleet, "log", scores, events), "--resume"]
    command = [sys.executable, "-c", SMALL_PARTS, *args]
    state = tmp_path / ".scores.parquet.unfinished" / "state"
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert state.exists()
    assert not scores.exists()
    cli(*args).ok()
    assert scores.read_bytes() == (fleet / "log-scores.parquet").read_bytes()
    assert events.read_bytes() == (fleet / "log-events.parquet").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def _begun(target: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch, **plan: object) -> UnfinishedRun:
    """A run that died after its first part."""
    monkeypatch.setattr(scoring, "PART_ROWS", 1000)
    detector = sensorad.load(workshop / "pump.sensorad")
    log = detector.open_log(str(workshop / "new.parquet"))
    run = UnfinishedRun(target, plan)
    with pytest.raises(_Killed), run:
        scoring.score_to_files(detector, _Log(log, 1, at_end=True), target, progress=_silent, unfinished=run)
    return run


def _recalled(target: Path, **plan: object) -> int:
    """Blocks that the next run finds, which dies at once."""
    run = UnfinishedRun(target, plan)
    with pytest.raises(_Killed), run:
        raise _Killed
    return run.n_blocks


def test_another_plan_is_refused_with_what_differs(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "s.parquet"
    _begun(target, workshop, monkeypatch, files=[1], detector="a")
    with pytest.raises(StorageError, match="other detector, files"), UnfinishedRun(target, {"files": [2]}):
        pass
    assert _recalled(target, files=[1], detector="a") == 1


@pytest.mark.parametrize("name", ["blocks", "state"])
def test_damage_is_found(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    target = tmp_path / "s.parquet"
    path = _begun(target, workshop, monkeypatch).path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match="damaged"), UnfinishedRun(target, {}):
        pass
    path.write_bytes(content[:100])
    with pytest.raises(ArtefactError, match="damaged"), UnfinishedRun(target, {}):
        pass


def test_what_was_written_after_the_last_checkpoint_is_dropped(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "s.parquet"
    path = _begun(target, workshop, monkeypatch).path / "blocks"
    whole = path.read_bytes()
    path.write_bytes(whole + b"half a block")
    assert _recalled(target) == 1
    assert path.read_bytes() == whole


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    target = tmp_path / "s.parquet"
    with UnfinishedRun(target, {}):
        with pytest.raises(StorageError, match="locked"), UnfinishedRun(target, {}):
            pass
        assert target.with_name(".s.parquet.unfinished").exists()


def test_changed_input_is_refused(workshop: Path, tmp_path: Path) -> None:
    """By the command: the directory of a run with other settings stays as it is."""
    scores = tmp_path / "s.parquet"
    args = ("score", workshop / "new.parquet", "-m", workshop / "pump.sensorad", "-o", scores, "--resume")
    kept = tmp_path / ".s.parquet.unfinished"
    kept.mkdir()
    (kept / "plan.json").write_text("{}")
    cli(*args).refused(5, "E_IO", "unfinished", "detector, files", str(kept))
    assert (kept / "plan.json").read_text() == "{}"
    assert not scores.exists()
    (kept / "plan.json").unlink()
    cli(*args).ok()
    assert scores.exists()
    assert not kept.exists()


def test_a_pipe_cannot_be_resumed(workshop: Path) -> None:
    cli("score", "-", "-m", "pump.sensorad", "-o", "x.parquet", "--resume", cwd=workshop).refused(2, "E_USAGE", "files")
    cli("score", "new.parquet", "-m", "pump.sensorad", "-o", "-", "--resume", cwd=workshop).refused(2, "E_USAGE")


@pytest.mark.parametrize("option", [("--precision", "bfloat16"), ("--network", "net.onnx")])
def test_a_linear_detector_has_no_network(workshop: Path, option: tuple[str, str]) -> None:
    args = ("score", "new.parquet", "-m", "pump.sensorad", "-o", "x.parquet", *option)
    cli(*args, cwd=workshop).refused(2, "E_USAGE", option[0], "linear")


def test_a_network_runs_in_lower_precision(workshop: Path, tmp_path: Path) -> None:
    make_log(600, seed=3).to_parquet(tmp_path / "normal.parquet")
    options = ("--model", "lstm", "--epochs", "1", "--window", "8")
    cli("fit", "normal.parquet", "-o", "net.sensorad", *options, cwd=tmp_path).ok()
    tables = {}
    for precision in ("float32", "bfloat16"):
        args = ("score", workshop / "new.parquet", "-m", "net.sensorad", "-o", f"{precision}.parquet")
        cli(*args, "--precision", precision, cwd=tmp_path).ok()
        tables[precision] = pd.read_parquet(tmp_path / f"{precision}.parquet")
    one, other = (table["score"].to_numpy() for table in tables.values())
    assert tables["float32"]["status"].equals(tables["bfloat16"]["status"])
    np.testing.assert_allclose(one, other, rtol=0.2, atol=0.2)
    assert (one[~np.isnan(one)] != other[~np.isnan(other)]).any()
    missing = ("score", workshop / "new.parquet", "-m", "net.sensorad", "-o", "x.parquet", "--network", "no.onnx")
    run = cli(*missing, cwd=tmp_path)
    assert run.code in (2, 4, 5), run.err
    assert "no.onnx" in run.err or "onnx" in run.err

"""What commands write: complete or absent, the same again, never over something else; exit codes; pipes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from cli_process import START, STEP, cli, command_line, environment, left_in, make_log

Frame = pd.DataFrame


def test_existing_output_is_kept_without_force_and_a_rerun_gives_the_same_bytes(
    workshop: Path, scored: Frame, tmp_path: Path
) -> None:
    paths = {name: tmp_path / name for name in ("s.parquet", "e.parquet", "m")}
    for name in ("scores.parquet", "events.parquet"):
        shutil.copy(workshop / name, tmp_path / f"{name[0]}.parquet")
    score = ("score", "new.parquet", "-m", "pump.sensorad", "-o", paths["s.parquet"], "--events", paths["e.parquet"])
    events = ("events", "scores.parquet", "-m", "pump.sensorad", "-o", paths["e.parquet"])
    for args in (score, events):
        cli(*args, cwd=workshop).refused(5, "E_IO", "exist", "--force")
    cli("fit", "normal.parquet", "-o", "pump.sensorad", cwd=workshop).refused(5, "E_IO", "pump.sensorad", "force")
    before = {name: path.read_bytes() for name, path in paths.items() if path.exists()}
    for args in (score, events):
        cli(*args, "--force", cwd=workshop).ok()
        assert {name: path.read_bytes() for name, path in paths.items() if path.exists()} == before
    again = cli("fit", "normal.parquet", "-o", paths["m"], "--budget", "3/day", cwd=workshop).ok()
    for path in (workshop / "pump.sensorad").iterdir():
        assert (paths["m"] / path.name).read_bytes() == path.read_bytes(), (path.name, again.err)


def test_outputs_among_the_inputs_or_in_no_directory_are_refused(workshop: Path, scored: Frame, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    shutil.copy(workshop / "new.parquet", logs)
    model = ("-m", workshop / "pump.sensorad")
    cli("score", logs, *model, "-o", logs / "s.parquet").refused(2, "E_USAGE", "among the input")
    cli("score", logs / "new.parquet", *model, "-o", logs / "new.parquet", "--force").refused(
        2, "E_USAGE", "new.parquet"
    )
    cli("score", logs, *model, "-o", tmp_path / "no" / "s.parquet").refused(5, "E_IO", "directory")
    assert left_in(logs) == {"new.parquet"}
    assert (logs / "new.parquet").read_bytes() == (workshop / "new.parquet").read_bytes()


def test_alarms_change_the_exit_code_only_when_asked(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    new_log.iloc[200:500].to_parquet(tmp_path / "calm.parquet")
    args = ("-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet", "--force", "--exit-code", "--json")
    loud = cli("score", workshop / "new.parquet", *args).ok(10)
    assert json.loads(loud.out)["events"] > 0
    calm = cli("score", tmp_path / "calm.parquet", *args).ok(0)
    assert json.loads(calm.out)["events"] == 0


def test_the_files_say_what_they_are(workshop: Path, scored: Frame) -> None:
    stored = pq.read_schema(workshop / "scores.parquet")
    assert stored.names[:5] == ["time", "score", "severity", "alarm", "status"]
    assert {"top_sensors", "top_shares"} <= set(stored.names)
    about = json.loads(stored.metadata[b"sensorad"])
    assert about["files"] == ["new.parquet"]
    assert scored["severity"].dropna().to_numpy() == pytest.approx(scored["score"].dropna() / about["threshold"])
    events = pd.read_parquet(workshop / "events.parquet")
    names = ["event_id", "start", "end", "peak", "kind", "severity", "score", "n_rows"]
    names += ["sensors", "shares", "expected", "actual", "return_days", "onset_seconds", "reason"]
    assert list(events.columns) == names


def test_pipes_in_and_out(workshop: Path, scored: Frame, new_log: Frame) -> None:
    model = ("-m", "pump.sensorad", "-o", "-", "--json")
    as_csv = new_log.to_csv(index=False).encode()
    by_csv = cli("score", "-", *model, cwd=workshop, stdin=as_csv).ok()
    by_parquet = cli("score", "-", *model, cwd=workshop, stdin=(workshop / "new.parquet").read_bytes()).ok()
    assert by_csv.out.splitlines()[0].startswith('"time","score","severity","alarm"')
    assert by_csv.out == by_parquet.out
    assert len(by_csv.out.splitlines()) == len(new_log) + 1
    assert json.loads(by_csv.err)["rows"] == len(new_log)
    events = cli("events", "scores.parquet", "-m", "pump.sensorad", "-o", "-", cwd=workshop).ok()
    assert len(events.out.splitlines()) == 1 + len(pd.read_parquet(workshop / "events.parquet"))


def test_splits_directories_and_partitions_give_the_same_scores(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, start in enumerate(range(0, len(new_log), 500)):
        new_log.iloc[start : start + 500].to_parquet(parts / f"{number}.parquet")
    args = ("-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet")
    cli("score", parts, *args).ok()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), scored)


def test_several_machines_are_kept_apart(workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path) -> None:
    both = pd.concat([new_log.assign(machine="A"), make_log(1440, 5, new_log["time"][0]).assign(machine="B")])
    both = both.sort_values(["time", "machine"], kind="stable")
    both.to_parquet(tmp_path / "both.parquet")
    args = ("-m", workshop / "pump.sensorad", "--group", "machine", "-o", tmp_path / "s.parquet")
    cli("score", tmp_path / "both.parquet", *args, "--events", tmp_path / "e.parquet").ok()
    scores = pd.read_parquet(tmp_path / "s.parquet")
    of_a = scores[scores["machine"] == "A"].drop(columns="machine").reset_index(drop=True)
    pd.testing.assert_frame_equal(of_a, scored)
    events = pd.read_parquet(tmp_path / "e.parquet")
    assert (events["machine"] == "A").sum() == len(pd.read_parquet(workshop / "events.parquet"))


@pytest.mark.parametrize("command", ["score", "fit"])
def test_kill_9_leaves_nothing_partial(workshop: Path, tmp_path: Path, command: str) -> None:
    """Killed once its temporary output is there; what stood under the name before still stands."""
    make_log(400_000, 0, START + 8000 * STEP).to_parquet(tmp_path / "log.parquet")
    target = tmp_path / "out"
    if command == "score":
        target.write_bytes(b"older scores")
        rest: tuple[object, ...] = ("-m", workshop / "pump.sensorad")
    else:
        shutil.copytree(workshop / "pump.sensorad", target)
        rest = ("--sensors", "flow,power")
    older = sorted((path.name, path.read_bytes()) for path in target.parent.rglob("*") if path.is_file())
    args = command_line(command, tmp_path / "log.parquet", *rest, "-o", target, "--force")
    with subprocess.Popen(args, env=environment(), stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 30
        if command == "score":
            while not list(tmp_path.glob(".out.*")) and time.monotonic() < deadline:
                time.sleep(0.005)
        else:
            time.sleep(1.0)
        assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
    now = {path.name: path.read_bytes() for path in target.parent.rglob("*") if path.is_file()}
    assert {name: now[name] for name, _ in older} == dict(older)
    new = set(now) - {name for name, _ in older}
    assert all(name.startswith(".out.") for name in new), "what a kill leaves behind is hidden"


def test_a_full_disk_or_locked_directory_is_an_io_error(workshop: Path, tmp_path: Path) -> None:
    """/dev/full takes no byte; it stands for a disk that is full."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command_line("score", "new.parquet", "-m", "pump.sensorad", "-o", "-"),
            cwd=workshop,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(TMPDIR=str(tmp_path)),
            text=True,
            check=False,
        )
    assert done.returncode == 5, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error[E_IO]: No space left")
    assert "Traceback" not in done.stderr
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize("name", ["detector.json", "weights.safetensors", "calibration.json", "SHA256SUMS"])
def test_a_tampered_detector_is_refused(workshop: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(workshop / "pump.sensorad", tmp_path / "m")
    content = bytearray((tmp_path / "m" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "m" / name).write_bytes(content)
    cli("score", workshop / "new.parquet", "-m", tmp_path / "m", "-o", tmp_path / "s").refused(4, "E_ARTEFACT", "m")
    assert left_in(tmp_path) == {"m"}


def test_a_detector_that_is_none_is_refused(workshop: Path, tmp_path: Path) -> None:
    cli("inspect", tmp_path / "none").refused(5, "E_IO", "none")
    cli("inspect", workshop / "new.parquet").refused(4, "E_ARTEFACT", "new.parquet")
    cli("inspect", tmp_path).refused(4, "E_ARTEFACT")


def test_a_damaged_file_found_late_leaves_no_scores(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    """The damage is in the last pages, long after scoring began."""
    log = pd.concat([new_log.assign(time=new_log["time"] + i * len(new_log) * STEP) for i in range(40)])
    log.to_csv(tmp_path / "log.csv", index=False)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2030-01-01 00:00:00+00:00,1,2,3\n")
    run = cli("score", tmp_path / "log.csv", "-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet")
    run.refused(3, "E_DATA", "log.csv")
    assert left_in(tmp_path) == {"log.csv"}
    assert os.environ.get("OMP_NUM_THREADS") == "1"

"""Fitting, calibrating, re-thresholding and reporting from the shell."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_process import START, STEP, cli, command_line, environment, left_in, make_log

Frame = pd.DataFrame


def test_fit_says_what_it_learned_and_promises(workshop: Path) -> None:
    said = (workshop / "fit.txt").read_text()
    for words in (
        "linear, score fused, windows of 30 rows",
        "5: flow, power, temp, level, lamp",
        "7,200 read, 7,200 used",
        "60 s a row, 1 stretches, 0 gaps",
        "lamp: any change of these will alarm",
        "4 blocks of time, each scored by a model fitted on the others",
        "Promise: no more than 3 alarm events a day",
        "with 90% confidence",
    ):
        assert words in said
    card = json.loads(cli("inspect", "pump.sensorad", "--json", cwd=workshop).ok().out)
    assert card["threshold"]["parameters"]["budget"] == "3/day"
    assert [row["name"] for row in card["card"]["sensors"]] == ["flow", "power", "temp", "level", "lamp"]
    for hashed in (card["card"]["fingerprint"], card["card"]["weights"]):
        assert re.fullmatch("[0-9a-f]{64}", hashed)


def test_units_ranges_and_kinds_are_kept(tmp_path: Path) -> None:
    cli("data", "make", "-o", tmp_path, "--normal-days", 1, "--days", 2, "--faults", 2, "-q").ok()
    fit = cli("fit", tmp_path / "normal.parquet", "-o", tmp_path / "m", "--exclude", "TI-001", "--mode", "mode").ok()
    assert "no promise on false alarms" in fit.err
    shown = cli("inspect", tmp_path / "m").ok().out
    assert re.search(r"LI-201 +m, 0 to 4, measurement", shown)
    assert "TI-001" not in shown


def test_flawed_training_logs_are_counted_not_learned(tmp_path: Path) -> None:
    log = make_log(3000, seed=2).assign(bad=0)
    log.loc[100:119, "temp"] = np.nan
    log.loc[200:259, ["flow", "power", "temp", "level"]] = np.nan
    log.loc[1000:1049, "flow"] = 900.0
    log.loc[1000:1049, "bad"] = 1
    log.loc[1500:, "time"] += pd.Timedelta("6h")
    log = pd.concat([log, log.iloc[[2999]]])
    log.to_parquet(tmp_path / "log.parquet")
    fit = cli("fit", "log.parquet", "-o", "m", "--label", "bad", "--json", cwd=tmp_path).ok()
    counts = json.loads(fit.out)["card"]["fit"]
    assert counts["read"] == 3001
    assert counts["missing_cells"] == 20 + 4 * 60
    assert (counts["anomalous"], counts["equal_times"], counts["blind"], counts["gaps"]) == (50, 1, 60, 1)
    assert counts["usable_rows"] == 3001 - 50 - 1 - 60
    log[["time", "flow", "power", "temp", "level", "lamp"]].to_parquet(tmp_path / "unlabelled.parquet")
    cli("score", "unlabelled.parquet", "-m", "m", "-o", "s.parquet", cwd=tmp_path).ok()
    spiked = pd.read_parquet(tmp_path / "s.parquet").iloc[1000:1049]
    assert spiked["alarm"].mean() > 0.9


@pytest.mark.parametrize(
    ("n_rows", "options", "words"),
    [
        (0, (), ["at least 150", "got 0"]),
        (1, (), ["at least 150", "got 1", "add 149 rows"]),
        (25, (), ["at least 150", "got 25"]),
        (140, (), ["at least 150", "add 10 rows"]),
        (140, ("--window", "60"), ["at least 300"]),
        (1500, ("--budget", "1/week"), ["1/week", "machine-hours", "hours of normal data"]),
    ],
)
def test_too_little_data_says_how_much_is_needed(
    tmp_path: Path, n_rows: int, options: tuple[str, ...], words: list[str]
) -> None:
    make_log(n_rows, seed=0).to_parquet(tmp_path / "log.parquet")
    cli("fit", tmp_path / "log.parquet", "-o", tmp_path / "m", *options).refused(3, "E_TOO_LITTLE", *words)
    assert left_in(tmp_path) == {"log.parquet"}


def test_training_files_must_agree_before_anything_is_learned(tmp_path: Path) -> None:
    make_log(500, 0).to_parquet(tmp_path / "a.parquet")
    make_log(500, 1, START + 500 * STEP).drop(columns="temp").to_parquet(tmp_path / "b.parquet")
    cli("fit", "a.parquet", "b.parquet", "-o", "m", cwd=tmp_path).refused(3, "E_SCHEMA", "b.parquet", "'temp'")
    make_log(500, 1, START + 500 * STEP).assign(more=1.0).to_parquet(tmp_path / "b.parquet")
    cli("fit", "a.parquet", "b.parquet", "-o", "m", cwd=tmp_path).refused(3, "E_SCHEMA", "b.parquet", "more")
    assert left_in(tmp_path) == {"a.parquet", "b.parquet"}


def test_only_what_a_network_has_can_be_asked_of_a_network(workshop: Path, tmp_path: Path) -> None:
    args = ("fit", workshop / "normal.parquet", "-o", tmp_path / "m")
    cli(*args, "--loss-curve", tmp_path / "c.svg").refused(2, "E_USAGE", "no training curve")
    cli(*args, "--objective", "masked").refused(2, "E_USAGE", "objective")
    cli(*args, "--no-linear-part").refused(2, "E_USAGE", "linear")
    assert left_in(tmp_path) == set()


def test_a_killed_fit_of_a_network_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """Killed when the first of its three training runs is done; the next call does the other two."""
    make_log(900, seed=0).to_parquet(tmp_path / "log.parquet")
    rest = ("--model", "lstm", "--epochs", "3", "--window", "8", "--sensors", "flow,power")
    whole = cli("fit", "log.parquet", "-o", "whole", *rest, "--loss-curve", "c.svg", cwd=tmp_path).ok()
    assert re.search(r"training +[\d,]+ parameters, 3 epochs", whole.err)
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    args = command_line("fit", "log.parquet", "-o", "m", *rest)
    with subprocess.Popen(args, cwd=tmp_path, env=environment(), **quiet) as child:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("m.checkpoint/*.checkpoint")) and time.monotonic() < deadline:
            time.sleep(0.002)
        assert child.poll() is None
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "m").exists()
    other = cli("fit", "log.parquet", "-o", "m", *rest, "--seed", 1, cwd=tmp_path)
    other.refused(4, "E_ARTEFACT", "m.checkpoint", "another training run")
    cli("fit", "log.parquet", "-o", "m", *rest, cwd=tmp_path).ok()
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()
    assert left_in(tmp_path) == {"log.parquet", "whole", "m", "c.svg"}


def test_calibrate_keeps_weights_and_says_what_to_expect(workshop: Path, tmp_path: Path) -> None:
    make_log(8000, 7, START + 9000 * STEP).to_parquet(tmp_path / "more.parquet")
    args = ("calibrate", tmp_path / "more.parquet", "-m", workshop / "pump.sensorad")
    said = cli(*args, "--budget", "2/day", "--confidence", "0.8", "-o", tmp_path / "m").ok()
    assert "alarm events a day" in said.out
    assert "at 80% confidence" in said.out
    assert re.search(r"rests on +5\.5\d machine-days, 7,9\d\d scored rows", said.out)
    old, new = (
        json.loads(cli("inspect", path, "--json").ok().out) for path in (workshop / "pump.sensorad", tmp_path / "m")
    )
    assert old["card"]["weights"] == new["card"]["weights"]
    assert new["threshold"]["parameters"]["budget"] == "2/day"
    assert new["threshold"]["calibration_days"] == pytest.approx(5.55, abs=0.05)

    scores = ("score", tmp_path / "more.parquet", "-m", tmp_path / "m", "-o", tmp_path / "more-scores.parquet")
    cli(*scores).ok()
    quantile = ("--method", "quantile", "--q", "0.995", "--json")
    from_log = cli(*args, *quantile, "-o", tmp_path / "a").ok()
    stored = ("calibrate", tmp_path / "more-scores.parquet", "-m", tmp_path / "m", *quantile, "--force")
    from_scores = cli(*stored).ok()
    first, second = json.loads(from_log.out), json.loads(from_scores.out)
    assert first["threshold"] == second["threshold"]
    assert first["expected_events_per_day"] == second["expected_events_per_day"]
    kept = json.loads(cli("inspect", tmp_path / "m", "--json").ok().out)
    assert kept["threshold"]["threshold"] == first["threshold"]


def test_calibrate_refuses_what_it_cannot_promise(workshop: Path, scored: Frame, tmp_path: Path) -> None:
    model = ("-m", "pump.sensorad", "-o", tmp_path / "m")
    few = cli("calibrate", "scores.parquet", *model, "--budget", "1/week", cwd=workshop)
    few.refused(3, "E_TOO_LITTLE", "1/week", "hours of normal data")
    cli("calibrate", "scores.parquet", *model, "--method", "magic", cwd=workshop).refused(2, "E_USAGE", "magic")
    wrong = cli("calibrate", "scores.parquet", *model, "--method", "quantile", "--budget", "1/day", cwd=workshop)
    wrong.refused(2, "E_USAGE", "budget")
    cli("calibrate", "scores.parquet", *model, "--q", "0.9", cwd=workshop).refused(2, "E_USAGE", "q")
    cli("calibrate", "scores.parquet", "new.parquet", *model, cwd=workshop).refused(2, "E_USAGE", "mixed")
    assert left_in(tmp_path) == set()


def test_stored_scores_give_the_same_events_and_others_on_demand(workshop: Path, scored: Frame, tmp_path: Path) -> None:
    args = ("events", "scores.parquet", "-m", "pump.sensorad", "--json")
    same = cli(*args, "-o", tmp_path / "same.parquet", cwd=workshop).ok()
    assert (tmp_path / "same.parquet").read_bytes() == (workshop / "events.parquet").read_bytes()
    threshold = json.loads(same.out)["threshold"]
    n_events = json.loads(same.out)["events"]
    strict = cli(*args, "-o", tmp_path / "b.parquet", "--threshold", 2 * threshold, "--min-rows", 5, cwd=workshop).ok()
    assert 0 < json.loads(strict.out)["events"] <= n_events
    strong = pd.read_parquet(tmp_path / "b.parquet")
    assert (strong["score"] > 2 * threshold).all()
    low = ("--threshold", scored["score"].median(), "--merge-gap", "0", "--release", "1")
    many = json.loads(cli(*args, "-o", tmp_path / "c.parquet", *low, cwd=workshop).ok().out)
    merged = json.loads(cli(*args, "-o", tmp_path / "d.parquet", *low[:2], "--merge-gap", "1h", cwd=workshop).ok().out)
    assert many["events"] > merged["events"]
    assert merged["rule"]["merge_gap_rows"] == 60
    bad = cli("events", "new.parquet", "-m", "pump.sensorad", "-o", tmp_path / "e.parquet", cwd=workshop)
    bad.refused(3, "E_DATA", "new.parquet", "scores")
    make_log(500, 0).to_parquet(tmp_path / "other.parquet")
    for options, words in ((("--sensors", "flow,temp"), "other sensors"), ((), "other weights")):
        cli("fit", "other.parquet", "-o", "other", *options, "--force", cwd=tmp_path).ok()
        other = cli("events", workshop / "scores.parquet", "-m", tmp_path / "other", "-o", tmp_path / "e.parquet")
        other.refused(3, "E_DATA", "scores.parquet", words)


def test_reports_of_a_detector_and_of_scores_with_and_without_the_log(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    labels = pd.DataFrame({"start": [new_log["time"][900]], "end": [new_log["time"][959]], "kind": ["power offset"]})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    about = ("report", "pump.sensorad", "-o", tmp_path / "model.html")
    cli(*about, cwd=workshop).ok()
    cli(*about, cwd=workshop).refused(5, "E_IO", "model.html", "--force")
    bare = cli("report", "scores.parquet", "-o", tmp_path / "bare.html", "--json", cwd=workshop).ok()
    assert json.loads(bare.out)["events"] == len(pd.read_parquet(workshop / "events.parquet"))
    full = ("-m", "pump.sensorad", "--log", "new.parquet", "--labels", tmp_path / "labels.csv", "--title", "Pump <7>")
    events = ("--events", "events.parquet")
    cli("report", "scores.parquet", *full, *events, "-o", tmp_path / "full.html", cwd=workshop).ok()
    pages = {name: (tmp_path / f"{name}.html").read_text() for name in ("model", "bare", "full")}
    for page in pages.values():
        assert page.startswith("<!DOCTYPE html>")
        assert not re.search(r'(src|href)="https?:', page)
    assert "7,200" in pages["model"] or "7200" in pages["model"]
    assert "power offset" in pages["full"]
    assert "Pump &lt;7&gt;" in pages["full"]
    assert len(pages["full"]) > len(pages["bare"]) + 10_000
    wrong = cli("report", "scores.parquet", "--log", "normal.parquet", "-o", tmp_path / "no.html", cwd=workshop)
    wrong.refused(3, "E_DATA", "not the log that was scored")
    assert not (tmp_path / "no.html").exists()


def test_demo_finds_the_faults_and_names_the_report_to_open(tmp_path: Path) -> None:
    run = cli("demo", "-o", tmp_path / "d").ok()
    assert run.out == ""
    found = re.search(r"Found (\d+) of (\d+) faults", run.err)
    assert found is not None
    assert int(found[1]) >= 0.9 * int(found[2])
    blamed = re.search(r"first three blamed for (\d+) of them", run.err)
    assert blamed is not None
    assert int(blamed[1]) >= 0.9 * int(found[1])
    rate = re.search(r"([\d.]+) a day, against a budget of 1/day", run.err)
    assert rate is not None
    assert float(rate[1]) <= 1.0
    assert run.err.splitlines()[-1] == f"Open {tmp_path / 'd' / 'report.html'} in a browser."
    assert (tmp_path / "d" / "report.html").read_text().startswith("<!DOCTYPE html>")
    cli("demo", "-o", tmp_path / "d").refused(5, "E_IO", "--force")

    # The commands that the story ends with do the same.
    results = ("scores.parquet", "events.parquet")
    before = {name: (tmp_path / "d" / name).read_bytes() for name in results}
    for line in run.err.splitlines():
        if line.startswith("  sensorad "):
            cli(*line.split()[1:]).ok()
    assert {name: (tmp_path / "d" / name).read_bytes() for name in results} == before
    shutil.rmtree(tmp_path / "d")

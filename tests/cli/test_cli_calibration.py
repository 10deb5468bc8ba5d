"""Alarm lines from the shell: methods, modes, labels, what-if, diff, quality events, and a calibration gone stale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_process import START, STEP, cli, environment, make_log

DAY = 1440


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with plant.sensorad, fitted with modes, and scores of ten calm days and of one with three faults."""
    folder = tmp_path_factory.mktemp("bench")
    _with_modes(make_log(5 * DAY, seed=0)).to_parquet(folder / "learn.parquet")
    calm = _with_modes(make_log(10 * DAY, seed=1, start=START + 5 * DAY * STEP))
    calm.to_parquet(folder / "calm.parquet")
    faulty = _with_modes(make_log(DAY, seed=2, start=START + 15 * DAY * STEP))
    for first, size in ((300, 3.0), (700, -3.0), (1100, 5.0)):
        faulty.loc[first : first + 39, "power"] += size
    faulty.to_parquet(folder / "faulty.parquet")
    times = faulty["time"]
    labels = {"start": [times[300], times[700], times[1100]], "end": [times[339], times[739], times[1139]]}
    pd.DataFrame(labels).to_csv(folder / "faults.csv", index=False)
    cli("fit", "learn.parquet", "-o", "plant.sensorad", "--mode", "mode", "--budget", "3/day", cwd=folder).ok()
    for name in ("calm", "faulty"):
        args = ("score", f"{name}.parquet", "-m", "plant.sensorad", "-o", f"{name}-scores.parquet")
        cli(*args, "--events", f"{name}-events.parquet", cwd=folder).ok()
    return folder


def _with_modes(log: pd.DataFrame) -> pd.DataFrame:
    """Nights are quiet, days are noisy: power and temperature scatter four times as much."""
    minute = ((log["time"] - START).dt.total_seconds() / 60).to_numpy()
    is_day = (minute % DAY) >= DAY / 2
    rng = np.random.default_rng(len(log))
    log["power"] += np.where(is_day, 0.4, 0.0) * rng.normal(size=len(log))
    log["temp"] += np.where(is_day, 0.4, 0.0) * rng.normal(size=len(log))
    return log.assign(mode=np.where(is_day, "day", "night"))


def _calibrate(folder: Path, *args: object, source: str = "calm-scores.parquet") -> dict[str, object]:
    command = ("calibrate", source, "-m", "plant.sensorad", *args)
    if "--what-if" not in args:
        command = (*command, "-o", "other.sensorad", "--force")
    found: dict[str, object] = json.loads(cli(*command, "--json", cwd=folder).ok().out)
    return found


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (("--method", "sigma", "--k", "4"), {"k": 4.0}),
        (("--method", "mad", "--k", "7"), {"k": 7.0}),
        (("--method", "quantile", "--q", "0.995"), {"q": 0.995}),
        (("--method", "pot", "--risk", "1e-3"), {"risk": 1e-3}),
        (("--method", "pot", "--risk", "1e-3", "--declustered"), {"risk": 1e-3}),
        (("--method", "conformal", "--alpha", "0.05", "--block", "4h"), {"alpha": 0.05, "block_seconds": 14_400.0}),
        (("--method", "budget-mean", "--budget", "2/day"), {"budget": "2/day"}),
        (("--method", "budget", "--budget", "1/week", "--extrapolate"), {"budget": "1/week"}),
    ],
)
def test_every_method_and_its_options_reach_the_line(
    bench: Path, options: tuple[str, ...], parameters: dict[str, object]
) -> None:
    found = _calibrate(bench, *options)
    assert found["method"] == options[1]
    kept = found["parameters"]
    assert isinstance(kept, dict)
    assert {name: kept[name] for name in parameters} == parameters
    assert found["is_extrapolated"] == ("--extrapolate" in options)
    shown = json.loads(cli("inspect", "other.sensorad", "--json", cwd=bench).ok().out)
    assert shown["threshold"]["threshold"] == found["threshold"]
    assert shown["card"]["weights"] == found["weights_sha256"]


def test_modes_have_lines_and_severities_of_their_own(bench: Path) -> None:
    found = _calibrate(bench, "--budget", "2/day")
    modes = found["modes"]
    assert isinstance(modes, dict)
    assert modes["day"]["threshold"] > 1.2 * modes["night"]["threshold"]
    cli("score", "faulty.parquet", "-m", "other.sensorad", "-o", "by-mode.parquet", "--force", cwd=bench).ok()
    scores = pd.read_parquet(bench / "by-mode.parquet").dropna(subset="score")
    line = scores["mode"].map({name: own["threshold"] for name, own in modes.items()})
    np.testing.assert_allclose(scores["severity"], scores["score"] / line, rtol=1e-12)
    assert (scores["alarm"] == (scores["score"] > line)).all()
    pooled = _calibrate(bench, "--budget", "2/day", "--pooled")
    assert pooled["modes"] == {}
    no_mode = pd.read_parquet(bench / "faulty.parquet").drop(columns="mode")
    no_mode.to_parquet(bench / "no-mode.parquet")
    refused = cli("score", "no-mode.parquet", "-m", "plant.sensorad", "-o", "x.parquet", cwd=bench)
    refused.refused(3, "E_SCHEMA", "'mode'")
    cli("score", "no-mode.parquet", "-m", "other.sensorad", "-o", "x.parquet", cwd=bench).ok()


def test_a_label_file_keeps_faults_out_of_normal_and_teaches_fbeta(bench: Path) -> None:
    (bench / "verdicts.csv").unlink(missing_ok=True)
    events = pd.read_parquet(bench / "faulty-events.parquet")
    alarms = events[events["kind"] != "quality"]
    assert len(alarms) >= 3
    without = _calibrate(bench, "--budget", "6/day", source="faulty-scores.parquet")
    for event in alarms["event_id"]:
        cli("label", "faulty-events.parquet", event, "fault:P1", "-o", "verdicts.csv", cwd=bench).ok()
    taught = _calibrate(bench, "--budget", "6/day", "--labels", "verdicts.csv", source="faulty-scores.parquet")
    assert float(str(taught["threshold"])) < float(str(without["threshold"]))
    found = _calibrate(
        bench, "--method", "fbeta", "--budget", "6/day", "--labels", "faults.csv", source="faulty-scores.parquet"
    )
    parameters = found["parameters"]
    assert isinstance(parameters, dict)
    assert (parameters["n_faults"], parameters["n_found"]) == (3, 3)
    bare = _calibrate(
        bench, "--method", "fbeta", "--budget", "none", "--labels", "faults.csv", source="faulty-scores.parquet"
    )
    assert isinstance(bare["parameters"], dict)
    assert bare["parameters"]["tau_budget"] is None
    for event in alarms["event_id"]:
        cli("label", "faulty-events.parquet", event, "false-alarm", "-o", "verdicts.csv", cwd=bench).ok()
    taken_back = _calibrate(bench, "--budget", "6/day", "--labels", "verdicts.csv", source="faulty-scores.parquet")
    assert taken_back["threshold"] == without["threshold"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("start,end\n2019-01-01T00:00Z,2019-01-02T00:00Z\n", ("outside",)),
        ("start,end\n2024-05-16T05:00Z,2024-05-16T06:00Z\n2024-05-16T05:30Z,2024-05-16T07:00Z\n", ("overlap",)),
        ("start,end,group\n2024-05-16T05:00Z,2024-05-16T06:00Z,west\n", ("west",)),
        ("start,end\n", ("no labelled fault",)),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(bench: Path, labels: str, words: tuple[str, ...]) -> None:
    (bench / "bad.csv").write_text(labels)
    args = ("faulty-scores.parquet", "-m", "plant.sensorad", "--labels", "bad.csv", "--method", "fbeta", "--force")
    before = (bench / "plant.sensorad" / "calibration.json").read_bytes()
    run = cli("calibrate", *args, cwd=bench)
    assert run.code == 3
    assert all(word in run.err for word in words), run.err
    assert (bench / "plant.sensorad" / "calibration.json").read_bytes() == before


def test_what_if_counts_at_many_lines_and_changes_nothing(bench: Path) -> None:
    files = sorted((bench / "plant.sensorad").iterdir())
    before = [path.read_bytes() for path in files]
    args = ("calibrate", "faulty-scores.parquet", "-m", "plant.sensorad", "--what-if", "--labels", "faults.csv")
    run = cli(*args, "--figure", "what-if.svg", "--force", cwd=bench).ok()
    assert "<- in force" in run.out
    assert "3 of  3" in run.out
    assert (bench / "what-if.svg").read_text().startswith("<svg ")
    table = json.loads(cli(*args, "--json", cwd=bench).ok().out)
    assert table["n_faults"] == 3
    assert table["line"] in table["threshold"]
    assert np.all(np.diff(table["n_found"]) <= 0)
    assert [path.read_bytes() for path in files] == before
    cli(*args, "-o", "x.sensorad", cwd=bench).refused(2, "E_USAGE", "nothing to write")
    normal = ("calibrate", "calm-scores.parquet", "-m", "plant.sensorad", "--figure", "x.svg", "--force")
    cli(*normal, cwd=bench).refused(2, "E_USAGE", "--what-if")


def test_diff_lists_what_would_be_gained_and_lost(bench: Path) -> None:
    _calibrate(bench, "--method", "quantile", "--q", "0.98")
    args = ("diff", "plant.sensorad", "other.sensorad", "faulty-scores.parquet")
    there = json.loads(cli(*args, "--json", cwd=bench).ok().out)
    back = json.loads(
        cli("diff", "other.sensorad", "plant.sensorad", "faulty-scores.parquet", "--json", cwd=bench).ok().out
    )
    assert len(there["gained"]) > 0
    assert there["lost"] == []
    assert [event["start"] for event in back["lost"]] == [event["start"] for event in there["gained"]]
    assert there["after"]["events"] > there["before"]["events"]
    said = cli(*args, cwd=bench).ok().out
    assert f"gained      {len(there['gained'])}" in said
    foreign = cli("fit", "calm.parquet", "-o", "foreign.sensorad", "--mode", "mode", "-q", cwd=bench)
    foreign.ok()
    run = cli("diff", "plant.sensorad", "foreign.sensorad", "faulty-scores.parquet", cwd=bench)
    run.refused(3, "E_DATA", "other weights")


def test_stored_scores_of_a_network_are_calibrated_without_torch(tmp_path: Path) -> None:
    make_log(3 * DAY, seed=3).to_parquet(tmp_path / "log.parquet")
    cli(
        "fit",
        "log.parquet",
        "-o",
        "net.sensorad",
        "--model",
        "lstm",
        "--epochs",
        "1",
        "--budget",
        "2/day",
        cwd=tmp_path,
    ).ok()
    cli("score", "log.parquet", "-m", "net.sensorad", "-o", "scores.parquet", cwd=tmp_path).ok()
    (tmp_path / "no_torch.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ImportError('torch is not wanted here')\n"
        "sys.meta_path.insert(0, Without())\n"
        "from sensorad_cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for args in (
        ("calibrate", "scores.parquet", "-m", "net.sensorad", "--budget", "3/day", "-o", "net2.sensorad"),
        ("events", "scores.parquet", "-m", "net2.sensorad", "-o", "events.csv"),
        ("diff", "net.sensorad", "net2.sensorad", "scores.parquet"),
    ):
        done = subprocess.run(
            [sys.executable, "no_torch.py", *args], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
    weights = [
        json.loads(cli("inspect", m, "--json", cwd=tmp_path).ok().out)["card"]["weights"]
        for m in ("net.sensorad", "net2.sensorad")
    ]
    assert weights[0] == weights[1]


def test_broken_sensors_are_findings_about_the_data_and_no_alarms(bench: Path) -> None:
    log = _with_modes(make_log(DAY, seed=4, start=START + 16 * DAY * STEP))
    log.loc[200:399, "flow"] = np.nan
    log.loc[600:799, "level"] = log.loc[600, "level"]
    log.to_parquet(bench / "broken.parquet")
    args = ("score", "broken.parquet", "-m", "plant.sensorad", "-o", "broken-scores.parquet", "--force")
    run = cli(*args, "--events", "broken-events.parquet", cwd=bench).ok()
    events = pd.read_parquet(bench / "broken-events.parquet")
    findings = events[events["kind"] == "quality"].set_index("reason")
    assert sorted(findings.index) == ["flat", "missing"]
    assert findings.loc["missing", "sensors"].tolist() == ["flow"]
    assert findings.loc["flat", "sensors"].tolist() == ["level"]
    assert findings.loc["flat", "n_rows"] == 200
    assert findings["severity"].isna().all()
    assert "2 (1 flat, 1 missing), apart from the events above" in run.err
    again = ("events", "broken-scores.parquet", "-m", "plant.sensorad", "-o", "again.parquet", "--force")
    cli(*again, cwd=bench).ok()
    pd.testing.assert_frame_equal(pd.read_parquet(bench / "again.parquet"), events)
    summary = json.loads(cli(*args, "--json", cwd=bench).ok().out)
    assert summary["quality_events"] == 2
    assert summary["events"] == len(events) - 2


def test_events_say_how_rare_they_are_and_in_which_order_sensors_came_in(bench: Path) -> None:
    events = pd.read_parquet(bench / "faulty-events.parquet")
    alarms = events[events["kind"] != "quality"]
    assert (alarms["return_days"] > 0).all()
    ranked = alarms.sort_values("severity")
    assert ranked["return_days"].is_monotonic_increasing
    for event in alarms.to_dict("records"):
        assert len(event["onset_seconds"]) == len(event["sensors"])
        length = (event["end"] - event["start"]).total_seconds()
        assert all(0 <= onset <= length for onset in event["onset_seconds"])


def test_a_calibration_that_no_longer_holds_is_said_to_be_stale(bench: Path) -> None:
    """Three weeks in which two sensors have become noisier: few alarms more, and yet all has changed."""
    calm = _with_modes(make_log(21 * DAY, seed=5, start=START + 20 * DAY * STEP))
    calm.to_parquet(bench / "later.parquet")
    args = ("-m", "plant.sensorad", "-o", "later-scores.parquet", "--force", "--json")
    _calibrate(bench, "--budget", "2/day")
    args = ("-m", "other.sensorad", *args[2:])
    true = json.loads(cli("score", "later.parquet", *args, cwd=bench).ok().out)
    assert true["calibration"]["is_stale"] is False
    calm["temp"] += 0.15 * np.random.default_rng(6).normal(size=len(calm))
    calm["level"] += 0.015 * np.random.default_rng(7).normal(size=len(calm))
    calm.to_parquet(bench / "changed.parquet")
    run = cli("score", "changed.parquet", *args, cwd=bench).ok()
    stale = json.loads(run.out)["calibration"]
    assert stale["is_stale"] is True
    assert "no longer describes normal" in run.err
    cli("report", "later-scores.parquet", "-m", "other.sensorad", "-o", "stale.html", "--force", cwd=bench).ok()
    assert "no longer describes normal" in (bench / "stale.html").read_text()


def test_a_report_on_scores_of_an_unsorted_log_still_judges_the_calibration(bench: Path) -> None:
    shuffled = pd.read_parquet(bench / "calm.parquet").sample(frac=1.0, random_state=0)
    shuffled.to_parquet(bench / "shuffled.parquet")
    args = ("score", "shuffled.parquet", "-m", "plant.sensorad", "-o", "shuffled-scores.parquet", "--force", "--json")
    said = json.loads(cli(*args, cwd=bench).ok().out)["calibration"]["statement"]
    assert "too early" not in said
    page = ("report", "shuffled-scores.parquet", "-m", "plant.sensorad", "-o", "shuffled.html", "--force")
    cli(*page, cwd=bench).ok()
    assert said in (bench / "shuffled.html").read_text()

"""Planning, running in worker processes, keeping results, going on after a stop."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sensorad
from sensorad.errors import DataError, StorageError, UsageError
from sensorad_cli.main import main
from sensorad_datasets.bench import Campaign, Task, available_sets, plan_tasks, run_task
from sensorad_datasets.bench.plant_trial import PlantTrial, run_plant, simulate_trial
from sensorad_datasets.bench.pool import Outcome, run_tasks
from sensorad_datasets.bench.store import ResultStore
from sensorad_datasets.bench.worker import serve

FAULT = slice(300, 340)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: ASD with two machines of three channels, 1,200 normal rows, a fault of the second channel."""
    folder = tmp_path_factory.mktemp("data") / "asd"
    for name in ("train", "test", "interpretation"):
        (folder / name).mkdir(parents=True)
    for number in (1, 2, 3):
        generator = np.random.default_rng(number)
        swing = np.sin(np.arange(1800) / 20.0)[:, None] * [1.0, 0.8, -0.5]
        values = (swing + 0.1 * generator.normal(size=(1800, 3))).astype(np.float32)
        test = values[1200:]
        test[FAULT, 1] += 2.0
        label = np.zeros(600, np.int8)
        label[FAULT] = 1
        names = [f"m{i:02d}" for i in range(3)]
        train_columns = dict(zip(names, values[:1200].T, strict=True))
        pq.write_table(pa.table(train_columns), folder / "train" / f"omi-{number}.parquet")
        test_columns = dict(zip(names, test.T, strict=True)) | {"label": label}
        pq.write_table(pa.table(test_columns), folder / "test" / f"omi-{number}.parquet")
        cause = [{"start": FAULT.start, "end": FAULT.stop - 1, "dims_1based": [2]}]
        (folder / "interpretation" / f"omi-{number}.json").write_text(json.dumps(cause))
    files = sorted(path for path in folder.rglob("*.*"))
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder.parent


def test_seeds_are_for_what_is_random(root: Path) -> None:
    tasks = plan_tasks(["asd"], ["linear", "random", "lstm"], 3, root)
    by_method = {name: [task for task in tasks if task.method == name] for name in ("linear", "random", "lstm")}
    assert {name: len(found) for name, found in by_method.items()} == {"linear": 3, "random": 9, "lstm": 9}
    assert [task.seed for task in by_method["lstm"][:3]] == [0, 1, 2]
    quick = plan_tasks(["asd", "plant"], ["linear", "random"], 3, root, quick=True)
    assert {task.seed for task in quick} == {0}


def test_the_plant_takes_only_what_has_an_alarm_line() -> None:
    tasks = plan_tasks(["plant"], ["linear", "pca", "clock"], 2, None)
    assert tasks == [Task("plant", ("plant-0",), "linear", 0), Task("plant", ("plant-1",), "linear", 1)]
    with pytest.raises(UsageError, match="none of pca runs on plant"):
        plan_tasks(["plant"], ["pca"], 2, None)


def test_unknown_names_are_refused_with_a_hint(root: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'transformer'"):
        plan_tasks(["asd"], ["transformr"], 1, root)
    with pytest.raises(UsageError, match="unknown data set 'asdf'"):
        plan_tasks(["asdf"], ["linear"], 1, root)
    with pytest.raises(StorageError, match="'smd' is not in the data folder"):
        plan_tasks(["smd"], ["linear"], 1, root)


def test_sets_are_those_in_the_folder_and_the_plant(root: Path) -> None:
    assert available_sets(root) == ["asd", "plant"]


@pytest.mark.parametrize(
    "method", ["linear", "max-z", "pca", "window-pca", "nearest-window", "autoregression", "clock"]
)
def test_every_method_finds_an_easy_fault(root: Path, method: str) -> None:
    (row,) = run_task(Task("asd", ("omi-1",), method, 0), root)
    assert (row["set"], row["series"], row["method"], row["seed"]) == ("asd", "omi-1", method, 0)
    assert row["vus_pr"] > 5 * row["base_rate"]
    assert row["recall_at_1_per_10k"] == 1.0
    if method == "linear":
        assert (row["n_found"], row["n_events"], row["n_causes"], row["n_top1"]) == (1, 1, 1, 1)
    assert row["fit_seconds"] >= 0.0


@pytest.mark.parametrize("method", ["lstm-untrained-alone", "transformer-untrained-alone"])
def test_untrained_networks_run(root: Path, method: str) -> None:
    (row,) = run_task(Task("asd", ("omi-1",), method, 0), root)
    assert 0.0 < row["vus_pr"] <= 1.0


def test_rows_survive_and_the_later_one_counts(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "new" / "folder")
    task = Task("tep", ("d01", "d02"), "linear", 0)
    head = {"set": "tep", "method": "linear", "seed": 0}
    store.add([head | {"series": "d01", "detection_rate": np.float64(0.5), "delay_rows": float("nan")}])
    assert not store.has(task)
    store.add([head | {"series": "d02", "detection_rate": 0.1}, head | {"series": "d01", "detection_rate": 0.9}])
    again = ResultStore(tmp_path / "new" / "folder")
    assert again.has(task)
    assert [(row["series"], row["detection_rate"]) for row in again.rows] == [("d01", 0.9), ("d02", 0.1)]
    assert not again.has(Task("tep", ("d01",), "linear", 1))
    assert '"delay_rows": null' in again.path.read_text()


def test_a_torn_last_line_is_dropped_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    rows = [{"set": "asd", "series": name, "method": "pca", "seed": 0} for name in "ab"]
    store.add(rows)
    with store.path.open("ab") as file:
        file.write(b'{"set": "asd", "ser')
    again = ResultStore(tmp_path)
    assert again.rows == rows
    again.add([rows[0] | {"series": "c"}])
    assert [row["series"] for row in ResultStore(tmp_path).rows] == ["a", "b", "c"]
    store.path.write_text("nonsense\n" + store.path.read_text())
    with pytest.raises(DataError, match="line 1"):
        ResultStore(tmp_path)


def test_a_campaign_goes_on_where_it_stood(root: Path, tmp_path: Path) -> None:
    tasks = plan_tasks(["asd"], ["max-z", "random"], 1, root)
    first = Campaign(tmp_path, root)
    numbers: list[int] = []
    first.run(first.missing(tasks)[:4], 2, lambda outcome, number: numbers.append(number))
    assert numbers == [1, 2, 3, 4]
    second = Campaign(tmp_path, root)
    missing = second.missing(tasks)
    assert len(missing) == 2
    assert second.missing(tasks, force=True) == tasks
    second.run(missing, 1, lambda outcome, number: None)
    assert second.missing(tasks) == []
    assert second.n_stale(tasks) == 0
    expected = run_task(tasks[0], root)[0]
    kept = next(row for row in second.store.rows if (row["series"], row["method"]) == ("omi-1", "max-z"))
    assert kept["vus_pr"] == expected["vus_pr"]
    values = json.loads(second.write()[0].read_text())
    assert len(values["rows"]) == 6
    assert values["versions"]["sensorad"] == sensorad.__version__
    assert "max-z" in (tmp_path / "bench.md").read_text()


def test_rows_of_other_code_are_noticed(root: Path, tmp_path: Path) -> None:
    tasks = plan_tasks(["asd"], ["max-z"], 1, root)
    campaign = Campaign(tmp_path, root)
    row = {"set": "asd", "series": "omi-1", "method": "max-z", "seed": 0, "vus_pr": 0.5, "base_rate": 0.1}
    campaign.store.add([row | {"code": "0" * 12}, row | {"series": "omi-2", "code": "1" * 12}])
    assert campaign.n_stale(tasks) == 2
    assert "> Rows come from different versions" in campaign.text()


def test_a_failure_is_an_outcome_and_is_not_kept(root: Path, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, root)
    tasks = [Task("asd", ("absent",), "max-z", 0), Task("asd", ("omi-1",), "max-z", 0)]
    campaign.run(tasks, 1, lambda outcome, number: None)
    assert [outcome.task for outcome in campaign.failures] == tasks[:1]
    assert "asd has no series 'absent'" in campaign.failures[0].failure
    assert campaign.missing(tasks) == tasks[:1]


def test_a_worker_that_dies_costs_one_task_only(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flag = tmp_path / "died"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, pathlib\nflag = pathlib.Path({str(flag)!r})\n"
        "if not flag.exists():\n    flag.touch()\n    os._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tasks = [Task("asd", (name,), "max-z", 0) for name in ("omi-1", "omi-2")]
    outcomes = list(run_tasks(tasks, root))
    assert [bool(outcome.rows) for outcome in outcomes] == [False, True]
    assert "ended with code 9" in outcomes[0].failure


def test_workers_are_gone_when_the_caller_stops(root: Path) -> None:
    tasks = plan_tasks(["asd"], ["random"], 40, root)
    running = run_tasks(tasks, root, 2)
    assert isinstance(next(running), Outcome)
    running.close()  # joins the threads, each of which ends its process: a hang here is the failure


def test_a_worker_answers_line_by_line(root: Path) -> None:
    requests = [
        {"task": Task("asd", ("omi-1",), method, 0).to_json(), "root": str(root)} for method in ("max-z", "none")
    ]
    replies = io.StringIO()
    serve(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), replies)
    first, second = map(json.loads, replies.getvalue().splitlines())
    assert first["rows"][0]["series"] == "omi-1"
    assert second["failure"].startswith("[E_USAGE] there is no benchmark method 'none'")


def test_the_plant_is_fitted_calibrated_and_judged() -> None:
    trial = PlantTrial(fit_days=7, calibration_days=4, normal_days=3, faulty_days=14, n_faults=6)
    row = run_plant(sensorad.Detector(), 0, trial)
    assert row["normal_days"] == 3
    assert row["n_faults"] == 6
    assert row["n_found"] >= 5
    assert row["n_blamed"] <= row["n_found"]
    assert 0 < row["false_days"] < 14
    normal, faulty = simulate_trial(0, trial)
    assert normal.num_rows == 14 * 1440
    assert (faulty.table["time"][0].as_py() - normal["time"][-1].as_py()).total_seconds() == 60
    assert simulate_trial(1, trial)[0]["PI-101"] != normal["PI-101"]


def test_the_command_prints_tables_and_keeps_results(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "bench",
        "asd",
        "-o",
        str(tmp_path / "out"),
        "--root",
        str(root),
        "--models",
        "max-z,random",
        "--quick",
    ]
    assert main(arguments) == 0
    first = capsys.readouterr()
    assert "| max-z  | 3 |" in first.out
    assert "6 fits, 0 of them kept" in first.err
    assert main([*arguments, "--json"]) == 0
    second = capsys.readouterr()
    assert "6 fits, 6 of them kept" in second.err
    assert json.loads(second.out)["sets"]["asd"]["methods"]["max-z"]["n_series"] == 3
    assert main([*arguments[:-2], "none"]) == 2
    assert "there is no benchmark method 'none'" in capsys.readouterr().err

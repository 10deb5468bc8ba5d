"""Logs with flaws that can be lived with: every row gets a status, counts balance, the flaw is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_process import FAULT, SENSORS, STEP, Run, cli

Frame = pd.DataFrame


def score(workshop: Path, folder: Path, log: Frame, *options: object, name: str = "log.parquet") -> tuple[Run, Frame]:
    """Write a log, score it, and read the scores back."""
    path = folder / name
    log.to_parquet(path) if name.endswith("parquet") else log.to_csv(path, index=False)
    args = ("score", path, "-m", workshop / "pump.sensorad", "-o", folder / "s.parquet", "--json", "--force")
    run = cli(*args, *options).ok()
    scores = pd.read_parquet(folder / "s.parquet")
    summary = json.loads(run.out)
    assert len(scores) == len(log) == summary["rows"] == sum(summary["status"].values())
    assert scores["score"].isna().equals(~scores["status"].isin(["scored", "degraded"]))
    assert scores["alarm"].isna().equals(scores["score"].isna())
    return run, scores


def test_the_plain_log_is_scored_and_its_fault_found(workshop: Path, scored: Frame, new_log: Frame) -> None:
    assert list(scored["time"]) == list(new_log["time"])
    assert scored["status"].value_counts().to_dict() == {"scored": 1411, "warmup": 29}
    alarms = scored["alarm"].astype("boolean").fillna(False)
    assert alarms[FAULT].mean() > 0.9
    assert alarms[: FAULT.start].mean() < 0.02
    assert (scored.loc[FAULT, "top_sensors"].str[0] == "power").mean() > 0.9
    events = pd.read_parquet(workshop / "events.parquet")
    found = events[(events["start"] <= new_log["time"][FAULT.stop]) & (events["end"] >= new_log["time"][FAULT.start])]
    assert len(found) == 1
    assert found["sensors"].iloc[0][0] == "power"
    assert found["actual"].iloc[0][0] - found["expected"].iloc[0][0] > 2
    said = (workshop / "score.txt").read_text()
    assert "1,440 = 1,411 scored + 29 warmup" in said
    assert "power" in said


def test_column_order_and_extra_columns_change_nothing(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    shuffled = new_log[["lamp", "temp", "time", "power", "level", "flow"]].assign(extra=1.0, note="x")
    run, scores = score(workshop, tmp_path, shuffled)
    pd.testing.assert_frame_equal(scores, scored)
    warnings = [line for line in run.err.splitlines() if "ignored" in line]
    assert len(warnings) == 1
    assert "extra, note" in warnings[0]


def test_csv_nullable_integer_boolean_and_decimal_columns_score_alike(
    workshop: Path, new_log: Frame, tmp_path: Path
) -> None:
    rounded = new_log.round({"flow": 0, "power": 2})
    _, plain = score(workshop, tmp_path, rounded)
    table = pa.Table.from_pandas(rounded, preserve_index=False)
    odd = {"flow": pa.int16(), "lamp": pa.bool_(), "power": pa.decimal128(10, 2), "level": pa.string()}
    for name, kind in odd.items():
        column = table[name] if name != "level" else pa.array([repr(x) for x in rounded["level"]])
        table = table.set_column(table.column_names.index(name), name, column.cast(kind))
    pq.write_table(table, tmp_path / "odd.parquet")
    args = ("score", tmp_path / "odd.parquet", "-m", workshop / "pump.sensorad", "-o", tmp_path / "odd-scores.parquet")
    cli(*args).ok()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "odd-scores.parquet"), plain)
    _, from_csv = score(workshop, tmp_path, rounded, name="log.csv")
    pd.testing.assert_frame_equal(from_csv, plain)


def test_missing_cells_degrade_and_lost_rows_are_unscorable(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    log = new_log.astype({"temp": "float64"})
    log.loc[100:104, "temp"] = np.nan
    log.loc[200, "flow"] = np.inf
    log.loc[300, "level"] = 1e300
    log.loc[400:409, list(SENSORS)] = np.nan
    log.loc[500, "lamp"] = -0.0
    log.loc[501, "lamp"] = 5e-324
    run, scores = score(workshop, tmp_path, log)
    assert (scores.loc[100:104, ["status", "reason"]].to_numpy() == ["degraded", "missing"]).all()
    assert scores.loc[200, ["status", "reason"]].tolist() == ["degraded", "infinite"]
    assert scores.loc[300, ["status", "reason"]].tolist() == ["degraded", "overflow"]
    assert (scores.loc[400:409, ["status", "reason"]].to_numpy() == ["unscorable", "missing"]).all()
    quiet = [*range(100, 105), 200, 300, *range(440, 500)]
    assert not scores.loc[quiet, "alarm"].fillna(False).astype(bool).any()
    assert scores.loc[700:, "score"].to_numpy() == pytest.approx(scored.loc[700:, "score"].to_numpy(), rel=1e-6)
    assert "missing 1" in run.err or json.loads(run.out)["reasons"]["missing"] >= 15


def test_unsorted_and_repeated_rows_are_counted_and_keep_their_place(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    order = np.random.default_rng(3).permutation(len(new_log))
    run, scores = score(workshop, tmp_path, new_log.iloc[order])
    pd.testing.assert_frame_equal(scores, scored.iloc[order].reset_index(drop=True))
    assert "out of time order: sorted" in run.err
    args = ("events", tmp_path / "s.parquet", "-m", workshop / "pump.sensorad", "-o", tmp_path / "e.parquet")
    cli(*args).ok()
    assert (tmp_path / "e.parquet").read_bytes() == (workshop / "events.parquet").read_bytes()

    twins = pd.concat([new_log.iloc[:500], new_log.iloc[499:500], new_log.iloc[500:]], ignore_index=True)
    twins = pd.concat([twins.iloc[:601], twins.iloc[600:601].assign(flow=99.0), twins.iloc[601:]], ignore_index=True)
    _, scores = score(workshop, tmp_path, twins)
    assert scores.loc[[500, 601], "status"].tolist() == ["duplicate", "duplicate"]
    rest = scores.drop(index=[500, 601]).reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, scored)
    args = ("score", tmp_path / "log.parquet", "-m", workshop / "pump.sensorad", "-o", tmp_path / "none.parquet")
    cli(*args, "--duplicates", "error").refused(3, "E_TIME", "row 601", "--duplicates first")
    assert not (tmp_path / "none.parquet").exists()


def test_the_last_of_several_rows_of_one_time_is_scored_where_that_is_asked_for(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    wrong = new_log.iloc[[300, 300, 600]].assign(flow=[99.0, -50.0, 7.0])
    corrected = pd.concat([new_log.iloc[:300], wrong[:2], new_log.iloc[300:600], wrong[2:], new_log.iloc[600:]])
    run, scores = score(workshop, tmp_path, corrected, "--duplicates", "last")
    assert scores.loc[[300, 301, 602], "status"].tolist() == ["duplicate"] * 3
    pd.testing.assert_frame_equal(scores.drop(index=[300, 301, 602]).reset_index(drop=True), scored)
    assert "3 rows out of time order, or of the same time" in run.err
    _, first = score(workshop, tmp_path, corrected)
    assert first.loc[[301, 302, 603], "status"].tolist() == ["duplicate"] * 3
    lines = []
    for name, log, options in (
        ("last", corrected, ("--duplicates", "last")),
        ("first", corrected, ()),
        ("", new_log, ()),
    ):
        log.to_parquet(tmp_path / "log.parquet")
        args = ("-m", workshop / "pump.sensorad", "-o", tmp_path / f"{name}.sensorad", "--budget", "20/day", *options)
        told = cli("calibrate", tmp_path / "log.parquet", *args, "--confidence", "0.5", "--json").ok().out
        lines.append(json.loads(told)["threshold"])
    assert lines[0] == lines[2] != lines[1]


def test_gaps_start_anew_and_changed_rates_are_marked(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    shift = np.zeros(len(new_log))
    shift[300:] += 240  # minutes without rows
    minutes = np.arange(len(new_log)) + shift
    minutes[600:700] = minutes[600] + np.arange(100) * 1.5
    minutes[700:] += minutes[699] - minutes[700] + 1
    minutes[1000:1200] = minutes[1000] + np.arange(200) * 2.5
    minutes[1200:] += minutes[1199] - minutes[1200] + 1
    log = new_log.assign(time=new_log["time"][0] + minutes * STEP)
    _, scores = score(workshop, tmp_path, log)
    assert (scores.loc[300:328, "status"] == "warmup").all()
    assert scores.loc[329, "status"] == "scored"
    assert (scores.loc[640:690, ["status", "reason"]].to_numpy() == ["degraded", "rate"]).all()
    assert (scores.loc[1040:1190, ["status", "reason"]].to_numpy() == ["unscorable", "rate"]).all()
    assert (scores.loc[1300:, "status"] == "scored").all()


def test_times_in_any_honest_form_give_the_same_scores(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    berlin = new_log["time"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    seconds = (new_log["time"].astype("int64") // 10**6).astype("int64")
    for times, options in (
        (berlin, ("--time-zone", "Europe/Berlin")),
        (seconds, ("--time", "time", "--time-unit", "s")),
        (new_log["time"].dt.tz_convert("Asia/Tokyo"), ()),
    ):
        _, scores = score(workshop, tmp_path, new_log.assign(time=times), *options)
        pd.testing.assert_frame_equal(scores, scored)
    start = new_log["time"][0].isoformat()
    _, scores = score(workshop, tmp_path, new_log.drop(columns="time"), "--time-step", "60s", "--time-origin", start)
    pd.testing.assert_frame_equal(scores, scored)


def test_a_missing_or_renamed_sensor_is_accepted_when_asked(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    run, scores = score(workshop, tmp_path, new_log.drop(columns="level"), "--allow-missing", 1)
    assert set(scores["status"]) == {"warmup", "degraded"}
    assert "sensors missing: level" in run.err
    assert scores.loc[FAULT, "alarm"].mean() > 0.9
    _, scores = score(workshop, tmp_path, new_log.rename(columns={"flow": "FLOW"}), "--rename", "FLOW=flow")
    pd.testing.assert_frame_equal(scores, scored)


def test_a_long_log_from_a_historian_scores_like_the_wide_one(
    workshop: Path, scored: Frame, new_log: Frame, tmp_path: Path
) -> None:
    long = new_log.melt("time", var_name="tag", value_name="value").sort_values("time", kind="stable")
    path = tmp_path / "long.parquet"
    long.to_parquet(path)
    args = ("score", path, "-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet", "--layout", "long")
    cli(*args, "--time", "time").ok()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), scored)


def test_a_constant_sensor_that_changes_alarms_by_name(workshop: Path, new_log: Frame, tmp_path: Path) -> None:
    log = new_log.copy()
    log.loc[1100:1199, "lamp"] = 1.5
    _, scores = score(workshop, tmp_path, log)
    assert scores.loc[1100:1199, "alarm"].mean() > 0.9
    assert (scores.loc[1105:1199, "top_sensors"].str[0] == "lamp").mean() > 0.9
    assert "lamp" in (workshop / "fit.txt").read_text()


@pytest.mark.parametrize("n_rows", [0, 1, 20])
def test_a_log_too_short_to_score_is_no_error(workshop: Path, new_log: Frame, tmp_path: Path, n_rows: int) -> None:
    for name in ("log.csv", "log.parquet"):
        run, scores = score(workshop, tmp_path, new_log.iloc[:n_rows], "--events", tmp_path / "e.parquet", name=name)
        assert set(scores["status"]) == ({"warmup"} if n_rows else set())
        assert len(pd.read_parquet(tmp_path / "e.parquet")) == 0
        assert "warning: no row could be scored" in run.err


def test_hostile_names_are_scored_escaped_and_never_used_as_paths(new_log: Frame, tmp_path: Path) -> None:
    names = {
        "flow": "../../x",
        "power": "=cmd()",
        "temp": "a\x00b\x1b[2J\n",
        "level": "l" * 3000,
        "lamp": "<img src=x onerror=alert(1)>",
    }
    log = new_log.rename(columns=names).assign(machine="../m")
    log.to_parquet(tmp_path / "log.parquet")
    log.loc[FAULT, "=cmd()"] += 9.0
    log.to_parquet(tmp_path / "new.parquet")
    before = {path.name for path in tmp_path.parent.iterdir()}
    fit = cli("fit", "log.parquet", "-o", "m", "--group", "machine", "--json", cwd=tmp_path).ok()
    args = ("score", "new.parquet", "-m", "m", "-o", "s.parquet", "--events", "e.csv", "-v")
    run = cli(*args, cwd=tmp_path).ok()
    cli("report", "s.parquet", "-m", "m", "--log", "new.parquet", "-o", "r.html", cwd=tmp_path).ok()
    shown = cli("inspect", "m", cwd=tmp_path).ok()
    for text in (run.err, shown.out, fit.err):
        assert "\x1b" not in text
        assert "\x00" not in text
    assert "\\x1b[2J" in shown.out
    assert "'=cmd()" in (tmp_path / "e.csv").read_text()
    assert "onerror" in (tmp_path / "r.html").read_text()
    assert "<img" not in (tmp_path / "r.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        "log.parquet",
        "new.parquet",
        "m",
        "s.parquet",
        "e.csv",
        "r.html",
    }
    assert {path.name for path in tmp_path.parent.iterdir()} == before

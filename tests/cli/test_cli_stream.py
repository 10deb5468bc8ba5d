"""`sensorad stream`: the scores and events of the whole log, from lines of any kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_process import FAULT, SENSORS, START, STEP, cli, command_line, environment, left_in, make_log
from cli_streams import as_json_lines, events_of, rows_of, same_events, same_scores, stream

Frame = pd.DataFrame


@pytest.fixture(scope="module")
def lines(workshop: Path, new_log: Frame) -> Path:
    """The new log as new.csv and new.jsonl in the workshop."""
    new_log.to_csv(workshop / "new.csv", index=False)
    (workshop / "new.jsonl").write_text(as_json_lines(new_log))
    return workshop


@pytest.mark.parametrize("name", ["new.csv", "new.jsonl", "new.parquet"])
def test_a_file_gives_the_scores_of_score(lines: Path, scored: Frame, name: str) -> None:
    run = stream(lines, name, cwd=lines).ok()
    same_scores(rows_of(run.out), scored)
    assert "1,440 = 29 warmup + 1,411 scored" in run.err


def test_stdin_gives_them_too_in_any_form(lines: Path, scored: Frame, new_log: Frame) -> None:
    flat = as_json_lines(new_log[["lamp", "temp", "time", "power", "flow", "level"]], is_nested=False)
    for text in (flat, (lines / "new.csv").read_text(), flat.replace("\n", "\r\n") + "\n\n"):
        same_scores(rows_of(stream(lines, stdin=text).ok().out), scored)


def test_news_of_events_come_with_the_rows_that_cause_them(lines: Path, scored: Frame) -> None:
    expected = pd.read_parquet(lines / "events.parquet")
    out = stream(lines, "new.jsonl", cwd=lines).ok().out
    news = events_of(out)
    assert {event["event_id"] for event in news} == set(expected["event_id"])
    closed = {event["event_id"]: event for event in news if event["change"] == "closed"}
    for row in expected.itertuples():
        event = closed[row.event_id]
        assert event["end"] == row.end.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert event["n_rows"] == row.n_rows
        assert event["severity"] == pytest.approx(row.severity, rel=1e-6)
        assert event["sensors"] == list(row.sensors)
    whole = [json.loads(line) for line in out.splitlines()]
    fault = next(at for at, row in enumerate(whole) if row.get("event", {}).get("sensors", [""])[0] == "power")
    assert whole[fault]["event"]["change"] == "opened"
    assert whole[fault - 1]["alarm"] is True
    assert whole[fault - 1]["time"] == whole[fault]["event"]["start"]
    only = stream(lines, "new.jsonl", "--events-only", "--exit-code", cwd=lines).ok(10)
    assert [json.loads(line)["event"] for line in only.out.splitlines()] == news


@pytest.mark.parametrize("n_rows", [1440, FAULT.start + 20])
def test_the_state_holds_the_events_of_score(lines: Path, tmp_path: Path, new_log: Frame, n_rows: int) -> None:
    """Also those that are open at the end of the log."""
    new_log[:n_rows].to_parquet(tmp_path / "log.parquet")
    args = ("-m", lines / "pump.sensorad", "-o", tmp_path / "s.parquet", "--events", tmp_path / "e.parquet")
    cli("score", tmp_path / "log.parquet", *args).ok()
    expected = pd.read_parquet(tmp_path / "e.parquet")
    assert (expected["sensors"].str[0] == "power").any()
    text = as_json_lines(new_log[:n_rows])
    stream(lines, "--state", tmp_path / "state", stdin=text).ok()
    same_events(tmp_path / "state", expected)
    stream(lines, "--state", tmp_path / "finished", "--finish", stdin=text).ok()
    same_events(tmp_path / "finished", expected)
    run = cli("events", "--state", tmp_path / "state", "-o", "-", "--json").ok()
    assert run.out.startswith('"event_id","start"')
    assert json.loads(run.err)["open"] == (n_rows < 1440)
    assert left_in(tmp_path / "finished") == {"stream.sqlite", "lock"}


def test_flaws_are_told_and_do_not_spoil_what_follows(lines: Path, tmp_path: Path, new_log: Frame) -> None:
    """Every row has a status as in batch, and quality events are the same."""
    log = new_log.copy()
    log.loc[100:104, "temp"] = np.nan
    log.loc[200, "flow"] = np.inf
    log.loc[300, "level"] = 1e300
    log.loc[400:409, list(SENSORS)] = np.nan
    log.loc[600:680, "power"] = 25.0
    log = log.drop(index=range(1200, 1230)).reset_index(drop=True)
    log.to_parquet(tmp_path / "log.parquet")
    args = ("-m", lines / "pump.sensorad", "-o", tmp_path / "s.parquet", "--events", tmp_path / "e.parquet")
    cli("score", tmp_path / "log.parquet", *args).ok()
    expected = pd.read_parquet(tmp_path / "e.parquet")
    assert set(expected["reason"]) >= {"overflow", "flat", "missing", "clock"}
    log.to_csv(tmp_path / "log.csv", index=False)
    for number, source in enumerate([tmp_path / "log.parquet", tmp_path / "log.csv", "-"]):
        text = as_json_lines(log) if source == "-" else None
        state = tmp_path / f"state{number}"
        run = stream(lines, source, "--state", state, stdin=text).ok()
        same_scores(rows_of(run.out), pd.read_parquet(tmp_path / "s.parquet"))
        same_events(state, expected)


def test_machines_are_told_apart(lines: Path, tmp_path: Path, new_log: Frame) -> None:
    """Two pumps in one log, one of them an hour behind; the detector was fitted on one without a name."""
    other = new_log.assign(time=new_log["time"] - 60 * STEP, group="P 2", power=new_log["power"].to_numpy()[::-1])
    log = pd.concat([new_log.assign(group="P1"), other]).sort_values("time", kind="stable").reset_index(drop=True)
    log.to_parquet(tmp_path / "log.parquet")
    args = ("--group", "group", "-m", lines / "pump.sensorad", "-o", tmp_path / "s.parquet")
    cli("score", tmp_path / "log.parquet", *args, "--events", tmp_path / "e.parquet").ok()
    expected = pd.read_parquet(tmp_path / "e.parquet")
    assert set(expected["group"]) == {"P1", "P 2"}
    run = stream(lines, "--state", tmp_path / "a", stdin=as_json_lines(log)).ok()
    found = rows_of(run.out)
    assert list(found["group"]) == list(log["group"])
    same_scores(found, pd.read_parquet(tmp_path / "s.parquet"))
    same_events(tmp_path / "a", expected)
    stream(lines, tmp_path / "log.parquet", "--group", "group", "--state", tmp_path / "b").ok()
    same_events(tmp_path / "b", expected)


def test_broken_lines_are_named_counted_and_left_out(
    lines: Path, tmp_path: Path, new_log: Frame, scored: Frame
) -> None:
    text = as_json_lines(new_log).splitlines(keepends=True)
    text.insert(1200, '{"time": "soon", "values": {"flow": 1}}\n')
    text.insert(800, "\0\x1b[2J\n")
    text.insert(40, text[39].replace('"flow": ', '"flow": "12,5", "was": '))
    log = tmp_path / "log.jsonl"
    log.write_text("".join(text))
    run = stream(lines, log).ok()
    same_scores(rows_of(run.out), scored)
    for words in ("line 41 is", "'12,5'", "line 802 is", "line 1,203 is", "3 lines could not be scored"):
        assert words in run.err
    assert "\x1b" not in run.err
    strict = stream(lines, log, "--strict", "-q")
    strict.refused(3, "E_DATA", "3 lines", "log.jsonl")
    assert strict.out == run.out


def test_very_many_broken_lines_do_not_flood_stderr(lines: Path) -> None:
    run = stream(lines, stdin='{"time": 1}\n' * 5_000).ok()
    assert len(run.err.splitlines()) < 120
    assert "5,000 lines could not be scored" in run.err
    assert json.loads(stream(lines, "--json", "-q", stdin="x\n" * 7).ok(3).out or "{}") == {}


def test_a_header_that_does_not_fit_is_refused(lines: Path, tmp_path: Path) -> None:
    stream(lines, stdin="time,flow,power,temp,level\n").refused(
        3, "E_SCHEMA", "'lamp'", "stdin, line 1", "--allow-missing 1"
    )
    stream(lines, stdin="when,flow,power,temp,level,lamp\n").refused(3, "E_SCHEMA", "'time'", "--time")
    assert stream(lines, "--allow-missing", "1", "-q", stdin="time,flow,power,temp,level\n").ok().out == ""


def test_rows_that_are_late_are_put_in_order_where_they_are_given_time(
    lines: Path, tmp_path: Path, new_log: Frame, scored: Frame
) -> None:
    order = np.argsort(np.arange(len(new_log)) + np.random.default_rng(0).uniform(0, 5, len(new_log)))
    assert (np.diff(order) < 0).sum() > 200
    text = as_json_lines(new_log.iloc[order])
    run = stream(lines, "--lateness", "10min", stdin=text).ok()
    same_scores(rows_of(run.out), scored)
    assert rows_of(stream(lines, stdin=text).ok().out)["status"].eq("late").sum() > 200
    # With a state the last rows wait for the next run.
    half = text.splitlines(keepends=True)
    first = stream(lines, "--lateness", "10min", "--state", tmp_path / "s", stdin="".join(half[:700])).ok()
    assert "waiting" in first.err
    assert 680 < len(rows_of(first.out)) < 700
    second = stream(lines, "--lateness", "10min", "--state", tmp_path / "s", "--finish", stdin="".join(half[700:])).ok()
    same_scores(rows_of(first.out + second.out), scored)
    same_events(tmp_path / "s", pd.read_parquet(lines / "events.parquet"))


def test_heartbeats_balance(lines: Path, new_log: Frame) -> None:
    run = stream(lines, "new.jsonl", "--heartbeat", "10ms", "--events-only", "-q", cwd=lines).ok()
    beats = [json.loads(line)["heartbeat"] for line in run.err.splitlines()]
    assert len(beats) >= 2
    for beat in beats:
        assert sum(beat["status"].values()) + beat["held"] == beat["rows"]
    rows = [beat["rows"] for beat in beats]
    assert rows == sorted(rows)
    assert beats[-1]["newest"] <= new_log["time"].iloc[-1].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_summary_for_machines(lines: Path) -> None:
    run = stream(lines, "new.jsonl", "--json", cwd=lines).ok()
    summary = json.loads(run.err)
    assert summary["rows"] == 1440 == sum(summary["status"].values())
    assert summary["events"]["opened"] == summary["events"]["closed"] == len(pd.read_parquet(lines / "events.parquet"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--follow",), ["--follow is for files"]),
        (("new.parquet", "--follow"), ["does not grow"]),
        (("--rename", "x"), ["'x'", "OLD=NEW"]),
        (("--lateness", "soon"), ["'soon'"]),
        (("--commit-every", "0"), ["--commit-every"]),
    ],
)
def test_wrong_use_is_refused(lines: Path, args: tuple[str, ...], words: list[str]) -> None:
    stream(lines, *args, stdin="", cwd=lines).refused(2, "E_USAGE", *words)


def test_what_events_needs_is_said(lines: Path, tmp_path: Path) -> None:
    cli("events", "-o", tmp_path / "e.csv").refused(2, "E_USAGE", "SCORES", "--state DIR")
    cli("events", "--state", "s", "-o", "e.csv", "--threshold", "3", cwd=tmp_path).refused(2, "E_USAGE", "--state")
    cli("events", "--state", "none", "-o", "e.csv", cwd=tmp_path).refused(5, "E_IO", "no state", "none")
    stream(lines, "none.csv", cwd=tmp_path).refused(5, "E_IO", "none.csv", "No such file")
    assert left_in(tmp_path) == set()
    piped = stream(lines, stdin=(lines / "new.parquet").read_bytes())
    piped.refused(3, "E_DATA", "found Parquet content", "name the file")


def test_nothing_heavy_is_loaded(lines: Path, tmp_path: Path) -> None:
    args = ["stream", "-m", "pump.sensorad", "--state", str(tmp_path / "s"), "-q", "--events-only"]
    code = (
        "import sys\n"
        "from sensorad_cli.main import main\n"
        f"assert main({args!r}) == 0\n"
        "heavy = ('torch', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'rich')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    with (lines / "new.jsonl").open("rb") as log:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=log,
            capture_output=True,
            text=True,
            env=environment(),
            cwd=lines,
            check=True,
        )
    assert done.stderr.strip() == "[]"


def test_a_reader_that_goes_away_ends_the_run_quietly(lines: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command_line("stream", "-m", lines / "pump.sensorad"), env=environment(), **pipes) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write((lines / "new.jsonl").read_bytes()[:20_000])
        child.stdin.flush()
        assert child.wait(60) == 141
        assert child.stderr.read() == b""


def test_a_terminal_is_no_log(lines: Path) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run(
        command_line("stream", "-m", "pump.sensorad"),
        stdin=theirs,
        capture_output=True,
        env=environment(),
        cwd=lines,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


def test_a_calibration_that_no_longer_holds_is_told_as_score_tells_it(workshop: Path, tmp_path: Path) -> None:
    log = make_log(40 * 1440, seed=3, start=START + 7200 * STEP)
    later = np.arange(len(log)) > 10 * 1440
    log.loc[later, "power"] += 0.25 * np.random.default_rng(4).normal(size=int(later.sum()))
    log.to_csv(tmp_path / "long.csv", index=False)
    args = ("-m", workshop / "pump.sensorad", "-o", tmp_path / "s.parquet", "--json")
    expected = json.loads(cli("score", tmp_path / "long.csv", *args).ok().out)["calibration"]
    assert expected["is_stale"]
    state = ("--state", tmp_path / "state", "--events-only", "--json")
    half = tmp_path / "half.csv"
    text = (tmp_path / "long.csv").read_text().splitlines(keepends=True)
    half.write_text("".join(text[: 20 * 1440]))
    first = stream(workshop, half, *state).ok().err
    assert json.loads(first[first.index("{") :])["calibration"]["n_blocks"] < expected["n_blocks"]
    half.write_text("".join(text))
    warnings, brace, told = stream(workshop, half, *state, "--finish").ok().err.partition("{")
    assert json.loads(brace + told)["calibration"] == expected
    assert warnings.count("no longer describes normal") == 1

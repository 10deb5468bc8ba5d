"""A stream that is stopped, killed, doubled, rotated away or held up: nothing is lost and nothing comes twice."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_process import START, STEP, cli, command_line, environment, make_log
from cli_streams import (
    Running,
    as_json_lines,
    events_of,
    joined,
    lines_of,
    memory_of,
    rows_of,
    same_events,
    same_scores,
    stream,
    until,
)

Frame = pd.DataFrame


@pytest.fixture(scope="module")
def busy(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two days of many faults as log.jsonl and log.parquet, and their scores and events."""
    folder = tmp_path_factory.mktemp("busy")
    log = make_log(2880, seed=2, start=START + 7200 * STEP)
    for number, first in enumerate(range(100, 2800, 100)):
        log.loc[first : first + 4, ("power", "temp")[number % 2]] += 4.0
    log.loc[2860:, "power"] += 4.0  # open at the end
    log.to_parquet(folder / "log.parquet")
    (folder / "log.jsonl").write_text(as_json_lines(log))
    args = ("-m", workshop / "pump.sensorad", "-o", folder / "s.parquet", "--events", folder / "e.parquet")
    cli("score", folder / "log.parquet", *args).ok()
    assert len(pd.read_parquet(folder / "e.parquet")) >= 20
    return folder


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_killed_at_random_moments(workshop: Path, busy: Path, tmp_path: Path, name: str) -> None:
    draws = np.random.default_rng(7)
    args = (busy / name, "--state", tmp_path / "state", "--commit-every", 40)
    n_kills = 0
    while True:
        with Running(workshop, tmp_path, *args) as run:
            if n_kills < 4:
                before = draws.integers(1, 400)
                until(lambda: run.n_rows >= before or run.process.poll() is not None, "rows")  # noqa: B023
                time.sleep(draws.random() * 0.03)
            else:
                run.process.wait(60)
            if run.process.poll() is not None:
                run.end()
                break
            run.process.kill()
            n_kills += 1
    assert n_kills >= 3
    same_events(tmp_path / "state", pd.read_parquet(busy / "e.parquet"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_good_order(
    workshop: Path, busy: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """All rows read are answered and saved; the next process goes on with the row after."""
    text = lines_of((busy / "log.jsonl").read_text())
    with Running(workshop, tmp_path, "--state", tmp_path / "state", takes_stdin=True) as first:
        first.feed("".join(text[:1000]))
        first.wait_for_rows(990)
        run = first.end(number)
    n_done = len(rows_of(run.out))
    assert n_done == 1000
    assert "1,000 = " in run.err
    second = stream(workshop, "--state", tmp_path / "state", stdin="".join(text[1000:])).ok()
    same_scores(rows_of(run.out + second.out), pd.read_parquet(busy / "s.parquet"))
    same_events(tmp_path / "state", pd.read_parquet(busy / "e.parquet"))


def test_a_signal_before_any_row(workshop: Path, tmp_path: Path) -> None:
    with Running(workshop, tmp_path, "--state", tmp_path / "state", takes_stdin=True) as run:
        until(lambda: (tmp_path / "state" / "lock").exists(), "the lock")
        run.end(signal.SIGTERM)
    assert stream(workshop, "--state", tmp_path / "state", "-q", stdin="").ok().out == ""


def test_a_second_run_on_the_same_state_finds_nothing_new(workshop: Path, busy: Path, tmp_path: Path) -> None:
    expected = pd.read_parquet(busy / "e.parquet")
    for name in ("log.jsonl", "log.parquet"):
        state = tmp_path / name
        assert len(rows_of(stream(workshop, busy / name, "--state", state).ok().out)) == 2880
        again = stream(workshop, busy / name, "--state", state).ok()
        assert again.out == ""
        assert "rows    0" in again.err
        same_events(state, expected)
    # From another place: told by their time.
    piped = stream(workshop, "--state", tmp_path / "log.parquet", stdin=(busy / "log.jsonl").read_bytes()).ok()
    assert piped.out == ""
    assert "2,880 rows, passed over" in piped.err
    same_events(tmp_path / "log.parquet", expected)


def test_a_pipe_that_starts_over_is_passed_over_up_to_the_newest_row(
    workshop: Path, busy: Path, tmp_path: Path
) -> None:
    text = lines_of((busy / "log.jsonl").read_text())
    first = stream(workshop, "--state", tmp_path / "s", stdin="".join(text[:1500])).ok()
    second = stream(workshop, "--state", tmp_path / "s", stdin="".join(text)).ok()
    same_scores(rows_of(first.out + second.out), pd.read_parquet(busy / "s.parquet"))
    assert "1,500 rows, passed over" in second.err
    same_events(tmp_path / "s", pd.read_parquet(busy / "e.parquet"))


def test_a_csv_pipe_that_goes_on_without_its_header(workshop: Path, busy: Path, tmp_path: Path) -> None:
    pd.read_parquet(busy / "log.parquet").to_csv(tmp_path / "log.csv", index=False)
    text = lines_of((tmp_path / "log.csv").read_text())
    first = stream(workshop, "--state", tmp_path / "s", stdin="".join(text[:801])).ok()
    other = stream(workshop, "--state", tmp_path / "s", stdin="time,flow,power,temp,level,LAMP\n")
    other.refused(3, "E_SCHEMA", "'lamp'", "did you mean 'LAMP'")
    second = stream(workshop, "--state", tmp_path / "s", stdin="".join(text[801:])).ok()
    same_scores(rows_of(first.out + second.out), pd.read_parquet(busy / "s.parquet"))


def test_one_stream_at_a_time_and_readers_any_time(workshop: Path, busy: Path, tmp_path: Path) -> None:
    text = lines_of((busy / "log.jsonl").read_text())
    with Running(workshop, tmp_path, "--state", tmp_path / "s", takes_stdin=True) as first:
        first.feed("".join(text[:300]))
        first.wait_for_rows(300)
        refused = stream(workshop, "--state", tmp_path / "s", stdin="".join(text))
        refused.refused(5, "E_IO", "locked", str(tmp_path / "s"))
        cli("events", "--state", tmp_path / "s", "-o", tmp_path / "now.parquet").ok()
        first.feed("".join(text[300:]))
        run = first.end()
    same_scores(rows_of(run.out), pd.read_parquet(busy / "s.parquet"))
    assert 1 <= len(pd.read_parquet(tmp_path / "now.parquet")) < len(pd.read_parquet(busy / "e.parquet"))


def test_another_detector_is_refused_by_name(workshop: Path, busy: Path, tmp_path: Path) -> None:
    stream(workshop, busy / "log.jsonl", "--state", tmp_path / "s", "-q").ok()
    args = ("calibrate", workshop / "normal.parquet", "-m", workshop / "pump.sensorad", "-o", tmp_path / "new.sensorad")
    cli(*args, "--method", "quantile", "--q", "0.9").ok()
    other = cli("stream", busy / "log.jsonl", "-m", tmp_path / "new.sensorad", "--state", tmp_path / "s")
    other.refused(4, "E_ARTEFACT", "another calibration")
    same_events(tmp_path / "s", pd.read_parquet(busy / "e.parquet"))


def test_a_growing_file_is_followed_through_cut_lines_and_rotation(workshop: Path, busy: Path, tmp_path: Path) -> None:
    """The file is rotated by renaming, then emptied in place; in the end the last line has no line end."""
    text = lines_of((busy / "log.jsonl").read_text())
    log = tmp_path / "live.jsonl"
    log.touch()
    with Running(workshop, tmp_path, log, "--follow", "--state", tmp_path / "s", "--commit-seconds", "50ms") as run:
        for at in range(0, 500, 50):
            with log.open("a") as file:
                part = "".join(text[at : at + 50])
                file.write(part[: len(part) - 30])
                file.flush()
                time.sleep(0.01)
                file.write(part[len(part) - 30 :])
        run.wait_for_rows(500)
        with log.open("a") as file:
            file.write("".join(text[500:600]))
            log.rename(tmp_path / "live.1")
            log.write_text("".join(text[650:800]))
            file.write("".join(text[600:650]))  # whoever writes need not notice at once
        run.wait_for_rows(800)
        with log.open("r+") as file:
            file.truncate(0)
        run.wait_for_rows(800)
        until(lambda: "replaced" in run.err.splitlines()[-1] and run.err.count("replaced") == 2, "the new start")
        with log.open("a") as file:
            file.write("".join(text[800:1000]).removesuffix("\n"))
        run.wait_for_rows(999)
        first = run.end(signal.SIGTERM)
    assert len(rows_of(first.out)) == 999
    with log.open("a") as file:
        file.write("\n" + "".join(text[1000:]))
    second = stream(workshop, log, "--state", tmp_path / "s").ok()
    assert "not scored" not in second.err
    same_scores(rows_of(first.out + second.out), pd.read_parquet(busy / "s.parquet"))
    same_events(tmp_path / "s", pd.read_parquet(busy / "e.parquet"))


def test_a_file_that_was_replaced_while_nobody_looked(workshop: Path, busy: Path, tmp_path: Path) -> None:
    text = lines_of((busy / "log.jsonl").read_text())
    log = tmp_path / "log.jsonl"
    log.write_text("".join(text[:1000]))
    first = stream(workshop, log, "--state", tmp_path / "s").ok()
    log.write_text("".join(text[900:]))  # longer than what was read
    second = stream(workshop, log, "--state", tmp_path / "s").ok()
    assert "100 rows, passed over" in second.err
    same_scores(rows_of(first.out + second.out), pd.read_parquet(busy / "s.parquet"))


def test_a_line_that_was_cut_at_the_end_of_a_file_is_not_scored_twice(
    workshop: Path, busy: Path, tmp_path: Path
) -> None:
    pd.read_parquet(busy / "log.parquet")[:200].to_csv(tmp_path / "whole.csv", index=False)
    text = (tmp_path / "whole.csv").read_text()
    cut = len("".join(lines_of(text)[:101])) - 2
    log = tmp_path / "log.csv"
    log.write_text(text[:cut])  # the last number of row 100 lacks a digit
    first = stream(workshop, log, "--state", tmp_path / "s").ok()
    log.write_text(text)
    second = stream(workshop, log, "--state", tmp_path / "s").ok()
    assert "line 101 is not scored: goes on after its beginning was taken for a whole line" in second.err
    assert len(rows_of(first.out + second.out)) == 200
    with log.open("a") as file:
        file.write(text.splitlines(keepends=True)[-1].replace("2024-05-06T03:19", "2024-05-06T03:20"))
    third = stream(workshop, log, "--state", tmp_path / "s").ok()
    assert len(rows_of(third.out)) == 1
    assert "not scored" not in third.err


def test_a_slow_reader_holds_the_stream_up_in_bounded_memory(workshop: Path, busy: Path, tmp_path: Path) -> None:
    """Nobody reads the answers: the sender is held up too, and memory stays; then all of them are there."""
    block = (busy / "log.jsonl").read_bytes()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    args = command_line("stream", "-m", workshop / "pump.sensorad", "--state", tmp_path / "s", "-q")
    with subprocess.Popen(args, env=environment(), **pipes) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        os.set_blocking(child.stdin.fileno(), False)
        sent, used = 0, []
        deadline = time.monotonic() + 30
        quiet_since = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - quiet_since < 3:
            try:
                count = os.write(child.stdin.fileno(), block[sent : sent + 65536])
                sent, quiet_since = sent + count, time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
                used.append(memory_of(child))
            if sent == len(block):
                break
        assert sent < len(block), "the sender was never held up"
        assert max(used) - min(used[len(used) // 2 :]) < 60
        child.send_signal(signal.SIGTERM)
        out = child.stdout.read()
        assert child.wait(60) == 0
    n_sent = block[:sent].count(b"\n")
    n_told = len(rows_of(out.decode()))
    assert n_told <= n_sent
    rest = b"".join(block.splitlines(keepends=True)[n_told:])
    second = stream(workshop, "--state", tmp_path / "s", stdin=rest).ok()
    same_scores(rows_of(out.decode() + second.out), pd.read_parquet(busy / "s.parquet"))


def test_a_full_disk_is_one_line_and_the_last_commit_stays(workshop: Path, busy: Path, tmp_path: Path) -> None:
    """The limit on the size of files stands for the full disk."""
    text = lines_of((busy / "log.jsonl").read_text())
    stream(workshop, "--state", tmp_path / "s", "-q", stdin="".join(text[:500])).ok()
    size = max(path.stat().st_size for path in (tmp_path / "s").iterdir())
    done = subprocess.run(
        command_line("stream", "-m", workshop / "pump.sensorad", "--state", tmp_path / "s", "-q"),
        input="".join(text[500:]).encode(),
        capture_output=True,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)),
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr.decode().startswith("error[E_IO]: the state cannot be read or written")
    assert len(done.stderr.splitlines()) == 1
    stream(workshop, "--state", tmp_path / "s", "-q", stdin="".join(text)).ok()
    same_events(tmp_path / "s", pd.read_parquet(busy / "e.parquet"))


def test_news_is_committed_at_once(workshop: Path, busy: Path, tmp_path: Path) -> None:
    """An event is told, and on the disk, long before the next commit would be due."""
    text = lines_of((busy / "log.jsonl").read_text())
    options = ("--commit-seconds", "1h", "--commit-every", 10**6, "--events-only")
    with Running(workshop, tmp_path, "--state", tmp_path / "s", *options, takes_stdin=True) as run:
        run.feed("".join(text[:104]))
        until(lambda: events_of(run.out), "news of the first event")
        cli("events", "--state", tmp_path / "s", "-o", tmp_path / "now.csv").ok()
        assert len((tmp_path / "now.csv").read_text().splitlines()) == 2
    assert joined([run]).count("\n") == 1

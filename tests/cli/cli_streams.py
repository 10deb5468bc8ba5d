"""Running streams: real processes that are fed, watched, stopped and killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
from cli_process import Run, cli, command_line, environment

__all__ = [
    "Running",
    "as_json_lines",
    "events_of",
    "joined",
    "lines_of",
    "memory_of",
    "rows_of",
    "same_events",
    "same_scores",
    "stream",
    "until",
]

PATIENCE = 60.0
"""Seconds after which a test gives up on a process; a busy machine is not a bug."""


def stream(workshop: Path, *args: object, stdin: bytes | str | None = None, cwd: Path | None = None) -> Run:
    """`sensorad stream` with the detector of the workshop, to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return cli("stream", "-m", workshop / "pump.sensorad", *args, stdin=data, cwd=cwd)


def as_json_lines(log: pd.DataFrame, *, is_nested: bool = True, **more: Any) -> str:
    """The rows of a log as a stream has them."""
    stamps = log["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    records = log.drop(columns="time").to_dict("records")
    lines = []
    for stamp, record in zip(stamps, records, strict=True):
        keys = {name: record.pop(name) for name in ("group", "mode") if name in record} | more
        lines.append(json.dumps({"time": stamp, **keys} | ({"values": record} if is_nested else record)))
    return "".join(line + "\n" for line in lines)


def rows_of(out: str) -> pd.DataFrame:
    """The score rows among the answers."""
    rows = [row for row in map(json.loads, out.splitlines()) if "event" not in row]
    frame = pd.DataFrame(rows)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame


def events_of(out: str) -> list[dict[str, Any]]:
    """News of events among the answers."""
    return [row["event"] for row in map(json.loads, out.splitlines()) if "event" in row]


def same_scores(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Assert that answers say the same as a table of scores."""
    assert list(found["time"]) == list(expected["time"])
    assert list(found["status"]) == list(expected["status"])
    assert list(found["reason"]) == list(expected["reason"])
    for name in ("score", "severity", "row_surprise"):
        pd.testing.assert_series_equal(
            found[name].astype(float), expected[name].astype(float), check_index=False, rtol=1e-5, atol=1e-6
        )
    assert [bool(alarm) for alarm in found["alarm"]] == [bool(alarm) for alarm in expected["alarm"].fillna(False)]
    assert [names[:1] for names in found["top_sensors"]] == [list(names[:1]) for names in expected["top_sensors"]]


def same_events(state: Path, expected: pd.DataFrame) -> None:
    """Assert that a state directory holds the events of a table, and no others."""
    target = state.with_name(f"{state.name}.events.parquet")
    cli("events", "--state", state, "-o", target, "--force").ok()
    found = pd.read_parquet(target)
    assert list(found["event_id"]) == list(expected["event_id"])
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-6)


def until(is_done: Callable[[], Any], what: str) -> Any:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = is_done()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Running:
    """A stream that runs beside the test; answers and words go to files, so that it never waits for the test."""

    def __init__(self, workshop: Path, folder: Path, *args: object, takes_stdin: bool = False) -> None:
        self.out_path = folder / f"out{time.monotonic_ns()}.jsonl"
        self.err_path = self.out_path.with_suffix(".err")
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                command_line("stream", "-m", workshop / "pump.sensorad", *args),
                env=environment(),
                cwd=folder,
                stdin=subprocess.PIPE if takes_stdin else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    @property
    def n_rows(self) -> int:
        """Score rows answered so far."""
        return sum('"event":' not in line for line in self.out.splitlines())

    def feed(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for_rows(self, n_rows: int) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None or self.n_rows >= n_rows, self.err
            return self.n_rows >= n_rows

        until(is_there, f"{n_rows} rows, there are {self.n_rows}")

    def end(self, number: int | None = None, *, code: int = 0) -> Run:
        """Wait for the end, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        elif self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(PATIENCE)
        return Run(self.process.returncode, self.out, self.err).ok(code)


def memory_of(process: subprocess.Popen[bytes]) -> float:
    """Resident memory in MiB."""
    text = Path(f"/proc/{process.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def joined(runs: Iterable[Running | Run]) -> str:
    """All answers one after another."""
    return "".join(run.out for run in runs)


def lines_of(text: str) -> Sequence[str]:
    return text.splitlines(keepends=True)

"""`sensorad stream --state` killed with SIGKILL at random moments: events lost, doubled or changed; prints one table.

Run with ``python tests/benchmarks/soak_kills.py [KILLS]``. A stream over a log with more than fifty events is started,
killed after a random time, started again on the same state, and so on until it reaches the end; then its events are
held against those that `sensorad score` finds in the whole log. This is repeated with fresh states until there were
enough kills, with the log as CSV, as JSON lines and as Parquet in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq

from sensorad.logs import read_events
from sensorad.types import Event

KILLS = 200
DAYS, FAULTS = 45, 70
SPAN_SECONDS = 1.5
"""Latest moment of a kill after the first row of the run was answered."""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass
class Findings:
    """What the campaign has seen."""

    kills: int = 0
    kills_at_start: int = 0
    passes: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    restarts: list[float] = field(default_factory=list)


def main() -> None:
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sources = make_logs(root)
        reference = {event.event_id: event for event in read_events(root / "events.parquet")}
        found = Findings()
        while found.kills < n_kills:
            source = sources[found.passes % len(sources)]
            one_pass(root, source, reference, draws, found, n_kills)
        print("| reference events | kills | before the first answer | passes | lost | doubled | changed | ", end="")
        print("median restart, s | slowest restart, s |")
        print("|---|---|---|---|---|---|---|---|---|")
        print(
            f"| {len(reference)} | {found.kills} | {found.kills_at_start} | {found.passes} | {found.lost} "
            f"| {found.doubled} | {found.changed} | {np.median(found.restarts):.2f} | {max(found.restarts):.2f} |"
        )


def make_logs(root: Path) -> list[Path]:
    """A detector, a log of a plant with faults in three formats, and the events that batch finds in it."""
    plant = root / "plant"
    sensorad(root, "data", "make", "-o", plant, "--normal-days", 14, "--days", DAYS, "--faults", FAULTS, "--seed", 1)
    sensorad(root, "fit", plant / "normal.parquet", "-o", "plant.sensorad", "--mode", "mode", "--budget", "1/day")
    log = plant / "faulty.parquet"
    sensorad(root, "score", log, "-m", "plant.sensorad", "-o", "scores.parquet", "--events", "events.parquet")
    table = pq.read_table(log)
    pyarrow.csv.write_csv(table, root / "log.csv")
    stamps = [f"{stamp}Z" for stamp in np.datetime_as_string(table["time"].to_numpy(), unit="s")]
    rows = table.drop_columns("time").to_pylist()
    with (root / "log.jsonl").open("w") as lines:
        for stamp, row in zip(stamps, rows, strict=True):
            mode = row.pop("mode")
            lines.write(json.dumps({"time": stamp, "mode": mode, "values": row}) + "\n")
    return [root / "log.csv", root / "log.jsonl", log]


def one_pass(
    root: Path,
    source: Path,
    reference: dict[str, Event],
    draws: np.random.Generator,
    found: Findings,
    n_kills: int,
) -> None:
    """Stream the log to its end through as many kills as it takes, and judge the events."""
    state = root / f"state{found.passes}"
    while True:
        began = time.perf_counter()
        options = ("-m", "plant.sensorad", "--state", str(state), "--commit-seconds", "0.05", "-q")
        stream = subprocess.Popen(
            [sys.executable, "-m", "sensorad_cli.main", "stream", str(source), *options],
            cwd=root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )
        assert stream.stdout is not None
        is_enough = found.kills >= n_kills
        if not is_enough and draws.random() < 0.2:  # while it still starts, where locks and tables are made
            time.sleep(draws.random() * 0.5)
            found.kills_at_start += 1
            is_over = False
        else:
            is_over = not stream.stdout.readline()
            if not is_over:
                found.restarts.append(time.perf_counter() - began)
            if not is_enough:
                is_over = drained(stream, draws.random() * SPAN_SECONDS) or is_over
            else:
                stream.stdout.read()
                is_over = True
        if is_over:
            assert stream.wait() == 0
            break
        stream.kill()
        stream.stdout.close()
        stream.wait()
        found.kills += 1
    found.passes += 1
    judge(root, state, reference, found)
    told = f"{found.kills} kills, {found.lost} lost, {found.doubled} doubled, {found.changed} changed"
    print(f"{source.name}: {told}", file=sys.stderr)


def drained(stream: subprocess.Popen[bytes], seconds: float) -> bool:
    """Read answers for so long; whether they ended before."""
    assert stream.stdout is not None
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        if not stream.stdout.read1(1 << 16):  # type: ignore[attr-defined]
            return True
    return False


def judge(root: Path, state: Path, reference: dict[str, Event], found: Findings) -> None:
    """Hold the committed events against those of the whole log."""
    target = root / "committed.parquet"
    sensorad(root, "events", "--state", state, "-o", target, "--force")
    events = read_events(target)
    ids = [event.event_id for event in events]
    found.lost += len(reference.keys() - set(ids))
    found.doubled += len(ids) - len(reference.keys() & set(ids))
    found.changed += sum(
        not is_same(event, reference[event.event_id]) for event in events if event.event_id in reference
    )


def is_same(one: Event, other: Event) -> bool:
    """The same finding, numbers within a millionth."""
    exact = ("group", "start", "end", "kind", "n_rows", "sensors", "onsets", "reason", "note")
    close = ("severity", "score", "shares", "expected", "actual")
    return all(getattr(one, name) == getattr(other, name) for name in exact) and all(
        np.allclose(getattr(one, name), getattr(other, name), rtol=1e-4, atol=1e-6, equal_nan=True) for name in close
    )


def sensorad(root: Path, *args: object) -> None:
    command = [sys.executable, "-m", "sensorad_cli.main", *map(str, args), "-q"]
    subprocess.run(command, cwd=root, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

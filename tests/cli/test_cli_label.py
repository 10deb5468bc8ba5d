"""``sensorad label`` as an operator uses it: the right event, one line added, every mistake in one line."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from cli_process import cli, command_line, environment, left_in

from sensorad.logs import read_labels, write_events
from sensorad.types import Event

NOON = 1_717_243_200 * 10**9
IDS = ("2a96b438b81b", "2a96c0ffee00", "77e1d2c3b4a5", "9f8e7d6c5b4a")
HEADER = "start,end,group,kind,event_id"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A directory with events.parquet: four events of three machines, the last one about the data itself."""
    events = [
        Event(
            event_id=event_id,
            group=("pump-1", "pump-1", "=cmd()", "pump-2")[n],
            start=NOON + n * 3600 * 10**9,
            end=NOON + n * 3600 * 10**9 + 60 * 10**9 + n,
            peak=NOON + n * 3600 * 10**9,
            kind="quality" if n == 3 else "interval",
            severity=float("nan") if n == 3 else 1.5,
            score=float("nan") if n == 3 else 3.0,
            n_rows=2,
            reason="flat" if n == 3 else "",
        )
        for n, event_id in enumerate(IDS)
    ]
    write_events(tmp_path / "events.parquet", events, "machine")
    return tmp_path


def test_a_label_is_one_line_beside_the_events(plant: Path) -> None:
    before = (plant / "events.parquet").read_bytes()
    run = cli("label", "events.parquet", IDS[0], "fault:BRG-2", cwd=plant).ok()
    assert run.out == ""
    for words in (IDS[0], "fault:BRG-2", "pump-1", "2024-06-01T12:00:00Z", "events.labels.csv"):
        assert words in run.err
    assert left_in(plant) == {"events.parquet", "events.labels.csv"}
    assert (plant / "events.parquet").read_bytes() == before
    line = f'"2024-06-01T12:00:00Z","2024-06-01T12:01:00Z","pump-1","fault:BRG-2","{IDS[0]}"'
    assert (plant / "events.labels.csv").read_text().splitlines() == [HEADER, line]
    quiet = cli("-q", "label", "events.parquet", IDS[0], "false-alarm", cwd=plant).ok()
    assert (quiet.out, quiet.err) == ("", "")
    assert read_labels(plant / "events.labels.csv").kind == ("fault:BRG-2", "false-alarm")
    assert len(read_labels(plant / "events.labels.csv").faults()) == 0


def test_json_says_what_was_written_and_any_event_can_be_labelled(plant: Path) -> None:
    run = cli("label", "events.parquet", "9f8e", "fault", "-o", "mine.csv", "--json", cwd=plant).ok()
    assert run.err == ""
    assert json.loads(run.out) == {
        "start": "2024-06-01T15:00:00Z",
        "end": "2024-06-01T15:01:00.000000003Z",
        "group": "pump-2",
        "kind": "fault",
        "event_id": IDS[3],
        "outputs": {"labels": "mine.csv"},
    }
    hostile = json.loads(
        cli("label", "events.parquet", "77e1", "fault", "-o", "mine.csv", "--json", cwd=plant).ok().out
    )
    assert hostile["group"] == "=cmd()"
    assert '"=cmd' not in (plant / "mine.csv").read_text()
    labels = read_labels(plant / "mine.csv")
    assert labels.group == ("pump-2", "=cmd()")
    assert labels.end[0] == NOON + 3 * 3600 * 10**9 + 60 * 10**9 + 3
    assert list(pd.read_csv(plant / "mine.csv").columns) == HEADER.split(",")


def test_a_beginning_of_four_characters_is_enough_where_only_one_event_has_it(plant: Path) -> None:
    cli("label", "events.parquet", "2a96c", "fault", cwd=plant).ok()
    assert read_labels(plant / "events.labels.csv").event_id == (IDS[1],)
    refused = cli("label", "events.parquet", "2a96", "fault", cwd=plant)
    refused.refused(2, "E_USAGE", "'2a96' fits 2 events", "events.parquet", IDS[0], IDS[1])
    short = cli("label", "events.parquet", "77e", "fault", cwd=plant)
    short.refused(2, "E_USAGE", "no event '77e'", "at least 4 characters")
    assert len(read_labels(plant / "events.labels.csv")) == 1


@pytest.mark.parametrize(
    ("args", "code", "kind", "words"),
    [
        (["events.parquet", "2a96b438b81c", "fault"], 2, "E_USAGE", ["no event '2a96b438b81c'", f"mean {IDS[0]}"]),
        (["events.parquet", "zzzzzzzz", "fault"], 2, "E_USAGE", ["no event", IDS[0], "and 1 more"]),
        (["events.parquet", IDS[0], "flase-alarm"], 2, "E_USAGE", ["'flase-alarm'", "did you mean 'false-alarm'"]),
        (["events.parquet", IDS[0], "fault:=1+1"], 2, "E_USAGE", ["'=1+1'", "letters, digits"]),
        (["events.parquet", IDS[0], 'fault:a","b'], 2, "E_USAGE", ["letters, digits"]),
        (["events.parquet", IDS[0]], 2, "E_USAGE", ["VERDICT", "sensorad label --help"]),
        (["events.parquet", IDS[0], "fault", "-o", "labels.parquet"], 2, "E_USAGE", ["does not end with .csv"]),
        (["events.parquet", IDS[0], "fault", "-o", "-"], 2, "E_USAGE", ["does not end with .csv"]),
        (["gone.parquet", IDS[0], "fault"], 5, "E_IO", ["gone.parquet", "does not exist"]),
        ([".", IDS[0], "fault"], 5, "E_IO", ["directory"]),
        (["events.parquet", IDS[0], "fault", "-o", "no/labels.csv"], 5, "E_IO", ["no/labels.csv", "directory"]),
        (["foreign.csv", IDS[0], "fault"], 3, "E_DATA", ["foreign.csv"]),
        (["foreign.csv", IDS[0], "fault", "-o", "foreign.csv"], 2, "E_USAGE", ["among the input"]),
        (["events.parquet", IDS[0], "fault", "-o", "foreign.csv"], 3, "E_SCHEMA", ["foreign.csv", HEADER]),
        (["none.parquet", IDS[0], "fault"], 3, "E_DATA", ["none.parquet", "no event to label"]),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    plant: Path, args: list[str], code: int, kind: str, words: list[str]
) -> None:
    (plant / "foreign.csv").write_text("a,b\n1,2\n")
    write_events(plant / "none.parquet", [], None)
    before = {name: (plant / name).read_bytes() for name in left_in(plant)}
    cli("label", *args, cwd=plant).refused(code, kind, *words)
    assert {name: (plant / name).read_bytes() for name in left_in(plant)} == before


def test_a_line_cut_by_a_power_failure_is_named_and_labelling_goes_on(plant: Path) -> None:
    cli("label", "events.parquet", IDS[0], "fault", cwd=plant).ok()
    labels = plant / "events.labels.csv"
    labels.write_bytes(labels.read_bytes()[:-5])
    run = cli("label", "events.parquet", IDS[1], "fault", cwd=plant).ok()
    assert "warning: line 2 of events.labels.csv was cut short" in run.err
    lines = labels.read_text().splitlines(keepends=True)
    labels.write_text(lines[0] + lines[2])
    assert read_labels(labels).event_id == (IDS[1],)


def test_commands_at_once_and_killed_ones_leave_whole_lines(plant: Path) -> None:
    def begun(event_id: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command_line("label", "events.parquet", event_id, "fault", "-q"), cwd=plant, env=environment()
        )

    running = [begun(event_id) for event_id in IDS]
    assert [child.wait(timeout=60) for child in running] == [0] * 4
    assert sorted(read_labels(plant / "events.labels.csv").event_id) == sorted(IDS)
    killed = begun(IDS[0])
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(timeout=0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(read_labels(plant / "events.labels.csv")) in (4, 5)
    assert left_in(plant) == {"events.parquet", "events.labels.csv"}

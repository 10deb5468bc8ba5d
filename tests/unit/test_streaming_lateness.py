"""Rows that overtake each other on the way are put in order, and each comes out once."""

from __future__ import annotations

from functools import cache
from heapq import heappop, heappush

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import DataError, UsageError
from sensorad.streaming import Stream, StreamRow
from sensorad.thresholds import QuantileThreshold

MINUTE = 60 * 10**9
START = 20_000 * 1440 * MINUTE
N_ROWS = 70


@cache
def _detector() -> Detector:
    log = pd.DataFrame(_values(700, 0), columns=["flow", "power", "level"])
    log["time"] = pd.date_range("2024-05-01", periods=700, freq="min", tz="UTC")
    return Detector(config=DetectorConfig(window=6, lags=2), threshold=QuantileThreshold(0.97)).fit(log)


def _values(n_rows: int, seed: int) -> np.ndarray:
    wave = np.sin(np.arange(n_rows) / 5.0)[:, None]
    return np.array([1.0, 2.0, -1.0]) * wave + 0.1 * np.random.default_rng(seed).normal(size=(n_rows, 3))


def _json(rows: list[StreamRow]) -> list[dict]:
    return [row.to_json() for row in rows]


def _news(rows: list[StreamRow]) -> list[tuple[str, str]]:
    return [(change.what, change.event.event_id) for row in rows for change in row.changes]


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 8), st.data())
def test_any_order_within_the_bound_gives_the_rows_of_the_right_order(
    seed: int, reach: int, data: st.DataObject
) -> None:
    """Machines mixed, stops wherever they fall; the news are those of the right order too."""
    rng = np.random.default_rng(seed)
    names = ["east", "west"]
    values = {name: _values(N_ROWS, seed + at) for at, name in enumerate(names)}
    values["east"][30:36] += 2.0
    arrivals = [(at + rng.uniform(0, reach), at, name) for name in names for at in range(N_ROWS)]
    arrivals.sort()
    stops = data.draw(st.sets(st.integers(0, len(arrivals)), max_size=4))
    straight = _detector().stream()
    expected = {
        name: [straight.update(START + at * MINUTE, values[name][at], name) for at in range(N_ROWS)] for name in names
    }
    stream, rows = _detector().stream(lateness_seconds=60 * reach), []
    for number, (_, at, name) in enumerate(arrivals):
        if number in stops:
            stream = _detector().stream(state=stream.state_bytes(), lateness_seconds=60 * reach)
        rows += stream.push(START + at * MINUTE, values[name][at], name)
    counts = stream.counts
    assert counts["rows"] == len(arrivals)
    assert counts["waiting"] == len(arrivals) - len(rows)
    assert 0 < counts["waiting"] <= 2 * (2 * reach + 1)
    rows += stream.flush()
    assert stream.counts == straight.counts
    for name in names:
        own = [row for row in rows if row.group == name]
        assert _json(own) == _json(expected[name])
        assert _news(own) == _news(expected[name])


def test_a_row_later_than_the_bound_is_late() -> None:
    values = _values(40, 1)
    stream = _detector().stream(lateness_seconds=300)
    rows = [row for at in range(30) for row in stream.push(START + at * MINUTE, values[at])]
    [late] = stream.push(START + 3 * MINUTE, values[3])
    assert (late.status, late.reason, late.score) == ("late", "out_of_order", None)
    assert [row.time for row in rows] == [START + at * MINUTE for at in range(25)]
    [equal] = stream.push(START + 24 * MINUTE, values[24])
    assert equal.status == "duplicate"
    assert stream.counts["late"] == 1
    assert len(stream.flush()) == 5
    assert stream.flush() == []


def _slow_order(stamps: list[int], lateness: int) -> list[list[int]]:
    """Which rows come out after each push: the oldest first, once the newest is so much newer."""
    waiting: list[tuple[int, int]] = []
    out, newest = [], 0
    for number, stamp in enumerate(stamps):
        heappush(waiting, (stamp, number))
        newest = max(newest, stamp)
        due = []
        while waiting and waiting[0][0] <= newest - lateness:
            due.append(heappop(waiting)[1])
        out.append(due)
    return [*out, [heappop(waiting)[1] for _ in range(len(waiting))]]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=50), st.integers(0, 10))
def test_rows_come_out_when_their_turn_has_come(minutes: list[int], lateness: int) -> None:
    stamps = [START + minute * MINUTE for minute in minutes]
    values = _values(len(stamps), 2)
    values[:, 0] = np.arange(len(stamps))  # tells the rows apart
    stream = _detector().stream(lateness_seconds=60 * lateness)
    found = [stream.push(stamp, row) for stamp, row in zip(stamps, values, strict=True)] + [stream.flush()]
    expected = _slow_order(stamps, lateness * MINUTE)
    assert [[row.time for row in rows] for rows in found] == [[stamps[at] for at in due] for due in expected]
    told = [at for due in expected for at in due]
    again = _detector().stream()
    straight = [again.update(stamps[at], values[at]) for at in told]
    assert _json([row for rows in found for row in rows]) == _json(straight)


def test_without_lateness_a_push_is_an_update() -> None:
    values = _values(40, 3)
    one, other = _detector().stream(), _detector().stream()
    for at in range(40):
        [row] = one.push(START + at * MINUTE, values[at], "a")
        assert row.to_json() == other.update(START + at * MINUTE, values[at], "a").to_json()
    assert one.flush() == []
    assert one.state_bytes() is not None


def test_a_stream_that_reorders_takes_no_row_past_the_others() -> None:
    stream = _detector().stream(lateness_seconds=60)
    stream.push(START, [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="push"):
        stream.update(START + MINUTE, [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="push"):
        stream.update_many(START + MINUTE, [[1.0, 2.0, 3.0]], ["a"])
    with pytest.raises(UsageError, match=r"1 rows still wait.*flush"):
        stream.finish()
    prompt = _detector().stream(state=stream.state_bytes())
    with pytest.raises(UsageError, match="push"):  # rows still wait from before
        prompt.update(START + MINUTE, [1.0, 2.0, 3.0])
    assert [row.time for row in prompt.flush()] == [START]
    assert prompt.update(START + MINUTE, [1.0, 2.0, 3.0]).status == "warmup"


def test_a_refused_row_does_not_enter_the_queue() -> None:
    stream = _detector().stream(lateness_seconds=60)
    stream.push(START, [1.0, 2.0, 3.0])
    before = stream.state_bytes()
    with pytest.raises(DataError):
        stream.push(START, [1.0, 2.0, "3"])
    with pytest.raises(DataError):
        stream.push("soon", [1.0, 2.0, 3.0])
    assert stream.state_bytes() == before


@pytest.mark.parametrize("stop", [None, 0, 41, 42, 43, 44, 47])
def test_a_pause_and_rows_out_of_order_together(stop: int | None) -> None:
    """Rows set aside are told at once and scored in their turn: the later scores and the news are those of batch."""
    values = _values(100, 4)
    values[30:40] += 2.0
    minutes = [*range(40), *(9000 + at for at in range(60))]
    order = [*range(40), 41, 40, 42, 43, 45, 44, *range(46, 100)]
    stream, rows = _detector().stream(lateness_seconds=180), []
    for number, at in enumerate(order):
        if number == stop:
            stream = _detector().stream(state=stream.state_bytes(), lateness_seconds=180)
        rows += stream.push(START + minutes[at] * MINUTE, values[at])
    rows += stream.flush()
    assert len(rows) == 100
    assert [row.reason for row in rows].count("far_future") == 2
    patient = _detector().stream(horizon_seconds=1e9)
    straight = [patient.update(START + minute * MINUTE, row) for minute, row in zip(minutes, values, strict=True)]
    in_order = sorted(rows, key=lambda row: row.time)
    for found, expected in zip(in_order, straight, strict=True):
        assert found.score == expected.score
        assert found.status == expected.status or found.reason == "far_future"
    assert _news(rows) == _news(straight)
    assert stream.finish() == patient.finish()


def test_a_wrong_stamp_pushes_nobody_out() -> None:
    values = _values(40, 5)
    stream = _detector().stream(lateness_seconds=300)
    rows = [row for at in range(20) for row in stream.push(START + at * MINUTE, values[at])]
    [far] = stream.push(START + 10**6 * MINUTE, values[20])
    assert far.reason == "far_future"
    assert stream.counts["waiting"] == 5
    rows += [row for at in range(20, 40) for row in stream.push(START + at * MINUTE, values[at])] + stream.flush()
    assert [row.time for row in rows] == [START + at * MINUTE for at in range(40)]


def _fed(stream: Stream, n_rows: int) -> Stream:
    for at, row in enumerate(_values(n_rows, 6)):
        stream.push(START + at * MINUTE, row)
    return stream


def test_the_bound_may_change_from_one_run_to_the_next() -> None:
    state = _fed(_detector().stream(lateness_seconds=600), 30).state_bytes()
    shorter = _detector().stream(state=state, lateness_seconds=60)
    rows = shorter.push(START + 30 * MINUTE, [0.0, 0.0, 0.0])
    assert [row.time for row in rows] == [START + at * MINUTE for at in range(20, 30)]

"""Rows far ahead of their machine: one broken clock makes no other row late, and a true pause loses nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_stream import SlowStream, assert_alike, one_by_one

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.streaming import Stream, StreamRow
from sensorad.thresholds import QuantileThreshold
from sensorad.types import RowBlock

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE
START = 20_000 * DAY


@cache
def _detector() -> Detector:
    log = pd.DataFrame(_values(700, 0), columns=["flow", "power", "level"])
    log["time"] = pd.date_range("2024-05-01", periods=700, freq="min", tz="UTC")
    return Detector(config=DetectorConfig(window=6, lags=2), threshold=QuantileThreshold(0.97)).fit(log)


def _values(n_rows: int, seed: int) -> np.ndarray:
    wave = np.sin(np.arange(n_rows) / 5.0)[:, None]
    return np.array([1.0, 2.0, -1.0]) * wave + 0.1 * np.random.default_rng(seed).normal(size=(n_rows, 3))


def _run(stream: Stream, minutes: list[float], values: np.ndarray, group: str | None = None) -> list[StreamRow]:
    return [
        stream.update(START + round(minute * MINUTE), row, group) for minute, row in zip(minutes, values, strict=True)
    ]


def _of_block(minutes: list[float], values: np.ndarray) -> RowBlock:
    n_rows = len(minutes)
    return RowBlock(
        np.arange(n_rows),
        START + np.rint(np.array(minutes) * MINUTE).astype(np.int64),
        values.astype(np.float32),
        np.zeros((n_rows, 3), np.uint8),
        np.zeros(n_rows, np.int32),
    )


def test_a_wrong_stamp_makes_no_other_row_late() -> None:
    values = _values(60, 1)
    minutes = [float(at) for at in range(60)]
    clean = _run(_detector().stream(), minutes, values)
    wrong = [*minutes[:30], 10 * 1440.0, *minutes[30:40], 5e6, *minutes[40:]]
    at_all = np.insert(values, [30, 40], 9.0, axis=0)
    stream = _detector().stream()
    rows = _run(stream, wrong, at_all)
    odd = [rows.pop(41), rows.pop(30)]
    assert [(row.status, row.reason, row.score, row.alarm) for row in odd] == [
        ("unscorable", "far_future", None, None)
    ] * 2
    assert [row.to_json() for row in rows] == [row.to_json() for row in clean]
    assert (stream.counts["far_future"], stream.counts["unscorable"], stream.counts["late"]) == (2, 2, 0)
    assert stream.newest[""] == START + 59 * MINUTE
    assert odd[0].top_sensors == odd[0].top_actual == odd[0].changes == ()
    assert odd[0].row_surprise is None


def test_a_true_pause_is_believed_and_loses_no_row() -> None:
    """Two rows are told as far ahead; the third shows that they were not, and all three start the new segment."""
    minutes = [*range(40), *(5000.0 + at for at in range(40))]
    values = _values(80, 2)
    values[25:40] += 3.0  # an event that the pause ends
    stream = _detector().stream()
    rows = _run(stream, minutes, values)
    whole = _detector().engine().score(_of_block(minutes, values))
    assert [row.reason for row in rows[40:43]] == ["far_future", "far_future", "segment_start"]
    score = [np.nan if row.score is None else row.score for row in rows]
    np.testing.assert_allclose(score, whole.score, rtol=1e-6, atol=1e-9)
    assert [change.what for change in rows[42].changes if change.event.kind != "quality"] == ["closed"]
    assert stream.counts["gaps"] == 1
    found = {c.event.event_id for row in rows for c in row.changes if c.what == "closed"}
    found |= {c.event.event_id for c in stream.finish()}
    findings, block = _detector().findings(), _of_block(minutes, values)
    batch = findings.update(_detector().engine().score(block), block) + findings.finish()
    assert found == {event.event_id for event in batch}


@pytest.mark.parametrize(
    ("ahead", "n_believed"),
    [
        ([5000, 5001, 5002], 1),
        ([5000, 5001, 5001, 5002], 1),  # the same stamp again is no witness
        ([5000, 5002, 5001, 5002, 5003], 1),  # a step back starts over
        ([5000, 5007, 5014, 5021], 0),  # further apart than a gap
        ([5000, 9000, 5001, 5002], 0),
        ([5000, 5001, 9000, 9001, 9002], 1),
        ([5000, 5001, 40, 5002, 5003, 5004], 1),  # a row of the right time shows that the first were wrong
        ([5000, 5001, 30, 5002, 5003], 0),  # and so does a late one
        ([5000, 5001, 39, 5002, 5003, 5004], 1),
        ([5000, 5001, 5002, 5003, 5004], 3),
    ],
)
def test_what_it_takes_to_be_believed(ahead: list[int], n_believed: int) -> None:
    minutes = [*range(40), *ahead]
    stream, twin = _detector().stream(), SlowStream(_detector())
    values = _values(len(minutes), 3)
    rows = _run(stream, minutes, values)
    assert sum(row.reason != "far_future" for row in rows[40:]) == n_believed + sum(minute <= 40 for minute in ahead)
    said = [twin.update(row) for row in one_by_one(_of_block(minutes, values))]
    assert [(row.status, row.reason) for row in rows] == [(row.status, row.reason) for row in said]


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.0, -2.0, 3.0, 30.0, 2000.0, 6000.0, -2000.0, -6000.0]), max_size=60
    ),
    st.sets(st.integers(0, 80), max_size=3),
    st.integers(0, 100),
)
def test_it_agrees_with_its_slow_twin_on_any_clock(steps: list[float], stops: set[int], seed: int) -> None:
    minutes = [*range(20), *(100_000.0 + np.cumsum(steps) - 100_000.0 + 20.0)]
    minutes = [minute % 1e6 for minute in minutes]
    values = _values(len(minutes), seed)
    stream, twin = _detector().stream(), SlowStream(_detector())
    in_ticks = _detector().stream()
    for at, row in enumerate(one_by_one(_of_block(minutes, values))):
        if at in stops:
            stream = _detector().stream(state=stream.state_bytes())
        said = twin.update(row)
        found = stream.update(int(row.time[0]), values[at])
        [tick] = in_ticks.update_many(int(row.time[0]), values[at : at + 1], [""])
        assert (found.status, found.reason) == (tick.status, tick.reason) == (said.status, said.reason)
        for one in (found, tick):
            assert (np.nan if one.score is None else one.score) == pytest.approx(
                said.score, rel=1e-6, abs=1e-6, nan_ok=True
            )
            assert [(c.what, c.event.event_id) for c in one.changes] == [
                (c.what, c.event.event_id) for c in said.changes
            ]
    assert stream.counts == in_ticks.counts
    assert sum(
        stream.counts[name] for name in ("scored", "warmup", "degraded", "unscorable", "duplicate", "late")
    ) == len(minutes)


def test_in_a_tick_one_broken_clock_stops_nobody() -> None:
    names = [f"machine {number}" for number in range(5)]
    stream, alone = _detector().stream(), _detector().stream()
    values = _values(200, 4).reshape(40, 5, 3)
    for at, rows in enumerate(values):
        stamps = np.full(5, START + at * MINUTE)
        if at >= 20:
            stamps[2] += 50 * DAY
        tick = stream.update_many(stamps, rows, names)
        singles = [
            alone.update(stamp, row, name) for stamp, row, name in zip(stamps.tolist(), rows, names, strict=True)
        ]
        assert_alike(tick, singles)
        expected = "far_future" if at in (20, 21) else tick[1].reason if at < 20 else tick[2].reason
        assert tick.reason[2] == expected
        assert tick.group == names
    assert tick.status[2] == "scored"
    assert stream.counts == alone.counts
    assert stream.counts["far_future"] == 2


def test_machines_have_horizons_of_their_own() -> None:
    """A log of one machine after the other is no time travel."""
    stream = _detector().stream()
    values = _values(20, 5)
    _run(stream, [float(at) for at in range(20)], values, "east")
    later = _run(stream, [9000.0 + at for at in range(20)], values, "west")
    earlier = _run(stream, [20.0 + at for at in range(20)], values, "east")
    assert {row.reason for row in (*later[6:], *earlier)} == {""}


def test_the_horizon_is_a_setting_and_at_least_a_gap() -> None:
    values = _values(22, 6)
    minutes = [*range(20), 100.0, 101.0]
    patient = _run(_detector().stream(horizon_seconds=2 * 3600), minutes, values)
    strict = _run(_detector().stream(horizon_seconds=3600), minutes, values)
    assert [row.reason for row in patient[20:]] == ["segment_start"] * 2
    assert [row.reason for row in strict[20:]] == ["far_future"] * 2
    never = _run(_detector().stream(horizon_seconds=1e300), [*range(20), 3e6, 3e6 + 1], values)
    assert [row.reason for row in never[20:]] == ["segment_start"] * 2
    bridged = _run(_detector().stream(horizon_seconds=0), [*range(20), 24.0, 25.0], values)
    assert all(row.reason != "far_future" for row in bridged)

"""Samplers against slow twins: same result in any chunking and order, bounded, no peak lost."""

from __future__ import annotations

import numpy as np
import pytest
from test_report_example import MINUTE, SCHEMA, make_plant, naive_events

from sensorad.alarm_line import AlarmLine
from sensorad.errors import UsageError
from sensorad.report import SnippetSampler, TimelineSampler, TraceSampler
from sensorad.types import Event, RowBlock, ScoreBlock, Sensor, SensorSchema


def make_rows(time: np.ndarray, n_sensors: int = 2, seed: int = 0, n_groups: int = 1) -> RowBlock:
    rng = np.random.default_rng(seed)
    n = len(time)
    flaw = (rng.random((n, n_sensors)) < 0.1).astype(np.uint8)
    values = rng.normal(size=(n, n_sensors)).astype(np.float32)
    values[flaw > 0] = 0
    names = tuple(f"g{i}" for i in range(n_groups)) if n_groups > 1 else ("",)
    return RowBlock(
        np.arange(n), time.astype(np.int64), values, flaw, rng.integers(0, n_groups, n).astype(np.int32), names
    )


def make_scores(rows: RowBlock, seed: int = 0) -> ScoreBlock:
    rng = np.random.default_rng(seed)
    scores = ScoreBlock.empty_for(rows)
    scores.score = np.where(rng.random(len(rows)) < 0.2, np.nan, rng.exponential(size=len(rows)))
    scores.status = np.where(np.isnan(scores.score), 3, 0).astype(np.uint8)
    return scores


def naive_buckets(time: np.ndarray, group: np.ndarray, limit: int) -> tuple[int, dict[tuple[int, int], list[int]]]:
    """Width and rows of each bucket: double the width until every group fits, by plain loops."""
    width = 1
    while True:
        buckets: dict[tuple[int, int], list[int]] = {}
        for row in range(len(time)):
            buckets.setdefault((int(group[row]), int(time[row]) // width), []).append(row)
        per_group: dict[int, int] = {}
        for g, _ in buckets:
            per_group[g] = per_group.get(g, 0) + 1
        if max(per_group.values()) <= limit and len(buckets) <= 8 * limit:
            return width, dict(sorted(buckets.items()))
        width *= 2


TIMES = {
    "regular": np.arange(500) * MINUTE,
    "gap": np.arange(500) * MINUTE + np.where(np.arange(500) > 200, 400 * 1440 * MINUTE, 0),
    "unsorted": np.random.default_rng(5).permutation(500) * MINUTE,
    "same time": np.repeat(np.arange(50), 10) * MINUTE,
    "far future": np.append(np.arange(499) * MINUTE, 10**18),
}


@pytest.mark.parametrize("case", TIMES)
@pytest.mark.parametrize("n_groups", [1, 3])
def test_timeline_equals_plain_loops(case: str, n_groups: int) -> None:
    rows = make_rows(TIMES[case], n_groups=n_groups)
    scores = make_scores(rows)
    sampler = TimelineSampler(n_buckets=40)
    for first in range(0, len(rows), 77):
        sampler.add(scores.take(slice(first, first + 77)))
    width, buckets = naive_buckets(rows.time, rows.group, 40)
    found = [(line.group, *row) for line in sampler.result() for row in zip(*_columns(line), strict=True)]
    assert all(line.width == width for line in sampler.result())
    assert len(found) == len(buckets)
    for (group, _), members, row in zip(buckets, buckets.values(), found, strict=False):
        numbers = [scores.score[i] for i in members if not np.isnan(scores.score[i])]
        assert row[0] == rows.group_names[group]
        assert row[1:3] == (min(rows.time[i] for i in members), max(rows.time[i] for i in members))
        assert np.array_equal(row[3:5], (min(numbers), max(numbers)) if numbers else (np.nan, np.nan), equal_nan=True)
        assert row[5:] == (len(members), len(members) - len(numbers))


def test_timeline_does_not_depend_on_chunks_or_order() -> None:
    rows = make_rows(np.random.default_rng(1).integers(0, 10**15, 3000), n_groups=4)
    scores = make_scores(rows)
    results = []
    for chunk, order in ((3000, slice(None)), (1, slice(None)), (211, slice(None, None, -1))):
        sampler = TimelineSampler(n_buckets=60)
        shuffled = scores.take(order)
        for first in range(0, len(rows), chunk):
            sampler.add(shuffled.take(slice(first, first + chunk)))
        results.append(sampler.result())
    for other in results[1:]:
        for line, twin in zip(results[0], other, strict=True):
            assert line.group == twin.group
            for a, b in zip(_columns(line), _columns(twin), strict=True):
                np.testing.assert_array_equal(a, b)


def test_buckets_stay_few_with_many_groups() -> None:
    n = 20_000
    rows = make_rows(np.arange(n) * MINUTE)
    rows.group = (np.arange(n) % 2000).astype(np.int32)
    rows.group_names = [f"m{i}" for i in range(2000)]
    sampler = TimelineSampler(n_buckets=100)
    sampler.add(make_scores(rows))
    lines = sampler.result()
    assert len(lines) == 2000
    assert sum(len(line) for line in lines) == 2000  # one each: there are more groups than 8 x 100 buckets
    assert sum(int(line.n_rows.sum()) for line in lines) == n


def test_counts_are_those_of_the_rows() -> None:
    plant = make_plant(3000)
    sampler = TimelineSampler(n_buckets=10)
    sampler.add(plant.scores)
    assert sum(sampler.status_counts.values()) == 3000
    assert sampler.status_counts["warmup"] == 30
    assert sampler.reason_counts["segment_start"] == 30
    assert "" not in sampler.reason_counts


def test_empty_blocks_and_no_blocks() -> None:
    rows = make_rows(np.arange(0))
    sampler, traces = TimelineSampler(), TraceSampler(SensorSchema((Sensor("a"), Sensor("b"))))
    assert sampler.result() == ()
    sampler.add(ScoreBlock.empty_for(rows))
    traces.add(rows)
    assert sampler.result() == ()
    assert traces.result() == ()


def test_traces_equal_plain_loops() -> None:
    rows = make_rows(TIMES["unsorted"], n_sensors=3, n_groups=2)
    sampler = TraceSampler(SensorSchema((Sensor("a"), Sensor("b"), Sensor("c"))), n_buckets=25)
    for first in range(0, 500, 90):
        sampler.add(rows.take(slice(first, first + 90)))
    _, buckets = naive_buckets(rows.time, rows.group, 25)
    found = [(line, i) for line in sampler.result() for i in range(len(line))]
    assert len(found) == len(buckets)
    for members, (line, i) in zip(buckets.values(), found, strict=True):
        assert line.n_rows[i] == len(members)
        for sensor in range(3):
            usable = [float(rows.values[row, sensor]) for row in members if rows.flaw[row, sensor] == 0]
            assert line.n_usable[i, sensor] == len(usable)
            expected = (min(usable), max(usable), sum(usable) / len(usable)) if usable else (np.nan,) * 3
            np.testing.assert_allclose((line.low[i, sensor], line.high[i, sensor], line.mean[i, sensor]), expected)
    for group, line in enumerate(sampler.result()):
        mine = rows.flaw[rows.group == group]
        np.testing.assert_allclose(line.missing_share, (mine > 0).mean(axis=0))


def test_coarsened_traces_are_those_of_wider_buckets() -> None:
    rows = make_rows(TIMES["gap"])
    schema = SensorSchema((Sensor("a"), Sensor("b")))
    fine, coarse = TraceSampler(schema, n_buckets=128), TraceSampler(schema, n_buckets=16)
    fine.add(rows)
    coarse.add(rows)
    (trace,), (expected,) = fine.result(), coarse.result()
    while trace.width < expected.width:
        trace = trace.coarsened()
    for name in ("start", "end", "n_rows", "low", "high", "n_usable"):
        np.testing.assert_array_equal(getattr(trace, name), getattr(expected, name))
    np.testing.assert_allclose(trace.mean, expected.mean)


def test_snippets_hold_the_rows_around_an_event() -> None:
    plant = make_plant(4 * 1440)
    event = naive_events(plant)[0]
    sampler = SnippetSampler(SCHEMA, [event], row_seconds=60, context_rows=20, n_points=4000)
    for first in range(0, len(plant.rows), 333):
        rows = slice(first, first + 333)
        sampler.add(plant.rows.take(rows), plant.scores.take(rows))
    margin = max(20 * MINUTE, event.end - event.start)
    time, value, expected = sampler.result()[event.event_id][event.sensors[0]]
    position = SCHEMA.names.index(event.sensors[0])
    wanted = [
        (int(t), float(v))
        for t, v in zip(plant.rows.time, plant.rows.values[:, position], strict=True)
        if event.start - margin <= t <= event.end + margin
    ]
    assert list(zip(time.tolist(), value.tolist(), strict=True)) == wanted
    assert expected is not None
    for t, e in zip(time, expected, strict=True):
        row = int(np.flatnonzero(plant.rows.time == t)[0])
        slots = np.flatnonzero(plant.scores.top_sensors[row] == position)
        assert np.isnan(e) if len(slots) == 0 else e == pytest.approx(plant.scores.top_expected[row, slots[0]])
    times, scores = sampler.scores()[event.event_id]
    assert times.tolist() == time.tolist()
    assert np.nanmax(scores) == event.score


def test_long_snippets_stay_short_and_keep_their_extremes() -> None:
    n = 5000
    rows = make_rows(np.arange(n) * MINUTE, n_sensors=1)
    rows.flaw[:] = 0
    rows.values[1234], rows.values[4321] = 50, -50
    event = Event("e", "", 0, int(rows.time[-1]), 0, "interval", 2, 2, n, sensors=("a", "unknown"))
    sampler = SnippetSampler(SensorSchema((Sensor("a"),)), [event], row_seconds=60)
    for first in range(0, n, 700):
        sampler.add(rows.take(slice(first, first + 700)))
    lines = sampler.result()["e"]
    assert list(lines) == ["a"]
    time, value, expected = lines["a"]
    assert len(time) <= 300
    assert (np.diff(time) >= 0).all()
    assert (value.min(), value.max(), expected) == (-50, 50, None)
    assert sampler.scores() == {}


def test_a_ramp_stays_monotone_in_a_snippet() -> None:
    n = 4000
    rows = make_rows(np.arange(n) * MINUTE, n_sensors=1)
    rows.flaw[:] = 0
    schema = SensorSchema((Sensor("a"),))
    event = Event("e", "", 0, int(rows.time[-1]), 0, "interval", 2, 2, n, sensors=("a",))
    for sign in (1, -1):
        rows.values[:, 0] = sign * np.arange(n)
        sampler = SnippetSampler(schema, [event], row_seconds=60)
        sampler.add(rows)
        value = sampler.result()["e"]["a"][1]
        assert (np.diff(sign * value[2:]) >= 0).all()


def test_snippets_of_another_machine_stay_apart() -> None:
    rows = make_rows(np.arange(200) * MINUTE, n_sensors=1, n_groups=2)
    event = Event("e", "g1", 100 * MINUTE, 110 * MINUTE, 100 * MINUTE, "interval", 2, 2, 11, sensors=("a",))
    sampler = SnippetSampler(SensorSchema((Sensor("a"),)), [event], row_seconds=60, context_rows=30, n_points=1000)
    sampler.add(rows)
    time = sampler.result()["e"]["a"][0]
    inside = (rows.group == 1) & (np.abs(rows.time - 105 * MINUTE) <= 35 * MINUTE)
    assert time.tolist() == rows.time[inside].tolist()


def test_only_the_worst_events_are_illustrated() -> None:
    rows = make_rows(np.arange(200) * MINUTE, n_sensors=8)
    names = tuple("abcdefgh")
    schema = SensorSchema(tuple(Sensor(name) for name in names))
    nan = float("nan")
    events = [
        Event("mild", "", 0, MINUTE, 0, "interval", 1.1, 2, 2, sensors=("a",)),
        Event("short", "", 0, MINUTE, 0, "quality", nan, nan, 2, sensors=("a",)),
        Event("long", "", 0, 9 * MINUTE, 0, "quality", nan, nan, 10, sensors=names),
        Event("bad", "", 0, MINUTE, 0, "interval", 3.0, 2, 2, sensors=("a",)),
    ]
    for n_events, shown in ((2, {"mild", "bad"}), (3, {"mild", "bad", "long"})):
        sampler = SnippetSampler(schema, events, row_seconds=60, n_events=n_events)
        sampler.add(rows)
        assert set(sampler.result()) == shown
    assert list(sampler.result()["long"]) == list(names[:5])


def test_modes_with_a_line_of_their_own_share_one_scale() -> None:
    rows = make_rows(np.arange(60) * MINUTE, n_sensors=1)
    scores = make_scores(rows)
    scores.mode, scores.mode_names = (np.arange(60) % 2).astype(np.int32), ("idle", "run")
    line = AlarmLine(2.0, {"idle": 8.0})
    expected = np.where(scores.mode == 0, scores.score / 4, scores.score)
    timeline = TimelineSampler(n_buckets=60, line=line)
    event = Event("e", "", 0, 59 * MINUTE, 0, "interval", 2, 2, 60, sensors=("a",))
    schema = SensorSchema((Sensor("a"),))
    snippets = SnippetSampler(schema, [event], row_seconds=60, line=line)
    for first in range(0, 60, 13):
        part = slice(first, first + 13)
        timeline.add(scores.take(part))
        snippets.add(rows.take(part), scores.take(part))
    np.testing.assert_allclose(timeline.result()[0].high, expected)
    np.testing.assert_allclose(snippets.scores()["e"][1], expected)


def test_wrong_arguments_are_named() -> None:
    schema = SensorSchema((Sensor("a"),))
    for call in (
        lambda: TimelineSampler(0),
        lambda: TraceSampler(schema, 0),
        lambda: SnippetSampler(schema, [], row_seconds=0),
        lambda: SnippetSampler(schema, [], row_seconds=1, n_points=1),
        lambda: TraceSampler(schema).add(make_rows(np.arange(3), n_sensors=2)),
    ):
        with pytest.raises(UsageError, match=r"at least|positive|1 sensors"):
            call()


def _columns(line: object) -> list[list[float]]:
    return [getattr(line, name).tolist() for name in ("start", "end", "low", "high", "n_rows", "n_unscored")]

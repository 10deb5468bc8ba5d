"""A stream says of every row what its slow twin says, and of the whole what batch says."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_scoring import MINUTE, random_block
from slow_stream import SlowRow, SlowStream, assert_alike, cells_of, one_by_one

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import DataError, TimeError, UsageError
from sensorad.streaming import Stream, StreamRow
from sensorad.thresholds import QuantileThreshold
from sensorad.types import REASONS, STATUSES, Event, RowBlock

N_SENSORS = 4
N_ROWS = 120
MODES = ("idle", "run")


@cache
def _detector(score: str = "fused", with_modes: bool = False) -> Detector:
    """Alarms on about one row in fifty, so that events open, change and close."""
    rng = np.random.default_rng(0)
    t = np.arange(900)[:, None]
    wave = np.sin(t / 4.0 + rng.uniform(0, 6, N_SENSORS)) + 0.2 * rng.normal(size=(900, N_SENSORS))
    columns = {f"s{c}": wave[:, c] * (1.0 + c) + 10.0 for c in range(N_SENSORS)}
    log = pd.DataFrame({"time": pd.date_range("2024-05-01", periods=900, freq="min", tz="UTC"), **columns})
    if with_modes:
        number = np.arange(900) // 45 % 2
        log["s0"] += 2.0 * number * rng.normal(size=900)
        log["mode"] = np.array(MODES)[number]
    config = DetectorConfig(window=6, lags=3, score=score)
    return Detector(config=config, threshold=QuantileThreshold(0.98)).fit(log, mode="mode" if with_modes else None)


def _block(seed: int, machines: int = 2) -> RowBlock:
    return random_block(np.random.default_rng(seed), N_ROWS, N_SENSORS, machines=machines)


def _update(stream: Stream, block: RowBlock, at: int) -> StreamRow:
    mode = None if block.mode is None else block.mode_names[block.mode[at]]
    return stream.update(int(block.time[at]), cells_of(block, at), block.group_names[block.group[at]], mode)


def _same_number(found: float | None, expected: float) -> bool:
    return found is None if np.isnan(expected) else abs(found - expected) <= 1e-6 * max(1.0, abs(expected))


def _assert_row(row: StreamRow, expected: SlowRow, threshold: float) -> None:
    assert (row.status, row.reason) == (expected.status, expected.reason)
    assert _same_number(row.score, expected.score)
    assert _same_number(row.severity, expected.severity)
    assert row.alarm == (None if np.isnan(expected.severity) else expected.severity > 1.0)
    assert row.top_shares == pytest.approx(expected.shares, abs=1e-4)
    clear = [a - b > 1e-3 for a, b in pairwise([*expected.shares, 0.0])]
    if clear and all(clear):
        assert list(row.top_sensors) == expected.sensors
    assert len(row.top_expected) == len(row.top_actual) == len(row.top_sensors)


def _told(changes: object) -> list[tuple]:
    """News in a form that forgives the last digits."""
    return [(change.what, *_essence(change.event)) for change in changes]  # type: ignore[attr-defined]


def _essence(event: Event) -> tuple:
    parts = asdict(event)
    names = ("event_id", "group", "start", "end", "peak", "kind", "n_rows", "reason", "note", "onsets")
    return *(parts[name] for name in names), None if event.kind == "quality" else round(event.severity, 4)


def _final(changes: list) -> dict[str, tuple]:
    return {change.event.event_id: _essence(change.event) for change in changes if change.what == "closed"}


def _batch_events(detector: Detector, block: RowBlock) -> dict[str, tuple]:
    findings = detector.findings()
    events = findings.update(detector.engine().score(block), block) + findings.finish()
    return {event.event_id: _essence(event) for event in events}


@pytest.mark.parametrize("score", ["fused", "mahalanobis", "sse", "topk", "max"])
@settings(max_examples=6)
@given(st.integers(0, 10_000), st.integers(1, 3), st.sets(st.integers(0, N_ROWS - 1), max_size=4))
def test_it_says_what_its_slow_twin_says(score: str, seed: int, machines: int, stops: set[int]) -> None:
    """Late, equal and silent rows, gaps and other rates, machines in any order, and restarts wherever they fall."""
    detector, block = _detector(score), _block(seed, machines)
    stream, twin = detector.stream(), SlowStream(detector)
    changes = []
    for at, row in enumerate(one_by_one(block)):
        if at in stops:
            stream = detector.stream(state=stream.state_bytes())
        found, expected = _update(stream, block, at), twin.update(row)
        assert (found.time, found.group) == (int(row.time[0]), row.group_names[row.group[0]])
        _assert_row(found, expected, detector.threshold_)
        assert _told(found.changes) == _told(expected.changes)
        changes += found.changes
    end = stream.finish()
    assert _told(end) == _told(twin.finish())
    counts = stream.counts
    assert {name: counts[name] for name in twin.engine.counts} == twin.engine.counts
    assert counts["rows"] == sum(counts[status] for status in STATUSES) == N_ROWS
    assert _final([*changes, *end]) == _batch_events(detector, block)


def test_the_twin_meets_what_it_should() -> None:
    """Otherwise the comparison proves less than it seems."""
    met, news = set(), set()
    for seed in range(8):
        twin = SlowStream(_detector())
        for row in one_by_one(_block(seed)):
            said = twin.update(row)
            met.add((said.status, said.reason))
            news |= {(change.what, change.event.kind) for change in said.changes}
    assert {status for status, _ in met} == set(STATUSES)
    assert {reason for _, reason in met} == set(REASONS) - {"far_future"}
    assert {("opened", "point"), ("closed", "interval"), ("opened", "quality"), ("closed", "quality")} <= news
    assert "changed" in {what for what, _ in news}


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 4), st.data())
def test_ticks_of_any_size_say_what_single_rows_say(seed: int, machines: int, data: st.DataObject) -> None:
    """Also where a machine comes more than once in a tick, rows are late, and the stream is saved between ticks."""
    detector, block = _detector(), _block(seed, machines)
    single, many = detector.stream(), detector.stream()
    rows = [_update(single, block, at) for at in range(N_ROWS)]
    cuts = sorted(data.draw(st.sets(st.integers(1, N_ROWS - 1), max_size=40)))
    changes = []
    for first, stop in pairwise([0, *cuts, N_ROWS]):
        cells = np.array([[np.nan if v is None else v for v in cells_of(block, at)] for at in range(first, stop)])
        names = [block.group_names[code] for code in block.group[first:stop]]
        if data.draw(st.booleans()):
            many = detector.stream(state=many.state_bytes())
        tick = many.update_many(block.time[first:stop], cells, names)
        assert_alike(tick, rows[first:stop])
        np.testing.assert_array_equal(tick.alarm, [bool(row.alarm) for row in rows[first:stop]])
        assert tick.status == [row.status for row in rows[first:stop]]
        assert tick.reason == [row.reason for row in rows[first:stop]]
        assert tick.group == names
        changes += tick.changes
    assert single.counts == many.counts
    expected = [change for row in rows for change in row.changes] + single.finish()
    assert _final([*changes, *many.finish()]) == _final(expected)


def test_a_tick_may_be_of_mappings_and_of_one_time() -> None:
    detector, block = _detector(), _block(1, 1)
    stream, other = detector.stream(), detector.stream()
    machines = ["east", "west", 7]
    for at in range(0, 30):
        values = [dict(zip(detector.schema_.names, cells_of(block, at), strict=True))] * 3
        time = 20_000 * 1440 * MINUTE + at * MINUTE
        tick = stream.update_many(np.datetime64(time, "ns"), values, machines)
        rows = [other.update(time, values[0], machine) for machine in machines]
        assert_alike(tick, rows)
    assert [row.group for row in tick] == ["east", "west", "7"]
    assert tick[-1].to_json() == tick[2].to_json()
    assert [row.group for row in tick[1:]] == ["west", "7"]
    with pytest.raises(IndexError, match="3 rows"):
        tick[3]


def test_an_empty_tick_is_no_news() -> None:
    tick = _detector().stream().update_many([], np.zeros((0, N_SENSORS)), [])
    assert len(tick) == 0
    assert tick.changes == ()


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.booleans())
def test_operating_modes_have_their_own_lines(seed: int, in_ticks: bool) -> None:
    detector = _detector(with_modes=True)
    assert set(detector.line_.by_mode) == set(MODES)
    rng = np.random.default_rng(seed)
    codes = np.repeat(rng.integers(0, 3, N_ROWS // 10), 10).astype(np.int32)
    block = replace(_block(seed), mode=codes, mode_names=(*MODES, "unheard of"))
    stream, twin = detector.stream(), SlowStream(detector)
    changes = []
    for at, row in enumerate(one_by_one(block)):
        expected = twin.update(row)
        if in_ticks:
            cells = np.array([[np.nan if v is None else v for v in cells_of(block, at)]])
            name = block.group_names[block.group[at]]
            [found] = stream.update_many(int(block.time[at]), cells, [name], [block.mode_names[codes[at]]])
        else:
            found = _update(stream, block, at)
        assert found.mode == block.mode_names[codes[at]]
        assert _same_number(found.severity, expected.severity)
        assert found.alarm == (None if np.isnan(expected.severity) else expected.severity > 1.0)
        assert _told(found.changes) == _told(expected.changes)
        changes += found.changes
    assert _final([*changes, *stream.finish()]) == _batch_events(detector, block)


def test_a_burst_of_missing_values_leaves_nothing_behind() -> None:
    """One window after the burst, scores are those of a stream that never saw it."""
    detector, length = _detector(), 6
    rng = np.random.default_rng(3)
    values = np.sin(np.arange(80)[:, None] / 4.0 + rng.uniform(0, 6, N_SENSORS)) * (1 + np.arange(N_SENSORS)) + 10.0
    spoilt = values.copy()
    spoilt[30:34] = [[np.nan] * 4, [np.inf, -np.inf, 1e300, np.nan], [np.nan] * 4, [1e39, np.inf, np.nan, -1e308]]
    streams = detector.stream(), detector.stream()
    start = 20_000 * 1440 * MINUTE
    clean, burst = ([stream.update(start + at * MINUTE, row) for at, row in enumerate(rows)]
                    for stream, rows in zip(streams, (values, spoilt), strict=True))  # fmt: skip
    assert [row.status for row in burst[30:34]] == ["unscorable"] * 4
    assert [row.score for row in burst[:30]] == [row.score for row in clean[:30]]
    context = detector.engine().context_rows
    assert context >= length - 1
    after = 34 + context
    np.testing.assert_allclose(
        [row.score for row in burst[after:]], [row.score for row in clean[after:]], rtol=1e-6, atol=1e-9
    )
    assert all(row.status == "scored" for row in burst[after:])


def test_a_refused_row_leaves_the_stream_as_it_was() -> None:
    detector, block = _detector(), _block(5, 1)
    stream = detector.stream()
    for at in range(20):
        _update(stream, block, at)
    before = stream.state_bytes()
    time, good = int(block.time[:20].max()) + MINUTE, cells_of(block, 3)
    for refused, values, group, mode in (
        (time, [*good[:3], "12,5"], "machine 0", None),
        (time, good[:3], "machine 0", None),
        (time, good, 1.5, None),
        (time, good, ["east"], None),
        (time, good, "machine 0", True),
        (time, [*good[:3], "x"], "never seen", None),
        ("2024-05-01T00:00:00", good, "machine 0", None),
        (5, good, "machine 0", None),
    ):
        with pytest.raises(DataError):
            stream.update(refused, values, group, mode)  # type: ignore[arg-type]
        with pytest.raises(DataError):
            stream.update_many(refused, [values], [group], None if mode is None else [mode])  # type: ignore[arg-type, list-item]
        with pytest.raises(DataError):
            stream.update_many(refused, [good, values], ["new", group], None if mode is None else [mode] * 2)  # type: ignore[arg-type, list-item]
    assert stream.state_bytes() == before


def test_columns_of_a_tick_must_be_of_equal_length() -> None:
    stream = _detector().stream()
    start = 20_000 * 1440 * MINUTE
    with pytest.raises(DataError, match="2 rows of values came with 3 machines"):
        stream.update_many(start, np.ones((2, 4)), ["a", "b", "c"])
    with pytest.raises(DataError, match="2 rows of values came with 1 modes"):
        stream.update_many(start, np.ones((2, 4)), ["a", "b"], ["idle"])
    with pytest.raises(TimeError, match="2 rows came with 1 times"):
        stream.update_many([start], np.ones((2, 4)), ["a", "b"])
    assert stream.newest == {}


def test_conflicting_rows_can_be_an_error() -> None:
    detector, start = _detector(), 20_000 * 1440 * MINUTE
    stream = detector.stream(on_conflict="error")
    stream.update(start, [1.0, 2.0, 3.0, 4.0])
    assert stream.update(start, [1.0, 2.0, 3.0, 4.0]).status == "duplicate"
    with pytest.raises(TimeError):
        stream.update(start, [1.0, 2.0, 3.0, 5.0])
    patient = detector.stream()
    patient.update(start, [1.0, 2.0, 3.0, 4.0])
    assert patient.update(start, [1.0, 2.0, 3.0, 5.0]).reason == "same_time"
    assert (patient.counts["conflicts"], patient.counts["equal"]) == (1, 0)


def test_unknown_sensors_are_ignored_and_counted() -> None:
    detector, start = _detector(), 20_000 * 1440 * MINUTE
    stream = detector.stream()
    row = stream.update(
        start, {"s0": 1.0, "s1": 2.0, "s2": 3.0, "s3": 4.0, "s9": 5.0, "note": "ignored, whatever it is"}
    )
    assert (row.status, row.reason) == ("warmup", "segment_start")
    stream.update(start + MINUTE, {"s9": 1.0})
    assert stream.counts["unknown_sensors"] == 2
    assert stream.unknown_sensors == ("s9", "note")
    again = detector.stream(state=stream.state_bytes())
    assert again.unknown_sensors == ("s9", "note")
    assert again.counts == stream.counts


def test_events_that_are_open_can_be_asked_for() -> None:
    detector = _detector()
    for seed in range(4):
        block = _block(seed)
        stream, findings, engine = detector.stream(), detector.findings(), detector.engine()
        open_at_all = 0
        for at, row in enumerate(one_by_one(block)):
            _update(stream, block, at)
            findings.update(engine.score(row), row)
            ongoing = [_essence(event) for event in stream.ongoing()]
            open_at_all += bool(ongoing)
            if at % 20 == 0:
                assert sorted(ongoing) == sorted(
                    _essence(event) for part in (findings._builder, findings._quality) for event in part.ongoing()
                )
        assert open_at_all


def test_the_end_is_the_end() -> None:
    stream = _detector().stream()
    start = 20_000 * 1440 * MINUTE
    stream.update(start, [1.0, 2.0, 3.0, 4.0], "a")
    stream.finish()
    assert stream.counts["rows"] == 1
    for again in (
        lambda: stream.update(start + MINUTE, [1.0, 2.0, 3.0, 4.0], "a"),
        lambda: stream.update_many(start + MINUTE, [[1.0, 2.0, 3.0, 4.0]], ["a"]),
        lambda: stream.push(start + MINUTE, [1.0, 2.0, 3.0, 4.0], "a"),
        stream.state_bytes,
    ):
        with pytest.raises(UsageError, match="over"):
            again()


def test_two_streams_of_a_detector_share_nothing() -> None:
    detector, block = _detector(), _block(8, 1)
    one, other = detector.stream(), detector.stream()
    first = [_update(one, block, at).to_json() for at in range(60)]
    assert [_update(other, block, at).to_json() for at in range(60)] == first


def test_a_detector_that_was_not_fitted_has_no_stream() -> None:
    with pytest.raises(UsageError, match="not been fitted"):
        Detector().stream()


@pytest.mark.parametrize("wrong", [{"lateness_seconds": -1.0}, {"horizon_seconds": np.nan}, {"lateness_seconds": "5s"}])
def test_settings_are_checked(wrong: dict) -> None:
    with pytest.raises(UsageError, match="seconds must be a number"):
        _detector().stream(**wrong)


def test_a_new_alarm_line_does_not_change_a_running_stream() -> None:
    detector, block = _detector(), _block(11, 1)
    stream = detector.stream()
    rows = [_update(stream, block, at) for at in range(60)]
    severity = next(row.severity for row in rows if row.severity is not None)
    before = detector._calibration
    try:
        scores = detector.calibration_scores(detector.open_log(_plain_log()))
        detector.calibrate_scores(scores, method=QuantileThreshold(0.5))
        assert detector.threshold_ != before.threshold.threshold
        assert next(row.severity for row in rows if row.severity is not None) == severity
        with pytest.raises(Exception, match="another calibration"):
            detector.stream(state=stream.state_bytes())
    finally:
        detector._calibration = before
    assert detector.stream(state=stream.state_bytes()).newest == stream.newest


def _plain_log() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    wave = np.sin(np.arange(300)[:, None] / 4.0 + rng.uniform(0, 6, N_SENSORS)) + 0.2 * rng.normal(
        size=(300, N_SENSORS)
    )
    columns = {f"s{c}": wave[:, c] * (1.0 + c) + 10.0 for c in range(N_SENSORS)}
    return pd.DataFrame({"time": pd.date_range("2024-06-01", periods=300, freq="min", tz="UTC"), **columns})

"""The calibration monitor through restarts: the same verdict as without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import make_block
from saved_states import assert_refuses_damage, reread

from sensorad.errors import ArtefactError, UsageError
from sensorad.monitoring import CalibrationBaseline, CalibrationMonitor
from sensorad.thresholds import CalibrationScores
from sensorad.types import Event, ScoreBlock

DAY = 86_400 * 10**9
START = 19_700 * DAY
STEP = 1800.0
ROWS = 48


def _baseline() -> CalibrationBaseline:
    score = np.random.default_rng(0).gamma(4.0, size=30 * ROWS)
    time = START + np.arange(len(score)) * round(STEP * 1e9)
    found = CalibrationBaseline.fit(CalibrationScores(time, score, np.zeros(len(score), np.int32), STEP), 12.0, 4, 1.0)
    assert found is not None
    assert len(found.edges) > 20
    return found


BASELINE = _baseline()


def _monitor() -> CalibrationMonitor:
    return CalibrationMonitor(BASELINE, STEP)


def _log(n_days: int, seed: int) -> tuple[ScoreBlock, list[Event]]:
    """Three machines in turns, rows without a score, a drift from half-time on, and an event now and then."""
    rng = np.random.default_rng(seed)
    n_rows = 3 * n_days * ROWS
    score = rng.gamma(4.0, size=n_rows) * np.where(np.arange(n_rows) > n_rows / 2, 1.3, 1.0)
    score[rng.random(n_rows) < 0.05] = np.nan
    block = make_block(score.tolist(), group=np.arange(n_rows) % 3, group_names=("a", "b", "c"))
    block.time[:] = START + 30 * DAY + (np.arange(n_rows) // 3) * round(STEP * 1e9)
    at = [int(time) for time in block.time[rng.integers(0, n_rows, n_days // 3)]]
    return block, [Event(f"e{i}", "", t, t, t, "point", 1.5, 18.0, 1) for i, t in enumerate(sorted(at))]


def _fed(monitor: CalibrationMonitor, block: ScoreBlock, events: list[Event]) -> None:
    if len(block):
        first, last = int(block.time[0]), int(block.time[-1])
        monitor.update(block, block.score, [event for event in events if first <= event.start < last])


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([20, 40, 3]), st.integers(0, 2**16), st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_a_restart_at_any_row_changes_no_verdict(n_days, seed, stops):
    block, events = _log(n_days, seed)
    cuts = sorted({int(stop * len(block)) for stop in stops})
    plain, stopped = _monitor(), _monitor()
    for low, high in zip([0, *cuts], [*cuts, len(block)], strict=True):
        _fed(plain, block.take(slice(low, high)), events)
        _fed(stopped, block.take(slice(low, high)), events)
        state, verdict = stopped.state(), stopped.verdict()
        _fed(stopped, block.take(slice(high, high + 9)), events)
        stopped.finish()
        stopped = _monitor()
        stopped.restore(reread(state))
        assert stopped.verdict() == verdict == plain.verdict()
    assert stopped.finish() == plain.finish()


def test_row_by_row_after_a_restart() -> None:
    block, events = _log(12, seed=1)
    plain, stopped = _monitor(), _monitor()
    _fed(plain, block, events)
    _fed(stopped, block.take(slice(0, 700)), events)
    again = _monitor()
    again.restore(reread(stopped.state()))
    for i in range(700, len(block)):
        again.update(block.take(slice(i, i + 1)), block.score[i : i + 1], ())
    again.update(block.take(slice(0, 0)), block.score[:0], [e for e in events if e.start >= block.time[699]])
    missed = [e for e in events if e.start == block.time[-1]]  # the cut leaves the last row's to nobody
    plain.update(block.take(slice(0, 0)), block.score[:0], missed)
    assert again.finish() == plain.finish()


def test_the_end_of_the_log_is_remembered() -> None:
    block, events = _log(5, seed=0)
    monitor, fresh = _monitor(), _monitor()
    _fed(monitor, block, events)
    over = monitor.finish()
    fresh.restore(reread(monitor.state()))
    assert fresh.finish() == over
    with pytest.raises(UsageError, match="the log is over"):
        fresh.update(block, block.score, ())


def test_a_monitor_without_rows_has_a_state() -> None:
    fresh = _monitor()
    fresh.restore(reread(_monitor().state()))
    assert fresh.finish() == _monitor().finish()


def test_a_damaged_state_is_refused() -> None:
    block, events = _log(5, seed=0)
    monitor = _monitor()
    _fed(monitor, block, events)
    state = monitor.state()
    assert_refuses_damage(_monitor, state)
    for name in ("bins", "n_bins", "seen"):
        broken = reread(state) | {name: state[name][:-1]}
        with pytest.raises(ArtefactError, match="does not fit"):
            _monitor().restore(broken)
    short = replace(BASELINE, edges=BASELINE.edges[:5], counts=BASELINE.counts[:6])
    with pytest.raises(ArtefactError, match="not those of this calibration"):
        CalibrationMonitor(short, STEP).restore(state)


def test_the_state_is_a_byte_for_each_block() -> None:
    block, events = _log(40, seed=0)
    monitor = _monitor()
    _fed(monitor, block, events)
    state = monitor.state()
    assert state["bins"].dtype == np.uint8
    assert len(state["bins"]) == monitor.verdict().n_blocks > 300

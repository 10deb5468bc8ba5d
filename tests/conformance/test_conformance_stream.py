"""Batch == stream == restart, for every detector: the same scores, the same alarms, the same events."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from cases import CASES, DEFAULTS, Case, assert_close, detector_of, rows_of, score_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plant import messy_log, with_fault

from sensorad import Detector
from sensorad.types import FLAWS, STATUSES, Event, RowBlock

N_ROWS = 110
EXAMPLES = 4

OPEN_GATE = 5e-6
"""A stream runs an LSTM in NumPy and batch in torch, both in float32. Where the whole output of a network counts, with
first weights or alone, the last digits of the two show: up to 2e-6 of the line was seen."""


def _log(seed: int) -> pd.DataFrame:
    return with_fault(messy_log(N_ROWS, seed), 70, 80)


def _cells(block: RowBlock, row: int) -> list[float | None]:
    """The cells of a row as a plant program has them: infinite ones are infinite, missing ones None."""
    odd = {FLAWS.index("missing"): None, FLAWS.index("infinite"): np.inf, FLAWS.index("overflow"): 1e300}
    return [odd.get(int(flaw), float(value)) for value, flaw in zip(block.values[row], block.flaw[row], strict=True)]


def _batch_events(detector: Detector, block: RowBlock) -> dict[str, Event]:
    findings = detector.findings()
    events = findings.update(detector.engine().score(block), block) + findings.finish()
    return {event.event_id: event for event in events}


def _streamed(detector: Detector, block: RowBlock, stops: set[int] = frozenset()) -> tuple[list, dict[str, Event]]:
    """Rows and final events of a stream that is saved and restored before each row of ``stops``."""
    stream = detector.stream()
    rows, changes = [], []
    for row in range(len(block)):
        if row in stops:
            stream = detector.stream(state=stream.state_bytes())
        name = block.group_names[block.group[row]]
        rows.append(stream.update(int(block.time[row]), _cells(block, row), group=name))
        changes += rows[-1].changes
    changes += stream.finish()
    return rows, {change.event.event_id: change.event for change in changes if change.what == "closed"}


def _assert_rows(detector: Detector, block: RowBlock, rows: list, tolerance: float = 1e-6) -> None:
    batch = score_rows(detector, block)
    assert [row.status for row in rows] == [STATUSES[status] for status in batch["status"]]
    score = np.array([np.nan if row.score is None else row.score for row in rows])
    assert_close(score, batch["score"], detector.threshold_, tolerance)
    is_scored = np.isfinite(batch["score"])
    assert [row.alarm for row in rows] == [
        bool(value > detector.threshold_) if scored else None
        for value, scored in zip(batch["score"], is_scored, strict=True)
    ]
    names = (*detector.schema_.names, None)
    for at in np.flatnonzero(is_scored):
        assert rows[at].top_shares == pytest.approx(batch["top_shares"][at][: len(rows[at].top_shares)], abs=1e-4)
        leads = batch["top_shares"][at][0] - batch["top_shares"][at][1] > 1e-3
        if leads:  # of equal shares either may come first
            assert rows[at].top_sensors[0] == names[batch["top_sensors"][at][0]]


def _assert_events(found: dict[str, Event], expected: dict[str, Event]) -> None:
    assert found.keys() == expected.keys()
    for key, event in expected.items():
        got, want = dataclasses.asdict(found[key]), dataclasses.asdict(event)
        for name in ("group", "start", "end", "peak", "kind", "n_rows", "reason", "note"):
            assert got[name] == want[name], (key, name)
        assert got["severity"] == pytest.approx(want["severity"], rel=OPEN_GATE, nan_ok=True)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(0, 50))
def test_a_stream_says_of_every_row_what_batch_says(case: Case, seed: int) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed))
    rows, events = _streamed(detector, block)
    has_open_gate = case.is_network and not (case.epochs and case.has_linear_part)
    _assert_rows(detector, block, rows, OPEN_GATE if has_open_gate else 1e-6)
    _assert_events(events, _batch_events(detector, block))


def test_the_log_of_these_tests_has_events_of_all_sorts() -> None:
    """Otherwise the comparisons prove less than it seems."""
    detector = detector_of(DEFAULTS[0])
    kinds = {
        event.kind for seed in range(8) for event in _batch_events(detector, rows_of(detector, _log(seed))).values()
    }
    assert {"interval", "quality"} <= kinds


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(0, 50), st.sets(st.integers(0, 2 * N_ROWS), min_size=1, max_size=6))
def test_a_restart_at_any_row_changes_no_bit(case: Case, seed: int, stops: set[int]) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed))
    straight, events = _streamed(detector, block)
    broken, again = _streamed(detector, block, stops)
    assert [row.to_json() for row in broken] == [row.to_json() for row in straight]
    assert repr(again) == repr(events)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(0, 50))
def test_a_tick_of_many_machines_says_what_batch_says(case: Case, seed: int) -> None:
    detector = detector_of(case)
    block = rows_of(detector, _log(seed))
    stream = detector.stream()
    rows, changes = [], []
    times = np.flatnonzero(np.diff(block.time, prepend=block.time[0] - 1, append=block.time[-1] + 1))
    for first, stop in pairwise(times.tolist()):
        values = np.array([[np.nan if v is None else v for v in _cells(block, row)] for row in range(first, stop)])
        names = [block.group_names[code] for code in block.group[first:stop]]
        tick = stream.update_many(int(block.time[first]), values, names)
        rows += [tick[at] for at in range(len(tick))]
        changes += tick.changes
    changes += stream.finish()
    _assert_rows(detector, block, rows)
    found = {change.event.event_id: change.event for change in changes if change.what == "closed"}
    _assert_events(found, _batch_events(detector, block))


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@settings(max_examples=EXAMPLES)
@given(st.integers(0, 50), st.integers(1, 6), st.randoms(use_true_random=False))
def test_rows_that_overtake_each_other_are_put_in_order(case: Case, seed: int, reach: int, draws: object) -> None:
    detector = detector_of(case)
    log = _log(seed).drop_duplicates(["time", "machine"], ignore_index=True)
    block = rows_of(detector, log)
    minute = 60 * 10**9
    due = [int(time) + draws.randint(0, reach) * minute for time in block.time]  # type: ignore[attr-defined]
    stream = detector.stream(lateness_seconds=60.0 * (reach + 1))
    rows = []
    for row in np.argsort(due, kind="stable"):
        name = block.group_names[block.group[row]]
        rows += stream.push(int(block.time[row]), _cells(block, row), group=name)
    rows += stream.flush()
    rows.sort(key=lambda row: (row.time, row.group))
    _assert_rows(detector, block.take(np.lexsort((block.group, block.time))), rows)

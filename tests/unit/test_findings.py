"""All that looks at scored rows, together: the same findings after a restart, and no state of other parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_events import make_block
from saved_states import assert_refuses_damage, reread

from sensorad.errors import ArtefactError
from sensorad.events import EventBuilder, EventRule, QualityLimits, QualityMonitor
from sensorad.findings import Findings
from sensorad.monitoring import CalibrationBaseline, CalibrationMonitor
from sensorad.thresholds import CalibrationScores
from sensorad.types import Event, RowBlock, ScoreBlock, Sensor, SensorSchema

SCHEMA = SensorSchema((Sensor("TI-1", low=-4.0, high=4.0), Sensor("PI-7")))
RULE = EventRule(merge_gap_rows=3, step_seconds=600.0)
DAY = 86_400 * 10**9
START = 19_700 * DAY
GROUPS = ("a", "b")


def _baseline() -> CalibrationBaseline:
    score = np.random.default_rng(0).gamma(4.0, size=144 * 10)
    time = START + np.arange(len(score)) * 600 * 10**9
    found = CalibrationBaseline.fit(CalibrationScores(time, score, np.zeros(len(score), np.int32), 600.0), 11.0, 4, 1.0)
    assert found is not None
    return found


BASELINE = _baseline()


def _findings(*, has_quality: bool = True, has_monitor: bool = True) -> Findings:
    quality = QualityMonitor(SCHEMA, QualityLimits((2, 2), (0, 0), ("", "")), RULE) if has_quality else None
    monitor = CalibrationMonitor(BASELINE, 600.0) if has_monitor else None
    return Findings(EventBuilder(SCHEMA.names, 11.0, RULE), quality, monitor)


def _log(seed: int) -> tuple[ScoreBlock, RowBlock]:
    rng = np.random.default_rng(seed)
    n_rows = 500
    values = rng.normal(size=(n_rows, 2)).astype(np.float32)
    flaw = (rng.random((n_rows, 2)) < 0.05).astype(np.uint8)
    flaw[100:160, 1] = 1
    values[200:290, 0] = 1.5
    values[rng.integers(0, n_rows, 6), 0] = 6.0
    values[flaw > 0] = 0
    scores = make_block(rng.gamma(4.0, size=n_rows), group=rng.integers(0, 2, n_rows), group_names=GROUPS)
    scores.time[:] = START + 12 * DAY + np.arange(n_rows) * 600 * 10**9
    scores.top_sensors[:, 0], scores.top_shares[:, 0] = rng.integers(0, 2, n_rows), 1.0
    rows = RowBlock(scores.index, scores.time, values, flaw, scores.group, GROUPS)
    return scores, rows


def _told(events: list[Event]) -> list[str]:
    return [repr(event) for event in events]  # NaN compares unequal


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_a_restart_at_any_row_gives_the_same_findings(seed, stops):
    scores, rows = _log(seed)
    cuts = sorted(set(stops))
    plain, stopped = _findings(), _findings()
    expected: list[Event] = []
    found: list[Event] = []
    for low, high in zip([0, *cuts], [*cuts, 500], strict=True):
        part = slice(low, high)
        expected += plain.update(scores.take(part), rows.take(part))
        found += stopped.update(scores.take(part), rows.take(part))
        state = stopped.state()
        stopped.update(scores.take(slice(high, high + 5)), rows.take(slice(high, high + 5)))
        stopped.finish()
        stopped = _findings()
        stopped.restore(reread(state))
    expected += plain.finish()
    assert _told(found + stopped.finish()) == _told(expected)
    assert stopped.stale == plain.stale
    assert {event.kind for event in expected} >= {"quality", "interval"}


@pytest.mark.parametrize("has_quality", [True, False])
@pytest.mark.parametrize("has_monitor", [True, False])
def test_parts_that_nobody_asked_for_have_no_state(has_quality: bool, has_monitor: bool) -> None:
    scores, rows = _log(0)
    parts = {"has_quality": has_quality, "has_monitor": has_monitor}
    findings = _findings(**parts)
    findings.update(scores, rows)
    state = findings.state()
    again = _findings(**parts)
    again.restore(reread(state))
    assert _told(again.finish()) == _told(findings.finish())
    for name in parts:
        other = _findings(**parts | {name: not parts[name]})
        with pytest.raises(ArtefactError, match="missing" if not parts[name] else "is there"):
            other.restore(state)


def test_a_damaged_state_is_refused() -> None:
    scores, rows = _log(1)
    findings = _findings(has_quality=False)
    findings.update(scores, rows)
    assert_refuses_damage(lambda: _findings(has_quality=False), findings.state())

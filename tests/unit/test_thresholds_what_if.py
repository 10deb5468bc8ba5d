"""The what-if table against counting events line by line."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import ECHO, NORMAL, CalibrationScores
from sensorad.thresholds.what_if import what_if
from sensorad.thresholds.what_if_svg import what_if_svg

MINUTE = 60 * 10**9


def _scores(n_rows: int = 20_000, seed: int = 0, machines: int = 1) -> CalibrationScores:
    draws = np.random.default_rng(seed)
    time = np.repeat(np.arange(n_rows // machines), machines) * MINUTE
    group = np.tile(np.arange(machines, dtype=np.int32), n_rows // machines)
    return CalibrationScores(time, draws.gamma(2.0, size=len(time)), group, 60.0)


def _with_faults(scores: CalibrationScores) -> CalibrationScores:
    """Fault 0 is high in its rows, fault 1 only in the rows that remember it, fault 2 nowhere."""
    fault = np.full(len(scores.score), NORMAL, np.int32)
    score = scores.score.copy()
    for number, first in enumerate((1000, 5000, 9000)):
        fault[first : first + 50] = number
        fault[first + 50 : first + 80] = ECHO
        score[first : first + 80] = 0.1
    score[1010] = 30.0
    score[5060] = 20.0
    return replace(scores, score=score, fault=fault)


@pytest.mark.parametrize(
    "rule",
    [
        EventRule(merge_gap_rows=5, step_seconds=60.0),
        EventRule(merge_gap_rows=0, release=1.0),
        EventRule(merge_gap_rows=5, min_rows=2),
        EventRule(merge_gap_rows=2, refractory_rows=300, step_seconds=60.0),
    ],
)
@pytest.mark.parametrize("machines", [1, 4])
def test_counts_are_those_of_the_builder_at_every_line(rule: EventRule, machines: int) -> None:
    scores = _scores(machines=machines)
    table = what_if(scores, rule, n=25)
    counts = [len(event_spans(scores.time, scores.score, scores.group, float(t), rule)) for t in table.threshold]
    assert table.n_events.tolist() == counts
    assert counts[0] > 50
    assert counts[-1] == 0
    np.testing.assert_allclose(table.per_day, np.array(counts) / scores.days)
    assert (table.low <= table.per_day).all()
    assert (table.per_day <= table.high).all()


def test_the_line_in_force_is_among_those_shown() -> None:
    for line in (0.5, 6.0, 99.0):
        table = what_if(_scores(), EventRule(), line)
        assert line in table.threshold
        assert (np.diff(table.threshold) > 0).all()


def test_faults_are_found_by_their_rows_and_by_those_that_remember_them() -> None:
    scores = _with_faults(_scores())
    table = what_if(scores, EventRule(), line=25.0)
    assert table.n_found is not None
    assert table.n_faults == 3
    for line, n_found in zip(table.threshold.tolist(), table.n_found.tolist(), strict=True):
        assert n_found == (line < 30.0) + (line < 20.0) + (line < 0.1)
    normal = what_if(scores.normal(), EventRule(), line=25.0)
    lines = np.isin(table.threshold, normal.threshold)
    assert table.n_events[lines].tolist() == normal.n_events[np.isin(normal.threshold, table.threshold)].tolist()
    assert table.days == pytest.approx((20_000 - 240) / 1440)


def test_it_refuses_what_says_nothing() -> None:
    scores = _scores()
    with pytest.raises(TooLittleDataError, match="none of the"):
        what_if(replace(scores, score=np.full(len(scores.score), np.nan)), EventRule())
    with pytest.raises(DataError, match="positive"):
        what_if(replace(scores, score=-1.0 - scores.score), EventRule())
    with pytest.raises(UsageError, match="at least 2"):
        what_if(scores, EventRule(), n=1)


@pytest.mark.parametrize("has_faults", [False, True])
def test_the_picture_is_well_formed_and_the_table_is_plain(has_faults: bool) -> None:
    scores = _with_faults(_scores()) if has_faults else _scores()
    table = what_if(scores, EventRule(), line=8.0)
    root = ET.fromstring(what_if_svg(table, 8.0))  # noqa: S314 - made here
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("alarm events a day" in text for text in texts)
    assert any("faults found, of 3" in text for text in texts) == has_faults
    assert "8" in texts
    assert json.loads(json.dumps(table.to_json()))["threshold"] == table.threshold.tolist()

"""Points and intervals of a real detector: spikes, a long bias, and an oscillation that changes its period.

The changed period is the case for which intervals exist: every value is one that normal rows have, every row follows
from the rows before it about as well as normal rows do, and only the stretch as a whole is abnormal.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from sensorad import Detector
from sensorad.events import EventRule
from sensorad.types import Event, ScoreBlock

PERIOD = 40
SENSORS = ("flow", "level", "pressure")
FIRST, STOP = 1000, 1600  # the rows that a fault takes
STEP = 60 * 10**9
QUIET = (203, 213, 227)  # seeds of logs in which normal operation raises no alarm


def _log(n_rows: int, seed: int, new_period: float | None = None) -> pd.DataFrame:
    """The flow oscillates, the pressure follows the level; from row FIRST to STOP the flow may have another period."""
    rng = np.random.default_rng(seed)
    cycles = np.full(n_rows, 1.0 / PERIOD)
    if new_period is not None:
        cycles[FIRST:STOP] = 1.0 / new_period
    phase = 2 * np.pi * (np.cumsum(cycles) + rng.uniform())  # no jump where the period changes
    push, noise = rng.normal(size=n_rows), rng.normal(size=(3, n_rows))
    level = np.zeros(n_rows)
    for i in range(1, n_rows):
        level[i] = 0.95 * level[i - 1] + 0.2 * push[i]
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"),
            "flow": 50.0 + 5.0 * np.sin(phase) + noise[0],
            "level": 10.0 + level + 0.2 * noise[1],
            "pressure": 3.0 + 0.5 * level + 0.1 * noise[2],
        }
    )


@cache
def _training() -> pd.DataFrame:
    return _log(8000, seed=100)


@cache
def _detector() -> Detector:
    return Detector().fit(_training(), budget="1/day")


def _rule(detector: Detector) -> EventRule:
    """The detector's rule, with the number of rows that its scores remember."""
    return replace(detector.rule_, window_rows=detector.engine().context_rows)


def _judged(log: pd.DataFrame) -> tuple[ScoreBlock, list[Event]]:
    """Scores of all rows, and all events."""
    detector = _detector()
    block = ScoreBlock.joined(list(detector.score_blocks(detector.open_log(log))))
    builder = detector.event_builder(rule=_rule(detector))
    return block, [*builder.update(block), *builder.finish()]


def _hits(block: ScoreBlock, events: list[Event], first: int, stop: int) -> list[Event]:
    """Events that meet the rows."""
    return [event for event in events if event.start <= block.time[stop - 1] and event.end >= block.time[first]]


def _chance_of_larger(left: np.ndarray, right: np.ndarray) -> float:
    """How often a value of ``left`` is larger than one of ``right``; 0.5 = they cannot be told apart."""
    return float(np.searchsorted(np.sort(right), left).mean() / len(right))


def _assert_within_normal_range(log: pd.DataFrame) -> None:
    for name in SENSORS:
        assert log[name][FIRST:STOP].between(_training()[name].min(), _training()[name].max()).all()


@pytest.mark.parametrize("seed", QUIET)
def test_a_slower_oscillation_is_an_interval_although_no_row_is_abnormal_in_itself(seed):
    log = _log(2200, seed, new_period=60)
    block, events = _judged(log)
    fault, usual = block.row_surprise[FIRST:STOP], block.row_surprise[200:FIRST]

    _assert_within_normal_range(log)
    is_surprising, is_usual = (rows >= _detector().rule_.surprise_level for rows in (fault, usual))
    assert is_surprising.mean() <= is_usual.mean()
    for level in (1.0, 2.0):  # one normal row in 10, in 100: here no more of them than chance has it in so many rows
        share = 10.0**-level
        assert (fault >= level).mean() <= share + 3 * np.sqrt(share * (1 - share) / len(fault))
    assert _chance_of_larger(fault, usual) < 0.55

    [event] = _hits(block, events, FIRST, STOP)
    assert (event.kind, event.sensors[0]) == ("interval", "flow")
    assert event.start - block.time[FIRST] <= 30 * STEP  # one window
    assert event.n_rows > 0.9 * (STOP - FIRST)
    assert event.severity > 2.0
    assert _chance_of_larger(block.score[FIRST + 60 : STOP], block.score[200:FIRST]) > 0.9


@pytest.mark.parametrize("seed", QUIET)
def test_a_faster_oscillation_is_an_interval_too_but_its_rows_do_surprise(seed):
    log = _log(2200, seed, new_period=20)
    block, events = _judged(log)
    _assert_within_normal_range(log)
    assert (block.row_surprise[FIRST:STOP] >= 1.0).mean() > 0.3  # one in 10 is usual
    [event] = _hits(block, events, FIRST, STOP)
    assert (event.kind, event.sensors[0]) == ("interval", "flow")
    assert event.n_rows > 0.9 * (STOP - FIRST)


@pytest.mark.parametrize("size", [12.0, 30.0, 2000.0])
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_spike_is_a_point_however_large(n_rows, size):
    """``size`` in standard deviations of the noise; the larger, the longer the scores remember it."""
    log = _log(2200, QUIET[0])
    places = range(300, 2000, 250)
    for place in places:
        log.loc[place : place + n_rows - 1, "pressure"] += size * 0.1
    block, events = _judged(log)
    hits = [_hits(block, events, place, place + n_rows) for place in places]
    assert [event.kind for found in hits for event in found] == ["point"] * len(places)
    assert all(found[0].sensors[0] == "pressure" for found in hits)


@pytest.mark.parametrize("n_rows", [60, 600])
def test_a_bias_is_an_interval(n_rows):
    log = _log(2200, QUIET[0])
    log.loc[FIRST : FIRST + n_rows - 1, "level"] += 2.0
    block, events = _judged(log)
    [event] = _hits(block, events, FIRST, FIRST + n_rows)
    assert (event.kind, event.sensors[0]) == ("interval", "level")
    assert event.start - block.time[FIRST] <= 2 * STEP
    assert n_rows <= event.n_rows <= n_rows + _rule(_detector()).window_rows


def test_a_fault_that_spreads_has_its_sensors_in_order():
    log = _log(2200, QUIET[0])
    log.loc[FIRST : FIRST + 199, "level"] += 2.0
    log.loc[FIRST + 60 : FIRST + 199, "flow"] += 20.0
    block, events = _judged(log)
    [event] = _hits(block, events, FIRST, FIRST + 200)
    rows = [(onset - block.time[FIRST]) // STEP for onset in event.onsets]
    onsets = dict(zip(event.sensors, rows, strict=True))
    assert event.sensors[0] == "flow"  # more blame, later onset
    assert onsets["level"] <= 2
    assert abs(onsets["flow"] - 60) <= 2

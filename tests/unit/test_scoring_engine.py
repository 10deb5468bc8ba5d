"""The scoring engine against its slow twin, and its rules one by one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_scoring import MINUTE, random_block, scored_rows

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.errors import TimeError
from sensorad.scoring import SCHEMES, ScoringEngine
from sensorad.types import REASONS, STATUSES, RowBlock, ScoreBlock

N_SENSORS = 4


def _frame(n_rows: int, seed: int) -> pd.DataFrame:
    """Normal rows of the kind that `random_block` spoils."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_rows)[:, None]
    wave = np.sin(t / 4.0 + rng.uniform(0, 6, N_SENSORS)) + 0.2 * rng.normal(size=(n_rows, N_SENSORS))
    columns = {f"s{c}": wave[:, c] * (1.0 + c) + 10.0 for c in range(N_SENSORS)}
    return pd.DataFrame({"time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"), **columns})


@cache
def _detector(score: str) -> Detector:
    return Detector(config=DetectorConfig(window=6, lags=3, score=score)).fit(_frame(400, seed=0))


def _engine(score: str = "fused", **changes: object) -> ScoringEngine:
    return replace(_detector(score).engine(), **changes)


def _block(minutes: list[float], values: np.ndarray | None = None, flaw: np.ndarray | None = None) -> RowBlock:
    n_rows = len(minutes)
    shape = (n_rows, N_SENSORS)
    return RowBlock(
        index=np.arange(n_rows),
        time=(np.array(minutes) * MINUTE).astype(np.int64) + 20_000 * 1440 * MINUTE,
        values=np.full(shape, 10.0, np.float32) if values is None else values.astype(np.float32),
        flaw=np.zeros(shape, np.uint8) if flaw is None else flaw.astype(np.uint8),
        group=np.zeros(n_rows, np.int32),
    )


def _status(scores: ScoreBlock) -> list[str]:
    return [STATUSES[code] for code in scores.status]


def _reasons(scores: ScoreBlock) -> list[str]:
    return [REASONS[code] for code in scores.reason]


@pytest.mark.parametrize("score", SCHEMES)
@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 3), st.sets(st.integers(1, 119), max_size=6))
def test_it_says_what_its_slow_twin_says(score: str, seed: int, machines: int, places: set[int]) -> None:
    whole = random_block(np.random.default_rng(seed), 120, N_SENSORS, machines=machines)
    bounds = [0, *sorted(places), 120]
    blocks = [whole.take(slice(a, b)) for a, b in pairwise(bounds)]
    expected = scored_rows(_engine(score), blocks)
    engine = _engine(score)
    found = [engine.score(block) for block in blocks]
    assert [status for block in found for status in _status(block)] == [row.status for row in expected]
    assert [reason for block in found for reason in _reasons(block)] == [row.reason for row in expected]
    scores = np.concatenate([block.score for block in found])
    surprise = np.concatenate([block.row_surprise for block in found])
    np.testing.assert_allclose(scores, [row.score for row in expected], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(surprise, [row.surprise for row in expected], rtol=1e-6, atol=1e-6)
    sensors = np.concatenate([block.top_sensors for block in found])
    shares = np.concatenate([block.top_shares for block in found])
    for row, names, amounts in zip(expected, sensors, shares, strict=True):
        if row.blame is None:
            assert (names == -1).all()
        else:
            np.testing.assert_allclose(amounts[:N_SENSORS], row.blame[names[:N_SENSORS]], atol=1e-6)
            assert (np.diff(amounts[:N_SENSORS]) <= 0).all()


def test_the_twin_meets_every_status() -> None:
    """Otherwise the comparison above proves less than it seems."""
    met = set()
    for seed in range(6):
        block = random_block(np.random.default_rng(seed), 120, N_SENSORS, machines=2)
        met |= {(row.status, row.reason) for row in scored_rows(_engine("sse"), [block])}
    assert {status for status, _ in met} == set(STATUSES)
    assert {reason for _, reason in met} == set(REASONS) - {"far_future"}  # which only a stream can meet


@pytest.mark.parametrize("cut", [None, 21, 22, 23, 24])
def test_a_late_row_does_not_turn_the_clock_back(cut: int | None) -> None:
    """Rows after a late one are still late, or equal, or new, by the newest time so far."""
    minutes = [*range(21), 5, 7, 20, 21, *range(22, 40)]
    block = _block(minutes)
    engine = _engine()
    parts = [block] if cut is None else [block.take(slice(0, cut)), block.take(slice(cut, None))]
    status = [word for part in parts for word in _status(engine.score(part))]
    assert status[21:25] == ["late", "late", "duplicate", "scored"]
    assert set(status[25:]) == {"scored"}


@pytest.mark.parametrize("cut", [None, 10, 11, 12, 13])
def test_repeated_times_are_compared_with_the_first_row_of_that_time(cut: int | None) -> None:
    values = np.full((20, N_SENSORS), 10.0)
    values[11, 0] = 11.0  # contradicts row 10; row 12 agrees with row 10, row 13 does not
    values[13, 0] = 12.0
    block = _block([*range(11), 10, 10, 10, *range(11, 17)], values)
    engine = _engine()
    for part in [block] if cut is None else [block.take(slice(0, cut)), block.take(slice(cut, None))]:
        engine.score(part)
    assert engine.counts["equal"] == 1
    assert engine.counts["conflicts"] == 2


def test_a_missing_cell_is_not_equal_to_a_zero() -> None:
    values = np.zeros((12, N_SENSORS))
    flaw = np.zeros((12, N_SENSORS))
    flaw[8, 0] = 1
    minutes = [*range(8), 7, 8, 9, 10]
    engine = _engine()
    engine.score(_block(minutes, values, flaw))
    assert (engine.counts["equal"], engine.counts["conflicts"]) == (0, 1)
    flaw[7, 0] = 1
    engine = _engine()
    engine.score(_block(minutes, values, flaw))
    assert (engine.counts["equal"], engine.counts["conflicts"]) == (1, 0)


def test_conflicts_can_be_an_error_that_names_the_row() -> None:
    values = np.full((12, N_SENSORS), 10.0)
    block = _block([*range(10), 9, 10], values)
    assert _status(_engine(on_conflict="error").score(block))[10] == "duplicate"
    values[10, 2] = 10.5
    with pytest.raises(TimeError, match="row 10"):
        _engine(on_conflict="error").score(_block([*range(10), 9, 10], values))


def test_gaps_and_restarts_are_counted() -> None:
    minutes = [*range(20), *range(80, 100)]
    flaw = np.zeros((40, N_SENSORS))
    flaw[28:36] = 1
    engine = _engine()
    engine.score(_block(minutes, None, flaw))
    assert engine.counts == {"gaps": 1, "restarts": 1, "equal": 0, "conflicts": 0}


def test_silence_before_a_gap_does_not_reach_beyond_it() -> None:
    """Three silent rows on either side of a gap are three and three, not six."""
    minutes = [*range(20), *range(80, 110)]
    flaw = np.zeros((50, N_SENSORS))
    flaw[17:23] = 1
    whole, fresh = _block(minutes, None, flaw), _block(minutes[20:], None, flaw[20:])
    engine = _engine()
    after = engine.score(whole)
    alone = _engine().score(fresh)
    assert engine.counts["restarts"] == 0
    assert _status(after)[20:] == _status(alone)
    np.testing.assert_array_equal(after.score[20:], alone.score)


def test_the_context_covers_windows_lags_and_smoothing() -> None:
    for score in SCHEMES:
        engine = _engine(score)
        assert engine.context_rows >= max(engine.length - 1, engine.model.autoregression.lags)
        assert engine.context_rows == max(engine.length - 1, 3) + engine.scheme.memory_rows - 1


def test_no_rows_give_no_scores() -> None:
    assert len(_engine().score(_block([]))) == 0


def test_expected_values_are_in_the_units_of_the_sensors() -> None:
    block = _block(list(range(30)), np.tile([10.0, 10.0, 10.0, 10.0], (30, 1)))
    scores = _engine("sse").score(block)
    named = scores.top_sensors[20]
    assert sorted(named[:N_SENSORS].tolist()) == [0, 1, 2, 3]
    assert scores.top_actual[20, :N_SENSORS].tolist() == [10.0] * N_SENSORS
    assert np.abs(scores.top_expected[20, :N_SENSORS] - 10.0).max() < 2.0

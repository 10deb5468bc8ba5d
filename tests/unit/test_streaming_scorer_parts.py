"""Parts of the row scorer against the whole-array forms, and that blame is worked out only where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_scoring import random_block
from streaming_engines import engine_of

from sensorad.data import GaussianImputer
from sensorad.models.linear import RidgeAutoregression
from sensorad.scoring.contributions import Contributions
from sensorad.scoring.tails import TailModel
from sensorad.scoring.window_evidence import WindowEvidence
from sensorad.streaming.rings import SLACK, Ring
from sensorad.streaming.row_blame import RowContributions
from sensorad.streaming.row_holes import MOST_PATTERNS, RowFill
from sensorad.streaming.row_tails import RowWindow, row_tail
from sensorad.streaming.scorer import RowScorer
from sensorad.streaming.tick_block import TickBlock
from sensorad.types import ScoreBlock


@given(st.integers(0, 1000), st.sampled_from([None, 1, 0]))
def test_a_tail_says_the_same_of_one_value(seed: int, decimals: int | None) -> None:
    """Also between values that tie, where probabilities jump, and beyond all that was seen."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=300)
    tail = TailModel.fit(normal if decimals is None else normal.round(decimals))
    evidence = row_tail(tail)
    asked = np.concatenate([rng.normal(size=30), tail.quantiles[::50], [-50.0, tail.level, tail.level + 1e-12, 40.0]])
    np.testing.assert_allclose([evidence(x) for x in asked.tolist()], tail.evidence(asked), rtol=1e-12, atol=1e-12)


@given(st.integers(0, 1000), st.sampled_from([1, 3, 12, 40]))
def test_window_evidence_says_the_same_of_one_row(seed: int, n_sensors: int) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.exponential(size=(200, n_sensors))
    evidence = WindowEvidence.fit([normal], np.full(n_sensors, 0.01))
    window = rng.exponential(size=(1, n_sensors)) * 3.0
    window[0, rng.random(n_sensors) < 0.3] = np.nan
    expected = evidence.evidence(window)
    found = RowWindow(evidence).read(window[0])
    np.testing.assert_allclose(found, [expected["total"][0], expected["few"][0]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_sensors", [1, 2, 5])
@given(st.integers(0, 1000))
def test_contributions_say_the_same_of_one_row(n_sensors: int, seed: int) -> None:
    """Noise, a fault of one sensor, and faults of two at once."""
    rng = np.random.default_rng(seed)
    past = rng.normal(size=(400, n_sensors)).cumsum(axis=0).astype(np.float32)
    model = RidgeAutoregression.fit([past], lags=3, penalty=1.0)
    contributions = Contributions.of(model, size=rng.uniform(0.5, 2.0, n_sensors))
    n_rows = contributions.n_rows
    errors = rng.normal(size=(n_rows, n_sensors))
    for sensor in rng.choice(n_sensors, size=min(n_sensors, int(rng.integers(0, 3))), replace=False):
        errors[1:5] += rng.uniform(3.0, 20.0) * contributions.response[:, sensor]
    own = rng.dirichlet(np.ones(n_sensors))
    last = np.array([n_rows - 1])
    expected = contributions.blame(errors, last, np.tile(own, (n_rows, 1)))[-1]
    np.testing.assert_allclose(RowContributions(contributions).blame(errors, own), expected, atol=1e-9)


def test_cells_are_filled_as_the_imputer_does_it_however_many_patterns_there_were() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 11)).cumsum(axis=0).astype(np.float32)
    imputer = GaussianImputer.fit([rows], [np.ones(rows.shape, bool)])
    fill = RowFill(imputer)
    for pattern in range(1, 2 * MOST_PATTERNS):
        present = (pattern >> np.arange(11)) % 2 == 0
        expected = imputer.fill(rows[1:2], present[None], rows[0])[0]
        found = rows[1].copy()
        fill.fill(found, present, rows[0].astype(np.float64))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert len(fill._weights) == MOST_PATTERNS


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 100))
def test_the_window_of_a_ring_holds_the_last_rows(n_rows: int, width: int, n_written: int) -> None:
    ring, place = Ring(n_rows, width, np.float64, capacity=2), -1
    written = np.random.default_rng(0).normal(size=(n_written, width))
    for row in written:
        place += 1
        if place == SLACK:
            ring.move_back(1)
            place = 0
        ring.row(1, place)[:] = row
    expected = np.concatenate([np.zeros((n_rows, width)), written])[-n_rows:]
    if n_written:
        np.testing.assert_array_equal(ring.windows[1, place].reshape(n_rows, width), expected)
    assert not ring.array[0].any()


def _tick(n_machines: int = 6) -> tuple[TickBlock, ScoreBlock]:
    logs = [random_block(np.random.default_rng(m), 30, 4) for m in range(n_machines)]
    scorer, single = RowScorer(engine_of()), RowScorer(engine_of())
    slots = np.array([scorer.slot(str(m)) for m in range(n_machines)])
    for m in range(n_machines):
        single.slot(str(m))
    for row in range(30):
        time, values = np.full(n_machines, row * 60 * 10**9), np.stack([log.values[row] for log in logs])
        block = scorer.many(slots, time, values)
        found = [single.one(m, int(time[m]), values[m]) for m in range(n_machines)]
    parts = [one.block(int(time[m]), m, scorer.group_names, index=m) for m, one in enumerate(found)]
    assert isinstance(block, TickBlock)
    return block, ScoreBlock.joined(parts)


def test_the_blame_of_a_tick_is_worked_out_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    block, expected = _tick()
    filled: list[int] = []
    fill = block._fill
    monkeypatch.setattr(block, "_fill", lambda result, rows: (filled.extend(rows.tolist()), fill(result, rows)))
    assert not filled
    np.testing.assert_array_equal(block.top_sensors[2], expected.top_sensors[2])
    np.testing.assert_allclose(block.top_shares[[2, 4]], expected.top_shares[[2, 4]], atol=1e-6)
    assert filled == [2, 4]
    assert block.top_expected[2, 0] == pytest.approx(expected.top_expected[2, 0], rel=1e-5)
    np.testing.assert_array_equal(block.take(slice(3, 5)).top_sensors, expected.top_sensors[3:5])
    assert filled == [2, 4, 3]
    np.testing.assert_allclose(np.asarray(block.top_actual), expected.top_actual)
    assert sorted(filled) == list(range(6))


def test_the_columns_of_a_tick_are_as_good_as_arrays() -> None:
    block, expected = _tick()
    assert (block.top_sensors == expected.top_sensors).all()
    assert block.top_sensors.shape == expected.top_sensors.shape
    assert len(block.top_sensors) == len(block) == 6
    assert block.top_sensors.tolist() == expected.top_sensors.tolist()
    np.testing.assert_allclose(1.0 - block.top_shares, 1.0 - expected.top_shares, atol=1e-6)
    taken = block.take([5, 0])
    assert type(taken) is ScoreBlock
    np.testing.assert_array_equal(taken.top_sensors, expected.top_sensors[[5, 0]])


def test_a_tick_may_be_asked_after_later_ones() -> None:
    logs = [random_block(np.random.default_rng(m), 60, 4) for m in range(5)]
    scorer, engine = RowScorer(engine_of()), engine_of()
    slots = np.array([scorer.slot(str(m)) for m in range(5)])
    values = np.stack([log.values for log in logs], axis=1)  # (T, M, C)
    buffer = np.empty((5, 4), np.float32)
    ticks = []
    for row in range(60):
        buffer[:] = values[row]
        ticks.append(scorer.many(slots, np.full(5, row * 60 * 10**9), buffer))
    flat = values.reshape(-1, 4)
    block = type(logs[0])(
        np.arange(300), np.repeat(np.arange(60) * 60 * 10**9, 5), flat, np.zeros(flat.shape, np.uint8),
        np.tile(np.arange(5, dtype=np.int32), 60), tuple("01234"),
    )  # fmt: skip
    expected = engine.score(block)
    found = ScoreBlock.joined(ticks)
    np.testing.assert_allclose(found.top_shares, expected.top_shares, atol=1e-5)
    np.testing.assert_allclose(found.top_actual, expected.top_actual)

"""The row scorer against the engine, on logs as messy as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_scoring import random_block, scored_rows
from streaming_engines import MINUTE, MODELS, SHAPES, engine_of

from sensorad.data import SensorScaler
from sensorad.errors import ArtefactError, TimeError
from sensorad.scoring import SCHEMES, ScoringEngine
from sensorad.streaming.machines import COUNTERS
from sensorad.streaming.rings import SLACK
from sensorad.streaming.row_score import RowScore
from sensorad.streaming.scorer import RowScorer
from sensorad.types import REASONS, STATUSES, RowBlock, ScoreBlock

KINDS = [("usual", model, score) for model in MODELS for score in SCHEMES]
KINDS += [(shape, "linear", "fused") for shape in SHAPES if shape != "usual"]
KINDS += [("many lags", "network on the grid", "fused"), ("wide", "network", "fused")]


def _block(shape: str, seed: int, n_rows: int, machines: int = 1) -> RowBlock:
    return random_block(np.random.default_rng(seed), n_rows, SHAPES[shape][0], machines=machines)


def _row(block: RowBlock, row: int) -> tuple[int, np.ndarray, np.ndarray | None]:
    flaw = block.flaw[row]
    return int(block.time[row]), block.values[row], flaw if flaw.any() else None


def _fed(scorer: RowScorer, block: RowBlock, rows: Sequence[int] | range | None = None) -> list[RowScore]:
    found = []
    for row in range(len(block)) if rows is None else rows:
        slot = scorer.slot(block.group_names[block.group[row]])
        found.append(scorer.one(slot, *_row(block, row)))
    return found


def _joined(found: Sequence[RowScore], block: RowBlock) -> ScoreBlock:
    return ScoreBlock.joined(
        [row.block(int(block.time[at]), int(block.group[at]), block.group_names) for at, row in enumerate(found)]
    )


def _by_engine(engine: ScoringEngine, block: RowBlock) -> ScoreBlock:
    return ScoreBlock.joined([engine.score(block.take(slice(row, row + 1))) for row in range(len(block))])


def _assert_same(found: ScoreBlock, expected: ScoreBlock, tolerance: float = 1e-9) -> None:
    assert [STATUSES[code] for code in found.status] == [STATUSES[code] for code in expected.status]
    assert [REASONS[code] for code in found.reason] == [REASONS[code] for code in expected.reason]
    np.testing.assert_array_equal(np.isnan(found.score), np.isnan(expected.score))
    difference = np.abs(found.score - expected.score) / np.maximum(np.abs(expected.score), 1.0)
    assert np.nanmax(difference, initial=0.0) <= tolerance
    np.testing.assert_allclose(found.row_surprise, expected.row_surprise, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.top_shares, expected.top_shares, atol=1e-4)
    differs = found.top_sensors != expected.top_sensors  # only where two sensors have equal shares
    np.testing.assert_allclose(found.top_shares[differs], expected.top_shares[differs], atol=1e-6)
    for name in ("top_expected", "top_actual"):
        left, right = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(left[~differs], right[~differs], rtol=1e-5, atol=1e-5, err_msg=name)
    for name in ("time", "group"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def _tolerance(model: str) -> float:
    """Networks run in float32, and one window at a time their products round in another way."""
    return 1e-6 if "network" in model else 1e-9


@pytest.mark.parametrize(("shape", "model", "score"), KINDS)
@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_it_says_what_the_engine_says(shape: str, model: str, score: str, seed: int, machines: int) -> None:
    block = _block(shape, seed, 200, machines)
    engine, scorer = engine_of(shape, model, score), RowScorer(engine_of(shape, model, score))
    _assert_same(_joined(_fed(scorer, block), block), engine.score(block), _tolerance(model))
    assert scorer.counts == engine.counts


@settings(max_examples=3)
@given(st.integers(0, 10_000))
def test_it_says_what_the_engine_says_row_by_row(seed: int) -> None:
    block = _block("usual", seed, 150, 2)
    _assert_same(_joined(_fed(RowScorer(engine_of()), block), block), _by_engine(engine_of(), block))


@settings(max_examples=4)
@given(st.integers(0, 10_000))
def test_it_says_what_the_description_says(seed: int) -> None:
    """The engine could be wrong in the same way."""
    block = _block("usual", seed, 120, 2)
    found = _fed(RowScorer(engine_of()), block)
    expected = scored_rows(engine_of(), [block])
    assert [(STATUSES[row.status], REASONS[row.reason]) for row in found] == [(r.status, r.reason) for r in expected]
    np.testing.assert_allclose([row.score for row in found], [r.score for r in expected], rtol=1e-6, atol=1e-6)


def test_the_logs_meet_every_status_and_the_rows_that_explain_faults() -> None:
    """Otherwise the comparisons above prove less than they seem."""
    met, n_notable = set(), 0
    for seed in range(8):
        block = _block("usual", seed, 200, 2)
        found = _fed(RowScorer(engine_of()), block)
        met |= {(STATUSES[row.status], REASONS[row.reason]) for row in found}
        n_notable += sum(row.score >= 1.0 for row in found)
    assert {status for status, _ in met} == set(STATUSES)
    assert {reason for _, reason in met} == set(REASONS) - {"far_future"}  # which is for the stream to say
    assert n_notable > 50


def _ticks(shape: str, seed: int, machines: int, in_turn: bool, n_rows: int = 90) -> list[RowBlock]:
    """Rows of several machines in ticks: all at once, or some of them in any order."""
    rng = np.random.default_rng(seed)
    logs = [random_block(np.random.default_rng([seed, m]), n_rows, SHAPES[shape][0]) for m in range(machines)]
    names = tuple(f"machine {m}" for m in range(machines))
    place = np.zeros(machines, np.int64)
    blocks = []
    while (place < n_rows).any():
        ready = np.flatnonzero(place < n_rows)
        if not in_turn:
            ready = rng.permutation(ready[rng.random(len(ready)) < 0.8])
        rows = [logs[m].take([place[m]]) for m in ready]
        place[ready] += 1
        if rows:
            time, values, flaw = (
                np.concatenate([getattr(row, part) for row in rows]) for part in ("time", "values", "flaw")
            )
            blocks.append(RowBlock(np.arange(len(ready)), time, values, flaw, ready.astype(np.int32), names))
    return blocks


def _log_of(blocks: Sequence[RowBlock]) -> RowBlock:
    parts = {
        name: np.concatenate([getattr(block, name) for block in blocks]) for name in ("time", "values", "flaw", "group")
    }
    return RowBlock(np.arange(len(parts["time"])), **parts, group_names=blocks[0].group_names)


def _taken(scorer: RowScorer, block: RowBlock) -> ScoreBlock:
    slots = np.array([scorer.slot(block.group_names[code]) for code in block.group])
    return scorer.many(slots, block.time, block.values, block.flaw if block.flaw.any() else None)


@pytest.mark.parametrize(("shape", "model", "score"), KINDS)
@settings(max_examples=4)
@given(st.integers(0, 10_000), st.integers(5, 12), st.booleans())
def test_a_tick_is_as_good_as_its_rows(
    shape: str, model: str, score: str, seed: int, machines: int, in_turn: bool
) -> None:
    blocks = _ticks(shape, seed, machines, in_turn)
    engine, scorer = engine_of(shape, model, score), RowScorer(engine_of(shape, model, score))
    for number in range(machines):
        scorer.slot(f"machine {number}")
    found = [_taken(scorer, block) for block in blocks]
    _assert_same(ScoreBlock.joined(found), engine.score(_log_of(blocks)), _tolerance(model))
    assert scorer.counts == engine.counts


def test_rows_of_ticks_and_single_rows_may_alternate() -> None:
    blocks = _ticks("usual", 3, 8, in_turn=True)
    engine, scorer = engine_of(), RowScorer(engine_of())
    expected = engine.score(_log_of(blocks))
    found = []
    for number, block in enumerate(blocks):
        if number % 3:
            found.append(_taken(scorer, block))
        else:
            found.append(_joined(_fed(scorer, block), block))
    _assert_same(ScoreBlock.joined(found), expected)


def _same_bits(left: RowScore, right: RowScore) -> None:
    assert (left.status, left.reason) == (right.status, right.reason)
    np.testing.assert_array_equal([left.score, left.surprise], [right.score, right.surprise])
    for name in ("top_sensors", "top_shares", "top_expected", "top_actual"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


@pytest.mark.parametrize(("shape", "model", "score"), KINDS)
@settings(max_examples=4)
@given(st.integers(0, 10_000), st.integers(0, 3 * SLACK))
def test_a_restart_changes_no_bit(shape: str, model: str, score: str, seed: int, place: int) -> None:
    block = _block(shape, seed, 130, 2)
    scorer = RowScorer(engine_of(shape, model, score))
    _fed(scorer, block, range(place))
    state = scorer.state()
    expected = _fed(scorer, block, range(place, len(block)))
    again = RowScorer(engine_of(shape, model, score))
    _fed(again, block, range(20))  # of which nothing may stay
    again.restore(state)
    for left, right in zip(_fed(again, block, range(place, len(block))), expected, strict=True):
        _same_bits(left, right)
    assert again.counts == scorer.counts


def test_a_state_is_a_copy_and_small() -> None:
    blocks = _ticks("usual", 0, 200, in_turn=True, n_rows=50)
    scorer = RowScorer(engine_of())
    for block in blocks[:40]:
        _taken(scorer, block)
    state = scorer.state()
    before = [array.copy() for array in _arrays(state)]
    for block in blocks[40:]:
        _taken(scorer, block)
    for array, copy in zip(_arrays(state), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert len(before) < 12  # stacked, not one for each machine


def _arrays(state: object) -> list[np.ndarray]:
    if isinstance(state, dict):
        return [array for value in state.values() for array in _arrays(value)]
    return [state] if isinstance(state, np.ndarray) else []


@pytest.mark.parametrize("change", ["shape", "name", "kind", "place", "no machines", "no counts"])
def test_a_foreign_state_is_refused(change: str) -> None:
    scorer = RowScorer(engine_of())
    _fed(scorer, _block("usual", 0, 50, 2))
    state = scorer.state()
    machines = state["machines"]
    if change == "shape":
        state = RowScorer(engine_of("wide")).state()
        state["machines"]["names"] = ["a"]
    elif change == "name":
        del machines["rings"]["steps"]
    elif change == "kind":
        machines["cells"] = np.zeros(machines["cells"].shape, np.int64)
    elif change == "place":
        machines["counters"][COUNTERS.index("place")] = SLACK
    elif change == "no machines":
        del state["machines"]
    else:
        del state["counts"]
    with pytest.raises(ArtefactError, match="does not fit"):
        RowScorer(engine_of()).restore(state)


def test_the_reasons_of_a_row_stay_true() -> None:
    """Blame that is worked out late is that of its own row."""
    block = _block("usual", 5, 150)
    at_once = RowScorer(engine_of())
    for row in range(len(block)):
        at_once.one(at_once.slot(""), *_row(block, row)).top  # noqa: B018
    expected = engine_of().score(block)
    late = _fed(RowScorer(engine_of()), block)
    _assert_same(_joined(late, block), expected)


def test_the_caller_may_use_its_arrays_again() -> None:
    block = _block("usual", 5, 100)
    scorer, buffer = RowScorer(engine_of()), np.zeros(4, np.float32)
    found = []
    for row in range(len(block)):
        time, values, flaw = _row(block, row)
        buffer[:] = values
        found.append(scorer.one(scorer.slot(""), time, buffer, flaw))
    _assert_same(_joined(found, block), engine_of().score(block))


def test_a_number_that_is_none_is_a_missing_cell() -> None:
    """Even where the caller did not say so: it must not stay in any window."""
    block = _block("usual", 2, 120)
    unsaid = block.values.copy()
    unsaid[block.flaw == 1] = np.nan
    unsaid[block.flaw == 2] = -np.inf
    only = np.isin(block.flaw, (0, 1, 2)).all(axis=1)
    block = block.take(only)
    scorer = RowScorer(engine_of())
    found = [
        scorer.one(scorer.slot(""), int(time), values, None)
        for time, values in zip(block.time, unsaid[only], strict=True)
    ]
    _assert_same(_joined(found, block), engine_of().score(block))


def test_conflicts_can_be_an_error_that_names_the_machine() -> None:
    scorer = RowScorer(engine_of(on_conflict="error"))
    slot, values = scorer.slot("press 1"), np.full(4, 10.0, np.float32)
    scorer.one(slot, 5 * MINUTE, values)
    assert STATUSES[scorer.one(slot, 5 * MINUTE, values).status] == "duplicate"
    with pytest.raises(TimeError, match="press 1"):
        scorer.one(slot, 5 * MINUTE, values + 1.0)
    assert scorer.counts["equal"] == 1


def test_a_sensor_that_no_model_uses_is_still_a_cell() -> None:
    """A flag that was left out, and never comes: it makes no row degraded, and none slow."""
    scaler = engine_of().scaler
    added = {"centre": 0.0, "scale": 1.0, "noise": 0.1, "is_used": False, "is_constant": False}
    wide = SensorScaler(**{name: np.insert(getattr(scaler, name), 2, value) for name, value in added.items()})
    block = _block("usual", 4, 150)
    with_flag = replace(block, values=np.insert(block.values, 2, 0.0, axis=1), flaw=np.insert(block.flaw, 2, 1, axis=1))
    engine, scorer, ticks = (maker(engine_of(scaler=wide)) for maker in (lambda same: same, RowScorer, RowScorer))
    expected = engine.score(with_flag)
    _assert_same(_joined(_fed(scorer, with_flag), with_flag), expected)
    assert scorer.counts == engine.counts
    blocks = _ticks("usual", 1, 6, in_turn=True)
    blocks = [
        replace(tick, values=np.insert(tick.values, 2, np.nan, axis=1), flaw=np.insert(tick.flaw, 2, 1, axis=1))
        for tick in blocks
    ]
    found = ScoreBlock.joined([_taken(ticks, tick) for tick in blocks])
    clean = [replace(tick, values=np.nan_to_num(tick.values)) for tick in blocks]
    engine = engine_of(scaler=wide)
    _assert_same(found, engine.score(_log_of(clean)))

"""What a scoring engine remembers: it can be saved, and machines side by side are machines one by one."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_scoring import random_block, scored_rows

from sensorad import Detector
from sensorad.config import DetectorConfig
from sensorad.error_models import SensorErrors
from sensorad.errors import ArtefactError
from sensorad.scoring import ScoringEngine
from sensorad.scoring import engine as engine_module
from sensorad.types import STATUSES, RowBlock, ScoreBlock

N_SENSORS = 4
COLUMNS = ("score", "status", "reason", "row_surprise", "top_sensors", "top_shares", "top_expected", "top_actual")


@cache
def _detector(score: str = "fused", window: int = 6) -> Detector:
    rng = np.random.default_rng(0)
    t = np.arange(400)[:, None]
    wave = np.sin(t / 4.0 + rng.uniform(0, 6, N_SENSORS)) + 0.2 * rng.normal(size=(400, N_SENSORS))
    columns = {f"s{c}": wave[:, c] * (1.0 + c) + 10.0 for c in range(N_SENSORS)}
    frame = pd.DataFrame({"time": pd.date_range("2024-05-01", periods=400, freq="min", tz="UTC"), **columns})
    return Detector(config=DetectorConfig(window=window, lags=3, score=score)).fit(frame)


def _messy(seed: int, n_rows: int, machines: int) -> RowBlock:
    return random_block(np.random.default_rng(seed), n_rows, N_SENSORS, machines=machines)


def _cut(block: RowBlock, places: list[int]) -> list[RowBlock]:
    return [block.take(slice(a, b)) for a, b in pairwise([0, *places, len(block)])]


def _same_bits(one: ScoreBlock, other: ScoreBlock) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


class _OneByOne:
    """A model that takes one segment at a time, as networks do."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.context_rows = model.context_rows

    def errors(self, rows: np.ndarray, usable: np.ndarray, time: np.ndarray) -> SensorErrors:
        return self._model.errors(rows, usable, time)


@pytest.mark.parametrize("score", ["fused", "mahalanobis"])
@settings(max_examples=4)
@given(st.integers(0, 10_000), st.sets(st.integers(1, 599), max_size=4))
def test_thirty_machines_are_what_the_slow_twin_says(score: str, seed: int, places: set[int]) -> None:
    whole = _messy(seed, 600, machines=30)
    blocks = _cut(whole, sorted(places))
    engine = _detector(score).engine()
    expected = scored_rows(_detector(score).engine(), blocks)
    found = ScoreBlock.joined([engine.score(block) for block in blocks])
    assert [STATUSES[code] for code in found.status] == [row.status for row in expected]
    np.testing.assert_allclose(found.score, [row.score for row in expected], rtol=1e-6, atol=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_side_by_side_is_one_by_one(seed: int) -> None:
    """The same bits as an engine of its own for each machine, whatever machines stand beside it."""
    whole = _messy(seed, 500, machines=7)
    together = ScoreBlock.joined([_detector().engine().score(whole)])
    for machine in range(7):
        rows = np.flatnonzero(whole.group == machine)
        _same_bits(_detector().engine().score(whole.take(rows)), together.take(rows))


def test_a_model_that_takes_one_segment_at_a_time_gives_the_same() -> None:
    for machines in (1, 5):
        blocks = _cut(_messy(3, 700, machines), [90, 300, 301])
        engines = _detector().engine(), _detector().engine()
        engines[1].model = _OneByOne(engines[1].model)
        for block in blocks:
            one, other = (engine.score(block) for engine in engines)
            np.testing.assert_array_equal(one.status, other.status)
            np.testing.assert_allclose(one.score, other.score, rtol=1e-12)


def test_pieces_and_groups_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    single, many = _messy(1, 900, machines=1), _messy(2, 900, machines=12)
    whole = [_detector().engine().score(block) for block in (single, many)]
    monkeypatch.setattr(engine_module, "FEWEST_PIECE_ROWS", 70)
    monkeypatch.setattr(engine_module, "PIECE_CELLS", 70 * N_SENSORS)
    monkeypatch.setattr(engine_module, "STACK_CELLS", 1000)
    for block, expected in zip((single, many), whole, strict=True):
        _same_bits(_detector().engine().score(block), expected)


@pytest.mark.parametrize("score", ["fused", "max"])
@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 399))
def test_a_restored_engine_goes_on_with_the_same_bits(score: str, seed: int, machines: int, place: int) -> None:
    first, second = _cut(_messy(seed, 400, machines), [place])
    engine = _detector(score).engine()
    engine.score(first)
    state = engine.state()
    other = _detector(score).engine()
    other.restore(state)
    _same_bits(other.score(second), engine.score(second))
    assert other.counts == engine.counts
    assert other.state().keys() == engine.state().keys()


def _leaves(state: Any) -> list[Any]:
    if isinstance(state, dict):
        return [leaf for value in state.values() for leaf in _leaves(value)]
    return [state]


def test_a_state_is_a_copy_of_plain_values() -> None:
    engine = _detector().engine()
    first, second = _cut(_messy(0, 300, 3), [150])
    engine.score(first)
    state = engine.state()
    before = copy.deepcopy(state)
    engine.score(second)
    for one, other in zip(_leaves(state), _leaves(before), strict=True):
        np.testing.assert_array_equal(one, other)
        assert isinstance(one, int | list | np.ndarray)
    restored = _detector().engine()
    restored.restore(state)
    restored.score(second)
    for one, other in zip(_leaves(state), _leaves(before), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_engine_that_has_seen_nothing_can_be_saved() -> None:
    engine = _detector().engine()
    engine.restore(_detector().engine().state())
    block = _messy(0, 100, 2)
    _same_bits(engine.score(block), _detector().engine().score(block))


def _bad_states() -> dict[str, Any]:
    engine = _detector().engine()
    engine.score(_messy(0, 100, 2))
    good = engine.state()
    machines = good["machines"]

    def changed(**parts: Any) -> dict[str, Any]:
        return {**good, "machines": {**machines, **parts}}

    return {
        "counts": {**good, "counts": {}},
        "nothing": {},
        "no machines": {"counts": good["counts"]},
        "names": changed(names=["a", "a"]),
        "fewer names": changed(names=["a"]),
        "shape": changed(rows=machines["rows"][:, 1:]),
        "type": changed(time=machines["time"].astype(np.float64)),
        "a list": changed(n_rows=[1, 2]),
        "negative": changed(n_rows=machines["n_rows"] - 10**6),
    }


@pytest.mark.parametrize("name", _bad_states())
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(name: str) -> None:
    engine = _detector().engine()
    block = _messy(1, 100, 2)
    with pytest.raises(ArtefactError, match="does not fit"):
        engine.restore(_bad_states()[name])
    _same_bits(engine.score(block), _detector().engine().score(block))


def test_the_state_of_another_detector_is_refused() -> None:
    engine = _detector().engine()
    engine.score(_messy(0, 100, 2))
    other: ScoringEngine = _detector(window=9).engine()
    with pytest.raises(ArtefactError, match="does not fit"):
        other.restore(engine.state())


def test_the_state_of_a_thousand_machines_is_a_few_arrays() -> None:
    engine = _detector().engine()
    engine.score(_messy(0, 3000, 1000))
    state = engine.state()
    assert len(_leaves(state)) < 20
    assert len(state["machines"]["names"]) > 900

"""The blamed sensors of each row, as they are written."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensorad.data import SensorScaler
from sensorad.scoring.top import write_top_sensors
from sensorad.types import TOP_SENSORS, RowBlock, ScoreBlock, SensorSchema

FLOAT32_MAX = float(np.finfo(np.float32).max)


def _block(n_rows: int, n_sensors: int) -> RowBlock:
    values = np.arange(n_rows * n_sensors, dtype=np.float32).reshape(n_rows, n_sensors)
    return RowBlock(
        index=np.arange(n_rows),
        time=np.arange(n_rows),
        values=values,
        flaw=np.zeros(values.shape, np.uint8),
        group=np.zeros(n_rows, np.int32),
    )


@given(st.integers(1, 12), st.integers(0, 99))
def test_the_most_blamed_come_first_with_what_was_expected_of_them(n_used: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = np.sort(rng.choice(15, n_used, replace=False))
    block = _block(6, 15)
    block.flaw[2, positions[0]] = 1
    result = ScoreBlock.empty_for(block)
    rows = np.array([1, 2, 5])
    blame = rng.random((3, n_used)).round(1)
    expected = rng.normal(size=(3, n_used))
    write_top_sensors(result, rows, blame=blame, expected=expected, positions=positions, block=block)
    n_top = min(TOP_SENSORS, n_used)
    for place, row in enumerate(rows):
        order = sorted(range(n_used), key=lambda c: -blame[place, c])[:n_top]  # stable: ties in schema order
        assert result.top_sensors[row, :n_top].tolist() == positions[order].tolist()
        np.testing.assert_allclose(result.top_shares[row, :n_top], blame[place, order], rtol=1e-6)
        np.testing.assert_allclose(result.top_expected[row, :n_top], expected[place, order], rtol=1e-6)
        for k, c in enumerate(order):
            is_missing = row == 2 and c == 0
            actual = result.top_actual[row, k]
            assert np.isnan(actual) if is_missing else actual == block.values[row, positions[c]]
    assert (result.top_sensors[:, n_top:] == -1).all()
    assert (result.top_sensors[[0, 3, 4]] == -1).all()
    assert (result.top_shares[[0, 3, 4]] == 0).all()


def test_an_expectation_beyond_float32_is_its_largest_number() -> None:
    """A reconstruction of huge values may overshoot them; infinity would reach tables and events."""
    block = _block(1, 2)
    result = ScoreBlock.empty_for(block)
    expected = np.array([[1e39, -1e39]])
    write_top_sensors(
        result, np.array([0]), blame=np.array([[0.6, 0.4]]), expected=expected, positions=np.arange(2), block=block
    )
    assert result.top_expected[0, :2].tolist() == [FLOAT32_MAX, -FLOAT32_MAX]


def test_no_rows_write_nothing() -> None:
    block = _block(2, 3)
    result = ScoreBlock.empty_for(block)
    none = np.zeros((0, 3))
    write_top_sensors(result, np.zeros(0, np.intp), blame=none, expected=none, positions=np.arange(3), block=block)
    assert (result.top_sensors == -1).all()


def test_expectations_in_deviations_are_put_into_units() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(20.0, 3.0, size=(50, 6)).astype(np.float32)
    scaler = SensorScaler.fit(rows, np.ones(rows.shape, bool), SensorSchema(()))
    blame, deviations = rng.random((8, 6)), (rng.normal(size=(8, 6)) * 6.0).astype(np.float32)
    results = []
    for expected, given_scaler in ((scaler.inverse(deviations), None), (deviations, scaler)):
        block = _block(8, 6)
        result = ScoreBlock.empty_for(block)
        write_top_sensors(
            result,
            slice(0, 8),
            blame=blame,
            expected=expected,
            positions=np.arange(6),
            block=block,
            scaler=given_scaler,
        )
        results.append(result)
    np.testing.assert_array_equal(results[0].top_sensors, results[1].top_sensors)
    np.testing.assert_allclose(results[0].top_expected, results[1].top_expected, rtol=1e-6)


@given(st.integers(2, 70), st.integers(0, 99))
def test_equal_shares_and_zeros_keep_the_order_of_the_sensors(n_used: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    blame = rng.integers(0, 3, (5, n_used)) / 7.0
    blame[0] = -0.0
    block = _block(5, n_used)
    result = ScoreBlock.empty_for(block)
    every = np.arange(n_used)
    write_top_sensors(result, slice(0, 5), blame=blame, expected=blame, positions=every, block=block)
    expected = np.argsort(-blame, axis=1, kind="stable")[:, :TOP_SENSORS]
    np.testing.assert_array_equal(result.top_sensors[:, : min(TOP_SENSORS, n_used)], expected)

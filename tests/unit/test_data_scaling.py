"""Scaling: comparable units, floors for quiet sensors, and a compression without a ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorad.data import SensorScaler, soft_compress, soft_expand
from sensorad.data.scaling import CONSTANT_SHARE, FLOOR_SHARE, KNEE, LEAST_NOISE, MOST_NOISE
from sensorad.types import Sensor, SensorSchema

UNKNOWN = SensorSchema(())


def _fit(rows: np.ndarray, usable: np.ndarray | None = None, schema: SensorSchema = UNKNOWN) -> SensorScaler:
    rows = np.asarray(rows, np.float32)
    return SensorScaler.fit(rows, np.ones(rows.shape, bool) if usable is None else usable, schema)


def _normal(n_rows: int, spreads: list[float], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, spreads, size=(n_rows, len(spreads))).astype(np.float32)


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_compression_keeps_order_and_sign_and_can_be_undone(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert soft_compress(low) <= soft_compress(high)
    assert soft_compress(-a) == -soft_compress(a)
    assert float(soft_expand(soft_compress(a))) == pytest.approx(a, rel=1e-9, abs=1e-12)


def test_compression_is_linear_to_the_knee_and_smooth_there() -> None:
    z = np.linspace(-KNEE, KNEE, 101)
    np.testing.assert_array_equal(soft_compress(z), z)
    slope = (soft_compress(KNEE + 1e-6) - KNEE) / 1e-6
    assert slope == pytest.approx(1.0, abs=1e-5)
    assert soft_compress(1e3) < soft_compress(1e6) < soft_compress(1e38) < 1000.0


def test_sensors_come_out_with_mean_0_and_deviation_1() -> None:
    rows = _normal(5000, [2.0, 1.0, 3.0])
    scaled = _fit(rows).transform(rows)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, rtol=1e-2)
    assert scaled.dtype == np.float32


def test_the_scale_has_a_floor_among_sensors_of_one_unit() -> None:
    rows = _normal(4000, [1.0, 1.0, 1e-4])
    scaler = _fit(rows)
    typical = float(np.median(rows.astype(np.float64).std(axis=0)))
    assert scaler.scale[2] == pytest.approx(FLOOR_SHARE * typical, rel=0.01)
    np.testing.assert_allclose(scaler.scale[:2], rows[:, :2].astype(np.float64).std(axis=0))
    bar, celsius = Sensor("p", unit="bar"), Sensor("t", unit="degC")
    apart = _fit(rows, schema=SensorSchema((celsius, celsius, bar)))
    assert apart.scale[2] == pytest.approx(float(rows[:, 2].astype(np.float64).std()), rel=1e-6)


def test_a_constant_sensor_is_kept_with_a_scale_and_a_flag() -> None:
    rows = _normal(500, [2.0, 2.0, 2.0])
    rows[:, 1] = 7.0
    scaler = _fit(rows)
    assert scaler.is_constant.tolist() == [False, True, False]
    assert scaler.is_used.all()
    typical = float(np.median(rows[:, [0, 2]].astype(np.float64).std(axis=0)))
    assert scaler.centre[1] == 7.0
    assert scaler.scale[1] == pytest.approx(CONSTANT_SHARE * typical)


def test_a_log_of_constants_only_still_has_scales() -> None:
    scaler = _fit(np.full((50, 2), 3.0))
    assert (scaler.scale > 0).all()
    assert scaler.is_used.all()


def test_flags_are_left_out_where_most_sensors_are_flags() -> None:
    rows = _normal(500, [1.0] * 5)
    rows[:, 1:] = rows[:, 1:] > 10.0
    scaler = _fit(rows)
    assert scaler.is_used.tolist() == [True, False, False, False, False]
    assert scaler.used_positions.tolist() == [0]
    assert scaler.transform(rows).shape == (500, 1)
    few = _fit(rows[:, :2])
    assert few.is_used.all()
    declared = SensorSchema(tuple(Sensor(f"s{c}", kind="measurement") for c in range(5)))
    assert _fit(rows, schema=declared).is_used.all()
    only_flags = _fit(rows[:, 1:])
    assert only_flags.is_used.all()
    np.testing.assert_allclose(only_flags.scale, 1.0)


def test_a_sensor_without_any_value_is_not_used() -> None:
    """Nothing can be learned of it; a statistic over nothing would be NaN and take every score with it."""
    rows = _normal(200, [1.0, 1.0, 1.0])
    usable = np.ones(rows.shape, bool)
    usable[:, 1] = False
    scaler = _fit(rows, usable)
    assert scaler.is_used.tolist() == [True, False, True]
    assert _fit(rows, np.zeros(rows.shape, bool)).is_used.all(), "of a log without any value, all or none"
    flags = (rows > 10.0).astype(np.float32)
    declared = SensorSchema((Sensor("a"), Sensor("b", kind="measurement"), Sensor("c")))
    assert _fit(flags, usable, declared).is_used.tolist() == [True, False, True]


def test_missing_cells_teach_nothing() -> None:
    rows = _normal(300, [1.0, 2.0])
    usable = np.random.default_rng(1).random(rows.shape) > 0.2
    spoilt = np.where(usable, rows, 1e9).astype(np.float32)
    one, other = _fit(np.where(usable, rows, 0.0), usable), _fit(spoilt, usable)
    np.testing.assert_array_equal(one.scale, other.scale)
    np.testing.assert_array_equal(one.centre, other.centre)


def test_noise_is_the_rounding_of_the_sensor_within_limits() -> None:
    rows = _normal(5000, [1.0, 1.0, 1.0])
    rows[:, 1] = np.round(rows[:, 1], 1)
    rows[:, 2] = np.round(rows[:, 2] / 8) * 8
    scaler = _fit(rows)
    assert scaler.noise[0] == LEAST_NOISE
    assert scaler.noise[1] == pytest.approx(0.1 / np.sqrt(12) / scaler.scale[1], rel=0.01)
    assert scaler.noise[2] <= MOST_NOISE


@given(st.integers(0, 50))
def test_the_inverse_gives_the_values_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = _normal(100, [0.1, 5.0, 300.0], seed)
    scaler = _fit(rows)
    far = (rows * rng.choice([1.0, -3.0, 100.0], size=rows.shape)).astype(np.float32)
    deviation = np.abs(scaler.inverse(scaler.transform(far)) - far)
    assert (deviation <= 1e-4 * np.maximum(np.abs(far - scaler.centre), scaler.scale)).all()


def test_the_result_lies_in_memory_in_one_order() -> None:
    """Products of other orders round in another way, and the order of an indexed array is its own affair."""
    rows = _normal(50, [1.0] * 4)
    scaler = _fit(rows)
    for source in (rows, np.asfortranarray(rows), rows[:, ::-1][:, ::-1]):
        assert scaler.transform(source).flags.c_contiguous


def test_arrays_bring_it_back() -> None:
    rows = _normal(100, [1.0, 2.0, 3.0])
    rows[:, 2] = 1.0
    scaler = _fit(rows)
    again = SensorScaler.from_arrays(scaler.to_arrays())
    np.testing.assert_array_equal(again.transform(rows), scaler.transform(rows))
    np.testing.assert_array_equal(again.is_constant, scaler.is_constant)


def test_chosen_deviations_are_put_into_the_units_of_their_sensors() -> None:
    scaler = _fit(_normal(500, [1.0, 4.0, 0.5]))
    deviations = np.random.default_rng(0).normal(size=(20, 3)) * 8.0
    whole = scaler.inverse(deviations)
    sensors = np.random.default_rng(1).integers(0, 3, (20, 2))
    chosen = np.take_along_axis(deviations, sensors, axis=1)
    found = scaler.inverse_of(chosen, sensors)
    np.testing.assert_allclose(found, np.take_along_axis(whole, sensors, axis=1), rtol=1e-12)
    assert (np.abs(chosen) > KNEE).any()

"""The simulated plant: reproducible, physically linked, stationary, in four modes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad_datasets import MODES, PLANT_SENSORS, PlantConfig, SimulatedPlant, simulate_plant
from sensorad_datasets.plant_physics import Disturbance, run_physics
from sensorad_datasets.plant_schedule import draw_surroundings, nominal_modes

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


def values(plant: SimulatedPlant, name: str) -> NDArray[np.float64]:
    return np.asarray(plant.table[name].to_numpy(), np.float64)


@pytest.fixture(scope="module")
def six_weeks() -> SimulatedPlant:
    return simulate_plant(PlantConfig(days=42), np.random.default_rng(7))


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    config = PlantConfig(days=2)
    first, again, other = (simulate_plant(config, np.random.default_rng(seed)).table for seed in (1, 1, 2))
    assert first.equals(again)
    assert all(not first[sensor.name].equals(other[sensor.name]) for sensor in PLANT_SENSORS)


def test_global_random_state_is_not_touched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is checked
    simulate_plant(PlantConfig(days=1), np.random.default_rng(0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_columns_units_and_ranges(six_weeks: SimulatedPlant) -> None:
    schema = six_weeks.table.schema
    assert schema.names == ["time", *(sensor.name for sensor in PLANT_SENSORS), "mode"]
    assert len(PLANT_SENSORS) >= 12
    assert str(schema.field("time").type) == "timestamp[us, tz=UTC]"
    for sensor in PLANT_SENSORS:
        field = schema.field(sensor.name)
        assert str(field.type) == "float"
        assert field.metadata[b"unit"].decode() == sensor.sensor.unit
        assert field.metadata[b"kind"] == b"measurement"
        low, high = float(field.metadata[b"low"]), float(field.metadata[b"high"])
        readings = values(six_weeks, sensor.name)
        assert np.isfinite(readings).all()
        # Inside the range with room to spare: a healthy plant saturates no transmitter.
        assert low < readings.min()
        assert readings.max() < high


def test_rows_are_a_minute_apart_from_the_start(six_weeks: SimulatedPlant) -> None:
    times = six_weeks.table["time"].cast("int64").to_numpy()
    assert times[0] == MONDAY.timestamp() * 1e6
    assert set(np.diff(times)) == {60_000_000}
    assert six_weeks.table.num_rows == 42 * 1440


def test_normal_plant_has_no_labels(six_weeks: SimulatedPlant) -> None:
    assert six_weeks.labels.num_rows == 0
    assert six_weeks.labels.column_names == ["start", "end", "kind", "fault", "sensors"]
    assert not six_weeks.row_labels.any()
    assert len(six_weeks.row_labels) == six_weeks.table.num_rows


def test_every_mode_takes_at_least_a_twentieth_of_the_time(six_weeks: SimulatedPlant) -> None:
    mode = np.array(six_weeks.table["mode"].to_pylist())
    assert set(mode) == set(MODES)
    assert len(MODES) >= 3
    for name in MODES:
        assert (mode == name).mean() >= 0.05
    # Modes are physically different, and starting up takes time: the pump needs minutes from standby to eco.
    speed = values(six_weeks, "SI-101")
    medians = [np.median(speed[mode == name]) for name in MODES]
    assert min(abs(a - b) for a in medians for b in medians if a is not b) > 100.0
    starts = np.flatnonzero((mode[1:] == "eco") & (mode[:-1] == "standby")) + 1
    assert len(starts) >= 6 * 6
    rise = np.array([speed[start : start + 16].mean() - speed[start - 1] for start in starts])
    assert (rise > 50.0).all()
    assert np.abs(np.diff(speed)).max() < 150.0


def test_sensors_are_linked_by_physics(six_weeks: SimulatedPlant) -> None:
    mode = np.array(six_weeks.table["mode"].to_pylist())
    full = mode == "full"

    def correlation(a: str, b: str) -> float:
        return float(np.corrcoef(values(six_weeks, a)[full], values(six_weeks, b)[full])[0, 1])

    assert correlation("FI-101", "II-101") > 0.9  # more flow, more current
    assert correlation("ZI-101", "LC-201") > 0.98  # the valve follows its controller
    assert correlation("FI-101", "ZI-101") > 0.8  # an open valve lets more through
    assert correlation("FI-202", "ZI-301") > 0.7  # more liquid to heat, more hot water
    assert correlation("II-101", "JI-001") > 0.8  # the pump is on the power bill
    assert correlation("TI-001", "TI-301") > 0.4  # weather reaches the feed
    assert correlation("SI-101", "VI-101") > 0.3


def test_controllers_hold_level_and_temperature(six_weeks: SimulatedPlant) -> None:
    mode = np.array(six_weeks.table["mode"].to_pylist())
    settled = mode == "full"
    for shift in range(1, 121):  # two hours after the change of mode
        settled &= np.roll(mode, shift) == "full"
    level, outlet = values(six_weeks, "LI-201")[settled], values(six_weeks, "TI-302")[settled]
    assert abs(level.mean() - 2.4) < 0.02
    assert level.std() < 0.08
    assert abs(outlet.mean() - 65.0) < 0.2
    assert outlet.std() < 0.5


def test_mass_and_energy_balance_row_by_row() -> None:
    n_rows, step = 2000, 60
    surroundings = draw_surroundings(np.random.default_rng(0), MONDAY, n_rows, step)
    disturbance = Disturbance.none(n_rows)
    disturbance.leak[500:700] = 5.0
    quiet = np.zeros(n_rows)
    state = run_physics(surroundings, disturbance, quiet, quiet, step)
    for row in range(1, n_rows):
        net = state.flow[row] - surroundings.demand[row] - disturbance.leak[row]
        assert state.level[row] - state.level[row - 1] == pytest.approx(net / 6.0 / 60.0, abs=1e-12)
    # Heat given by the hot side equals heat taken by the cold side wherever both have settled.
    taken = surroundings.demand * (state.cold_outlet - state.cold_inlet)
    given = state.hot_flow * (surroundings.hot_inlet - state.hot_outlet)
    assert np.median(np.abs(taken / given - 1.0)) < 0.02


def test_normal_weeks_are_stationary(six_weeks: SimulatedPlant) -> None:
    """Weeks 1-2 and 5-6 agree in level and spread of every sensor, mode by mode where the sensor follows the mode."""
    half = 14 * 1440
    mode = np.array(six_weeks.table["mode"].to_pylist())
    for sensor in PLANT_SENSORS:
        early, late = (values(six_weeks, sensor.name)[rows] for rows in (slice(0, half), slice(-half, None)))
        spread = values(six_weeks, sensor.name).std()
        assert abs(early.mean() - late.mean()) < 0.15 * spread, sensor.name
        assert 0.85 < early.std() / late.std() < 1.18, sensor.name
        for quantile in (0.01, 0.5, 0.99):
            assert abs(np.quantile(early, quantile) - np.quantile(late, quantile)) < 0.5 * spread, sensor.name
    for name in MODES:
        assert abs((mode[:half] == name).mean() - (mode[-half:] == name).mean()) < 0.02


def test_days_follow_the_week(six_weeks: SimulatedPlant) -> None:
    demand = values(six_weeks, "FI-202").reshape(-1, 1440)
    weekday = np.arange(42) % 7
    assert demand[weekday < 5].mean() > 1.2 * demand[weekday == 6].mean()
    assert demand[weekday < 5][:, 13 * 60].mean() > 1.5 * demand[weekday < 5][:, 3 * 60].mean()


def test_nominal_modes_match_a_loop_over_rows() -> None:
    def planned(time: datetime) -> str:
        hour, day = time.hour + time.minute / 60, time.weekday()
        if day < 5:
            for end, mode in ((6.0, "eco"), (20.5, "full"), (22.25, "cleaning"), (23.75, "standby")):
                if hour < end:
                    return mode
            return "eco"
        if day == 5:
            for end, mode in ((7.0, "eco"), (15.0, "full"), (17.0, "cleaning"), (19.0, "standby")):
                if hour < end:
                    return mode
            return "eco"
        return "standby" if 1.0 <= hour < 7.0 else "eco"

    start = datetime(2024, 1, 4, 11, 7, tzinfo=UTC)
    modes = nominal_modes(start, 7 * 1440, 60)
    for row in range(0, 7 * 1440, 3):
        assert MODES[modes[row]] == planned(start + timedelta(minutes=row)), start + timedelta(minutes=row)


def test_starts_at_any_time_in_the_middle_of_operation() -> None:
    """A start in the evening of a Wednesday runs as the plant runs then, not from cold."""
    plant = simulate_plant(PlantConfig(days=0.5, start="2024-01-03T12:00:00+02:00"), np.random.default_rng(0))
    assert plant.table["time"][0].as_py() == datetime(2024, 1, 3, 10, tzinfo=UTC)
    assert plant.table["mode"][0].as_py() == "full"
    assert abs(values(plant, "TI-302")[:10].mean() - 65.0) < 1.0


@pytest.mark.parametrize("step_seconds", [20, 120])
def test_other_sampling_rates_give_the_same_plant(step_seconds: int) -> None:
    base, other = (
        simulate_plant(PlantConfig(days=7, step_seconds=step), np.random.default_rng(3)) for step in (60, step_seconds)
    )
    for sensor in PLANT_SENSORS:
        a, b = values(base, sensor.name), values(other, sensor.name)
        assert abs(np.median(a) - np.median(b)) < 0.3 * a.std(), sensor.name
        assert 0.8 < a.std() / b.std() < 1.25, sensor.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_seconds": 5}, "10 to 120 s"),
        ({"days": 0.0}, "positive"),
        ({"days": float("nan")}, "positive"),
        ({"start": "yesterday"}, "not an ISO time"),
        ({"start": "2024-01-01T00:00:00"}, "no time zone"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(PlantConfig(), **change)


def test_declared_predictability_is_what_a_ridge_regression_measures(six_weeks: SimulatedPlant) -> None:
    """``step``: own and other sensors' last 10 rows; ``span``: the others' last 30 rows up to now."""
    readings = np.stack([values(six_weeks, sensor.name) for sensor in PLANT_SENSORS], axis=1)
    z = (readings - readings.mean(axis=0)) / readings.std(axis=0)
    half = len(z) // 2

    def left_over(lags: tuple[int, ...], inputs: list[int], target: int) -> float:
        columns = np.concatenate([z[30 - lag : len(z) - lag, inputs] for lag in lags], axis=1)
        past, aim = np.column_stack([columns, np.ones(len(columns))]), z[30:, target]
        gram = past[:half].T @ past[:half] + 10.0 * np.eye(past.shape[1])
        weights = np.linalg.solve(gram, past[:half].T @ aim[:half])
        return float((aim[half:] - past[half:] @ weights).std() * readings[:, target].std())

    everyone = list(range(len(PLANT_SENSORS)))
    for target in everyone[::3]:
        sensor = PLANT_SENSORS[target]
        others = [i for i in everyone if i != target]
        assert left_over(tuple(range(1, 11)), everyone, target) == pytest.approx(sensor.step, rel=0.2), sensor.name
        assert left_over((0, 1, 2, 4, 8, 16, 30), others, target) == pytest.approx(sensor.span, rel=0.25), sensor.name

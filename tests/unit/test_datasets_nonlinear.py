"""The nonlinear plant: its faults break relations and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad.errors import UsageError
from sensorad_datasets.nonlinear_plant import (
    NONLINEAR_SENSORS,
    NonlinearPlant,
    NonlinearPlantConfig,
    load_nonlinear,
    simulate_nonlinear,
)

CONFIG = NonlinearPlantConfig(train_rows=4000, test_rows=4000)


@pytest.fixture(scope="module")
def plant() -> NonlinearPlant:
    return simulate_nonlinear(CONFIG, np.random.default_rng(0))


def test_the_same_seed_gives_the_same_plant(plant: NonlinearPlant) -> None:
    again = simulate_nonlinear(CONFIG, np.random.default_rng(0))
    other = simulate_nonlinear(CONFIG, np.random.default_rng(1))
    np.testing.assert_array_equal(again.test, plant.test)
    assert again.faults == plant.faults
    assert not np.array_equal(other.test, plant.test)


def test_a_fault_changes_its_own_sensor_and_rows_alone(plant: NonlinearPlant) -> None:
    touched = np.zeros(plant.test.shape, bool)
    for fault in plant.faults:
        [name] = fault.sensors
        assert name in NONLINEAR_SENSORS
        column = plant.sensors.index(name)
        touched[fault.start : fault.end, column] = True
        assert np.abs(plant.test - plant.normal)[fault.start : fault.end, column].max() > 0.1
    np.testing.assert_array_equal(plant.test[~touched], plant.normal[~touched])
    np.testing.assert_array_equal(plant.labels, touched.any(axis=1))
    assert len(plant.faults) > 5
    assert 0.03 < plant.labels.mean() < 0.4


def test_a_faulty_sensor_by_itself_is_as_it_was(plant: NonlinearPlant) -> None:
    """Values and steps of faulty rows lie where those of normal rows of the sensor do."""
    config = NonlinearPlantConfig(train_rows=1000, test_rows=40_000)
    long = simulate_nonlinear(config, np.random.default_rng(2))
    for name in NONLINEAR_SENSORS:
        column = long.sensors.index(name)
        rows = np.concatenate([np.arange(f.start, f.end) for f in long.faults if f.sensors == (name,)])
        faulty, normal = long.test[:, column], long.normal[:, column]
        assert faulty[rows].std() == pytest.approx(normal.std(), rel=0.3)
        assert abs(faulty[rows].mean() - normal.mean()) < 0.4 * normal.std()
        step, usual = np.diff(faulty)[rows[:-1]], np.diff(normal)
        assert step.std() == pytest.approx(usual.std(), rel=0.3)


def test_some_sensors_have_no_linear_relation_to_any_other() -> None:
    plant = simulate_nonlinear(NonlinearPlantConfig(train_rows=40_000, test_rows=1000), np.random.default_rng(3))
    correlation = np.corrcoef(plant.train.T) - np.eye(len(plant.sensors))
    column = plant.sensors.index
    assert np.abs(correlation[column("product")]).max() < 0.15
    assert np.abs(correlation[column("parabola")]).max() < 0.15
    a, b, product = (plant.train[:, column(name)] for name in ("driver-a", "driver-b", "product"))
    assert np.corrcoef(a * b, product)[0, 1] > 0.95  # and yet follow from others
    d, parabola = plant.train[:, column("driver-d")], plant.train[:, column("parabola")]
    assert np.corrcoef(d**2, parabola)[0, 1] > 0.95


def test_as_a_series_it_has_times_labels_and_causes() -> None:
    series = load_nonlinear(0, CONFIG)
    assert (series.set_name, series.series) == ("nonlinear", "nonlinear-0")
    assert series.train.num_rows == series.test.num_rows == len(series.labels) == 4000
    last, first = series.train["time"][-1].as_py(), series.test["time"][0].as_py()
    assert (first - last).total_seconds() == 60.0
    assert {name for cause in series.causes for name in cause.sensors} <= set(NONLINEAR_SENSORS)


@pytest.mark.parametrize("options", [{"train_rows": 10}, {"test_rows": 0}, {"noise": 0.0}])
def test_impossible_sizes_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        NonlinearPlantConfig(**options)

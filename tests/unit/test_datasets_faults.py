"""Faults of the simulated plant against its normal twin: exact labels, the right sensors, clear severity."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad_datasets import (
    FAULT_FAMILIES,
    PLANT_SENSORS,
    Fault,
    PlantConfig,
    SimulatedPlant,
    plan_faults,
    simulate_plant,
)
from sensorad_datasets.plant_sensors import plant_sensor

CONFIG = PlantConfig(days=2)
START, LENGTH = 1440 + 7 * 60, 6 * 60  # Tuesday morning, full load
NAMES = [sensor.name for sensor in PLANT_SENSORS]
SENSOR_FAULTS = sorted(name for name, family in FAULT_FAMILIES.items() if not family.process)
PROCESS_FAULTS = sorted(name for name, family in FAULT_FAMILIES.items() if family.process)


def matrix(plant: SimulatedPlant) -> NDArray[np.float64]:
    return np.stack([plant.table[name].to_numpy() for name in NAMES], axis=1).astype(np.float64)


def twin(faults: tuple[Fault, ...] = (), seed: int = 5, config: PlantConfig = CONFIG) -> SimulatedPlant:
    return simulate_plant(config, np.random.default_rng(seed), faults)


def example(name: str, sensor: str | None = None) -> Fault:
    family = FAULT_FAMILIES[name]
    length = 3 if family.kind == "point" else LENGTH
    chosen = None if family.process else sensor or family.sensors[0]
    return Fault(name, START, length, (family.low + family.high) / 2.0, chosen, seed=1)


@pytest.fixture(scope="module")
def normal() -> NDArray[np.float64]:
    return matrix(twin())


def test_there_are_point_interval_sensor_and_process_families() -> None:
    assert {family.kind for family in FAULT_FAMILIES.values()} == {"point", "interval"}
    assert len(SENSOR_FAULTS) >= 5
    assert len(PROCESS_FAULTS) >= 4


@pytest.mark.parametrize("name", SENSOR_FAULTS)
def test_sensor_fault_changes_its_sensor_inside_its_label_only(name: str, normal: NDArray[np.float64]) -> None:
    for sensor in FAULT_FAMILIES[name].sensors:
        fault = example(name, sensor)
        plant = twin((fault,))
        changed = matrix(plant) != normal
        column = NAMES.index(sensor)
        assert not np.delete(changed, column, axis=1).any()
        assert not changed[~plant.row_labels].any()
        # A reading frozen at the first faulty row is right on that row; chance ties are rare elsewhere.
        assert changed[plant.row_labels, column].mean() > 0.6
        assert plant.labels["sensors"].to_pylist() == [[sensor]]


@pytest.mark.parametrize("name", PROCESS_FAULTS)
def test_process_fault_starts_at_its_label_and_reaches_its_sensors_first(
    name: str, normal: NDArray[np.float64]
) -> None:
    fault = example(name)
    plant = twin((fault,))
    difference = np.abs(matrix(plant) - normal)
    rows = np.flatnonzero(difference.max(axis=1) > 0.0)
    assert START <= rows[0] <= START + 10
    in_steps = difference / np.array([sensor.step for sensor in PLANT_SENSORS])
    inside = in_steps[START : START + LENGTH]
    for sensor in fault.sensors:
        assert inside[:, NAMES.index(sensor)].max() > 8.0, sensor
    # One of the blamed sensors is the first that leaves its noise band.
    first = [np.argmax(column > 4.0) if (column > 4.0).any() else LENGTH for column in inside.T]
    leader = min(first)
    assert any(first[NAMES.index(sensor)] == leader for sensor in fault.sensors)
    # It shows in other sensors too: that is what makes it a process fault.
    others = [column for i, column in enumerate(in_steps.T) if NAMES[i] not in fault.sensors]
    assert max(column.max() for column in others) > 4.0


@pytest.mark.parametrize("name", PROCESS_FAULTS)
def test_plant_recovers_after_a_process_fault(name: str, normal: NDArray[np.float64]) -> None:
    difference = np.abs(matrix(twin((example(name),))) - normal)
    after = difference[START + LENGTH + 180 :] / np.array([sensor.span for sensor in PLANT_SENSORS])
    assert after.max() < 2.0


def test_severity_is_clear_in_the_measure_of_the_sensor(normal: NDArray[np.float64]) -> None:
    for sensor in ("II-101", "TI-304", "LI-201"):
        for name, unit in (("bias", "span"), ("spike", "step"), ("noise", "step")):
            fault = example(name, sensor)
            column = NAMES.index(sensor)
            difference = (matrix(twin((fault,))) - normal)[fault.rows, column]
            size = np.sqrt(np.mean(difference**2)) / getattr(plant_sensor(sensor), unit)
            assert 0.7 * FAULT_FAMILIES[name].low < size < 1.4 * FAULT_FAMILIES[name].high


def test_families_do_what_they_say(normal: NDArray[np.float64]) -> None:
    def spoiled(name: str, sensor: str) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        fault = example(name, sensor)
        column = NAMES.index(sensor)
        return matrix(twin((fault,)))[fault.rows, column], normal[fault.rows, column], fault.severity

    faulty, clean, severity = spoiled("bias", "TI-302")
    assert faulty - clean == pytest.approx(severity * plant_sensor("TI-302").span, rel=1e-4)
    faulty, clean, severity = spoiled("gain", "FI-101")
    assert faulty == pytest.approx(clean * (1.0 + severity), rel=1e-5)
    faulty, clean, _ = spoiled("stuck", "FI-202")
    assert (faulty == clean[0]).all()
    faulty, clean, severity = spoiled("drift", "TI-302")
    assert faulty[-1] - clean[-1] == pytest.approx(severity * plant_sensor("TI-302").span, rel=1e-3)
    assert (np.diff(faulty - clean) > 0.0).mean() > 0.95
    faulty, clean, _ = spoiled("noise", "PI-101")
    assert abs(float(np.mean(faulty - clean))) < 0.3 * float(np.std(faulty - clean))


def test_valve_sticks_while_its_controller_moves() -> None:
    fault = example("valve_sticking")
    faulty = matrix(twin((fault,)))[fault.rows]
    gap = np.abs(faulty[:, NAMES.index("ZI-101")] - faulty[:, NAMES.index("LC-201")])
    assert np.quantile(gap, 0.9) > 3.0
    assert gap.max() < 100.0 * fault.severity + 3.0


def test_leak_breaks_the_mass_balance_by_its_size() -> None:
    fault = example("leak")
    faulty = matrix(twin((fault,)))[fault.rows]
    level = faulty[:, NAMES.index("LI-201")]
    balance = faulty[:-1, NAMES.index("FI-101")] - faulty[:-1, NAMES.index("FI-202")]
    missing = balance.mean() - (level[-1] - level[0]) * 6.0 / (LENGTH / 60.0)
    assert missing == pytest.approx(fault.severity, abs=0.2)


def test_row_labels_agree_with_the_label_table_row_by_row() -> None:
    config = PlantConfig(days=10)
    faults = plan_faults(config, np.random.default_rng(1), 12)
    plant = twin(faults, config=config)
    times = plant.table["time"].to_pylist()
    labels = plant.labels.to_pylist()
    assert len(labels) == 12
    expected = [any(row["start"] <= time <= row["end"] for row in labels) for time in times]
    assert plant.row_labels.tolist() == expected
    for row, fault in zip(labels, plant.faults, strict=True):
        assert (row["fault"], row["kind"], tuple(row["sensors"])) == (fault.family, fault.kind, fault.sensors)


@pytest.mark.parametrize("seed", range(5))
def test_plans_keep_their_promises(seed: int) -> None:
    config = PlantConfig(days=28)
    faults = plan_faults(config, np.random.default_rng(seed), 40)
    assert len(faults) == 40
    assert sum(fault.kind == "point" for fault in faults) == 10
    assert {fault.family for fault in faults} == set(FAULT_FAMILIES)
    counts = [sum(fault.family == name for fault in faults) for name in FAULT_FAMILIES if name != "spike"]
    assert max(counts) - min(counts) <= 1
    for before, after in pairwise(faults):
        assert after.start_row - before.rows.stop >= 6 * 60
    assert faults[0].start_row >= 12 * 60
    assert faults[-1].rows.stop <= config.n_rows
    for fault in faults:
        low, high = FAULT_FAMILIES[fault.family].hours
        assert fault.n_rows <= 3 if fault.kind == "point" else 60 * low <= fault.n_rows + 1 <= 60 * high + 2
        assert set(fault.sensors) <= set(NAMES)
        assert FAULT_FAMILIES[fault.family].low <= abs(fault.severity) <= FAULT_FAMILIES[fault.family].high
    # Spread over the weeks: every week has some.
    weeks = {fault.start_row // (7 * 1440) for fault in faults}
    assert weeks == {0, 1, 2, 3}


def test_plan_is_reproducible_and_independent_of_the_plant() -> None:
    config = PlantConfig(days=14)
    assert plan_faults(config, np.random.default_rng(3), 10) == plan_faults(config, np.random.default_rng(3), 10)
    assert plan_faults(config, np.random.default_rng(3), 10) != plan_faults(config, np.random.default_rng(4), 10)
    assert plan_faults(config, np.random.default_rng(3), 0) == ()


def test_too_many_faults_say_how_many_days_are_needed() -> None:
    with pytest.raises(UsageError, match=r"do not fit into 2 days.*days are needed") as caught:
        plan_faults(CONFIG, np.random.default_rng(0), 30)
    days = float(str(caught.value.hint).split()[1])
    assert len(plan_faults(PlantConfig(days=days), np.random.default_rng(0), 30)) == 30


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ((Fault("bias", 10, 20, 5.0, "LI-201"), Fault("leak", 29, 5, 5.0)), "overlap"),
        ((Fault("leak", 2870, 20, 5.0),), "ends at row 2890 of 2880"),
    ],
)
def test_faults_without_exact_labels_are_refused(faults: tuple[Fault, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        twin(faults)


@pytest.mark.parametrize(
    ("family", "sensor", "n_rows", "message"),
    [
        ("rust", "LI-201", 5, "unknown fault family"),
        ("bias", None, 5, "needs one of the plant's sensors"),
        ("bias", "XX-1", 5, "needs one of the plant's sensors"),
        ("leak", "LI-201", 5, "takes no sensor"),
        ("leak", None, 0, "at least one row"),
    ],
)
def test_impossible_faults_are_refused(family: str, sensor: str | None, n_rows: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Fault(family, 0, n_rows, 1.0, sensor)

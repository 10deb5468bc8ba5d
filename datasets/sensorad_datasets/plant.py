"""A simulated plant whose normal weeks, faults and labels are known exactly: the data set that needs no download.

A feed pump fills a tank through a control valve, a heat exchanger warms the outflow, two controllers hold level
and temperature; four operating modes, a working week, weather and customers make every day different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError

from .plant_faults import Fault, check_faults, disturb, spoil
from .plant_physics import Disturbance, PlantState, run_physics
from .plant_schedule import MODES, Surroundings, draw_surroundings
from .plant_sensors import PLANT_SENSORS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PlantConfig", "SimulatedPlant", "label_table", "simulate_plant"]

_WARMUP_HOURS = 12.0  # simulated before the first row and dropped: forgets the initial state


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """How much of the plant to simulate.

    Attributes
    ----------
    days
        Length of the log.
    step_seconds
        Time between rows, 10 to 120 s.
    start
        ISO time of the first row with its offset; the plant keeps its working hours in UTC.

    Examples
    --------
    >>> PlantConfig(days=2).n_rows
    2880
    """

    days: float = 28.0
    step_seconds: int = 60
    start: str = "2024-01-01T00:00:00+00:00"

    def __post_init__(self) -> None:
        if not 10 <= self.step_seconds <= 120:
            raise UsageError(f"step_seconds is {self.step_seconds}, the physics is integrated in steps of 10 to 120 s")
        if not np.isfinite(self.days) or self.n_rows < 1:
            raise UsageError(f"days is {self.days}, expected a positive number")
        try:
            start = datetime.fromisoformat(self.start)
        except ValueError as error:
            raise UsageError(
                f"start is {self.start!r}, not an ISO time", hint="for example 2024-01-01T00:00:00Z"
            ) from error
        if start.tzinfo is None:
            raise UsageError(f"start {self.start!r} has no time zone", hint="end it with Z or an offset")

    @property
    def n_rows(self) -> int:
        return round(self.days * 86400.0 / self.step_seconds)

    @property
    def start_time(self) -> datetime:
        """First row, in UTC."""
        return datetime.fromisoformat(self.start).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class SimulatedPlant:
    """A simulated log and what is wrong with it.

    Attributes
    ----------
    table
        Columns ``time`` (timestamp[us, UTC]), one float32 column a sensor with its unit, range and kind in the field
        metadata, ``mode`` (string).
    labels
        One row a fault: ``start``, ``end`` (times of its first and last row), ``kind`` ("point" or "interval"),
        ``fault`` (family) and ``sensors`` (list of string, to blame).
    row_labels : (T,) bool
        True on every row of every fault.
    faults
        The faults themselves, in order of time.
    """

    table: pa.Table
    labels: pa.Table
    row_labels: NDArray[np.bool_]
    faults: tuple[Fault, ...]


def simulate_plant(config: PlantConfig, generator: np.random.Generator, faults: Sequence[Fault] = ()) -> SimulatedPlant:
    """Simulate a log; the same generator state gives the same plant, with and without faults.

    A sensor fault changes its own signal inside its label and nothing else. A process fault changes nothing before
    its label; after its end the controllers bring the plant back within two to three hours, which the label does not
    cover: alarms in that time are after-effects, neither findings nor false.

    Raises
    ------
    UsageError
        Where faults overlap or leave the log.

    Examples
    --------
    >>> plant = simulate_plant(PlantConfig(days=1), np.random.default_rng(0))
    >>> plant.table.num_rows, len(plant.table.column_names)
    (1440, 18)
    """
    n_rows = config.n_rows
    ordered = check_faults(faults, n_rows)
    n_warmup = round(_WARMUP_HOURS * 3600.0 / config.step_seconds)
    start = datetime.fromtimestamp(config.start_time.timestamp() - n_warmup * config.step_seconds, UTC)
    surroundings = draw_surroundings(generator, start, n_warmup + n_rows, config.step_seconds)
    controller_noise = generator.standard_normal((2, n_warmup + n_rows))
    measurement_noise = generator.standard_normal((len(PLANT_SENSORS), n_warmup + n_rows))

    shifted = [
        Fault(fault.family, fault.start_row + n_warmup, fault.n_rows, fault.severity, fault.sensor, fault.seed)
        for fault in ordered
    ]
    disturbance = disturb(shifted, n_warmup + n_rows)
    state = run_physics(
        surroundings, disturbance, 0.002 * controller_noise[0], 0.05 * controller_noise[1], config.step_seconds
    )
    truth = _sensor_truth(surroundings, state, disturbance)
    columns = {}
    for sensor, noise in zip(PLANT_SENSORS, measurement_noise, strict=True):
        scale = sensor.noise * (truth[sensor.name] if sensor.name == "VI-101" else 1.0)
        signal = spoil(shifted, sensor.name, truth[sensor.name] + scale * noise)[n_warmup:]
        columns[sensor.name] = np.clip(signal, sensor.sensor.low, sensor.sensor.high).astype(np.float32)

    row_labels = np.zeros(n_rows, bool)
    for fault in ordered:
        row_labels[fault.rows] = True
    return SimulatedPlant(
        table=_log_table(config, columns, surroundings.mode[n_warmup:]),
        labels=label_table(config, ordered),
        row_labels=row_labels,
        faults=ordered,
    )


def label_table(config: PlantConfig, faults: Sequence[Fault]) -> pa.Table:
    """The label table of a simulated log, as in `SimulatedPlant.labels`."""
    import pyarrow as pa

    utc = pa.timestamp("us", "UTC")
    times = _times(config)
    return pa.table(
        {
            "start": pa.array([int(times[fault.rows.start]) for fault in faults], utc),
            "end": pa.array([int(times[fault.rows.stop - 1]) for fault in faults], utc),
            "kind": pa.array([fault.kind for fault in faults], pa.string()),
            "fault": pa.array([fault.family for fault in faults], pa.string()),
            "sensors": pa.array([list(fault.sensors) for fault in faults], pa.list_(pa.string())),
        }
    )


def _sensor_truth(
    surroundings: Surroundings, state: PlantState, disturbance: Disturbance
) -> dict[str, NDArray[np.float64]]:
    """What every sensor would read without noise, (T,) each, in its unit."""
    relative_speed = surroundings.speed / 3000.0
    rise = state.pressure - surroundings.suction
    shaft = (state.flow * rise / 36.0 / 0.72 + 1.8 * relative_speed**2) * disturbance.drag  # kW; bar m3/h / 36 = kW
    # Vibration grows with speed and with the distance from the best flow, 52 m3/h at 3000 rpm.
    off_design = state.flow / (52.0 * relative_speed) - 1.0
    vibration = 0.6 + 1.6 * relative_speed**2 + 1.5 * off_design**2 + disturbance.shaking
    power = (
        10.0 + shaft / 0.9 + 0.08 * state.hot_flow + 0.30 * surroundings.demand + 0.25 * (surroundings.ambient - 15.0)
    )
    return {
        "SI-101": surroundings.speed,
        "II-101": 4.0 + 1.89 * shaft,  # 400 V, power factor 0.85, efficiency 0.9, plus magnetising current
        "VI-101": vibration,
        "PI-101": state.pressure,
        "FI-101": state.flow,
        "ZI-101": 100.0 * state.valve,
        "LC-201": 100.0 * state.level_output,
        "LI-201": state.level,
        "FI-202": surroundings.demand,
        "TI-301": state.cold_inlet,
        "TI-302": state.cold_outlet,
        "TI-303": surroundings.hot_inlet,
        "TI-304": state.hot_outlet,
        "ZI-301": 100.0 * state.hot_valve,
        "TI-001": surroundings.ambient,
        "JI-001": power,
    }


def _times(config: PlantConfig) -> NDArray[np.int64]:
    """Microseconds since 1970 of every row."""
    first = round(config.start_time.timestamp() * 1e6)
    return first + np.arange(config.n_rows, dtype=np.int64) * (config.step_seconds * 1_000_000)


def _log_table(config: PlantConfig, columns: dict[str, NDArray[np.float32]], mode: NDArray[np.int8]) -> pa.Table:
    import pyarrow as pa

    fields = [pa.field("time", pa.timestamp("us", "UTC"))]
    for sensor in PLANT_SENSORS:
        declared = sensor.sensor
        metadata = {"unit": declared.unit, "low": declared.low, "high": declared.high, "kind": declared.kind}
        fields.append(pa.field(sensor.name, pa.float32(), metadata={k: str(v) for k, v in metadata.items()}))
    fields.append(pa.field("mode", pa.string()))
    arrays = [pa.array(_times(config), pa.int64()).cast(fields[0].type)]
    arrays += [pa.array(columns[sensor.name]) for sensor in PLANT_SENSORS]
    arrays.append(pa.array(np.array(MODES, dtype=object)[mode], pa.string()))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

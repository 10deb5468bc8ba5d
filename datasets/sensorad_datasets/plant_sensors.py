"""The sensors of the simulated plant: names, units, ranges, noise, and how well a good model knows each of them.

The plant is a feed pump P-101 that lifts liquid through the control valve FV-101 into the tank T-201, whose
outflow is heated in the heat exchanger E-301 by a hot-water circuit with the control valve TV-301. Names follow
the usual tag letters: F flow, I current, J power, L level, P pressure, S speed, T temperature, V vibration,
Z position; a second letter I is an indicator, C a controller output.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensorad.types import Sensor

__all__ = ["PLANT_SENSORS", "PlantSensor", "plant_sensor"]


@dataclass(frozen=True, slots=True)
class PlantSensor:
    """One sensor of the simulated plant.

    Attributes
    ----------
    sensor
        Name, unit and range as they stand in the metadata of the log.
    what
        What it measures, for people.
    noise
        Standard deviation of the measurement noise, in the sensor's unit (relative for the vibration).
    step
        Standard deviation of what the last 10 rows of all sensors leave unexplained in the newest row: the measure
        of a spike. Measured by ridge regression on four normal weeks.
    span
        The same without the sensor's own past, from the last 30 rows of all others: the measure of a bias.
    """

    sensor: Sensor
    what: str
    noise: float
    step: float
    span: float

    @property
    def name(self) -> str:
        return self.sensor.name


def _measurement(
    name: str, unit: str, low: float, high: float, what: str, noise: float, step: float, span: float
) -> PlantSensor:
    return PlantSensor(Sensor(name, unit, low, high, "measurement"), what, noise, step, span)


PLANT_SENSORS: tuple[PlantSensor, ...] = (
    _measurement("SI-101", "rpm", 0.0, 3000.0, "feed pump speed", 3.0, 6.0, 11.0),
    _measurement("II-101", "A", 0.0, 40.0, "feed pump motor current", 0.12, 0.16, 0.19),
    _measurement("VI-101", "mm/s", 0.0, 12.0, "feed pump vibration, RMS velocity", 0.03, 0.05, 0.05),
    _measurement("PI-101", "bar", 0.0, 10.0, "feed pump discharge pressure", 0.02, 0.028, 0.042),
    _measurement("FI-101", "m3/h", 0.0, 80.0, "feed flow behind FV-101", 0.25, 0.29, 0.31),
    _measurement("ZI-101", "%", 0.0, 100.0, "position of the feed valve FV-101", 0.25, 0.27, 0.26),
    _measurement("LC-201", "%", 0.0, 100.0, "level controller output to FV-101", 0.05, 0.13, 0.17),
    _measurement("LI-201", "m", 0.0, 4.0, "level of the tank T-201", 0.005, 0.0056, 0.021),
    _measurement("FI-202", "m3/h", 0.0, 80.0, "outflow of the tank T-201 to E-301", 0.25, 0.34, 0.36),
    _measurement("TI-301", "degC", 0.0, 120.0, "E-301 cold side, inlet", 0.12, 0.13, 0.34),
    _measurement("TI-302", "degC", 0.0, 120.0, "E-301 cold side, outlet (controlled)", 0.12, 0.14, 0.21),
    _measurement("TI-303", "degC", 0.0, 120.0, "E-301 hot side, inlet", 0.15, 0.2, 0.56),
    _measurement("TI-304", "degC", 0.0, 120.0, "E-301 hot side, outlet", 0.12, 0.14, 0.22),
    _measurement("ZI-301", "%", 0.0, 100.0, "position of the hot-water valve TV-301", 0.25, 0.35, 0.58),
    _measurement("TI-001", "degC", -30.0, 60.0, "ambient temperature", 0.15, 0.2, 0.54),
    _measurement("JI-001", "kW", 0.0, 120.0, "electric power of the plant", 0.3, 0.33, 0.32),
)
"""All sensors, in the order of the log's columns."""

_BY_NAME = {sensor.name: sensor for sensor in PLANT_SENSORS}


def plant_sensor(name: str) -> PlantSensor:
    """The sensor of that name; KeyError where there is none.

    Examples
    --------
    >>> plant_sensor("LI-201").sensor.unit
    'm'
    """
    return _BY_NAME[name]

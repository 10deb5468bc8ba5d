"""One fault: which kind, where, how severe; and severities from amounts in the sensor's own unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sensorad.augment.faults.kinds import fault_kind
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.errors import UsageError

__all__ = ["Fault", "amount_of", "severity_of"]


@dataclass(frozen=True, slots=True)
class Fault:
    """``length`` rows from row ``start`` on, at some sensors.

    Attributes
    ----------
    kind
        A name of `FAULTS`.
    sensors
        Positions of the sensors; all have the same fault. Two for a swap.
    start, length
        The stretch of rows. A stuck sensor repeats the value of its first row, ``severity`` rows long.
    severity
        In the unit of the kind.
    sign
        1 or -1: upwards or downwards, the upper or the lower limit (saturation), multiplied or divided by the factor
        (gain), faster or slower (frequency). Other kinds take no notice.
    form
        Variant, one of the kind's ``forms``; "" is the first of them.
    period
        Oscillation: rows of one swing; 0 draws it, from 4 rows to the length of the stretch.

    Raises
    ------
    UsageError
        A fault that cannot be.

    Examples
    --------
    >>> Fault("bias", (2,), start=100, length=60, severity=1.5, sign=-1).describe(("flow", "power", "temp"))
    'bias of temp in rows 100 to 159'
    """

    kind: str
    sensors: tuple[int, ...]
    start: int
    length: int
    severity: float
    sign: int = 1
    form: str = ""
    period: float = 0.0

    def __post_init__(self) -> None:
        kind = fault_kind(self.kind)
        if not self.sensors or min(self.sensors) < 0 or len(set(self.sensors)) < len(self.sensors):
            raise UsageError(f"{self.kind} needs one sensor or several different ones, got {self.sensors}")
        if self.start < 0 or self.length < kind.least_rows or 0 < kind.most_rows < self.length:
            most = f" to {kind.most_rows}" if kind.most_rows else " or more"
            raise UsageError(
                f"{self.kind} lasts {kind.least_rows}{most} rows from row 0 on, got {self.length} from {self.start}",
                hint="a jump that stays is a bias" if self.kind == "spike" and self.start >= 0 else None,
            )
        if self.sign not in (1, -1):
            raise UsageError(f"the sign of a fault is 1 or -1, got {self.sign}")
        if self.form and self.form not in kind.forms:
            known = f"one of {', '.join(kind.forms)}" if kind.forms else "it has none"
            raise UsageError(f"{self.kind} has no form {self.form!r}", hint=known)
        if self.form == "swap" and len(self.sensors) != 2:
            raise UsageError(f"a swap is between two sensors, got {len(self.sensors)}")
        self._check_severity(kind.unit_of_severity)

    def _check_severity(self, unit: str) -> None:
        a = self.severity
        if not np.isfinite(a):
            raise UsageError(f"the severity of a fault must be finite, got {a}")
        if self.kind == "saturation":
            return  # the limit may lie anywhere
        if a <= 0 and not (self.kind == "gain" and a == 0 and self.sign == 1):
            raise UsageError(
                f"the severity of {self.kind} must be positive, got {a:g}",
                hint="its direction is said apart from it (sign, --direction)",
            )
        if unit == "share" and a > 1:
            raise UsageError(f"the severity of {self.kind} is a share in (0, 1], got {a:g}")
        if unit == "factor" and a == 1:
            raise UsageError(f"{self.kind} by a factor of 1 changes nothing", hint="choose a smaller or larger factor")
        if self.kind == "stuck" and not 2 <= self.rows_of_severity <= self.length:
            raise UsageError(
                f"stuck for {a:g} rows does not fit a stretch of {self.length}", hint="severity counts rows, 2 or more"
            )
        if self.period and (self.kind != "oscillation" or not self.period >= 2):
            hint = "only an oscillation has one, of 2 rows or more"
            raise UsageError(f"{self.kind} cannot have a period of {self.period:g} rows", hint=hint)

    @property
    def variant(self) -> str:
        """The form that is meant: ``form``, or the first that the kind has."""
        forms = fault_kind(self.kind).forms
        return self.form or (forms[0] if forms else "")

    @property
    def factor(self) -> float:
        """Gain and frequency: what is multiplied by."""
        return self.severity if self.sign > 0 else 1.0 / self.severity

    @property
    def rows_of_severity(self) -> int:
        """Stuck and lag: the severity in whole rows."""
        return max(1, round(self.severity))

    def describe(self, names: Sequence[str] | None = None) -> str:
        """The fault in a few words, with the names of its sensors where they are known."""
        known = names is not None and max(self.sensors) < len(names)
        who = [names[c] if known and names is not None else f"sensor {c}" for c in self.sensors]
        rows = f"rows {self.start} to {self.start + self.length - 1}" if self.length > 1 else f"row {self.start}"
        return f"{self.kind} of {', '.join(who)} in {rows}"


def severity_of(kind: str, amount: float, statistics: SensorStatistics, sensor: int, sign: int = 1) -> float:
    """The severity that is ``amount`` in the unit of the sensor.

    The amount is that of the bias, of the drift at its end, of the jump, of the step (quantisation) or of the swing;
    the standard deviation of the added noise; the limit itself for saturation.

    Raises
    ------
    UsageError
        If the kind counts in no unit of the sensor, or the sensor never moved, so that nothing measures it.

    Examples
    --------
    >>> statistics = SensorStatistics.fit(np.random.default_rng(0).normal(50.0, 2.0, size=(5000, 1)))
    >>> round(severity_of("bias", 4.0, statistics, sensor=0), 1)
    2.0
    """
    unit = _unit(kind, statistics, sensor)
    if kind != "saturation":
        return amount / unit
    floor = float(statistics.floor[sensor])
    return (amount - floor) / unit if sign > 0 else (floor + unit - amount) / unit


def amount_of(kind: str, severity: float, statistics: SensorStatistics, sensor: int, sign: int = 1) -> float:
    """The inverse of `severity_of`.

    Examples
    --------
    >>> statistics = SensorStatistics.fit(np.arange(101.0)[:, None])
    >>> amount_of("saturation", 0.8, statistics, sensor=0)
    77.0
    """
    unit = _unit(kind, statistics, sensor)
    if kind != "saturation":
        return severity * unit
    floor = float(statistics.floor[sensor])
    return floor + severity * unit if sign > 0 else floor + (1.0 - severity) * unit


def _unit(kind: str, statistics: SensorStatistics, sensor: int) -> float:
    """How much of the sensor's unit a severity of 1 is."""
    found = fault_kind(kind)
    if not found.in_engineering_units:
        raise UsageError(
            f"{kind} has no amount in the sensor's unit", hint=f"give its severity ({found.unit_of_severity})"
        )
    if not 0 <= sensor < len(statistics):
        raise UsageError(f"there is no sensor {sensor}, the statistics have {len(statistics)}")
    scale = {"sigma": statistics.sigma, "noise sigma": statistics.residual_sigma, "range": statistics.reach}
    unit = float(scale[found.unit_of_severity][sensor])
    if unit <= 0:
        raise UsageError(
            f"sensor {sensor} never moved, so nothing measures a {kind}", hint="take statistics in which it does"
        )
    return unit

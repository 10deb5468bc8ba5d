"""Synthetic faults of sensors: 14 kinds with a knob for their severity and exact labels for every cell.

`inject` puts chosen faults into the rows of a log, `inject_random` random ones, `inject_windows` one into each window
of a batch. Sizes are measured by `SensorStatistics` of normal rows.
"""

from sensorad.augment.faults.fault import Fault, amount_of, severity_of
from sensorad.augment.faults.injection import Injected, inject
from sensorad.augment.faults.kinds import FAULTS, FaultKind, fault_kind
from sensorad.augment.faults.plans import inject_random, random_faults
from sensorad.augment.faults.statistics import SensorStatistics
from sensorad.augment.faults.windows import FaultedWindows, inject_windows

__all__ = [
    "FAULTS",
    "Fault",
    "FaultKind",
    "FaultedWindows",
    "Injected",
    "SensorStatistics",
    "amount_of",
    "fault_kind",
    "inject",
    "inject_random",
    "inject_windows",
    "random_faults",
    "severity_of",
]

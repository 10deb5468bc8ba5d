"""Settings of a card: which faults, how many, how long, how severe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from sensorad.augment.faults import FAULTS, FaultKind, fault_kind
from sensorad.errors import UsageError

__all__ = ["CardConfig", "severity_grid"]

BELOW, ABOVE = 4.0, 1.5
"""The mildest severity tried is so far below the usual ones of its kind, and the worst so far above."""


@dataclass(frozen=True, slots=True)
class CardConfig:
    """How a card is made.

    Attributes
    ----------
    kinds
        Kinds of faults, names of `FAULTS`.
    sensors
        Names of sensors; none named = all.
    rows
        Rows that a fault lasts, save a spike (3 rows) and a stuck sensor (as long as its severity says).
    n_placements
        Places in the log at which each fault is tried.
    n_severities
        Severities of each kind, evenly spaced in their logarithm; not all of them are tried (bisection).
    severities
        Instead of these: severities of single kinds, from the mildest to the worst.
    random_state
        Seed of the places and of whatever a fault draws.

    Examples
    --------
    >>> config = CardConfig(kinds=("bias", "stuck"), severities={"bias": (0.5, 1.0, 2.0)})
    >>> CardConfig.from_json(config.to_json()) == config
    True
    """

    kinds: tuple[str, ...] = tuple(FAULTS)
    sensors: tuple[str, ...] = ()
    rows: int = 60
    n_placements: int = 24
    n_severities: int = 9
    severities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    random_state: int = 0

    def __post_init__(self) -> None:
        for name in ("kinds", "sensors"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise UsageError(f"{name} must be a list of names, got {value!r}")
            object.__setattr__(self, name, tuple(dict.fromkeys(value)))
        if not self.kinds:
            raise UsageError("a card needs at least one kind of fault", hint=f"known are {', '.join(FAULTS)}")
        for kind in (*self.kinds, *self.severities):
            fault_kind(kind)
        least = {"rows": 4, "n_placements": 1, "n_severities": 2, "random_state": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise UsageError(f"{name} must be a whole number of at least {low}, got {value!r}")
        given = {kind: tuple(float(value) for value in values) for kind, values in self.severities.items()}
        for kind, values in given.items():
            _check_grid(fault_kind(kind), values)
        object.__setattr__(self, "severities", given)

    def grid(self, kind: str) -> tuple[float, ...]:
        """Severities to try, from the mildest to the worst."""
        return self.severities.get(kind) or severity_grid(fault_kind(kind), self.n_severities, 2 * self.rows)

    def length(self, kind: str, severity: float) -> int:
        """Rows of a fault."""
        most = fault_kind(kind).most_rows
        if kind == "stuck":
            return round(severity)
        return min(self.rows, most) if most else self.rows

    @property
    def longest(self) -> int:
        """Rows of the longest fault."""
        return max(self.length(kind, severity) for kind in self.kinds for severity in self.grid(kind))

    @property
    def rows_before(self) -> int:
        """Rows that faults need before their first: a lag shows earlier ones."""
        return max((round(max(self.grid(kind))) for kind in self.kinds if kind == "lag"), default=0)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lists = {"kinds": list(self.kinds), "sensors": list(self.sensors)}
        return asdict(self) | lists | {"severities": {kind: list(values) for kind, values in self.severities.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CardConfig:
        """The settings of `to_json`; unknown names are refused."""
        unknown = sorted(set(values) - {known.name for known in fields(cls)})
        if unknown:
            raise UsageError(f"unknown settings {unknown}", where="detectability card")
        return cls(**values)


def severity_grid(kind: FaultKind, n: int, most_rows: int) -> tuple[float, ...]:
    """Severities from far below the usual ones of ``kind`` to beyond them, the mildest first.

    They grow by one factor from step to step: the severity itself, or where no fault is not 0, how far it is from no
    fault. Numbers of rows are rounded and end at ``most_rows``, shares at 1.

    Examples
    --------
    >>> severity_grid(FAULTS["lag"], 6, 120)
    (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    >>> [round(value, 2) for value in severity_grid(FAULTS["saturation"], 3, 120)]
    [0.97, 0.88, 0.4]
    """
    low, high, unit = kind.low, kind.high, kind.unit_of_severity
    if unit == "rows":
        found = np.rint(np.geomspace(max(kind.least_rows, low / BELOW), max(kind.least_rows, min(high, most_rows)), n))
    elif kind.grows_with == "down":
        found = 1.0 - np.geomspace((1.0 - high) / BELOW, (1.0 - low) * ABOVE, n)
    elif unit == "factor":
        found = 1.0 + np.geomspace((low - 1.0) / BELOW, (high - 1.0) * ABOVE, n)
    else:
        found = np.geomspace(low / BELOW, min(1.0, high * ABOVE) if unit == "share" else high * ABOVE, n)
    return tuple(dict.fromkeys(found.tolist()))


def _check_grid(kind: FaultKind, values: tuple[float, ...]) -> None:
    steps = np.diff(values) * (-1 if kind.grows_with == "down" else 1)
    if not values or not np.isfinite(values).all() or (steps <= 0).any():
        raise UsageError(
            f"severities of {kind.name} must be given from the mildest to the worst, got {values}",
            hint="the smaller the number, the worse" if kind.grows_with == "down" else None,
        )
    if kind.unit_of_severity == "rows" and (min(values) < kind.least_rows or any(v != round(v) for v in values)):
        raise UsageError(f"severities of {kind.name} are whole rows, at least {kind.least_rows}, got {values}")

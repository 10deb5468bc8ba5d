"""`DetectabilityCard`: what was tried and found, as an object, as JSON, as a table and as a figure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sensorad.augment.faults import fault_kind
from sensorad.detectability.config import CardConfig
from sensorad.detectability.search import HALF, MOST, mildest_found
from sensorad.detectability.trials import Outcome
from sensorad.errors import DataError, StorageError, UsageError
from sensorad.types import SensorSchema

__all__ = ["Baseline", "CardCell", "DetectabilityCard", "TriedSeverity", "read_card"]

FORMAT, VERSION = "sensorad.detectability", 1

LEAST_SHARE = 0.25
"""Share of the places at which a fault must change something, or nothing is said of it."""

State = Literal["found", "never", "no fault", "not looked at"]


@dataclass(frozen=True, slots=True)
class TriedSeverity:
    """One severity that was tried.

    Attributes
    ----------
    severity
        In the unit of the kind.
    amount
        The same in the sensor's unit, where the kind has one; for saturation the upper limit.
    outcome : Outcome
    """

    severity: float
    amount: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CardCell:
    """One kind of fault at one sensor.

    Attributes
    ----------
    tried
        The severities that were tried, the mildest first.
    least
        Places at which a fault must change something for its share to count.
    is_used
        False: no model looks at the sensor, so nothing was tried.
    """

    sensor: str
    kind: str
    tried: tuple[TriedSeverity, ...] = ()
    least: int = 1
    is_used: bool = True

    @property
    def half(self) -> TriedSeverity | None:
        """The mildest severity found in at least half of the places."""
        return self.smallest(HALF)

    @property
    def most(self) -> TriedSeverity | None:
        """The mildest severity found in at least 90 % of the places."""
        return self.smallest(MOST)

    @property
    def state(self) -> State:
        """Whether any severity was found in half of the places, or why nothing can be said."""
        if not self.is_used:
            return "not looked at"
        if self.half is not None:
            return "found"
        return "never" if any(one.outcome.n >= self.least for one in self.tried) else "no fault"

    @property
    def is_mildest(self) -> bool:
        """Found at the mildest severity of all: the limit may lie below it."""
        return self.half is not None and self.half is self.tried[0] and self.tried[0].outcome.n >= self.least

    def smallest(self, share: float) -> TriedSeverity | None:
        """The mildest severity found in that share of the places, as every worse one that was tried."""
        at = mildest_found({i: one.outcome for i, one in enumerate(self.tried)}, share, self.least)
        return None if at is None else self.tried[at]


@dataclass(frozen=True, slots=True)
class Baseline:
    """How often an alarm opens within as many rows as a fault lasts where there is none.

    Attributes
    ----------
    n
        Places looked at.
    n_alarms
        Of these with an alarm.
    rows
        Length of a fault.
    """

    n: int
    n_alarms: int
    rows: int

    @property
    def share(self) -> float:
        return self.n_alarms / self.n


@dataclass(frozen=True, slots=True)
class DetectabilityCard:
    """The smallest fault that a detector finds, for each sensor and kind.

    Attributes
    ----------
    cells
        Sensor by sensor in the order of the schema, kinds in the order of the settings.
    config
        Settings of the card.
    schema
        All sensors of the detector.
    baseline
        What would be "found" without a fault.
    step_seconds
        Usual time between two rows of the log.
    about : mapping
        What the card was made of, plain values: ``alarm_line``, ``log``, ``rows``, ``from``, ``to`` and others.
    notes
        What a reader should know.
    """

    cells: tuple[CardCell, ...]
    config: CardConfig
    schema: SensorSchema
    baseline: Baseline
    step_seconds: float
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors with faults, in order."""
        return tuple(dict.fromkeys(cell.sensor for cell in self.cells))

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.kind for cell in self.cells))

    def cell(self, sensor: str, kind: str) -> CardCell:
        """The cell of one kind at one sensor; `UsageError` where there is none."""
        for cell in self.cells:
            if cell.sensor == sensor and cell.kind == kind:
                return cell
        raise UsageError(f"the card has no {kind!r} at sensor {sensor!r}")

    def rows(self) -> list[dict[str, Any]]:
        """One plain row for each cell, for a data frame."""
        units = {sensor.name: sensor.unit for sensor in self.schema.sensors}
        return [_cell_json(cell, units.get(cell.sensor)) for cell in self.cells]

    def to_json(self) -> dict[str, Any]:
        """Plain values with units; `from_json` reads them back."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "about": dict(self.about),
            "config": self.config.to_json(),
            "step_seconds": self.step_seconds,
            "shares": {"half": HALF, "most": MOST},
            "units": {
                "severity": {kind: fault_kind(kind).unit_of_severity for kind in self.kinds},
                "amount": "unit of the sensor",
                "change": "sigma of the sensor, root mean square over the fault",
                "delay_rows": "rows",
                "delay_seconds": "s",
            },
            "baseline": asdict(self.baseline) | {"share": self.baseline.share},
            "sensors": self.schema.to_json(),
            "cells": self.rows(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DetectabilityCard:
        """The card of `to_json`.

        Raises
        ------
        DataError
            It is none, is damaged, or was made by a newer version.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise DataError("this is no detectability card", hint="make one with sensorad fit LOG -o MODEL --card FILE")
        if values.get("version") != VERSION:
            raise DataError(
                f"a detectability card of version {values.get('version')!r}, this sensorad reads {VERSION}",
                hint="upgrade sensorad, or make the card again",
            )
        try:
            baseline = {name: int(values["baseline"][name]) for name in ("n", "n_alarms", "rows")}
            return cls(
                cells=tuple(_cell_of(row) for row in values["cells"]),
                config=CardConfig.from_json(values["config"]),
                schema=SensorSchema.from_json(values["sensors"]),
                baseline=Baseline(**baseline),
                step_seconds=float(values["step_seconds"]),
                about=dict(values["about"]),
                notes=tuple(values["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as err:
            raise DataError(f"the detectability card is incomplete: {err}", hint="make it again") from err


def read_card(path: str | os.PathLike[str]) -> DetectabilityCard:
    """The card in a JSON file.

    Raises
    ------
    StorageError
        The file cannot be read.
    DataError
        It holds no card.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise StorageError(f"the card cannot be read: {err}", where=os.fspath(path)) from err
    try:
        return DetectabilityCard.from_json(json.loads(text))
    except json.JSONDecodeError as err:
        raise DataError(f"a detectability card is a JSON file: {err}", where=os.fspath(path)) from err
    except DataError as err:
        raise DataError(err.what, where=os.fspath(path), hint=err.hint) from err


def _cell_json(cell: CardCell, unit: str | None) -> dict[str, Any]:
    return {
        "sensor": cell.sensor,
        "kind": cell.kind,
        "state": cell.state,
        "is_mildest": cell.is_mildest,
        "unit": fault_kind(cell.kind).unit_of_severity,
        "amount_unit": unit,
        "half": None if cell.half is None else _tried_json(cell.half),
        "most": None if cell.most is None else _tried_json(cell.most),
        "least": cell.least,
        "tried": [_tried_json(one) for one in cell.tried],
    }


def _tried_json(tried: TriedSeverity) -> dict[str, Any]:
    outcome = tried.outcome
    return {
        "severity": tried.severity,
        "amount": tried.amount,
        **{known.name: getattr(outcome, known.name) for known in fields(Outcome)},
        "share": outcome.share,
    }


def _cell_of(row: Mapping[str, Any]) -> CardCell:
    fault_kind(row["kind"])
    return CardCell(
        sensor=str(row["sensor"]),
        kind=row["kind"],
        tried=tuple(_tried_of(one) for one in row["tried"]),
        least=int(row["least"]),
        is_used=row["state"] != "not looked at",
    )


def _tried_of(row: Mapping[str, Any]) -> TriedSeverity:
    optional: Sequence[str] = ("delay_rows", "delay_seconds", "change")
    numbers = {name: None if row[name] is None else float(row[name]) for name in optional}
    amount = None if row["amount"] is None else float(row["amount"])
    return TriedSeverity(float(row["severity"]), amount, Outcome(int(row["n"]), int(row["n_found"]), **numbers))

"""The detectability card as the page's script reads it: one packed row for each sensor."""

from __future__ import annotations

from typing import Any

from sensorad.augment.faults import fault_kind
from sensorad.detectability import CardCell, DetectabilityCard
from sensorad.detectability.figure import LEVELS, level_of
from sensorad.report.packing import number, plain

__all__ = ["pack_detectability"]

MAX_SENSORS = 240


def pack_detectability(card: DetectabilityCard | None, notes: list[str]) -> dict[str, Any] | None:
    """The card with its cells in rows of sensors; ``notes`` gets a sentence for what is left out."""
    if card is None:
        return None
    sensors = card.sensors[:MAX_SENSORS]
    if len(sensors) < len(card.sensors):
        notes.append(f"The detectability card lists the first {MAX_SENSORS} of {len(card.sensors):,} sensors.")
    cells = {(cell.sensor, cell.kind): cell for cell in card.cells}
    units = {sensor.name: sensor.unit for sensor in card.schema.sensors}
    return {
        "kinds": [
            {"name": kind, "unit": fault_kind(kind).unit_of_severity, "summary": fault_kind(kind).summary}
            for kind in card.kinds
        ],
        "sensors": [
            {"name": name, "unit": units.get(name), "cells": [_cell(cells[name, kind]) for kind in card.kinds]}
            for name in sensors
        ],
        "levels": list(LEVELS),
        "rows": card.config.rows,
        "step_seconds": number(card.step_seconds),
        "n_places": card.config.n_placements,
        "baseline": {"n": card.baseline.n, "n_alarms": card.baseline.n_alarms},
        "about": plain({key: value for key, value in card.about.items() if key != "weights"}),
        "notes": list(card.notes),
    }


def _cell(cell: CardCell) -> dict[str, Any]:
    if cell.half is None:
        return {"state": cell.state}
    outcome = cell.half.outcome
    return {
        "state": "found",
        "level": level_of(outcome.change),
        "bound": ("least" if fault_kind(cell.kind).grows_with == "down" else "most") if cell.is_mildest else None,
        "severity": number(cell.half.severity),
        "amount": number(cell.half.amount),
        "change": number(outcome.change),
        "delay_rows": number(outcome.delay_rows),
        "delay_seconds": number(outcome.delay_seconds),
        "share": number(outcome.share),
        "n": outcome.n,
        "most": None if cell.most is None else number(cell.most.severity),
    }

"""The model card: what a person should know of a detector before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensorad import __version__
from sensorad.config import DetectorConfig
from sensorad.thresholds import ThresholdResult
from sensorad.types import SensorSchema

__all__ = ["card_text", "describe", "left_out_notes"]

SHOWN_SENSORS = 8
"""Sensors named in a note before the rest are counted."""


def describe(
    config: DetectorConfig,
    schema: SensorSchema,
    training: Mapping[str, Any],
    *,
    context_rows: int,
    step_seconds: float,
    weights: str,
) -> dict[str, Any]:
    """The model card as plain values; ``training`` is what a fit has noted, ``weights`` their SHA-256."""
    card: dict[str, Any] = {
        "model": config.model,
        "score": config.score,
        "sensors": schema.to_json(),
        "window_rows": config.length,
        "context_rows": context_rows,
        "step_seconds": step_seconds,
        "roles": training["roles"],
        "fit": {
            "usable_rows": training["usable_rows"],
            "stretches": training["stretches"],
            **training["rows"],
        },
        "constant_sensors": training["constant_sensors"],
        "unused_sensors": training["unused_sensors"],
        "fingerprint": training["fingerprint"],
        "weights": weights,
        "versions": {"sensorad": __version__},
    }
    if records := training["records"]:
        shown = next((record for record in records if record["validation_losses"]), records[-1])
        card["training"] = shown | {"epochs": len(shown["train_losses"])}
    return card


def card_text(card: Mapping[str, Any], threshold: ThresholdResult) -> str:
    """The card of `Detector.describe` as Markdown; names from the log are shown as code and cannot format anything."""
    sensors = [f"| {_code(row['name'])} | {_code(row.get('unit', ''))} |" for row in card["sensors"]]
    fit = card["fit"]
    lines = [
        "# Detector",
        "",
        f"Model `{card['model']}`, score `{card['score']}`, windows of {card['window_rows']} rows, "
        f"{card['step_seconds']:g} s a row. A score depends on the row and the {card['context_rows']} rows before it.",
        "",
        "## Alarm line",
        "",
        threshold.statement(),
        "",
        "## Learned from",
        "",
        f"{fit['read']:,} rows read, {fit['usable_rows']:,} used in {fit['stretches']:,} stretches without gaps. "
        f"Fingerprint of the data: `{card['fingerprint'][:16]}`.",
        "",
        *(f"- {role}: {rows}" for role, rows in card["roles"].items()),
        "",
        "## Sensors",
        "",
        "| name | unit |",
        "|---|---|",
        *sensors,
        "",
        "It knows normal operation only as far as these rows show it: another mode, season or product is new to it.",
        "",
    ]
    return "\n".join(lines)


def _code(text: str) -> str:
    clean = "".join(c if c.isprintable() and c not in "`|" else "?" for c in text)[:120]
    return f"`{clean}`" if clean else ""


def left_out_notes(unused: list[str]) -> list[str]:
    """A sentence about the sensors that no model looks at."""
    if not unused:
        return []
    named = ", ".join(unused[:SHOWN_SENSORS]) + (
        f" and {len(unused) - SHOWN_SENSORS} more" if unused[SHOWN_SENSORS:] else ""
    )
    return [
        f"{len(unused)} sensors are not looked at, since they never moved or only switched and are most of the log: "
        f"{named}; declare their kind as measurement in the schema to use them"
    ]

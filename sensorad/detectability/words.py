"""A card as text: one table of sensors by kinds, and short words for single cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sensorad.augment.faults import fault_kind
from sensorad.detectability.card import CardCell, DetectabilityCard

__all__ = ["card_table", "cell_text", "kind_text", "short", "summary_lines"]


def kind_text(kind: str) -> str:
    """Name and unit of severity.

    Examples
    --------
    >>> kind_text("bias"), kind_text("lag")
    ('bias (sigma)', 'lag (rows)')
    """
    return f"{kind} ({fault_kind(kind).unit_of_severity})"


def short(value: float) -> str:
    """Two significant digits, and no fewer than there are before the point.

    Examples
    --------
    >>> short(0.5333), short(120.0)
    ('0.53', '120')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def cell_text(cell: CardCell) -> str:
    """The severity found in half of the places and the delay in rows, or why there is none."""
    if cell.half is None:
        return {"never": "never", "no fault": "-", "not looked at": "not looked at"}[cell.state]
    delay = cell.half.outcome.delay_rows
    return _bound(cell) + ("" if delay is None else f", {delay:.0f} rows")


def card_table(card: DetectabilityCard) -> str:
    """Sensors by kinds as a Markdown table."""
    kinds = card.kinds
    lines = [
        "| sensor | " + " | ".join(kind_text(kind) for kind in kinds) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    cells = {(cell.sensor, cell.kind): cell for cell in card.cells}
    for sensor in card.sensors:
        name = "".join(c if c.isprintable() and c not in "`|" else "?" for c in sensor)
        lines.append(f"| `{name}` | " + " | ".join(cell_text(cells[sensor, kind]) for kind in kinds) + " |")
    return "\n".join(lines) + "\n"


def summary_lines(card: DetectabilityCard) -> list[tuple[str, str]]:
    """Labels and values for the end of a command: for each kind, over all sensors."""
    rows = []
    for kind in card.kinds:
        cells = [cell for cell in card.cells if cell.kind == kind and cell.state in ("found", "never")]
        found = sorted((cell for cell in cells if cell.half is not None), key=_severity)
        if fault_kind(kind).grows_with == "down":
            found.reverse()
        if not cells:
            rows.append((kind, "nothing to try it on: it changes no sensor"))
        elif not found:
            rows.append((kind, f"not found at any of {len(cells)} sensors"))
        else:
            rows.append((kind, _range_text(found, len(cells))))
    base = card.baseline
    chance = f"{base.share:.1%} of {base.n} places without a fault alarm within {base.rows} rows"
    return [*rows, ("by chance", chance)]


def _severity(cell: CardCell) -> float:
    return np.nan if cell.half is None else cell.half.severity


def _bound(cell: CardCell) -> str:
    """The severity, or that it lies below all that was tried."""
    words = "at least " if fault_kind(cell.kind).grows_with == "down" else "at most "
    return (words if cell.is_mildest else "") + short(_severity(cell))


def _range_text(found: Sequence[CardCell], n_sensors: int) -> str:
    """From the sensor at which the mildest fault is found to that at which only the worst is."""
    first, last = found[0], found[-1]
    unit, n_never = fault_kind(first.kind).unit_of_severity, n_sensors - len(found)
    text = f"{_bound(first)} {unit} at "
    if len(found) > 1 and _severity(first) == _severity(last):
        text += f"each of {len(found)} sensors"
    else:
        text += first.sensor + (f" to {short(_severity(last))} at {last.sensor}" if len(found) > 1 else "")
    return text + (f"; never at {n_never} of {n_sensors} sensors" if n_never else "")

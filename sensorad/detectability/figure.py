"""The card as a heat map: sensors by kinds, dark where only a large change of the sensor is found."""

from __future__ import annotations

from html import escape

from sensorad.augment.faults import fault_kind
from sensorad.detectability.card import CardCell, DetectabilityCard
from sensorad.detectability.words import cell_text, short

__all__ = ["LEVELS", "card_svg", "level_of"]

LEVELS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Changes, in standard deviations of the sensor, at which the colour becomes darker."""

COLOURS = ("#eef4fb", "#d6e4f3", "#b5cfe8", "#8db6dc", "#629acb", "#3c7db6", "#1f5f9c", "#123f70")
CELL_WIDTH, CELL_HEIGHT = 78, 30
HEAD, FOOT, RIGHT, CHARACTER = 52, 66, 12, 6.6
LONGEST_NAME = 34


def level_of(change: float | None) -> int:
    """The colour of a change in standard deviations, 0 = the lightest.

    Examples
    --------
    >>> level_of(0.01), level_of(0.5), level_of(10.0)
    (0, 4, 7)
    """
    return 0 if change is None else sum(change >= level for level in LEVELS)


def card_svg(card: DetectabilityCard) -> str:
    """One self-contained SVG; its text is that of `DetectabilityCard.table`."""
    names = [_shortened(name) for name in card.sensors]
    left = 16 + CHARACTER * max(6, *(len(name) for name in names))
    width = left + max(CELL_WIDTH * len(card.kinds), 420) + RIGHT
    height = HEAD + CELL_HEIGHT * len(names) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="sans-serif"'
        ' font-size="12" role="img" aria-label="Smallest fault that is found, by sensor and kind of fault">',
        f'<rect width="{width:.0f}" height="{height}" fill="white"/>',
        '<defs><pattern id="never" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path d="M0 6L6 0" stroke="#b3541e" stroke-opacity="0.45"/></pattern></defs>',
    ]
    for column, kind in enumerate(card.kinds):
        x = left + (column + 0.5) * CELL_WIDTH
        parts.append(f'<text x="{x:.1f}" y="{HEAD - 24}" text-anchor="middle">{kind}</text>')
        unit = fault_kind(kind).unit_of_severity
        parts.append(f'<text x="{x:.1f}" y="{HEAD - 9}" text-anchor="middle" fill="#666" font-size="10">{unit}</text>')
    cells = {(cell.sensor, cell.kind): cell for cell in card.cells}
    for row, (sensor, name) in enumerate(zip(card.sensors, names, strict=True)):
        y = HEAD + row * CELL_HEIGHT
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 19}" text-anchor="end">{escape(name)}</text>')
        for column, kind in enumerate(card.kinds):
            parts += _cell(cells[sensor, kind], left + column * CELL_WIDTH, y)
    parts += _legend(card, left, HEAD + CELL_HEIGHT * len(names))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(cell: CardCell, x: float, y: int) -> list[str]:
    tip = f"{cell.kind} of {cell.sensor}: {cell_text(cell)}"
    if cell.half is None:
        fill, ink = ("url(#never)", "#b3541e") if cell.state == "never" else ("#f4f4f4", "#888")
        text = {"never": "never", "no fault": "", "not looked at": "unused"}.get(cell.state, "")
    else:
        level = level_of(cell.half.outcome.change)
        fill, ink = COLOURS[level], "#111" if level < 5 else "#fff"
        mark = ("\u2265" if fault_kind(cell.kind).grows_with == "down" else "\u2264") if cell.is_mildest else ""
        text = f"{mark}{short(cell.half.severity)}"
    return [
        f'<rect x="{x + 1:.1f}" y="{y + 1}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" fill="{fill}">'
        f"<title>{escape(tip)}</title></rect>",
        f'<text x="{x + CELL_WIDTH / 2:.1f}" y="{y + 19}" text-anchor="middle" fill="{ink}">{text}</text>',
    ]


def _legend(card: DetectabilityCard, left: float, top: int) -> list[str]:
    base = card.baseline
    parts = [
        f'<rect x="{left + 1 + 36 * i:.1f}" y="{top + 12}" width="36" height="10" fill="{colour}"/>'
        for i, colour in enumerate(COLOURS)
    ]
    parts += [
        f'<text x="{left + 1 + 36 * (i + 1):.1f}" y="{top + 34}" text-anchor="middle" font-size="10">{level:g}</text>'
        for i, level in enumerate(LEVELS)
    ]
    end = left + 8 + 36 * len(COLOURS)
    parts.append(f'<text x="{end:.1f}" y="{top + 21}" font-size="10" fill="#444">change in sigma (rms)</text>')
    parts.append(
        f'<text x="{left:.1f}" y="{top + 52}" font-size="11" fill="#444">Severity found at half of the places. '
        f"Without a fault {base.share:.1%} of {base.n} places alarm.</text>"
    )
    return parts


def _shortened(name: str) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= LONGEST_NAME else printable[: LONGEST_NAME - 1] + "\u2026"

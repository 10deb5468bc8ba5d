"""The what-if table as a picture: alarm events a day, and faults found, against the alarm line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sensorad.thresholds.what_if import WhatIf

__all__ = ["what_if_svg"]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 56, 24, 48

Floats = NDArray[np.float64]


def what_if_svg(table: WhatIf, line: float | None = None) -> str:
    """One self-contained SVG: alarm events a day on a log scale with their interval, and the share of faults found.

    Parameters
    ----------
    table
        From `what_if`.
    line
        The alarm line in force, marked where given.

    Examples
    --------
    >>> lines, rates = np.array([1.0, 2.0, 4.0]), np.array([9.0, 1.0, 0.0])
    >>> table = WhatIf(lines, np.array([90, 10, 0]), rates, rates / 2, rates * 2 + 0.2, None, 0, 10.0, 0.9)
    >>> what_if_svg(table, line=2.0).startswith("<svg ")
    True
    """
    x = _Axis(np.log10(table.threshold), LEFT, WIDTH - RIGHT)
    floor = 0.5 / table.days  # half an event in the whole time: where "none" is drawn
    rates = np.log10(np.maximum(np.append(table.high, table.per_day), floor))
    y = _Axis(rates, HEIGHT - BOTTOM, TOP)
    at = x(np.log10(table.threshold))
    low, mean, high = (y(np.log10(np.maximum(v, floor))) for v in (table.low, table.per_day, table.high))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12" role="img" aria-label="Alarm events a day against the alarm line">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_ticks(table, x, y),
        f'<polygon points="{_points(at, low)} {_points(at[::-1], high[::-1])}" fill="#1f6fb2" fill-opacity="0.15"/>',
        f'<polyline points="{_points(at, mean)}" fill="none" stroke="#1f6fb2" stroke-width="2"/>',
    ]
    if table.n_found is not None and table.n_faults:
        share = HEIGHT - BOTTOM - table.n_found / table.n_faults * (HEIGHT - BOTTOM - TOP)
        parts.append(f'<polyline points="{_points(at, share)}" fill="none" stroke="#b3541e" stroke-width="2"/>')
        parts += [
            f'<text x="{WIDTH - RIGHT + 8}" y="{HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP) + 4:.1f}"'
            f' fill="#b3541e">{part:.0%}</text>'
            for part in (0.0, 0.5, 1.0)
        ]
        parts.append(
            f'<text x="{WIDTH - 8}" y="{TOP - 8}" text-anchor="end" fill="#b3541e">'
            f"faults found, of {table.n_faults}</text>"
        )
    if line is not None:
        place = float(x(np.log10(np.array([line])))[0])
        parts.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#222"/>')
        parts.append(f'<text x="{place + 4:.1f}" y="{HEIGHT - BOTTOM - 6}">{line:.3g}</text>')
    parts.append(
        f'<text x="{LEFT}" y="{TOP - 8}" fill="#1f6fb2">alarm events a day, {table.confidence:.0%} interval</text>'
    )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">alarm line</text></svg>'
    )
    return "\n".join(parts) + "\n"


class _Axis:
    """From values to places, the whole range used."""

    def __init__(self, values: Floats, start: float, end: float) -> None:
        self.low, self.high = float(values.min()), float(max(values.max(), values.min() + 1e-6))
        self._start, self._end = start, end

    def __call__(self, values: Floats) -> Floats:
        return np.asarray(self._start + (values - self.low) / (self.high - self.low) * (self._end - self._start))


def _ticks(table: WhatIf, x: _Axis, y: _Axis) -> list[str]:
    parts = []
    for value in _round_numbers(y.low, y.high):
        place = float(y(np.log10(np.array([value])))[0])
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _round_numbers(x.low, x.high):
        place = float(x(np.log10(np.array([value])))[0])
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>')
    return parts


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within 10**low to 10**high; powers of ten alone where those are many."""
    digits = (1.0,) if high - low > 2 else (1.0, 2.0, 5.0) if high - low > 0.9 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in digits]
    return [value for value in values if low <= np.log10(value) <= high]


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

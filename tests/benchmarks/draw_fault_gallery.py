"""Draw docs/figures/fault-gallery.svg: the same stretch of one simulated sensor with each kind of fault in it.

python tests/benchmarks/draw_fault_gallery.py [-o FILE.svg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensorad.augment.faults import FAULTS, Fault, SensorStatistics, inject

FIGURE = Path(__file__).parents[2] / "docs" / "figures" / "fault-gallery.svg"
COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 4, 210, 128
MARGIN, TITLE = 10, 34
SHOWN = slice(940, 1100)
START, LENGTH = 980, 80
GREY, COLOUR = "#9aa3ab", "#c2410c"

PANELS = (
    *(Fault("bias", (0,), START, LENGTH, 1.5), Fault("drift", (0,), START, LENGTH, 3.0)),
    *(Fault("gain", (0,), START, LENGTH, 1.8), Fault("spike", (0,), START + 30, 2, 0.8)),
    *(Fault("stuck", (0,), START, LENGTH, LENGTH), Fault("dropout", (0,), START, LENGTH, 0.3)),
    *(Fault("dropout", (0,), START, LENGTH, 1.0, form="missing"), Fault("noise", (0,), START, LENGTH, 5.0)),
    *(Fault("intermittent", (0,), START, LENGTH, 0.3), Fault("lag", (0,), START, LENGTH, 12.0)),
    *(Fault("correlation", (0,), START, LENGTH, 1.0), Fault("correlation", (0, 1), START, LENGTH, 1.0, form="swap")),
    *(Fault("frequency", (0,), START, LENGTH, 2.0), Fault("saturation", (0,), START, LENGTH, 0.65, -1)),
    *(Fault("quantisation", (0,), START, LENGTH, 1.0), Fault("oscillation", (0,), START, LENGTH, 0.7, period=9.0)),
)


def simulated_rows() -> NDArray[np.float64]:
    """Two sensors (T, 2) of one process: a slow and a fast load, noise; the second follows later and differs."""
    rng = np.random.default_rng(7)
    time = np.arange(2000)[:, None]
    behind = np.array([0.0, 40.0])
    load = np.sin(2 * np.pi * (time - behind) / 118) + 0.45 * np.sin(2 * np.pi * (time - behind) / 37)
    return np.array([50.0, 8.0]) + np.array([6.0, 1.0]) * (load + 0.08 * rng.normal(size=(2000, 2)))


def gallery_svg() -> str:
    """The whole figure."""
    rows = simulated_rows()
    statistics = SensorStatistics.fit(rows)
    n_lines = -(-len(PANELS) // COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, n_lines * PANEL_HEIGHT + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="12" role="img" aria-label="One sensor with each kind of synthetic fault">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, fault in enumerate(PANELS):
        injected = inject(rows, [fault], statistics, np.random.default_rng(3))
        x, y = number % COLUMNS * PANEL_WIDTH, number // COLUMNS * PANEL_HEIGHT
        parts.append(f'<g transform="translate({x},{y})">')
        parts += _panel(fault, rows[SHOWN, 0], injected.rows[SHOWN, 0], injected.mask[SHOWN, 0])
        parts.append("</g>")
    legend = height - 10
    parts.append(
        f'<line x1="{MARGIN}" x2="34" y1="{legend - 4}" y2="{legend - 4}" stroke="{GREY}" stroke-width="1.5"/>'
    )
    parts.append(f'<text x="40" y="{legend}" fill="#444">as it was</text>')
    parts.append(f'<line x1="120" x2="144" y1="{legend - 4}" y2="{legend - 4}" stroke="{COLOUR}" stroke-width="1.8"/>')
    parts.append(
        f'<text x="150" y="{legend}" fill="#444">cells labelled faulty (dashed at the lower edge: missing)</text>'
    )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(fault: Fault, clean: NDArray[np.float64], faulty: NDArray[np.float64], mask: NDArray[np.bool_]) -> list[str]:
    kind = FAULTS[fault.kind]
    told = faulty[np.isfinite(faulty)]
    low, high = min(clean.min(), told.min()), max(clean.max(), told.max())
    x = MARGIN + np.arange(len(clean)) * (PANEL_WIDTH - 2 * MARGIN) / (len(clean) - 1)
    bottom = PANEL_HEIGHT - MARGIN
    place = bottom - (np.stack([clean, np.where(np.isfinite(faulty), faulty, low)]) - low) / (high - low) * (
        bottom - TITLE
    )
    size = f"{fault.severity:g} {kind.unit_of_severity}" + (f", {fault.variant}" if fault.variant else "")
    parts = [
        f'<text x="{MARGIN}" y="14" font-weight="bold">{fault.kind}</text>',
        f'<text x="{MARGIN}" y="27" font-size="10.5" fill="#666">{size}</text>',
        f'<polyline points="{_points(x, place[0])}" fill="none" stroke="{GREY}" stroke-width="1.2"/>',
    ]
    edges = np.flatnonzero(np.diff(mask.astype(int), prepend=0, append=0))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first == 1:
            parts.append(f'<circle cx="{x[first]:.1f}" cy="{place[1, first]:.1f}" r="1.4" fill="{COLOUR}"/>')
            continue
        run = slice(first, last)
        line = _points(x[run], place[1, run])
        dashes = "" if np.isfinite(faulty[run]).all() else ' stroke-dasharray="2 3"'
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOUR}" stroke-width="1.8"{dashes}/>')
    return parts


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=FIGURE)
    target = parser.parse_args().output
    target.write_text(gallery_svg(), encoding="utf-8")
    print(f"drawn in {target}")

"""Draws docs/figures/augmentations.svg: what each augmentation does to one window of two sensors.

    python tests/benchmarks/draw_augmentations.py [FILE]

Strengths are those written above each panel, most of them larger than the defaults so that they can be seen.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np

from sensorad.augment import (
    AUGMENTATIONS,
    Augmentation,
    Crop,
    Dropout,
    Jitter,
    MagnitudeWarp,
    Permutation,
    Scaling,
    Shift,
    Slice,
    TimeWarp,
)

__all__ = ["augmentations_svg", "main"]

TARGET = Path(__file__).parents[2] / "docs" / "figures" / "augmentations.svg"
ROWS, COLUMNS = 60, 3
# Settings that show, and a seed of which the draw does: a permutation may also leave all as it was.
SHOWN: tuple[tuple[Augmentation, int], ...] = (
    (Jitter(sigma=0.15), 0),
    (Scaling(sigma=0.3), 0),
    (MagnitudeWarp(sigma=0.3), 3),
    (TimeWarp(sigma=0.6), 1),
    (Shift(rows=8), 2),
    (Crop(least=0.5), 1),
    (Slice(least=0.6), 1),
    (Dropout(share=0.5), 0),
    (Permutation(groups=((0, 1),)), 0),
)
PANEL_WIDTH, PANEL_HEIGHT, HEADER = 240, 170, 34
COLOURS = ("#1f6fb2", "#b3541e")


def example_window() -> np.ndarray:
    """A heating cycle and the temperature that follows it, (1, L, 2) float32 in deviations."""
    row = np.arange(ROWS)
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, ROWS))
    heat = np.sin(2 * np.pi * row / 30) + 0.6 * (row > 38)
    follower = np.sin(2 * np.pi * (row - 5) / 30) + 0.6 * (1 - np.exp(-np.maximum(row - 40, 0) / 6))
    return np.stack([heat, follower], axis=1)[None].astype(np.float32) + noise.T.astype(np.float32)


def augmentations_svg() -> str:
    """One self-contained SVG with a panel for each augmentation, in the order of `AUGMENTATIONS`."""
    assert [step.name for step, _ in SHOWN] == list(AUGMENTATIONS)
    n_rows = -(-len(SHOWN) // COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, n_rows * PANEL_HEIGHT + HEADER
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="12" role="img" aria-label="One window of two sensors before and after each augmentation">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="12" y="21" fill="#888">grey: as measured</text>'
        f'<text x="130" y="21" fill="{COLOURS[0]}">sensor 0, augmented</text>'
        f'<text x="258" y="21" fill="{COLOURS[1]}">sensor 1, which follows it, augmented</text>',
    ]
    window = example_window()
    for number, (step, seed) in enumerate(SHOWN):
        left, top = number % COLUMNS * PANEL_WIDTH, number // COLUMNS * PANEL_HEIGHT + HEADER
        changed = step(window, np.random.default_rng(seed))
        parts.append(f'<g transform="translate({left} {top})">{_panel(step, window[0], changed[0])}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=TARGET)
    target = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(augmentations_svg(), encoding="utf-8")
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


def _panel(step: Augmentation, window: np.ndarray, changed: np.ndarray) -> str:
    settings = ", ".join(f"{part.name}={_short(getattr(step, part.name))}" for part in fields(step)[:1])
    parts = [
        f'<rect x="8" y="0" width="{PANEL_WIDTH - 16}" height="{PANEL_HEIGHT - 10}" fill="none" stroke="#ddd"/>',
        f'<text x="16" y="17"><tspan font-weight="bold">{step.name}</tspan>'
        f' <tspan fill="#888">{settings}</tspan></text>',
    ]
    for sensor, colour in enumerate(COLOURS):
        middle = 62 + 62 * sensor
        parts.append(_line(window[:, sensor], middle, "#aaa", 2.5))
        parts.append(_line(changed[:, sensor], middle, colour, 1.3))
    return "".join(parts)


def _line(values: np.ndarray, middle: float, colour: str, width: float) -> str:
    x = np.linspace(16, PANEL_WIDTH - 16, len(values))
    y = middle - 20 * values
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _short(value: object) -> str:
    return str(value).replace("(", "[").replace(")", "]").replace(",]", "]") if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()

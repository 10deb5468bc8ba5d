"""Wafer maps with patterns of failing dies, single and mixed, made on demand.

A wafer is a disc of dies; each passes (0.5) or fails (1), and there is nothing (0) around it. What goes wrong in
production shows as a pattern of failing dies. Public sets of real maps (WM-811K, Wu et al. 2015; MixedWM38, Wang et al.
2020) name the eight that are made here; in the latter several of them share a wafer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError, unknown_name

__all__ = [
    "WAFER_PATTERNS",
    "Arc",
    "Everywhere",
    "Line",
    "Shape",
    "Spot",
    "WaferMaps",
    "die_places",
    "draw_shape",
    "fail_probability",
    "wafer_combinations",
    "wafer_maps",
]

Floats = NDArray[np.float64]

WAFER_PATTERNS = ("centre", "donut", "edge-location", "edge-ring", "location", "scratch", "near-full", "random")
"""Names of all patterns, in the order of the columns of labels."""

_WHOLE_WAFER = {"near-full", "random"}
"""Cover all others, so that they are never mixed with one."""

_EXCLUSIVE = ({"centre", "donut"}, {"edge-location", "edge-ring"})
"""At the same place: a wafer has at most one of each group, as in MixedWM38."""

BACKGROUND = (0.01, 0.05)
"""Least and largest share of dies that fail for no reason."""

_PASSES, _FAILS = 0.5, 1.0


class Shape(Protocol):
    """Where a pattern is, and which share of the dies there fails."""

    @property
    def share(self) -> float:
        """Share of the dies inside that fail."""

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Which places (...) lie inside; the wafer is the disc of radius 1 around (0, 0)."""


@dataclass(frozen=True, slots=True)
class Spot:
    """An ellipse around (``x``, ``y``), its half axis ``length`` turned by ``angle`` from the x axis."""

    share: float
    x: float
    y: float
    length: float
    width: float
    angle: float = 0.0

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """As `Shape` has it."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along = cos * (x - self.x) + sin * (y - self.y)
        across = cos * (y - self.y) - sin * (x - self.x)
        return np.asarray((along / self.length) ** 2 + (across / self.width) ** 2 <= 1.0)


@dataclass(frozen=True, slots=True)
class Arc:
    """A ring around (``x``, ``y``), radius ``inner`` to ``outer``, up to ``half_width`` from direction ``angle``."""

    share: float
    x: float
    y: float
    inner: float
    outer: float
    angle: float = 0.0
    half_width: float = math.pi

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """As `Shape` has it."""
        dx, dy = x - self.x, y - self.y
        radius = np.hypot(dx, dy)
        turned = np.abs(np.angle(np.exp(1j * (np.arctan2(dy, dx) - self.angle))))  # 0 to pi
        return np.asarray((radius >= self.inner) & (radius <= self.outer) & (turned <= self.half_width))


@dataclass(frozen=True, slots=True)
class Line:
    """Within ``width`` / 2 of a parabola of ``length`` through (``x``, ``y``); ``bend`` is its rise at both ends."""

    share: float
    x: float
    y: float
    length: float
    width: float
    angle: float = 0.0
    bend: float = 0.0

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """As `Shape` has it; distances are taken across the chord."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along = cos * (x - self.x) + sin * (y - self.y)
        across = cos * (y - self.y) - sin * (x - self.x)
        half = self.length / 2.0
        off = np.abs(across - self.bend * (along / half) ** 2)
        return np.asarray((np.abs(along) <= half) & (off <= self.width / 2.0))


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The whole wafer."""

    share: float

    def covers(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """As `Shape` has it."""
        return np.ones(np.broadcast(x, y).shape, bool)


@dataclass(frozen=True, slots=True, eq=False)
class WaferMaps:
    """Maps and what is on them.

    Attributes
    ----------
    images : (N, 1, size, size) float32
        0 around the wafer, 0.5 a die that passes, 1 a die that fails.
    labels : (N, K) float32
        1 where the map has the pattern, one column for each of ``patterns``.
    patterns
        Names of the K patterns.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.float32]
    patterns: tuple[str, ...] = WAFER_PATTERNS

    @property
    def failing(self) -> NDArray[np.float32]:
        """(N, 1, size, size): 1 where a die fails, 0 elsewhere."""
        return np.asarray(self.images == _FAILS, np.float32)


def wafer_combinations(n_patterns: int, patterns: Sequence[str] = WAFER_PATTERNS) -> list[tuple[str, ...]]:
    """Which ``n_patterns`` of ``patterns`` can be on one wafer: with two, 13 of the eight, as in MixedWM38.

    Examples
    --------
    >>> [len(wafer_combinations(n)) for n in (1, 2, 3, 4)]
    [8, 13, 12, 4]
    """
    for name in patterns:
        if name not in WAFER_PATTERNS:
            raise unknown_name("wafer pattern", name, WAFER_PATTERNS)
    return [
        chosen
        for chosen in combinations(dict.fromkeys(patterns), n_patterns)
        if n_patterns == 1
        or not (_WHOLE_WAFER & set(chosen) or any(len(group & set(chosen)) > 1 for group in _EXCLUSIVE))
    ]


def wafer_maps(
    n: int,
    generator: np.random.Generator,
    patterns: Sequence[str] = WAFER_PATTERNS,
    size: int = 32,
    n_patterns: Sequence[int] = (1,),
) -> WaferMaps:
    """``n`` wafer maps, each with some of ``patterns``: every number in ``n_patterns`` and every choice equally often.

    Parameters
    ----------
    n
        Maps, N.
    generator
        Source of all randomness.
    patterns
        Names, one column of labels each.
    size
        Height and width in dies, 8 or more.
    n_patterns
        How many patterns a map may have at once, such as (1,) or (2, 3).

    Raises
    ------
    UsageError
        Where a name is unknown, a size too small, or so many patterns never share a wafer.

    Examples
    --------
    >>> maps = wafer_maps(6, np.random.default_rng(0), n_patterns=(2, 3))
    >>> maps.images.shape, maps.labels.sum(axis=1)
    ((6, 1, 32, 32), array([2., 3., 2., 3., 2., 3.], dtype=float32))
    """
    if size < 8 or n < 1:
        raise UsageError(f"at least one map of at least 8 x 8 dies expected, got {n} of {size} x {size}")
    choices = {count: wafer_combinations(count, patterns) for count in n_patterns}
    if not choices or not all(choices.values()):
        raise UsageError(
            f"no choices of {list(n_patterns)} of {len(patterns)} patterns can be on one wafer",
            hint="near-full and random are always alone, centre and donut or the two at the edge never together",
        )
    names = tuple(dict.fromkeys(patterns))
    x, y = die_places(size)
    is_die = x**2 + y**2 <= 1.0
    images = np.zeros((n, 1, size, size), np.float32)
    labels = np.zeros((n, len(names)), np.float32)
    counts = list(choices)
    # In turn and not at random, so that no choice is rare by chance; each count starts at its own random place.
    starts = {count: int(generator.integers(len(choices[count]))) for count in counts}
    for row in range(n):
        count = counts[row % len(counts)]
        chosen = choices[count][(starts[count] + row // len(counts)) % len(choices[count])]
        shapes = [draw_shape(name, generator, size) for name in chosen]
        background = float(generator.uniform(*BACKGROUND))
        is_failing = generator.random((size, size)) < fail_probability(shapes, background, x, y)
        images[row, 0] = np.where(is_die, np.where(is_failing, _FAILS, _PASSES), 0.0)
        labels[row, [names.index(name) for name in chosen]] = 1.0
    return WaferMaps(images, labels, names)


def die_places(size: int) -> tuple[Floats, Floats]:
    """x and y (size, size) of the middles of the dies; y points up, and the wafer just touches the border."""
    middles = (2.0 * np.arange(size) + 1.0) / size - 1.0
    x, y = np.meshgrid(middles, -middles)
    return x, y


def fail_probability(shapes: Sequence[Shape], background: float, x: Floats, y: Floats) -> Floats:
    """Of each place: one minus the product of the chances to survive the background and every shape that covers it."""
    survives = np.full(np.shape(x), 1.0 - background)
    for shape in shapes:
        survives = np.where(shape.covers(x, y), survives * (1.0 - shape.share), survives)
    return np.asarray(1.0 - survives)


def draw_shape(name: str, generator: np.random.Generator, size: int = 32) -> Shape:
    """A pattern at a random place and of a random extent; widths of scratches are in dies of a map of that size."""

    def within(low: float, high: float) -> float:
        return float(generator.uniform(low, high))

    share, angle = within(0.65, 0.95), within(-math.pi, math.pi)
    if name == "centre":
        radius = within(0.2, 0.38)
        return Spot(share, within(-0.1, 0.1), within(-0.1, 0.1), radius, radius * within(0.75, 1.0), angle)
    if name == "donut":
        inner = within(0.22, 0.36)
        return Arc(share, within(-0.1, 0.1), within(-0.1, 0.1), inner, inner + within(0.18, 0.3))
    if name == "edge-location":
        return Arc(share, 0.0, 0.0, within(0.7, 0.84), 1.0, angle, within(0.3, 0.8))
    if name == "edge-ring":
        return Arc(share, 0.0, 0.0, within(0.82, 0.92), 1.0)
    if name == "location":
        # Clear of the centre and of the edge, where the same spot would have another name.
        away, length = within(0.48, 0.6), within(0.18, 0.28)
        place = within(-math.pi, math.pi)
        return Spot(share, away * math.cos(place), away * math.sin(place), length, length * within(0.7, 1.0), angle)
    if name == "scratch":
        away, place = within(0.0, 0.4), within(-math.pi, math.pi)
        width = within(1.6, 2.6) * 2.0 / size
        return Line(
            share, away * math.cos(place), away * math.sin(place), within(0.9, 1.5), width, angle, within(-0.2, 0.2)
        )
    if name == "near-full":
        return Everywhere(within(0.75, 0.97))
    if name == "random":
        return Everywhere(within(0.15, 0.4))
    raise unknown_name("wafer pattern", name, WAFER_PATTERNS)

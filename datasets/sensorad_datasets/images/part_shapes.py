"""How the generated parts are drawn: soft-edged shapes from signed distances, in the part's own turned coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "box", "bracket", "capsule", "mesh", "segment", "tile", "washer"]

Plane = NDArray[np.float64]

NOISE = 0.02
"""Standard deviation of the noise of each pixel."""

TURN = 0.25
"""Radians by which a part is turned to either side."""


class Canvas:
    """A picture in the making; coordinates run from -1 to 1 over it.

    Parameters
    ----------
    size
        Side in pixels.
    generator
        Source of place, turn, light, defects and noise.
    """

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.generator = generator
        self.size = size
        axis = (np.arange(size) + 0.5) / size * 2.0 - 1.0
        self.x, self.y = np.meshgrid(axis, axis)  # (H, W) each
        self._u, self._v = self.x, self.y
        grey = generator.uniform(0.12, 0.28)
        tint = generator.normal(0.0, 0.015, 3)
        slope = generator.normal(0.0, 0.04, 2)
        light = grey + slope[0] * self.x + slope[1] * self.y  # (H, W)
        self.pixels = light[None] + tint[:, None, None]  # (3, H, W)

    def place(self, turn: float, *, is_mirrored: bool = False) -> tuple[Plane, Plane]:
        """Coordinates (H, W) of a part turned by up to ``turn`` radians, and a little off the middle and the size."""
        angle = self.generator.uniform(-turn, turn)
        x0, y0 = self.generator.uniform(-0.12, 0.12, 2)
        zoom = self.generator.uniform(0.92, 1.08)
        x, y = (self.x - x0) / zoom, (self.y - y0) / zoom
        self._u, self._v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        if is_mirrored:
            self._u = -self._u
        return self._u, self._v

    def paint(
        self, distance: Plane, colour: tuple[float, float, float] | NDArray[np.float64], share: float = 1.0
    ) -> None:
        """Colour where ``distance`` (H, W) is negative, softly over one pixel at the edge."""
        cover = share * np.clip(0.5 - distance * self.size / 2.0, 0.0, 1.0)  # (H, W)
        self.pixels += cover * (np.asarray(colour, np.float64)[:, None, None] - self.pixels)

    def colour(self, red: float, green: float, blue: float) -> NDArray[np.float64]:
        """A colour that varies a little from part to part."""
        return np.array([red, green, blue]) * self.generator.uniform(0.9, 1.1) + self.generator.normal(0.0, 0.02, 3)

    def point_in(self, distance: Plane, depth: float = 0.08) -> tuple[float, float]:
        """A place (u, v) at random, at least ``depth`` inside a shape."""
        rows, columns = np.nonzero(distance < -depth)
        at = self.generator.integers(len(rows))
        return float(self._u[rows[at], columns[at]]), float(self._v[rows[at], columns[at]])

    def edge_point(self, distance: Plane) -> tuple[float, float]:
        """A place (u, v) at random on the outline of a shape."""
        rows, columns = np.nonzero(np.abs(distance) < 3.0 / self.size)
        at = self.generator.integers(len(rows))
        return float(self._u[rows[at], columns[at]]), float(self._v[rows[at], columns[at]])

    def scratch(self, distance: Plane) -> None:
        """A thin light line on the part, somewhere and in any direction."""
        u, v = self.point_in(distance)
        angle, half = self.generator.uniform(0.0, np.pi), self.generator.uniform(0.2, 0.4)
        line = segment(self._u, self._v, (u, v), angle, half) - 0.035
        self.paint(np.maximum(line, distance), self.colour(0.95, 0.95, 0.98), self.generator.uniform(0.6, 1.0))

    def stain(self, distance: Plane) -> None:
        """A soft dark spot on the part."""
        u, v = self.point_in(distance)
        radius = self.generator.uniform(0.13, 0.24)
        spot = np.hypot(self._u - u, self._v - v) - radius
        self.paint(np.maximum(spot, distance), self.colour(0.22, 0.17, 0.1), self.generator.uniform(0.5, 0.9))

    def chip(self, distance: Plane) -> Plane:
        """The shape with a bite out of its edge."""
        u, v = self.edge_point(distance)
        return np.maximum(distance, self.generator.uniform(0.16, 0.26) - np.hypot(self._u - u, self._v - v))

    def finished(self) -> NDArray[np.float32]:
        """The picture (3, H, W) float32 in [0, 1], with the noise of a camera."""
        noisy = self.pixels + self.generator.normal(0.0, NOISE, self.pixels.shape)
        clipped: NDArray[np.float32] = np.clip(noisy, 0.0, 1.0).astype(np.float32)
        return clipped


def bracket(canvas: Canvas, state: str) -> None:
    """An L with an upturned end and a hole: it has a left and a right, and hangs nearly upright."""
    u, v = canvas.place(TURN, is_mirrored=state == "flipped")
    shape = np.minimum(box(u + 0.2, v, 0.16, 0.68), box(u - 0.12, v - 0.52, 0.42, 0.16))
    shape = np.minimum(shape, box(u - 0.4, v - 0.34, 0.14, 0.2))
    shape = np.maximum(shape, 0.09 - np.hypot(u + 0.2, v + 0.45))
    if state == "chipped":
        shape = canvas.chip(shape)
    canvas.paint(shape, canvas.colour(0.6, 0.62, 0.66))
    if state == "scratched":
        canvas.scratch(shape)


def capsule(canvas: Canvas, state: str) -> None:
    """Two halves of different colours, a stripe printed on one of them; dented, or the stripe elsewhere."""
    u, v = canvas.place(TURN, is_mirrored=bool(canvas.generator.integers(2)))
    shape = segment(u, v, (0.0, 0.0), 0.0, 0.42) - 0.3
    if state == "dented":
        at, side = canvas.generator.uniform(-0.4, 0.4), canvas.generator.choice([-1.0, 1.0])
        shape = np.maximum(shape, canvas.generator.uniform(0.22, 0.32) - np.hypot(u - at, v - 0.36 * side))
    canvas.paint(shape, canvas.colour(0.8, 0.72, 0.55))
    canvas.paint(np.maximum(shape, -u), canvas.colour(0.62, 0.22, 0.2))
    wrong = canvas.generator.uniform(0.5, 0.7) if state == "misprinted" else 0.0
    stripe = box(u + 0.32 - wrong, v, 0.05, 0.18)
    canvas.paint(stripe, canvas.colour(0.15, 0.15, 0.3), 0.9)


def mesh(canvas: Canvas, state: str) -> None:
    """Woven wires; one interrupted, or a thread across."""
    u, v = canvas.place(TURN)
    pitch = 0.3
    along, across = np.abs((u + pitch / 2) % pitch - pitch / 2), np.abs((v + pitch / 2) % pitch - pitch / 2)
    wires = np.minimum(along, across) - 0.045
    if state == "broken":
        at_u, at_v = pitch * canvas.generator.integers(-1, 2), pitch * (canvas.generator.integers(-1, 2) + 0.5)
        wires = np.maximum(wires, canvas.generator.uniform(0.2, 0.28) - np.hypot(u - at_u, v - at_v))
    canvas.paint(wires, canvas.colour(0.62, 0.6, 0.5))
    if state == "thread":
        middle = tuple(canvas.generator.uniform(-0.3, 0.3, 2))
        thread = segment(u, v, (middle[0], middle[1]), canvas.generator.uniform(0.0, np.pi), 0.5) - 0.045
        canvas.paint(thread, canvas.colour(0.75, 0.35, 0.3), 0.8)


def tile(canvas: Canvas, state: str) -> None:
    """A square with a grain; cracked or stained."""
    u, v = canvas.place(TURN)
    shape = box(u, v, 0.62, 0.62)
    phase = canvas.generator.uniform(0.0, 2.0 * np.pi, 2)
    grain = 0.03 * np.sin(9.0 * u + 4.0 * v + phase[0]) + 0.03 * np.sin(5.0 * u - 11.0 * v + phase[1])  # (H, W)
    canvas.paint(shape, canvas.colour(0.5, 0.44, 0.38))
    canvas.pixels += grain * (shape < 0.0)
    if state == "cracked":
        angle, (at_u, at_v) = canvas.generator.uniform(0.0, np.pi), canvas.point_in(shape, 0.25)
        for _ in range(2):
            crack = segment(u, v, (at_u, at_v), angle, 0.28) - 0.035
            canvas.paint(np.maximum(crack, shape), (0.2, 0.17, 0.15), 0.8)
            at_u, at_v = at_u + 0.22 * np.cos(angle), at_v + 0.22 * np.sin(angle)
            angle += canvas.generator.uniform(0.5, 1.0) * canvas.generator.choice([-1.0, 1.0])
    elif state == "stained":
        canvas.stain(shape)


def washer(canvas: Canvas, state: str) -> None:
    """A ring; chipped, scratched or stained."""
    u, v = canvas.place(TURN)
    radius = np.hypot(u, v)
    shape = np.maximum(radius - 0.66, 0.3 - radius)
    if state == "chipped":
        shape = canvas.chip(shape)
    canvas.paint(shape, canvas.colour(0.58, 0.6, 0.58))
    if state == "scratched":
        canvas.scratch(shape)
    elif state == "stained":
        canvas.stain(shape)


def box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    """Signed distance to an upright rectangle about the origin."""
    across, along = np.abs(u) - half_width, np.abs(v) - half_height
    outside: Plane = np.hypot(np.maximum(across, 0.0), np.maximum(along, 0.0))
    return outside + np.minimum(np.maximum(across, along), 0.0)


def segment(u: Plane, v: Plane, middle: tuple[float, float], angle: float, half: float) -> Plane:
    """Distance to a straight piece of line."""
    along = (u - middle[0]) * np.cos(angle) + (v - middle[1]) * np.sin(angle)
    across = (v - middle[1]) * np.cos(angle) - (u - middle[0]) * np.sin(angle)
    found: Plane = np.hypot(np.maximum(np.abs(along) - half, 0.0), across)
    return found

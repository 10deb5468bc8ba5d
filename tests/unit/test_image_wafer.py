"""Wafer maps: shapes die by die, labels that say what was drawn, and every choice of patterns equally often."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from sensorad.errors import UsageError
from sensorad_datasets.images import WAFER_PATTERNS, wafer, wafer_combinations, wafer_maps
from sensorad_datasets.images.wafer import Arc, Everywhere, Line, Shape, Spot, die_places, draw_shape, fail_probability


def naive_covers(shape: Shape, x: float, y: float) -> bool:
    """One die at a time, by school geometry."""
    if isinstance(shape, Everywhere):
        return True
    assert isinstance(shape, Spot | Arc | Line)
    dx, dy = x - shape.x, y - shape.y
    if isinstance(shape, Arc):
        between = math.degrees(math.atan2(dy, dx) - shape.angle) % 360.0
        return shape.inner <= math.hypot(dx, dy) <= shape.outer and min(between, 360.0 - between) <= math.degrees(
            shape.half_width
        )
    # Turned back by the angle, so that the long axis lies on the x axis.
    radius, direction = math.hypot(dx, dy), math.atan2(dy, dx) - shape.angle
    u, v = radius * math.cos(direction), radius * math.sin(direction)
    if isinstance(shape, Spot):
        return (u / shape.length) ** 2 + (v / shape.width) ** 2 <= 1.0
    height = shape.bend * (2.0 * u / shape.length) ** 2
    return -shape.length / 2 <= u <= shape.length / 2 and height - shape.width / 2 <= v <= height + shape.width / 2


@pytest.mark.parametrize("name", WAFER_PATTERNS)
def test_shapes_cover_the_dies_that_school_geometry_says(name: str) -> None:
    generator = np.random.default_rng(0)
    x, y = die_places(24)
    for _ in range(12):
        shape = draw_shape(name, generator, 24)
        covered = shape.covers(x, y)
        assert covered.any()
        for row in range(24):
            for column in range(24):
                assert covered[row, column] == naive_covers(shape, x[row, column], y[row, column])


def test_places_are_the_middles_of_dies_with_y_up() -> None:
    x, y = die_places(4)
    assert x.tolist() == [[-0.75, -0.25, 0.25, 0.75]] * 4
    assert y[:, 0].tolist() == [0.75, 0.25, -0.25, -0.75]


def test_a_die_fails_unless_it_survives_everything() -> None:
    shapes = [Spot(0.5, 0.0, 0.0, 0.4, 0.4), Arc(0.8, 0.0, 0.0, 0.0, 1.0, angle=0.0, half_width=0.5), Everywhere(0.25)]
    x, y = die_places(16)
    found = fail_probability(shapes, 0.1, x, y)
    for row in range(16):
        for column in range(16):
            alive = 0.9
            for shape in shapes:
                if naive_covers(shape, x[row, column], y[row, column]):
                    alive *= 1.0 - shape.share
            assert found[row, column] == pytest.approx(1.0 - alive)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("centre", (0.0, 0.0), (0.0, 0.6)),
        ("edge-ring", (0.0, 0.95), (0.0, 0.0)),
        ("near-full", (0.3, 0.3), None),
        ("random", (0.3, 0.3), None),
    ],
)
def test_patterns_are_where_their_names_say(
    name: str, inside: tuple[float, float], outside: tuple[float, float] | None
) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        shape = draw_shape(name, generator)
        assert naive_covers(shape, *inside)
        assert outside is None or not naive_covers(shape, *outside)
    donut = draw_shape("donut", generator)
    assert not naive_covers(donut, 0.0, 0.0)
    place = draw_shape("edge-location", generator)
    assert isinstance(place, Arc)
    assert naive_covers(place, 0.95 * math.cos(place.angle), 0.95 * math.sin(place.angle))
    assert not naive_covers(place, -0.95 * math.cos(place.angle), -0.95 * math.sin(place.angle))
    spot = draw_shape("location", generator)
    assert isinstance(spot, Spot)
    assert math.hypot(spot.x, spot.y) + spot.length < 1.0


def test_labels_and_images_are_of_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, Shape]] = []
    real = draw_shape

    def remembered(name: str, generator: np.random.Generator, size: int = 32) -> Shape:
        drawn.append((name, real(name, generator, size)))
        return drawn[-1][1]

    monkeypatch.setattr(wafer, "draw_shape", remembered)
    monkeypatch.setattr(wafer, "BACKGROUND", (0.0, 0.0))
    maps = wafer_maps(60, np.random.default_rng(1), size=20, n_patterns=(1, 2, 3))
    x, y = die_places(20)
    assert maps.images.shape == maps.failing.shape == (60, 1, 20, 20)
    assert maps.images.dtype == maps.labels.dtype == np.float32
    for image, failing, label in zip(maps.images[:, 0], maps.failing[:, 0], maps.labels, strict=True):
        n = int(label.sum())
        mine, drawn = drawn[:n], drawn[n:]
        assert {name for name, _ in mine} == {maps.patterns[at] for at in np.flatnonzero(label)}
        for row in range(20):
            for column in range(20):
                place = x[row, column], y[row, column]
                assert failing[row, column] == (image[row, column] == 1.0)
                if math.hypot(*place) > 1.0:
                    assert image[row, column] == 0.0
                elif not any(naive_covers(shape, *place) for _, shape in mine):
                    assert image[row, column] == 0.5
                else:
                    assert image[row, column] in (0.5, 1.0)
    assert drawn == []


def test_dies_fail_as_often_as_shapes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wafer, "draw_shape", lambda name, generator, size=32: Spot(0.7, 0.0, 0.0, 0.5, 0.5))
    monkeypatch.setattr(wafer, "BACKGROUND", (0.03, 0.03))
    maps = wafer_maps(400, np.random.default_rng(0), ("centre",))
    x, y = die_places(32)
    inside, wafer_only = x**2 + y**2 <= 0.25, (x**2 + y**2 > 0.25) & (x**2 + y**2 <= 1.0)
    assert maps.failing[:, 0, inside].mean() == pytest.approx(1.0 - 0.97 * 0.3, abs=0.01)
    assert maps.failing[:, 0, wafer_only].mean() == pytest.approx(0.03, abs=0.005)


def test_combinations_are_those_of_the_published_mixed_maps() -> None:
    for n in (2, 3, 4):
        expected = []
        for chosen in combinations(WAFER_PATTERNS, n):
            is_allowed = "near-full" not in chosen and "random" not in chosen
            is_allowed = is_allowed and not ("centre" in chosen and "donut" in chosen)
            is_allowed = is_allowed and not ("edge-location" in chosen and "edge-ring" in chosen)
            if is_allowed:
                expected.append(chosen)
        assert wafer_combinations(n) == expected
    assert [len(wafer_combinations(n)) for n in (1, 2, 3, 4, 5)] == [8, 13, 12, 4, 0]


def test_every_choice_is_there_equally_often() -> None:
    maps = wafer_maps(2 * 13 * 12, np.random.default_rng(0), size=8, n_patterns=(2, 3))
    counted = Counter(tuple(row) for row in maps.labels.tolist())
    assert Counter(sum(row) for row in maps.labels.tolist()) == {2.0: 156, 3.0: 156}
    assert sorted(counted.values()) == [12] * 13 + [13] * 12
    one = wafer_maps(12, np.random.default_rng(0), ("scratch", "centre"), size=8)
    assert one.patterns == ("scratch", "centre")
    assert one.labels.sum(axis=0).tolist() == [6.0, 6.0]


def test_the_same_generator_gives_the_same_maps() -> None:
    first, again, other = (wafer_maps(5, np.random.default_rng(seed)).images for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_cannot_be_is_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(UsageError, match="did you mean 'donut'"):
        wafer_maps(1, generator, ("donat",))
    with pytest.raises(UsageError, match="can be on one wafer"):
        wafer_maps(1, generator, ("centre", "donut"), n_patterns=(2,))
    with pytest.raises(UsageError, match="can be on one wafer"):
        wafer_maps(1, generator, n_patterns=())
    with pytest.raises(UsageError, match="8 x 8"):
        wafer_maps(1, generator, size=7)
    with pytest.raises(UsageError, match="no wafer pattern 'blob'"):
        draw_shape("blob", generator)

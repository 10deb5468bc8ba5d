"""What the augmentations do that move cells in time: sensor 0 counts rows, and tells where every cell came from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from sensorad.augment import Augmentation, Crop, Dropout, Shift, Slice, TimeWarp

FILLING = np.float32(1e6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def counting_windows(n_windows: int = 50, length: int = 20, n_sensors: int = 4) -> np.ndarray:
    windows = rng(7).standard_normal((n_windows, length, n_sensors)).astype(np.float32)
    windows[:, :, 0] = np.arange(length)
    return windows


def places_of(step: Augmentation, n_windows: int, length: int) -> np.ndarray:
    """Where in its window each row (N, L) was read."""
    return step(counting_windows(n_windows, length), rng())[:, :, 0].astype(np.float64)


@pytest.mark.parametrize("step", [TimeWarp(sigma=0.5), Crop(least=0.4)], ids=repr)
def test_all_sensors_are_read_between_rows_at_the_same_places(step: Augmentation) -> None:
    windows = counting_windows()
    changed = step(windows, rng())
    for n in range(len(windows)):
        for c in range(1, 4):
            twin = np.interp(changed[n, :, 0], np.arange(20), windows[n, :, c])
            np.testing.assert_allclose(changed[n, :, c], twin, atol=2e-5)


@pytest.mark.parametrize("step", [TimeWarp(sigma=0.5), Crop(least=0.4)], ids=repr)
def test_a_cell_read_between_a_measured_and_a_missing_one_is_missing(step: Augmentation) -> None:
    windows = counting_windows()
    usable = rng(8).random(windows.shape) > 0.2
    usable[:, :, 0] = True
    windows[~usable] = FILLING
    changed, moved = step.apply(windows, rng(), usable=usable)
    assert moved is not None
    for n in range(len(windows)):
        for row, place in enumerate(changed[n, :, 0]):
            touched = {int(np.floor(place)), int(np.ceil(place))}
            for c in range(1, 4):
                is_usable = all(usable[n, at, c] for at in touched)
                assert moved[n, row, c] == is_usable
                assert is_usable or changed[n, row, c] == FILLING
    assert 0.5 < moved[:, :, 1:].mean() < 0.75


@pytest.mark.parametrize("nearest", [TimeWarp(0.5, interpolation="nearest"), Crop(0.4, "nearest")], ids=repr)
def test_nearest_takes_rows_as_they_are(nearest: Augmentation) -> None:
    windows = counting_windows()
    between = type(nearest).from_json(nearest.to_json() | {"interpolation": "linear"})
    places = between(windows, rng())[:, :, 0]
    usable = rng(8).random(windows.shape) > 0.2
    changed, moved = nearest.apply(windows, rng(), usable=usable)
    assert moved is not None
    for n in range(len(windows)):
        for row in range(20):
            source = int(changed[n, row, 0])
            assert abs(source - places[n, row]) <= 0.5 + 1e-5
            np.testing.assert_array_equal(changed[n, row], windows[n, source])
            np.testing.assert_array_equal(moved[n, row], usable[n, source])


def test_time_warp_keeps_both_ends_and_never_turns_back() -> None:
    for sigma in (0.2, 3.0, 300.0):
        places = places_of(TimeWarp(sigma=sigma), 500, 30)
        assert (places[:, 0] == 0.0).all()
        assert (places[:, -1] == 29.0).all()
        assert (np.diff(places, axis=1) >= -1e-5).all()
        assert np.isfinite(places).all()
    # strength: small sigmas move little
    small, large = (np.abs(places_of(TimeWarp(sigma=s), 500, 30) - np.arange(30)).max(axis=1) for s in (0.02, 0.2))
    assert 8.0 < np.median(large) / np.median(small) < 12.0
    assert 0.5 < np.median(large) < 2.0


def test_time_warp_speeds_have_the_sigma_asked_for() -> None:
    windows = np.arange(301, dtype=np.float32).reshape(1, 301, 1).repeat(2000, axis=0)
    places = TimeWarp(sigma=0.3, knots=4)(windows, rng())[:, :, 0].astype(np.float64)
    speed = np.log([places[:, at + 2] - places[:, at - 2] for at in (100, 200)])
    # at two knots: the common factor that keeps the ends cancels in the ratio
    assert kstest((speed[0] - speed[1]) / (0.3 * np.sqrt(2.0)), "norm").pvalue > 0.01


def test_crop_reads_an_even_part_whose_length_and_place_are_uniform() -> None:
    places = places_of(Crop(least=0.6), 3000, 21)
    steps = np.diff(places, axis=1)
    np.testing.assert_allclose(steps, steps.mean(axis=1, keepdims=True).repeat(20, axis=1), atol=1e-5)
    share = steps.mean(axis=1)
    assert kstest((share - 0.6) / 0.4, "uniform").pvalue > 0.01
    room = 20.0 - (places[:, -1] - places[:, 0])
    assert kstest(places[:, 0] / room, "uniform").pvalue > 0.01


def mirrored(row: int, length: int) -> int:
    """The row that stands in a place outside of the window, as between two mirrors."""
    while not 0 <= row < length:
        row = -row if row < 0 else 2 * (length - 1) - row
    return row


def test_shift_moves_whole_rows_and_mirrors_at_the_edge() -> None:
    windows = counting_windows(700, 8)
    usable = rng(8).random(windows.shape) > 0.2
    changed, moved = Shift(rows=3).apply(windows, rng(), usable=usable)
    assert moved is not None
    counts = dict.fromkeys(range(-3, 4), 0)
    for n in range(700):
        fits = [
            shift
            for shift in counts
            if all((changed[n, row] == windows[n, mirrored(row - shift, 8)]).all() for row in range(8))
        ]
        assert len(fits) == 1
        counts[fits[0]] += 1
        for row in range(8):
            np.testing.assert_array_equal(moved[n, row], usable[n, mirrored(row - fits[0], 8)])
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_shift_by_all_but_one_row_still_mirrors() -> None:
    windows = counting_windows(200, 4)
    found = {tuple(window[:, 0].astype(int)) for window in Shift(rows=3)(windows, rng())}
    assert found == {tuple(mirrored(row - shift, 4) for row in range(4)) for shift in range(-3, 4)}


def test_slice_keeps_a_part_in_place_and_pads_with_its_edges() -> None:
    windows = counting_windows(2000, 10)
    changed, moved = Slice(least=0.7).apply(windows, rng(), usable=np.ones(windows.shape, bool))
    assert moved is not None
    counts: dict[tuple[int, int], int] = {}
    for n in range(2000):
        rows = changed[n, :, 0].astype(int)
        first, last = rows[0], rows[-1]
        counts[first, last] = counts.get((first, last), 0) + 1
        for row in range(10):
            source = min(max(row, first), last)
            np.testing.assert_array_equal(changed[n, row], windows[n, source])
            assert (moved[n, row] == (source == row)).all()
    # 7 to 10 rows are equally likely, and so are the places of each
    by_length = {
        kept: [counts.get((first, first + kept - 1), 0) for first in range(11 - kept)] for kept in range(7, 11)
    }
    assert sum(map(sum, by_length.values())) == 2000
    assert chisquare([sum(found) for found in by_length.values()]).pvalue > 0.01
    assert all(chisquare(found).pvalue > 0.01 for found in by_length.values() if len(found) > 1)


def test_slice_keeps_no_row_more_than_asked_for() -> None:
    changed = Slice(least=0.56)(counting_windows(500, 25), rng())  # 0.56 * 25 is a little more than 14 in floats
    assert (np.ptp(changed[:, :, 0], axis=1) + 1).min() == 14


def test_slice_spares_missing_cells_it_does_not_touch() -> None:
    windows = counting_windows()
    usable = rng(8).random(windows.shape) > 0.2
    changed, moved = Slice(least=0.5).apply(windows, rng(), usable=usable)
    is_kept = changed[:, :, 0] == np.arange(20)
    np.testing.assert_array_equal(moved, usable & is_kept[:, :, None])


@pytest.mark.parametrize("per_sensor", [False, True])
def test_dropout_draws_a_line_between_the_nearest_kept_samples(per_sensor: bool) -> None:
    windows = counting_windows(300, 16)
    windows[:, :, 0] = rng(3).standard_normal((300, 16))
    changed = Dropout(share=0.4, per_sensor=per_sensor)(windows, rng())
    is_dropped = changed != windows  # noise is never on the line by chance
    assert not is_dropped[:, [0, -1]].any()
    assert abs(is_dropped[:, 1:-1].mean() - 0.4) < 0.02
    rows_alike = (is_dropped == is_dropped[:, :, :1]).all()
    assert rows_alike != per_sensor
    for n in range(300):
        for c in range(4):
            kept = np.flatnonzero(~is_dropped[n, :, c])
            twin = np.interp(np.arange(16), kept, windows[n, kept, c])
            np.testing.assert_allclose(changed[n, :, c], twin, atol=1e-5)


@pytest.mark.parametrize("per_sensor", [False, True])
def test_dropout_beside_missing_cells(per_sensor: bool) -> None:
    windows = counting_windows(300, 16)
    windows[:, :, 0] = rng(3).standard_normal((300, 16))
    step = Dropout(share=0.4, per_sensor=per_sensor)
    is_dropped = step(windows, rng()) != windows
    usable = rng(8).random(windows.shape) > 0.15
    windows[~usable] = FILLING
    changed, moved = step.apply(windows, rng(), usable=usable)
    assert moved is not None
    for n in range(100):
        for c in range(4):
            kept = np.flatnonzero(~is_dropped[n, :, c])
            for row in range(16):
                low, high = kept[kept <= row].max(), kept[kept >= row].min()
                assert moved[n, row, c] == (usable[n, row, c] and usable[n, low, c] and usable[n, high, c])
                if not moved[n, row, c]:
                    assert changed[n, row, c] == FILLING
                elif row in kept:
                    assert changed[n, row, c] == windows[n, row, c]


def test_dropping_everything_leaves_a_line() -> None:
    windows = counting_windows(5)
    changed = Dropout(share=1.0)(windows, rng())
    line = np.linspace(windows[:, 0], windows[:, -1], 20, axis=1)
    np.testing.assert_allclose(changed, line, atol=1e-5)

"""What every augmentation must hold, whatever it does; several in turn; larger training sets."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sensorad.augment import (
    AUGMENTATIONS,
    Augment,
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
    augment_from_names,
    augmentation_from_json,
    enlarged,
    enlarged_with_usable,
)
from sensorad.errors import DataError, SensoradError, UsageError

GROUPS = ((0, 3), (5, 1, 2))
STEPS: list[Augmentation] = [
    *(step for step in AUGMENTATIONS.values() if step.name != "permutation"),
    Permutation(GROUPS),
    TimeWarp(interpolation="nearest"),
    Crop(least=0.5, interpolation="nearest"),
    Dropout(share=0.4, per_sensor=True),
]
NOTHING = [
    Jitter(sigma=0.0),
    Scaling(sigma=0.0),
    MagnitudeWarp(sigma=0.0),
    TimeWarp(sigma=0.0),
    Shift(rows=0),
    Crop(least=1.0),
    Slice(least=1.0),
    Dropout(share=0.0),
    Permutation(()),
]
FILLING = np.float32(1e6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal_windows(n_windows: int = 8, length: int = 20, n_sensors: int = 6) -> np.ndarray:
    return rng(7).standard_normal((n_windows, length, n_sensors)).astype(np.float32)


def holes(windows: np.ndarray, share: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    usable = rng(8).random(windows.shape) >= share
    return np.where(usable, windows, FILLING), usable


def test_all_nine_are_there() -> None:
    names = "jitter scaling magnitude_warp time_warp shift crop slice dropout permutation"
    assert list(AUGMENTATIONS) == names.split()
    assert all(type(step)() == step and step.name == name for name, step in AUGMENTATIONS.items())


@pytest.mark.parametrize("step", STEPS, ids=repr)
class TestEach:
    def test_changes_copies_and_never_what_came(self, step: Augmentation) -> None:
        windows, usable = holes(normal_windows())
        before, usable_before = windows.copy(), usable.copy()
        windows.flags.writeable = usable.flags.writeable = False
        changed, moved = step.apply(windows, rng(), usable=usable)
        assert moved is not None
        assert changed.shape == windows.shape
        assert changed.dtype == np.float32
        assert moved.dtype == np.bool_
        assert not np.array_equal(changed, windows)
        assert not np.shares_memory(changed, windows)
        assert not np.shares_memory(moved, usable)
        np.testing.assert_array_equal(windows, before)
        np.testing.assert_array_equal(usable, usable_before)

    def test_the_seed_decides(self, step: Augmentation) -> None:
        windows = normal_windows()
        first, again, other = (step(windows, rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_windows_differ_in_what_they_get(self, step: Augmentation) -> None:
        same = np.repeat(normal_windows(1), 30, axis=0)
        changed = step(same, rng())
        assert len(np.unique(changed.reshape(30, -1), axis=0)) > 5

    def test_excluded_sensors_come_back_bit_equal(self, step: Augmentation) -> None:
        windows, usable = holes(normal_windows())
        changed, moved = step.apply(windows, rng(), excluded=[4, 1, 1], usable=usable)
        assert moved is not None
        for sensor in (1, 4):
            assert changed[:, :, sensor].tobytes() == windows[:, :, sensor].tobytes()
            np.testing.assert_array_equal(moved[:, :, sensor], usable[:, :, sensor])
        all_changed = step.apply(windows, rng(), usable=usable)[0]
        others = [0, 3] if step.name == "permutation" else [0, 2, 3, 5]
        # what the others get does not depend on who is excluded
        np.testing.assert_array_equal(changed[:, :, others], all_changed[:, :, others])
        assert not np.array_equal(changed[:, :, others], windows[:, :, others])
        everyone = step(windows, rng(), range(6))
        assert everyone.tobytes() == windows.tobytes()

    def test_missing_cells_are_never_mixed_with_measured_ones(self, step: Augmentation) -> None:
        windows, usable = holes(normal_windows(200))
        changed, moved = step.apply(windows, rng(), usable=usable)
        assert moved is not None
        assert np.abs(changed[moved]).max() < 100.0
        missing = changed[~moved]
        assert 0.8 < moved.mean() / usable.mean() < 1.01
        if step.name != "slice":  # what is padded is missing as well, and holds the edge
            assert (missing == FILLING).all()

    def test_a_full_mask_changes_nothing(self, step: Augmentation) -> None:
        windows = normal_windows()
        changed, moved = step.apply(windows, rng(), usable=np.ones(windows.shape, bool))
        assert changed.tobytes() == step(windows, rng()).tobytes()
        assert moved is not None
        assert moved.all() or step.name == "slice"
        assert step.apply(windows, rng())[1] is None

    def test_views_and_empty_batches(self, step: Augmentation) -> None:
        rows = normal_windows(1, 60)[0]
        view = np.lib.stride_tricks.sliding_window_view(rows, 20, axis=0).transpose(0, 2, 1)
        assert step(view, rng()).tobytes() == step(view.copy(), rng()).tobytes()
        assert step(view[:0], rng()).shape == (0, 20, 6)

    def test_json_round_trip(self, step: Augmentation) -> None:
        row = json.loads(json.dumps(step.to_json()))
        assert augmentation_from_json(row) == step
        assert type(step).from_json(row) == step
        assert copy.deepcopy(step) == step
        with pytest.raises(UsageError, match="unknown settings \\['strength'\\]"):
            augmentation_from_json(row | {"strength": 1})

    def test_wrong_arguments(self, step: Augmentation) -> None:
        windows = normal_windows()
        for wrong in (windows[0], windows.astype(np.float64), windows.tolist()):
            with pytest.raises(UsageError, match=r"\(N, L, C\) float32, got .*\(" + step.name):
                step(wrong, rng())
        with pytest.raises(UsageError, match="no sensor 6 to exclude: there are 6"):
            step(windows, rng(), [6])
        with pytest.raises(UsageError, match="positions of sensors from 0, got -1"):
            step(windows, rng(), [-1])
        with pytest.raises(UsageError, match="usable must be"):
            step.apply(windows, rng(), usable=np.ones((8, 20, 5), bool))
        windows[3, 2, 1] = np.nan
        with pytest.raises(DataError, match=f"got nan .{step.name}, window 3, row 2, sensor 1"):
            step(windows, rng())


@pytest.mark.parametrize("step", NOTHING, ids=repr)
def test_strength_zero_is_the_identity_and_draws_nothing(step: Augmentation) -> None:
    windows, usable = holes(normal_windows())
    generator = rng()
    changed, moved = step.apply(windows, generator, usable=usable)
    assert step.is_identity
    assert changed.tobytes() == windows.tobytes()
    assert changed is not windows
    np.testing.assert_array_equal(moved, usable)
    assert generator.random() == rng().random()


def test_huge_values_are_not_mistaken_for_infinite_ones() -> None:
    windows = np.full((1, 4, 1), 3e38, np.float32)  # the sum overflows
    assert np.isfinite(Shift(rows=1)(windows, rng())).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jitter(sigma=-1.0), "sigma must be 0 or more, got -1.0 (jitter)"),
        (lambda: Scaling(sigma=float("nan")), "sigma must be 0 or more, got nan (scaling)"),
        (lambda: Jitter(sigma="much"), "got 'much'"),
        (lambda: Jitter(sigma=True), "got True"),
        (lambda: MagnitudeWarp(knots=1), "knots must be a whole number of at least 2, got 1 (magnitude_warp)"),
        (lambda: TimeWarp(knots=2.5), "got 2.5 (time_warp)"),
        (lambda: TimeWarp(interpolation="cubic"), "one of linear, nearest, got 'cubic' (time_warp)"),
        (lambda: Crop(least=0.0), "least must be between 0.01 and 1, got 0.0 (crop)"),
        (lambda: Crop(interpolation="cubic"), "(crop)"),
        (lambda: Slice(least=1.1), "got 1.1 (slice)"),
        (lambda: Shift(rows=-1), "rows must be a whole number of at least 0, got -1 (shift)"),
        (lambda: Dropout(share=2), "share must be between 0 and 1, got 2 (dropout)"),
        (lambda: Dropout(per_sensor=1), "per_sensor must be true or false, got 1 (dropout)"),
        (lambda: Permutation(groups=5), "groups must be a list of lists of positions, got 5"),
        (lambda: Permutation(groups=((1,),)), "a group needs two or more different sensors, got [1]"),
        (lambda: Permutation(groups=((1, 1),)), "got [1, 1]"),
        (lambda: Permutation(groups=((1, 2), (2, 3))), "sensor 2 is in two groups (permutation): join them"),
        (lambda: Permutation(groups=("ab",)), "a group must be a list of positions, got 'ab'"),
        (lambda: Permutation(groups=(3,)), "got 3"),
        (lambda: Jitter.from_json({"name": "scaling"}), "settings of 'jitter' expected, got those of 'scaling'"),
        (lambda: augmentation_from_json({"name": "jiter"}), "there is no augmentation 'jiter': did you mean 'jitter'?"),
        (lambda: augmentation_from_json({}), "there is no augmentation 'None'"),
        (lambda: Augment(()), "steps must be one or more augmentations, got ()"),
        (lambda: Augment(("jitter",)), "steps must be one or more augmentations"),
        (lambda: Augment((Jitter(),), probability=1.5), "probability must be between 0 and 1, got 1.5"),
        (lambda: Augment((Jitter(),), excluded=("a",)), "excluded must be positions of sensors from 0, got 'a'"),
        (lambda: Augment((Jitter(),), excluded=3), "excluded must be a list of positions, got 3"),
        (lambda: Augment((Jitter(),), excluded_from={"shift": (1,)}), "there is no step 'shift'"),
        (lambda: Augment((Jitter(),), excluded_from=[1]), "excluded_from must map names of steps, got [1]"),
        (lambda: Augment.from_json({"steps": [], "share": 1}), "unknown settings ['share']"),
        (lambda: augment_from_names([]), "steps must be one or more"),
        (lambda: augment_from_names("jitter"), "names must be a list, got 'jitter' (augment): ['jitter']"),
        (lambda: augment_from_names(["jitters"]), "did you mean 'jitter'?"),
        (lambda: augment_from_names(["permutation"]), "permutation and groups of exchangeable sensors need each other"),
        (lambda: augment_from_names(["jitter"], groups=[[0, 1]]), "need each other"),
    ],
)
def test_wrong_settings(make, message: str) -> None:
    with pytest.raises(SensoradError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("step", "fewest"),
    [
        (MagnitudeWarp(), 2),
        (TimeWarp(), 3),
        (Crop(), 2),
        (Slice(least=0.8), 5),
        (Slice(least=0.9), 10),
        (Slice(least=0.5), 2),
        (Shift(rows=3), 4),
        (Dropout(), 3),
    ],
)
def test_windows_too_short_to_change_are_refused(step: Augmentation, fewest: int) -> None:
    long_enough = normal_windows(200, fewest)
    assert not np.array_equal(step(long_enough, rng()), long_enough)
    with pytest.raises(UsageError, match=f"at least {fewest} rows expected, got {fewest - 1} .{step.name}"):
        step(normal_windows(2, fewest - 1), rng())
    with pytest.raises(UsageError, match="rows expected"):
        Augment((step,), probability=0.0)(normal_windows(2, fewest - 1), rng())


def naive_augment(augment: Augment, windows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    changed = windows.copy()
    for step in augment.steps:
        meets = [draw < augment.probability for draw in generator.random(len(windows))]
        chosen = [n for n, is_met in enumerate(meets) if is_met]
        kept = set(augment.excluded) | set(augment.excluded_from.get(step.name, ()))
        part = step(np.array([changed[n] for n in chosen]), generator, sorted(kept))
        for k, n in enumerate(chosen):
            changed[n] = part[k]
    return changed


def test_augment_applies_each_step_in_turn_with_its_probability() -> None:
    windows = normal_windows(300)
    augment = Augment((Scaling(), Shift(), Jitter()), 0.4, excluded=(2,), excluded_from={"jitter": (0,), "shift": ()})
    changed = augment(windows, rng(3))
    np.testing.assert_array_equal(changed, naive_augment(augment, windows, rng(3)))
    is_same = (changed == windows).all(axis=1)  # (N, C)
    assert is_same[:, 2].all()
    assert abs(is_same[:, 1].mean() - 0.6**3) < 0.07
    # without jitter, a shift of 0 rows leaves a window alone as well
    assert abs(is_same[:, 0].mean() - 0.6 * (0.6 + 0.4 / 7)) < 0.09
    assert is_same[:, [1, 3, 4, 5]].all(axis=1).any()
    assert Augment((Jitter(),), 0.0)(windows, rng()).tobytes() == windows.tobytes()
    assert (Augment((Jitter(),), 1.0)(windows, rng()) != windows).any(axis=(1, 2)).all()


def test_augment_moves_the_mask_and_spares_more_on_request() -> None:
    windows, usable = holes(normal_windows(100))
    untouched = windows.copy()
    augment = augment_from_names(["shift", "slice", "jitter"], probability=0.7)
    changed, moved = augment.apply(windows, rng(), excluded=[5], usable=usable)
    assert moved is not None
    assert np.abs(changed[moved]).max() < 100.0
    assert moved.mean() < usable.mean() - 0.02  # slices pad
    assert changed[:, :, 5].tobytes() == windows[:, :, 5].tobytes()
    np.testing.assert_array_equal(moved[:, :, 5], usable[:, :, 5])
    np.testing.assert_array_equal(windows, untouched)
    with pytest.raises(UsageError, match="no sensor 9 to exclude"):
        replace(augment, excluded=(9,))(windows, rng())
    with pytest.raises(UsageError, match=r"no sensor 9 to exclude: there are 6 \(shift\)"):
        replace(augment, excluded_from={"shift": (9,)})(windows, rng())


def test_augment_json_round_trip() -> None:
    augment = augment_from_names(["jitter", "permutation"], 0.3, [1], {"jitter": [2]}, groups=[[3, 2]])
    assert augment.steps == (Jitter(), Permutation(((2, 3),)))
    assert Augment.from_json(json.loads(json.dumps(augment.to_json()))) == augment
    assert copy.deepcopy(augment) == augment


def test_permutation_exchanges_whole_sensors_of_a_group_and_no_others() -> None:
    windows, usable = holes(normal_windows(600))
    changed, moved = Permutation(GROUPS).apply(windows, rng(), usable=usable)
    assert moved is not None
    np.testing.assert_array_equal(changed[:, :, 4], windows[:, :, 4])
    orders: dict[tuple[int, ...], int] = {}
    for n in range(600):
        source = []
        for sensor in range(6):
            fits = [c for c in range(6) if changed[n, :, sensor].tobytes() == windows[n, :, c].tobytes()]
            assert len(fits) == 1
            np.testing.assert_array_equal(moved[n, :, sensor], usable[n, :, fits[0]])
            source += fits
        assert {source[0], source[3]} == {0, 3}
        assert {source[1], source[2], source[5]} == {1, 2, 5}
        orders[tuple(source)] = orders.get(tuple(source), 0) + 1
    assert len(orders) == 2 * 6
    assert all(abs(count - 50) < 25 for count in orders.values())
    with pytest.raises(UsageError, match="no sensor 7: there are 6"):
        Permutation(((1, 7),))(windows, rng())


def test_permutation_without_an_excluded_sensor_goes_on_in_the_rest_of_its_group() -> None:
    windows = normal_windows(100)
    changed = Permutation(GROUPS)(windows, rng(), excluded=[5])
    is_swapped = (changed[:, :, 1] == windows[:, :, 2]).all(axis=1)
    np.testing.assert_array_equal(changed[is_swapped, :, 2], windows[is_swapped, :, 1])
    np.testing.assert_array_equal(changed[~is_swapped, :, 2], windows[~is_swapped, :, 2])
    assert 30 < is_swapped.sum() < 70


def test_enlarged_keeps_the_windows_and_adds_changed_copies() -> None:
    windows, usable = holes(normal_windows(10))
    untouched = windows.copy()
    augment = augment_from_names(["slice", "jitter"], probability=1.0)
    large = enlarged(windows, 4, augment, rng())
    assert large.shape == (40, 20, 6)
    assert large[:10].tobytes() == windows.tobytes()
    generator = rng()
    for fold in range(1, 4):
        np.testing.assert_array_equal(large[10 * fold : 10 * fold + 10], augment(windows, generator))
    assert not np.array_equal(large[10:20], large[20:30])
    np.testing.assert_array_equal(windows, untouched)
    assert enlarged(windows, 1, augment, rng()).tobytes() == windows.tobytes()

    with_mask, mask = enlarged_with_usable(windows, usable, 4, augment, rng())
    np.testing.assert_array_equal(mask[:10], usable)
    assert with_mask[:10].tobytes() == windows.tobytes()
    assert np.abs(with_mask[mask]).max() < 100.0
    assert all(mask[10 * fold : 10 * fold + 10].mean() < usable.mean() for fold in range(1, 4))
    for n_fold in (0, 1.5):
        with pytest.raises(UsageError, match="n_fold must be a whole number of at least 1"):
            enlarged(windows, n_fold, augment, rng())


def test_the_picture_in_the_documents_shows_each() -> None:
    """Written by tests/benchmarks/draw_augmentations.py."""
    picture = (Path(__file__).parents[2] / "docs" / "figures" / "augmentations.svg").read_text(encoding="utf-8")
    assert re.findall(r'font-weight="bold">(\w+)<', picture) == list(AUGMENTATIONS)
    assert len(picture) < 150_000
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "augmentation.md").read_text(encoding="utf-8")
    assert "../figures/augmentations.svg" in guide
    assert all(f"`{name}`" in guide for name in AUGMENTATIONS)

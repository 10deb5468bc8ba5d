"""Mixup: who is mixed with whom, by how much, and that everything that belongs to a window is mixed alike."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy.stats import beta, kstest

from sensorad.augment import Mixed, MixupConfig, mixup
from sensorad.augment.phase import best_shift
from sensorad.errors import DataError, SensoradError, UsageError

FILLING = np.float32(1e6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def normal_windows(n_windows: int = 40, length: int = 12, n_sensors: int = 3) -> np.ndarray:
    return rng(7).standard_normal((n_windows, length, n_sensors)).astype(np.float32)


def naive_mixture(values: np.ndarray, mixed: Mixed, *, is_rolled: bool) -> np.ndarray:
    out = np.empty(values.shape)
    for n in range(len(values)):
        other = values[mixed.partner[n]]
        if is_rolled:
            other = np.roll(other, mixed.shift[n], axis=0)
        out[n] = float(mixed.weight[n]) * values[n] + (1.0 - float(mixed.weight[n])) * other
    return out


@pytest.mark.parametrize("align_phase", [False, True])
def test_everything_is_mixed_with_the_partner_by_the_weight(align_phase: bool) -> None:
    windows, soft = normal_windows(), rng(1).dirichlet(np.ones(5), 40)
    flat, with_rows = rng(2).standard_normal((40, 4)), rng(3).standard_normal((40, 12, 2)).astype(np.float32)
    config = MixupConfig(alpha=1.0, align_phase=align_phase)
    inputs = [part.copy() for part in (windows, soft, flat, with_rows)]
    mixed = mixup(windows, rng(), config, targets=with_rows, labels=soft)
    assert mixed.targets is not None
    assert mixed.labels is not None
    assert mixed.shift.any() == align_phase
    assert mixed.windows.dtype == mixed.weight.dtype == mixed.targets.dtype == np.float32
    np.testing.assert_allclose(mixed.windows, naive_mixture(windows, mixed, is_rolled=True), atol=1e-6)
    np.testing.assert_allclose(mixed.targets, naive_mixture(with_rows, mixed, is_rolled=True), atol=1e-6)
    np.testing.assert_allclose(mixed.labels, naive_mixture(soft, mixed, is_rolled=False), atol=1e-7)
    np.testing.assert_allclose(mixed.labels.sum(axis=1), 1.0, atol=1e-12)
    other = mixup(windows, rng(), config, targets=flat)
    np.testing.assert_allclose(other.targets, naive_mixture(flat, mixed, is_rolled=False), atol=1e-6)
    assert other.labels is None
    np.testing.assert_array_equal(other.windows, mixed.windows)
    for part, before in zip((windows, soft, flat, with_rows), inputs, strict=True):
        np.testing.assert_array_equal(part, before)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 16.0])
def test_weights_are_beta_distributed(alpha: float) -> None:
    weight = mixup(np.zeros((4000, 1, 1), np.float32), rng(5), MixupConfig(alpha=alpha)).weight
    assert kstest(weight, beta(alpha, alpha).cdf).pvalue > 0.01
    assert weight.min() >= 0.0
    assert weight.max() <= 1.0


def test_alpha_zero_gives_the_same_bits_and_draws_nothing() -> None:
    windows, labels, generator = normal_windows(), np.eye(40)[:, :7], rng()
    usable = rng(1).random(windows.shape) > 0.2
    config = MixupConfig(alpha=0.0, align_phase=True)
    mixed = mixup(windows, generator, config, targets=windows[:, 0], labels=labels, usable=usable)
    assert mixed.windows.tobytes() == windows.tobytes()
    np.testing.assert_array_equal(mixed.targets, windows[:, 0])
    np.testing.assert_array_equal(mixed.labels, labels)
    np.testing.assert_array_equal(mixed.usable, usable)
    np.testing.assert_array_equal(mixed.partner, np.arange(40))
    assert (mixed.weight == 1.0).all()
    assert not np.shares_memory(mixed.windows, windows)
    assert generator.random() == rng().random()


def test_the_seed_decides() -> None:
    first, again, other = (mixup(normal_windows(), rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.windows, again.windows)
    assert not np.array_equal(first.partner, other.partner)


def test_partners_never_cross_modes() -> None:
    modes = rng(3).integers(-2, 5, 500)
    modes[[13, 77]] = [90, 91]  # two modes with one window each
    windows = np.broadcast_to(modes[:, None, None], (500, 2, 1)).astype(np.float32)
    for seed in range(5):
        mixed = mixup(windows, rng(seed), MixupConfig(alpha=1.0), modes=modes)
        np.testing.assert_array_equal(modes[mixed.partner], modes)
        assert np.flatnonzero(mixed.partner == np.arange(500)).tolist() == [13, 77]
        np.testing.assert_array_equal(np.sort(mixed.partner), np.arange(500))  # each is a partner once
        assert mixed.windows.tobytes() == windows.tobytes()  # between two of the same there is nothing else
    same = np.repeat(normal_windows(1), 20, axis=0)
    assert mixup(same, rng(), MixupConfig(alpha=1.0)).windows.tobytes() == same.tobytes()
    free = mixup(windows, rng(), MixupConfig(same_mode=False), modes=modes)
    assert (modes[free.partner] != modes).mean() > 0.6
    without = mixup(windows, rng(), MixupConfig())
    assert (without.partner != np.arange(500)).all()


def test_every_partner_of_the_mode_is_equally_likely() -> None:
    windows, modes = np.zeros((5, 1, 1), np.float32), np.array([0, 1, 0, 0, 0])
    counts = np.zeros((5, 5))
    generator = rng()
    for _ in range(3000):
        counts[np.arange(5), mixup(windows, generator, modes=modes).partner] += 1
    expected = np.where((modes[:, None] == modes) & ~np.eye(5, dtype=bool), 1000, 0)
    expected[1, 1] = 3000
    assert np.abs(counts - expected).max() < 120


def test_a_mixture_with_a_missing_cell_is_missing() -> None:
    windows = normal_windows(60)
    usable = rng(8).random(windows.shape) > 0.2
    windows[~usable] = FILLING
    for config in (MixupConfig(alpha=1.0), MixupConfig(alpha=1.0, align_phase=True)):
        mixed = mixup(windows, rng(), config, usable=usable)
        assert mixed.usable is not None
        for n in range(60):
            theirs = np.roll(usable[mixed.partner[n]], mixed.shift[n], axis=0)
            np.testing.assert_array_equal(mixed.usable[n], usable[n] & theirs)
        assert (mixed.windows[~mixed.usable] == FILLING).all()
        assert np.abs(mixed.windows[mixed.usable]).max() < 10.0
        twin = naive_mixture(windows, mixed, is_rolled=True)
        np.testing.assert_allclose(mixed.windows[mixed.usable], twin[mixed.usable], atol=1e-6)


def naive_best_shift(window: np.ndarray, partner: np.ndarray) -> int:
    length = len(window)
    shifts = sorted(range(-(length // 2), length - length // 2), key=abs)
    window, partner = window - window.mean(axis=0, dtype=float), partner - partner.mean(axis=0, dtype=float)
    distances = [((window - np.roll(partner, shift, axis=0)) ** 2).sum() for shift in shifts]
    return shifts[int(np.argmin(distances))]


@pytest.mark.parametrize("length", [11, 12])
def test_best_shift_beside_all_shifts_tried(length: int) -> None:
    noise = np.round(normal_windows(200, length) * 64) / 64  # exact in float32, also far from 0
    windows, partners = noise[:100] + np.float32(10_000.0), noise[100:] - np.float32(10_000.0)
    found = best_shift(windows, partners)
    assert found.tolist() == [naive_best_shift(*pair) for pair in zip(windows, partners, strict=True)]
    assert len(set(found.tolist())) == length
    assert np.abs(found).max() == length // 2


def test_alignment_finds_a_known_shift_under_noise() -> None:
    t = 2 * np.pi * np.arange(30) / 30
    cycle = np.stack([np.sin(t), np.cos(t) + 0.5 * np.sin(2 * t)], axis=1)
    shifts = rng(4).integers(-14, 15, 50)
    noise = 0.2 * rng(5).standard_normal((2, 50, 30, 2))
    moved = np.stack([np.roll(cycle, -shift, axis=0) for shift in shifts])
    found = best_shift((cycle + noise[0]).astype(np.float32), (moved + noise[1]).astype(np.float32))
    off = (found - shifts + 15) % 30 - 15  # -15 and 14 are neighbours on the circle
    assert np.abs(off).max() <= 2
    assert (off == 0).mean() > 0.6

    clean = np.concatenate([np.repeat(cycle[None], 2, axis=0), moved]).astype(np.float32)
    aligned = mixup(clean, rng(), MixupConfig(alpha=1.0, align_phase=True))
    plain = mixup(clean, rng(), MixupConfig(alpha=1.0))
    # a mixture of the same cycle in phase is that cycle; out of phase it is damped
    np.testing.assert_allclose(aligned.windows, clean, atol=1e-5)
    assert np.square(plain.windows).sum() < 0.8 * np.square(clean).sum()


def test_nothing_is_rolled_without_a_gain() -> None:
    flat = np.full((3, 10, 2), 1e5, np.float32)
    noisy = normal_windows(3, 10, 2)
    assert best_shift(flat, flat).tolist() == [0, 0, 0]
    assert best_shift(flat, noisy).tolist() == [0, 0, 0]
    # a period of 5 rows fits at 0 and 5, and at 2 and -3: the smaller one is taken
    wave = np.sin(2 * np.pi * np.arange(10) / 5).astype(np.float32).reshape(1, 10, 1)
    assert best_shift(wave, wave).tolist() == [0]
    assert best_shift(wave, np.roll(wave, -2, axis=1)).tolist() == [2]
    assert best_shift(wave, np.roll(wave, 2, axis=1)).tolist() == [-2]


def test_several_classes_at_once_and_whole_numbers_are_labels_too() -> None:
    labels = (rng(1).random((40, 6)) < 0.3).astype(np.int64)
    mixed = mixup(normal_windows(), rng(), MixupConfig(alpha=1.0), labels=labels)
    assert mixed.labels is not None
    assert np.issubdtype(mixed.labels.dtype, np.floating)
    np.testing.assert_allclose(mixed.labels, naive_mixture(labels, mixed, is_rolled=False), atol=1e-6)


def test_no_windows() -> None:
    mixed = mixup(np.zeros((0, 4, 2), np.float32), rng(), labels=np.zeros((0, 3)), modes=np.zeros(0, int))
    assert mixed.windows.shape == (0, 4, 2)
    assert len(mixed.partner) == len(mixed.weight) == 0


def test_config_json_round_trip() -> None:
    config = MixupConfig(alpha=0.4, same_mode=False, align_phase=True)
    assert MixupConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert MixupConfig() == MixupConfig(alpha=0.2, same_mode=True, align_phase=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: MixupConfig(alpha=-0.1), "alpha must be 0 or more, got -0.1 (mixup)"),
        (lambda x: MixupConfig(alpha=float("inf")), "got inf"),
        (lambda x: MixupConfig(same_mode="yes"), "same_mode must be true or false, got 'yes'"),
        (lambda x: MixupConfig(align_phase=0), "align_phase must be true or false, got 0"),
        (lambda x: MixupConfig.from_json({"beta": 1}), "unknown settings ['beta'] (mixup)"),
        (lambda x: mixup(x[0], rng()), "windows must be (N, L, C) float32"),
        (lambda x: mixup(x, rng(), targets=x[:9, 0]), "40 targets expected, one per window, got shape (9, 3)"),
        (
            lambda x: mixup(x, rng(), targets=np.ones((40, 2), int)),
            "targets must be floats, got int64 (mixup): classes",
        ),
        (lambda x: mixup(x, rng(), labels=np.arange(40)), "labels must be (N, K), got shape (40,) (mixup): turn"),
        (lambda x: mixup(x, rng(), labels=np.ones((9, 2))), "40 labels expected"),
        (lambda x: mixup(x, rng(), modes=np.zeros(9, int)), "modes must be (40,) whole numbers, got (9,) int64"),
        (lambda x: mixup(x, rng(), modes=np.zeros(40)), "got (40,) float64"),
        (lambda x: mixup(x, rng(), usable=np.ones((40, 12, 3))), "usable must be (40, 12, 3) bool"),
    ],
)
def test_wrong_use(make, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make(normal_windows())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: mixup(x * np.float32(np.nan), rng()), "windows must be finite"),
        (lambda x: mixup(x, rng(), targets=np.full((40, 2), np.inf)), "targets must be finite"),
        (lambda x: mixup(x, rng(), labels=np.full((40, 2), np.nan)), "labels must be finite"),
        (lambda x: mixup(x, rng(), labels=np.full((40, 2), 1.5)), "labels must lie in [0, 1], got 1.5 to 1.5"),
    ],
)
def test_wrong_data(make, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        make(normal_windows())
    assert issubclass(DataError, SensoradError)

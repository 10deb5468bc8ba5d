"""A fault into each window of a batch: the same as `inject` window by window, exact masks, fast."""

from __future__ import annotations

import time

import numpy as np
import pytest
from naive_faults import DETERMINISTIC, naive_course, plant_rows

from sensorad.augment.faults import FAULTS, FaultedWindows, SensorStatistics, inject, inject_windows
from sensorad.errors import UsageError

C = 12
ROWS = plant_rows(6000, C, seed=1)
ROWS = ((ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0)).astype(np.float32)
STATISTICS = SensorStatistics.fit(ROWS)


def windows(n: int, seed: int = 0, length: int = 30) -> np.ndarray:
    starts = np.random.default_rng(seed).integers(0, len(ROWS) - length, n)
    return np.stack([ROWS[start : start + length] for start in starts])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_deterministic_kinds_equal_inject_window_by_window() -> None:
    clean = windows(400)
    kinds = (*DETERMINISTIC, "correlation")
    faulted = inject_windows(clean, STATISTICS, rng(1), kinds)
    n_compared = 0
    for n in range(len(clean)):
        fault = faulted.fault(n)
        assert fault is not None
        if fault.variant == "donor":
            continue
        n_compared += 1
        alone = inject(clean[n], [fault], STATISTICS, rng())
        np.testing.assert_array_equal(faulted.mask[n], alone.mask, err_msg=str(fault))
        np.testing.assert_allclose(faulted.windows[n], alone.rows, rtol=0, atol=1e-6, err_msg=str(fault))
        for sensor in fault.sensors:
            for row, value in naive_course(clean[n], fault, sensor, STATISTICS).items():
                assert faulted.windows[n, row, sensor] == pytest.approx(value, abs=2e-5), fault
    assert n_compared > 350


def test_donors_lend_their_course_row_by_row() -> None:
    clean, donors = windows(80), windows(50, seed=9)
    faulted = inject_windows(clean, STATISTICS, rng(2), ("correlation",), donors=donors)
    lent = [n for n in range(len(clean)) if faulted.fault(n).variant == "donor"]
    assert len(lent) > 20
    for n in lent:
        found = []
        for donor in donors:
            a = faulted.severity[n]
            mixed = STATISTICS.centre + np.sqrt(1 - a * a) * (clean[n] - STATISTICS.centre)
            mixed += a * (donor - STATISTICS.centre)
            found.append(np.allclose(mixed[faulted.mask[n]], faulted.windows[n][faulted.mask[n]], atol=1e-5))
        assert 1 <= sum(found) <= 2, "two of the donors may be of the same time"
    own = inject_windows(clean, STATISTICS, rng(2), ("correlation",))
    assert (own.form == 0).any(), "without donors the other windows of the batch lend"
    alone = inject_windows(clean[:1], STATISTICS, rng(3), ("correlation",))
    assert alone.fault(0).variant == "swap", "a single window has nobody to borrow from"


def test_random_kinds_have_the_size_that_they_are_asked_for() -> None:
    clean = windows(4000)
    for name in ("noise", "oscillation", "dropout", "intermittent"):
        faulted = inject_windows(clean, STATISTICS, rng(4), (name,))
        ratios = []
        for n in range(len(clean)):
            fault = faulted.fault(n)
            rows = slice(fault.start, fault.start + fault.length)
            for sensor in fault.sensors:
                change = (faulted.windows[n] - clean[n])[rows, sensor].astype(float)
                if name == "noise" and fault.length > 10:
                    ratios.append(change.std(ddof=1) / (fault.severity * STATISTICS.residual_sigma[sensor]))
                elif name == "oscillation" and fault.length > 10:
                    ratios.append(np.abs(change).max() / (fault.severity * STATISTICS.sigma[sensor]))
                elif name in ("dropout", "intermittent"):
                    n_hit = max(1, round(fault.severity * fault.length))
                    assert np.count_nonzero(change) <= n_hit
                    ratios.append(np.count_nonzero(change) / n_hit)
                    if name == "intermittent" and fault.variant == "bias":
                        hit = change[change != 0]
                        np.testing.assert_allclose(hit, fault.sign * 3 * STATISTICS.sigma[sensor], rtol=1e-4)
        assert np.mean(ratios) == pytest.approx(1.0, abs=0.07), name
        assert np.max(ratios) < (1.0001 if name != "noise" else 2.0)


def check_masks(clean: np.ndarray, faulted: FaultedWindows) -> None:
    assert faulted.windows.dtype == np.float32
    np.testing.assert_array_equal(faulted.mask, np.isfinite(clean) & (faulted.windows != clean))
    np.testing.assert_array_equal(faulted.windows[~faulted.mask], clean[~faulted.mask])
    np.testing.assert_array_equal(faulted.mask.any(axis=(1, 2)), faulted.kind >= 0)
    np.testing.assert_array_equal(faulted.severity > 0, faulted.kind >= 0)


def test_masks_are_exact_and_the_input_stays_as_it_was() -> None:
    clean = windows(500)
    clean[:200, 5:9, 3] = np.nan
    clean[200:300, :, 4] = clean[200:300, :1, 4]
    clean[7] = 1.0
    clean[8] = np.nan
    clean[9, :, 0] = np.inf
    before = clean.copy()
    for seed in range(3):
        faulted = inject_windows(clean, STATISTICS, rng(seed))
        np.testing.assert_array_equal(clean, before)
        check_masks(clean, faulted)
        assert set(np.flatnonzero(faulted.kind < 0)) <= {7, 8}
        assert faulted.kind[8] == -1
        assert faulted.fault(8) is None


def test_kinds_come_equally_often_in_their_range_and_in_both_directions() -> None:
    clean = windows(1400)
    faulted = inject_windows(clean, STATISTICS, rng(5))
    assert np.bincount(faulted.kind, minlength=14).min() >= 90
    for number, (name, kind) in enumerate(FAULTS.items()):
        severity = faulted.severity[faulted.kind == number]
        assert severity.min() >= kind.low
        assert severity.max() <= kind.high
        assert np.mean(severity < (kind.low + kind.high) / 2) > 0.5 or name == "saturation", "more near the boundary"
        signs = set(faulted.sign[faulted.kind == number].tolist())
        assert signs == ({-1, 1} if kind.is_signed else {1})
    n_sensors = faulted.mask.any(axis=1).sum(axis=1)
    assert set(n_sensors) == {1, 2, 3}
    newest = faulted.mask[:, -1].any(axis=1).mean()
    assert 0.4 < newest < 0.75
    oldest = faulted.mask[:, 0].any(axis=1).mean()
    assert 0.05 < oldest < 0.6


def test_a_share_of_the_windows_stays_clean_and_most_sensors_is_kept() -> None:
    clean = windows(200)
    faulted = inject_windows(clean, STATISTICS, rng(6), ("bias", "noise"), share=0.3, most_sensors=0.0)
    assert np.count_nonzero(faulted.kind >= 0) == 60
    check_masks(clean, faulted)
    assert faulted.mask.any(axis=1).sum(axis=1).max() == 1
    assert not inject_windows(clean, STATISTICS, rng(6), share=0.0).mask.any()
    none = inject_windows(clean[:0], STATISTICS, rng(6))
    assert none.windows.shape == (0, 30, C)


def test_the_seed_decides_and_nothing_else() -> None:
    clean = windows(60)
    first, again, other = (inject_windows(clean, STATISTICS, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.windows, again.windows)
    np.testing.assert_array_equal(first.kind, again.kind)
    assert not np.array_equal(first.windows, other.windows)


@pytest.mark.parametrize("length", [8, 13, 64])
@pytest.mark.parametrize("name", FAULTS)
def test_every_kind_fits_windows_of_other_lengths(name: str, length: int) -> None:
    clean = windows(100, length=length)
    faulted = inject_windows(clean, STATISTICS, rng(7), (name,))
    check_masks(clean, faulted)
    assert np.count_nonzero(faulted.kind >= 0) >= 99
    for n in np.flatnonzero(faulted.kind >= 0):
        fault = faulted.fault(int(n))
        assert fault.start + fault.length <= length


def test_sensors_that_never_move_are_left_alone() -> None:
    clean = windows(100)
    clean[..., 0] = 2.0
    statistics = SensorStatistics.fit(np.concatenate([np.full((len(ROWS), 1), 2.0), ROWS[:, 1:]], axis=1))
    assert not inject_windows(clean, statistics, rng(8)).mask[..., 0].any()
    flat = inject_windows(np.zeros((5, 30, C), np.float32), STATISTICS, rng(8), ("stuck", "lag", "frequency"))
    assert (flat.kind == -1).all()
    check_masks(np.zeros((5, 30, C), np.float32), flat)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kinds": ("bais",)}, "did you mean 'bias'"),
        ({"kinds": ()}, "one or several"),
        ({"kinds": ("bias", "bias")}, "different names"),
        ({"share": 1.5}, "must be in"),
        ({"donors": np.zeros((3, 29, C), np.float32)}, "donors must be windows"),
        ({"windows": np.zeros((3, 30, C + 1), np.float32)}, "expected windows"),
        ({"windows": np.zeros((3, 7, C), np.float32)}, "at least 8 rows"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    arguments = {"windows": windows(3), "statistics": STATISTICS, "generator": rng()} | change
    with pytest.raises(UsageError, match=words):
        inject_windows(**arguments)


def test_a_batch_takes_a_few_milliseconds() -> None:
    """64 x 30 x 38 takes about 1 ms on one core; the bound leaves room for a busy machine."""
    batch = rng().normal(size=(64, 30, 38)).astype(np.float32)
    statistics = SensorStatistics.fit(batch)
    seconds = []
    for seed in range(20):
        began = time.process_time()
        inject_windows(batch, statistics, rng(seed))
        seconds.append(time.process_time() - began)
    assert min(seconds) <= 0.003

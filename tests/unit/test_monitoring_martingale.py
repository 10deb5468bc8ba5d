"""Evidence from block maxima: fair odds, no promise broken, drift found both ways, one bad day forgiven."""

from __future__ import annotations

from itertools import product
from math import exp, log, prod

import numpy as np
import pytest

from sensorad.monitoring import martingale
from sensorad.monitoring.baseline import CalibrationBaseline
from sensorad.monitoring.dependence import Dependence
from sensorad.monitoring.martingale import TILTS, EvidencePath, evidence_path


def _baseline(heights: np.ndarray, dependence: Dependence | None = None) -> CalibrationBaseline:
    edges, n = np.unique(heights, return_counts=True)
    counts = np.append(n, 1).astype(np.float64)
    return CalibrationBaseline(1e9, 0, 14.0, 1.0, 3600.0, 24, edges, counts, dependence or Dependence())


def _path(baseline: CalibrationBaseline, heights: np.ndarray, n_machines: int = 1) -> EvidencePath:
    """Evidence of heights (days, blocks a day)."""
    bins = np.searchsorted(baseline.edges, heights)
    time = np.arange(heights.shape[1]) // n_machines
    return evidence_path(baseline, ((day, time, row) for day, row in enumerate(bins)))


def _naive_log_evidence(baseline: CalibrationBaseline, periods: list[list[int]]) -> list[float]:
    """The martingale with one loop for everything: period, expert, block, bin."""
    z = baseline.bin_scores().tolist()
    urn = baseline.counts.tolist()
    money = [1 - martingale.FIRST_AWAKE] + [martingale.FIRST_AWAKE / len(TILTS)] * len(TILTS)
    evidence, path = 0.0, []
    for n_seen, blocks in enumerate(periods, start=1):
        mean = sum(n * score for n, score in zip(urn, z, strict=True)) / sum(urn)
        for expert, target in enumerate(TILTS):
            tilt = target - mean if (target - mean) * target > 0 else 0.0
            seen = list(urn)
            for block in blocks:
                odds = [exp(tilt * score) for score in z]
                fair = sum(n / sum(seen) * value for n, value in zip(seen, odds, strict=True))
                money[expert + 1] *= (odds[block] / fair) ** (1 / baseline.dependence.design_effect(len(blocks)))
                seen[block] += 1
        for block in blocks:
            urn[block] += 1
        evidence += min(log(sum(money)), martingale.MOST_PER_PERIOD)
        path.append(evidence)
        money = [part / sum(money) for part in money]
        waking = money[0] * martingale.WAKE_SHARE / (martingale.WAKE_START + n_seen)
        asleep = money[0] - waking + martingale.RETURN_SHARE * sum(money[1:])
        kept = [part * (1 - martingale.RETURN_SHARE) for part in money[1:]]
        shared = (martingale.HOP_SHARE * sum(kept) + waking) / len(TILTS)
        money = [asleep, *((1 - martingale.HOP_SHARE) * part + shared for part in kept)]
    return path


@pytest.mark.parametrize("dependence", [Dependence(), Dependence(0.1, 0.3, 2.0)])
def test_the_path_is_that_of_the_plain_loops(dependence: Dependence) -> None:
    rng = np.random.default_rng(2)
    baseline = _baseline(np.round(rng.normal(size=60), 1), dependence)
    heights = rng.normal(size=(30, 6)) + np.linspace(0, 1.5, 30)[:, None]
    naive = _naive_log_evidence(baseline, np.searchsorted(baseline.edges, heights).tolist())
    np.testing.assert_allclose(_path(baseline, heights).log10 * log(10), naive, rtol=1e-9, atol=1e-9)


def _mean_money(baseline: CalibrationBaseline, n_periods: int, n_machines: int) -> float:
    """Expected money after all sequences of bins, each as likely as exchangeable heights make it."""
    total = 0.0
    for bins in product(range(len(baseline.counts)), repeat=n_periods * n_machines):
        urn = baseline.counts.copy()
        chance = 1.0
        for place in bins:
            chance *= urn[place] / urn.sum()
            urn[place] += 1.0
        rows = np.array(bins).reshape(n_periods, n_machines)
        path = evidence_path(baseline, ((i, np.zeros(n_machines, np.int64), row) for i, row in enumerate(rows)))
        total += chance * 10 ** path.log10[-1]
    return total


def test_the_game_is_exactly_fair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only for endless calibrations: four blocks are enough."""
    baseline = _baseline(np.array([1.0, 2.0, 2.0, 3.0]))
    monkeypatch.setattr(martingale, "MOST_PER_PERIOD", np.inf)
    assert _mean_money(baseline, n_periods=5, n_machines=1) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("dependence", [Dependence(), Dependence(local=3.0)])
def test_no_precaution_makes_the_game_better_than_fair(dependence: Dependence) -> None:
    baseline = _baseline(np.array([1.0, 2.0, 3.0, 4.0]), dependence)
    money = _mean_money(baseline, n_periods=2, n_machines=2)
    assert 0.6 < money < 1.0


def test_the_bins_of_exchangeable_heights_follow_the_urn() -> None:
    """The chance of the sequence that the fairness above takes for granted, by counting random orders."""
    rng = np.random.default_rng(0)
    n_draws = 40_000
    draws = rng.random((n_draws, 5))  # three calibration heights, two new ones
    edges = np.sort(draws[:, :3], axis=1)
    both_on_top = (draws[:, 3:] > edges[:, 2:]).all(axis=1).mean()
    assert both_on_top == pytest.approx(prod([1 / 4, 2 / 5]), abs=0.005)


def test_false_flags_over_a_year_are_rare() -> None:
    """A fortnight of 4 blocks a day, then a year of the same: at most 1 %, here none of 60 in practice."""
    rng = np.random.default_rng(0)
    peaks = [_path(_baseline(rng.normal(size=56)), rng.normal(size=(365, 4))).log10.max() for _ in range(60)]
    assert sum(peak >= 2.0 for peak in peaks) <= 1
    assert np.mean(np.array(peaks) >= 1.0) <= 0.1


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_a_shift_is_found_and_dated_and_its_side_named(shift: float) -> None:
    rng = np.random.default_rng(4)
    heights = rng.normal(size=(60, 24))
    heights[25:] += shift
    path = _path(_baseline(rng.normal(size=14 * 24)), heights)
    assert path.crossing is not None
    assert 27 <= path.crossing <= 31
    assert path.change == 25
    assert np.sign(path.lean[path.crossing]) == np.sign(shift)


def test_dependent_blocks_need_more_evidence() -> None:
    rng = np.random.default_rng(4)
    calibration, heights = rng.normal(size=14 * 24), rng.normal(size=(30, 24)) + 1.2
    free = _path(_baseline(calibration), heights)
    bound = _path(_baseline(calibration, Dependence(local=6.0)), heights)
    assert free.crossing is not None
    assert bound.crossing is not None
    assert bound.crossing >= free.crossing + 2


def test_one_or_two_bad_days_below_the_line_do_not_condemn() -> None:
    rng = np.random.default_rng(0)
    baseline = _baseline(rng.normal(size=14 * 24))
    for n_bad in (1, 2, 4):
        heights = rng.normal(size=(40, 24))
        heights[20 : 20 + n_bad] += 6.0
        assert (_path(baseline, heights).crossing is not None) == (n_bad == 4)


def test_only_ranks_matter() -> None:
    rng = np.random.default_rng(1)
    calibration, heights = rng.normal(size=100), rng.normal(size=(20, 4)) + 0.5
    plain = _path(_baseline(calibration), heights)
    warped = _path(_baseline(np.exp(3 * calibration)), np.exp(3 * heights))
    np.testing.assert_array_equal(plain.log10, warped.log10)


def test_machines_at_one_time_have_no_order() -> None:
    rng = np.random.default_rng(1)
    baseline = _baseline(rng.normal(size=100))
    heights = rng.normal(size=(20, 12)) + 0.4
    mixed = heights.reshape(20, 4, 3)[:, :, ::-1].reshape(20, 12)
    np.testing.assert_allclose(_path(baseline, mixed, 3).log10, _path(baseline, heights, 3).log10, rtol=1e-12)
    assert not np.allclose(_path(baseline, mixed, 1).log10, _path(baseline, heights, 1).log10)


def test_no_period_is_no_evidence() -> None:
    path = evidence_path(_baseline(np.arange(30.0)), iter(()))
    assert (len(path.log10), path.crossing, path.change) == (0, None, None)

"""Fleet alarms: the false discovery rate, which normal maxima a machine is compared with, and the refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.thresholds.blocks import BlockMaxima
from sensorad.thresholds.conformal import conformal_p_values
from sensorad.thresholds.fleet import benjamini_hochberg, fleet_alarms

HOUR = 3600 * 10**9


def _maxima(height: np.ndarray, group: np.ndarray, start: np.ndarray, seconds: float = 3600.0) -> BlockMaxima:
    return BlockMaxima(height, start * HOUR, group.astype(np.int32), seconds)


def _fleet(rng: np.random.Generator, n_blocks: int, n_machines: int, scale: np.ndarray | None = None) -> BlockMaxima:
    group = np.tile(np.arange(n_machines), n_blocks)
    height = rng.exponential(size=n_blocks * n_machines) * (1.0 if scale is None else scale[group])
    return _maxima(height, group, np.repeat(np.arange(n_blocks), n_machines))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("level", [0.05, 0.3])
def test_benjamini_hochberg_against_scipy(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    p = np.append(rng.random(20), rng.random(seed % 7) * 0.02)
    if seed % 2:
        p = np.ceil(p * 20) / 20  # ties
    np.testing.assert_array_equal(benjamini_hochberg(p, level), false_discovery_control(p) <= level)


def test_benjamini_hochberg_steps_up() -> None:
    """The second smallest misses its own bar, yet is rejected because the third passes its own."""
    assert benjamini_hochberg(np.array([0.9, 0.036, 0.037, 0.01]), 0.05).tolist() == [False, True, True, True]
    assert benjamini_hochberg(np.zeros(0), 0.05).tolist() == []


def test_benjamini_hochberg_checks_its_input() -> None:
    for bad in (np.nan, -0.1, 1.1):
        with pytest.raises(DataError, match=r"\[0, 1\]"):
            benjamini_hochberg(np.array([0.5, bad]), 0.05)
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(UsageError, match="false discovery rate"):
            benjamini_hochberg(np.array([0.5]), level)


def test_every_block_is_judged_for_itself() -> None:
    rng = np.random.default_rng(0)
    calibration, new = _fleet(rng, 200, 4), _fleet(rng, 50, 4)
    height = new.height.copy()
    height[[9, 10, 33]] = 50.0
    shuffled = rng.permutation(len(height))  # rows need no order
    new = BlockMaxima(height[shuffled], new.start[shuffled], new.group[shuffled], 3600.0)
    alarms = fleet_alarms(calibration, new, 0.1)
    assert not alarms.is_pooled.any()
    np.testing.assert_array_equal(alarms.start, new.start)
    np.testing.assert_array_equal(alarms.group, new.group)
    expected_p = np.array(
        [
            conformal_p_values(calibration.height[calibration.group == g], np.array([h]))[0]
            for g, h in zip(new.group, new.height, strict=True)
        ]
    )
    np.testing.assert_array_equal(alarms.p_value, expected_p)
    for start in np.unique(new.start):
        rows = new.start == start
        np.testing.assert_array_equal(alarms.is_flagged[rows], benjamini_hochberg(expected_p[rows], 0.1))
    assert alarms.is_flagged[np.isin(shuffled, [9, 10, 33])].all()


def test_machines_with_too_few_maxima_are_compared_with_the_fleet() -> None:
    rng = np.random.default_rng(1)
    scale = np.array([1.0, 1.0, 10.0])
    calibration = _fleet(rng, 29, 3, scale)  # 3 machines at level 0.1 need 29 maxima each
    new = _maxima(np.array([1.0, 2.0, 30.0, 3.0]), np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1]))
    own = fleet_alarms(calibration, new, 0.1)
    assert own.pooled_machines == []
    short = BlockMaxima(calibration.height[3:], calibration.start[3:], calibration.group[3:], 3600.0)
    assert fleet_alarms(short, new, 0.1).pooled_machines == [0, 1, 2]
    kept = np.arange(len(calibration)) != 2  # one maximum less of machine 2 only
    mixed = BlockMaxima(calibration.height[kept], calibration.start[kept], calibration.group[kept], 3600.0)
    alarms = fleet_alarms(mixed, new, 0.1)
    assert alarms.is_pooled.tolist() == [False, False, True, True]
    np.testing.assert_array_equal(alarms.p_value[2:], conformal_p_values(mixed.height, new.height[2:]))
    # The loud machine is ordinary beside itself and odd beside the others.
    assert own.p_value[2] > alarms.p_value[2]


def test_too_little_for_a_single_flag_is_refused() -> None:
    rng = np.random.default_rng(0)
    new = _fleet(rng, 2, 20)
    with pytest.raises(TooLittleDataError, match=r"0.05 among 20 machines needs 399.*380 are.*add 19 blocks of 1 h"):
        fleet_alarms(_fleet(rng, 19, 20), new, 0.05)
    assert fleet_alarms(_fleet(rng, 20, 20), new, 0.05).is_pooled.all()


def test_blocks_of_other_lengths_are_refused() -> None:
    rng = np.random.default_rng(0)
    longer = BlockMaxima(np.ones(1), np.zeros(1, np.int64), np.zeros(1, np.int32), 7200.0)
    with pytest.raises(UsageError, match="3600 s cannot judge blocks of 7200 s"):
        fleet_alarms(_fleet(rng, 100, 2), longer, 0.1)


def test_nothing_new_is_nothing_flagged() -> None:
    rng = np.random.default_rng(0)
    alarms = fleet_alarms(_fleet(rng, 3, 2), _fleet(rng, 0, 2), 0.1)
    assert len(alarms.is_flagged) == 0
    with pytest.raises(UsageError, match="false discovery rate"):
        fleet_alarms(_fleet(rng, 3, 2), _fleet(rng, 0, 2), 1.0)


@pytest.mark.parametrize("n_blocks", [500, 60])  # of their own, and pooled
def test_the_share_of_false_flags_is_kept(n_blocks: int) -> None:
    rng = np.random.default_rng(5)
    n_machines, n_odd, level = 20, 5, 0.2
    shares, n_found = [], 0
    for _ in range(40):
        calibration, new = _fleet(rng, n_blocks, n_machines), _fleet(rng, 10, n_machines)
        is_odd = new.group < n_odd
        alarms = fleet_alarms(calibration, BlockMaxima(new.height + 8.0 * is_odd, new.start, new.group, 3600.0), level)
        assert alarms.is_pooled.all() == (n_blocks == 60)
        for start in np.unique(new.start):
            flagged = alarms.is_flagged & (new.start == start)
            shares.append(np.sum(flagged & ~is_odd) / max(1, flagged.sum()))
            n_found += int(np.sum(flagged & is_odd))
    assert np.mean(shares) == pytest.approx(level * (n_machines - n_odd) / n_machines, abs=0.04)
    assert n_found > 0.9 * len(shares) * n_odd

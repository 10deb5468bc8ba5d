"""What a calibration leaves behind for monitoring: heights of quiet blocks, how they hang together, arrays."""

from __future__ import annotations

import numpy as np
import pytest

from sensorad.errors import ArtefactError
from sensorad.monitoring import CalibrationBaseline
from sensorad.monitoring.baseline import MOST_BINS, monitor_block_seconds
from sensorad.monitoring.dependence import Dependence, measured_dependence
from sensorad.thresholds import CalibrationScores
from sensorad.thresholds.blocks import block_maxima

DAY = 86_400 * 10**9
START = 19_700 * DAY


def _scores(score: np.ndarray, step_seconds: float = 300.0, n_machines: int = 1) -> CalibrationScores:
    each = len(score) // n_machines
    time = START + np.tile(np.arange(each) * round(step_seconds * 1e9), n_machines)
    return CalibrationScores(time, score, np.repeat(np.arange(n_machines), each).astype(np.int32), step_seconds)


def _normal(n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(3.0, size=n_rows)


def test_heights_are_the_block_maxima_below_the_line() -> None:
    scores = _scores(_normal(6 * 288))
    maxima = block_maxima(scores, 3600.0)
    line = float(np.sort(maxima.height)[-9])  # a line on a peak, as the budget lays it: that peak and 8 more are out
    baseline = CalibrationBaseline.fit(scores, line, n_events=8, dispersion=0.5)
    assert baseline is not None
    assert baseline.block_seconds == 3600.0
    assert baseline.edges.tolist() == sorted(maxima.height)[:-9]
    assert baseline.counts.tolist() == [1.0] * (len(maxima) - 9 + 1)
    assert (baseline.n_events, baseline.days, baseline.dispersion) == (8, 6.0, 1.0)


def test_many_heights_are_thinned_without_losing_any_block() -> None:
    scores = _scores(_normal(40 * 288))
    baseline = CalibrationBaseline.fit(scores, 1e9, 0, 1.0)
    assert baseline is not None
    heights = block_maxima(scores, 3600.0).height
    assert len(baseline.edges) == MOST_BINS
    assert (baseline.edges[0], baseline.edges[-1]) == (heights.min(), heights.max())
    assert baseline.counts.sum() == len(heights) + 1
    naive = [
        sum(low < height <= high for height in heights)
        for low, high in zip([-np.inf, *baseline.edges[:-1]], baseline.edges, strict=True)
    ]
    assert baseline.counts.tolist() == [*naive, 1.0]
    assert [baseline.bin_of(h) for h in (0.0, baseline.edges[3], baseline.edges[3] + 1e-9, 1e9)] == [0, 3, 4, 200]


def test_bin_scores_are_those_of_independent_normal_heights() -> None:
    baseline = CalibrationBaseline.fit(_scores(_normal(14 * 288)), 1e9, 0, 1.0)
    assert baseline is not None
    z, weight = baseline.bin_scores(), baseline.counts / baseline.counts.sum()
    assert (np.diff(z) > 0).all()
    assert weight @ z == pytest.approx(0.0, abs=1e-12)
    assert weight @ z**2 == pytest.approx(1.0, abs=0.02)


def test_short_calibrations_keep_only_their_rate() -> None:
    few = CalibrationBaseline.fit(_scores(_normal(60)), 9.0, 2, 1.0)
    assert few is not None
    assert (len(few.edges), few.n_events) == (0, 2)
    again = CalibrationBaseline.from_arrays(few.to_arrays())
    assert (len(again.edges), again.days) == (0, few.days)
    assert CalibrationBaseline.fit(_scores(np.full(500, np.nan)), 9.0, 0, 1.0) is None


def test_scores_that_are_all_alike_still_tell_above_from_below() -> None:
    baseline = CalibrationBaseline.fit(_scores(np.full(14 * 288, 2.0)), 2.2, 0, 1.0)
    assert baseline is not None
    assert baseline.edges.tolist() == [2.0]
    assert baseline.counts.tolist() == [14 * 24, 1.0]
    assert baseline.dependence == Dependence()


@pytest.mark.parametrize(
    ("step", "days", "block", "period_blocks"),
    [
        (60.0, 14, 3600.0, 24),
        (300.0, 14, 3600.0, 24),
        (600.0, 14, 7200.0, 12),
        (3600.0, 30, 43_200.0, 2),
        (60.0, 2, 900.0, 27),  # less than five days: sevenths of the calibration
        (1.0, 0.05, 30.0, 20),
    ],
)
def test_blocks_are_hours_where_the_calibration_and_the_step_allow(
    step: float, days: float, block: float, period_blocks: int
) -> None:
    baseline = CalibrationBaseline.fit(_scores(_normal(round(days * 86_400 / step)), step), 1e9, 0, 1.0)
    assert baseline is not None
    assert (baseline.block_seconds, baseline.period_blocks) == (block, period_blocks)
    assert len(baseline.edges) >= 20


def test_blocks_beyond_a_day_and_below_a_second() -> None:
    assert monitor_block_seconds(_scores(_normal(100), 43_200.0)) == 12 * 43_200.0
    assert monitor_block_seconds(_scores(_normal(100), 0.01)) == 1.0
    # the wish goes by the time that each machine was seen, not by all machines together
    assert monitor_block_seconds(_scores(_normal(100 * 1440), 60.0, n_machines=100)) == 900.0


def test_arrays_are_small_and_complete() -> None:
    rng = np.random.default_rng(1)
    wander = np.repeat(rng.normal(size=(3, 40)), 288, axis=1).ravel()
    scores = _scores(np.exp(rng.normal(size=wander.size) + wander), n_machines=3)
    baseline = CalibrationBaseline.fit(scores, 30.0, 7, 1.5)
    assert baseline is not None
    arrays = baseline.to_arrays()
    assert all(name.startswith("baseline.") and values.dtype == np.float64 for name, values in arrays.items())
    assert sum(values.size for values in arrays.values()) <= 2000
    again = CalibrationBaseline.from_arrays(arrays)
    assert again.dependence == baseline.dependence
    assert again.dependence.common > 0.1
    for name in ("threshold", "n_events", "days", "dispersion", "block_seconds", "period_blocks"):
        assert getattr(again, name) == getattr(baseline, name)
    np.testing.assert_array_equal(again.edges, baseline.edges)
    np.testing.assert_array_equal(again.counts, baseline.counts)


@pytest.mark.parametrize(
    "damage",
    [
        {"baseline.edges": None},
        {"baseline.settings": np.ones(3)},
        {"baseline.edges": np.ones((2, 2))},
        {"baseline.counts": np.ones(4)},
        {"baseline.edges": np.array([3.0, 2.0, 1.0]), "baseline.counts": np.ones(4)},
        {"baseline.edges": np.array([1.0, np.nan]), "baseline.counts": np.ones(3)},
        {"baseline.edges": np.array([1.0]), "baseline.counts": np.array([0.0, 1.0])},
        {"baseline.edges": np.arange(300.0), "baseline.counts": np.ones(301)},
        {"baseline.settings": np.array([1.0, 0, -1.0, 1, 3600, 24, 0, 0, 1])},
        {"baseline.settings": np.array([1.0, 0, 14.0, 1, 3600, 24, 0, 1.0, 1])},
        {"baseline.settings": np.array(["a"] * 9)},
    ],
)
def test_damaged_arrays_are_refused(damage: dict[str, np.ndarray | None]) -> None:
    baseline = CalibrationBaseline.fit(_scores(_normal(14 * 288)), 1e9, 0, 1.0)
    assert baseline is not None
    arrays = {k: v for k, v in {**baseline.to_arrays(), **damage}.items() if v is not None}
    with pytest.raises(ArtefactError, match="calibrate the detector again"):
        CalibrationBaseline.from_arrays(arrays)


def _design(height: np.ndarray, n_machines: int = 1) -> float:
    n_times = height.shape[-1]
    number = np.tile(np.arange(n_times), n_machines)
    group = np.repeat(np.arange(n_machines), n_times).astype(np.int32)
    found = measured_dependence(height.ravel(), number, group, 24, has_daily_cycle=True)
    return found.design_effect(24 * n_machines)


def test_independent_blocks_are_worth_themselves() -> None:
    rng = np.random.default_rng(0)
    found = [_design(rng.normal(size=14 * 24)) for _ in range(40)]
    assert np.median(found) < 1.3
    assert min(found) >= 1.0


def test_days_that_differ_make_blocks_worth_less() -> None:
    """Blocks with variance 0.2 from the day: 1 + 23 * 0.2 / 1.2 of them are worth one, and more where days persist."""
    rng = np.random.default_rng(0)
    found = [_design(rng.normal(size=60 * 24) + np.repeat(rng.normal(size=60), 24) * 0.2**0.5) for _ in range(20)]
    assert 4.8 < np.median(found) < 12.0


def test_days_that_differ_are_taken_to_persist() -> None:
    """Independent days that differ still count as correlated by one standard error, 1 / sqrt(60) = 0.13, or more."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        height = rng.normal(size=60 * 24) + np.repeat(rng.normal(size=60), 24)
        number, group = np.arange(60 * 24), np.zeros(60 * 24, np.int32)
        found = measured_dependence(height, number, group, 24, has_daily_cycle=True)
        assert 0.35 < found.common < 0.65
        assert 0.129 < found.serial < 0.5


def test_neighbours_that_resemble_each_other_make_blocks_worth_less() -> None:
    rng = np.random.default_rng(0)
    series = np.zeros(60 * 24)
    for i in range(1, len(series)):
        series[i] = 0.6 * series[i - 1] + rng.normal()
    assert 3.2 < _design(series) < 8.0  # (1 + 0.6) / (1 - 0.6) = 4


def test_time_of_day_and_machine_are_no_dependence() -> None:
    rng = np.random.default_rng(0)
    hours = np.sin(2 * np.pi * np.arange(30 * 24) / 24)
    machines = np.array([[-1.0], [0.0], [1.0]])
    assert _design(rng.normal(size=(3, 30 * 24)) + hours + machines, n_machines=3) < 1.5


def test_machines_that_share_their_days_are_not_many() -> None:
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=30), 24)
    assert _design(rng.normal(size=(5, 30 * 24)) + shared, n_machines=5) > 30.0

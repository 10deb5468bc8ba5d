"""Block maxima: the grid, which blocks count, and that neighbouring maxima have little to do with each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import spearmanr

from sensorad.errors import UsageError
from sensorad.thresholds.base import CalibrationScores
from sensorad.thresholds.blocks import BlockMaxima, block_maxima, default_block_seconds

NS = 10**9


def _naive(scores: CalibrationScores, block_seconds: float) -> list[tuple[int, int, float]]:
    """(start, machine, height), one row after another."""
    block_ns = round(block_seconds * NS)
    found: dict[tuple[int, int], list[float]] = {}
    for time, score, machine in zip(scores.time.tolist(), scores.score.tolist(), scores.group.tolist(), strict=True):
        if score == score:
            found.setdefault((time // block_ns * block_ns, machine), []).append(score)
    least = 0.5 * block_seconds / scores.step_seconds
    return [(start, machine, max(rows)) for (start, machine), rows in sorted(found.items()) if len(rows) >= least]


def _rows(maxima: BlockMaxima) -> list[tuple[int, int, float]]:
    return list(zip(maxima.start.tolist(), maxima.group.tolist(), maxima.height.tolist(), strict=True))


def _scores(time: np.ndarray, score: np.ndarray, group: np.ndarray | None = None, step: float = 60.0):
    group = np.zeros(len(time), np.int32) if group is None else group
    return CalibrationScores(time, score, group, step)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block_seconds", [60.0, 600.0, 730.0, 7200.0])
def test_maxima_row_by_row(seed: int, block_seconds: float) -> None:
    rng = np.random.default_rng(seed)
    n = 3000
    time = (np.sort(rng.integers(-900, 3000, n)) * 60 + rng.integers(-5, 5, n)) * NS  # before 1970 too, with pauses
    score = rng.exponential(size=n)
    score[rng.random(n) < 0.25] = np.nan
    machine = (rng.random(n) < 0.1).astype(np.int32)  # the second one has blocks with too few rows
    scores = _scores(time, score, machine)
    maxima = block_maxima(scores, block_seconds)
    assert _rows(maxima) == _naive(scores, block_seconds)
    assert len(maxima) == len(_naive(scores, block_seconds)) > 0
    assert maxima.block_seconds == block_seconds
    assert (maxima.height.dtype, maxima.start.dtype, maxima.group.dtype) == (np.float64, np.int64, np.int32)


def test_the_grid_does_not_move_with_the_first_row() -> None:
    rng = np.random.default_rng(0)
    time = 1_700_000_017 * NS + np.arange(2000) * 60 * NS
    score = rng.exponential(size=2000)
    whole = _rows(block_maxima(_scores(time, score), 3600.0))
    late = _rows(block_maxima(_scores(time[333:], score[333:]), 3600.0))
    assert late[1:] == whole[-len(late) + 1 :]
    assert all(start % (3600 * NS) == 0 for start, _, _ in whole)


def test_a_block_needs_half_of_its_rows() -> None:
    score = np.full(30, np.nan)
    score[:5] = 1.0  # 5 of 10
    score[10:14] = 2.0  # 4 of 10
    score[20:] = 3.0
    maxima = block_maxima(_scores(np.arange(30) * 60 * NS, score), 600.0)
    assert maxima.height.tolist() == [1.0, 3.0]
    assert maxima.start.tolist() == [0, 1200 * NS]


def test_nothing_scored_gives_no_blocks() -> None:
    maxima = block_maxima(_scores(np.arange(30) * 60 * NS, np.full(30, np.nan)), 600.0)
    assert len(maxima) == 0
    assert len(block_maxima(_scores(np.zeros(0, np.int64), np.zeros(0)), 600.0)) == 0


@pytest.mark.parametrize("block_seconds", [59.0, 0.0, -3600.0, np.nan, np.inf])
def test_blocks_shorter_than_a_step_are_refused(block_seconds: float) -> None:
    with pytest.raises(UsageError, match="at least as long as the time between two rows, 60 s"):
        block_maxima(_scores(np.arange(30) * 60 * NS, np.ones(30)), block_seconds)


@pytest.mark.parametrize("step", [0.001, 1.0, 7.0, 30.0, 45.0, 60.0, 300.0, 599.0, 720.0, 900.0, 3600.0, 86_400.0])
def test_default_blocks_divide_the_day_or_are_whole_steps(step: float) -> None:
    seconds = default_block_seconds(_scores(np.zeros(0, np.int64), np.zeros(0), step=step))
    least = max(3600.0, 120 * step)
    assert seconds >= least
    if least <= 86_400:
        assert 86_400 % seconds == 0
        assert seconds % 60 == 0
        shorter = [m * 60.0 for m in range(1, 1441) if 1440 % m == 0 and m * 60.0 < seconds]
        assert all(s < least for s in shorter)
    else:
        assert seconds == 120 * step


def test_default_blocks_are_nearly_independent() -> None:
    """A score that remembers a window of 30 rows and an average of span 30, as those of the detector do."""
    rng = np.random.default_rng(0)
    n = 1440 * 400
    noise = rng.standard_exponential(n + 2029)
    window = np.convolve(noise, np.ones(30) / 30, "valid")
    score = lfilter([2 / 31], [1, -29 / 31], window)[-n:]
    scores = _scores(np.arange(n) * 60 * NS, score)

    def of_neighbours(block_seconds: float) -> float:
        height = block_maxima(scores, block_seconds).height
        return float(spearmanr(height[:-1], height[1:])[0])

    assert of_neighbours(30 * 60.0) > 0.4
    assert of_neighbours(default_block_seconds(scores)) < 0.2

"""Peaks over threshold against a fit by scipy, and what its lines mean on fresh data."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import CalibrationScores, ThresholdResult
from sensorad.thresholds.pot import PeaksOverThreshold

RULE = EventRule(merge_gap_rows=10)


def _scores(score: np.ndarray) -> CalibrationScores:
    return CalibrationScores(np.arange(len(score)) * 60 * 10**9, score, np.zeros(len(score), np.int32), 60.0)


def _smooth(rng: np.random.Generator, n_rows: int, memory: float = 0.9) -> np.ndarray:
    noise = rng.standard_normal(n_rows + 500)
    return np.exp(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise)[500:])


def _siffer(excess: np.ndarray, u: float, exceeded: float) -> float:
    """The line by an independent fit."""
    shape, _, scale = stats.genpareto.fit(excess, floc=0)
    if abs(shape) < 1e-6:
        return u - scale * np.log(exceeded)
    return u + scale / shape * (exceeded**-shape - 1)


DRAWS = {
    "exponential": lambda rng, n: rng.exponential(size=n),
    "heavy": lambda rng, n: np.abs(rng.standard_t(4, size=n)),
    "gaussian": lambda rng, n: 10 + rng.standard_normal(n),
    "smooth": _smooth,
}


@pytest.mark.parametrize("process", sorted(DRAWS))
@pytest.mark.parametrize(("risk", "level"), [(1e-4, 0.98), (1e-3, 0.95), (1e-6, 0.98)])
def test_rows_give_the_line_of_an_independent_fit(process, risk, level):
    for seed in range(3):
        score = DRAWS[process](np.random.default_rng(seed), 30_000)
        result = PeaksOverThreshold(risk, level).fit(_scores(score), RULE)
        u = np.quantile(score, level)
        excess = score[score > u] - u
        expected = _siffer(excess, u, risk * len(score) / len(excess))
        assert result.threshold == pytest.approx(expected, rel=0.01)
        assert result.parameters["n_excesses"] == len(excess)
        assert result.parameters["level_score"] == u
        assert result.is_extrapolated == (result.threshold > score.max())


def test_events_give_the_line_of_an_independent_fit_to_counted_events():
    score = _smooth(np.random.default_rng(0), 9000)
    scores, risk, level = _scores(score), 2e-3, 0.9
    result = PeaksOverThreshold(risk, level, is_declustered=True).fit(scores, RULE)
    # Counts at every line from the top, never falling on the way down: each step is the height of an event.
    u = np.quantile(score, level)
    lines = np.unique(np.concatenate([score, score / RULE.release]))
    lines = lines[lines > u][::-1]
    heights: list[float] = []
    for above, line in pairwise(lines):
        n_events = len(event_spans(scores.time, scores.score, scores.group, float(line), RULE))
        heights += [float(above)] * (n_events - len(heights))
        if len(heights) > 101:
            break
    excess = np.array(heights[:100]) - heights[100]
    assert result.parameters["n_excesses"] == 100
    assert result.parameters["level_score"] == heights[100]
    assert result.threshold == pytest.approx(_siffer(excess, heights[100], risk * 9000 / 100), rel=0.01)


def test_extrapolated_means_above_the_highest_score():
    score = np.random.default_rng(0).exponential(size=20_000)
    flags, lines = zip(
        *((r.is_extrapolated, r.threshold) for r in (_fit(score, risk) for risk in (1e-3, 1e-4, 1e-5, 1e-6, 1e-9))),
        strict=True,
    )
    assert list(lines) == sorted(lines)
    assert list(flags) == [line > score.max() for line in lines]
    assert (flags[0], flags[-1]) == (False, True)


def _fit(score: np.ndarray, risk: float) -> ThresholdResult:
    return PeaksOverThreshold(risk).fit(_scores(score), RULE)


def test_the_interval_of_the_line_holds_the_truth_about_as_often_as_it_says():
    held = []
    for seed in range(150):
        result = _fit(np.random.default_rng(seed).exponential(size=15_000), 1e-5)
        low, high = result.parameters["threshold_interval"]
        assert low < result.threshold < high
        held.append(low < -np.log(1e-5) < high)
    assert 0.82 <= np.mean(held) <= 0.97


def test_events_come_as_often_as_asked_where_rows_come_in_bursts():
    rng, n_rows, risk = np.random.default_rng(0), 100_000, 1e-4
    fresh = _scores(_smooth(rng, 3_000_000, memory=0.97))
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(12):
        scores = _scores(_smooth(rng, n_rows, memory=0.97))
        for is_declustered, found in rates.items():
            line = PeaksOverThreshold(risk, is_declustered=is_declustered).fit(scores, RULE).threshold
            found.append(len(event_spans(fresh.time, fresh.score, fresh.group, line, RULE)) / len(fresh.score))
    assert 0.8 * risk < np.mean(rates[True]) < 1.25 * risk
    assert np.mean(rates[False]) < 0.5 * risk  # rows come several to an event


def test_low_levels_do_not_bend_the_tail_of_events():
    # Above the 98 % quantile most iid events are bridged; a tail through all of them lies far too low.
    score = np.random.default_rng(1).exponential(size=2_000_000)
    result = PeaksOverThreshold(1e-6, is_declustered=True).fit(_scores(score), EventRule())
    assert result.threshold == pytest.approx(-np.log(1e-6), rel=0.05)


def test_parameters_say_what_the_line_rests_on():
    result = _fit(np.random.default_rng(0).exponential(size=20_000), 1e-4)
    assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    found = result.parameters
    assert found["risk"] == 1e-4
    assert found["fitted_by"] == "likelihood"
    assert found["shape_interval"][0] < found["shape"] < found["shape_interval"][1]
    assert found["scale_interval"][0] < found["scale"] < found["scale_interval"][1]
    assert not result.is_promised
    assert any("rows are independent" in text for text in result.assumptions)
    events = PeaksOverThreshold(is_declustered=True).fit(_scores(_smooth(np.random.default_rng(0), 50_000)), RULE)
    assert any("Poisson" in text for text in events.assumptions)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"risk": 0.02}, "risk must lie between 0 and 1 - level = 0.02"),
        ({"risk": 0.0}, "risk"),
        ({"risk": np.nan}, "risk"),
        ({"level": 1.0}, "level must lie between"),
        ({"level": 98}, "level"),
    ],
)
def test_settings_out_of_range(options, words):
    with pytest.raises(UsageError, match=words):
        PeaksOverThreshold(**options)


def test_refusals():
    rng = np.random.default_rng(0)
    with pytest.raises(TooLittleDataError, match=r"50 rows above the 0\.98 quantile, got 40.*2,500 scored rows"):
        _fit(rng.exponential(size=2000), 1e-4)
    with pytest.raises(TooLittleDataError, match="equal at the top"):
        _fit(np.minimum(rng.exponential(size=10_000), 2.0), 1e-4)
    with pytest.raises(TooLittleDataError, match="50 events"):
        PeaksOverThreshold(is_declustered=True).fit(_scores(_smooth(rng, 5000, memory=0.99)), EventRule())
    with pytest.raises(DataError, match=r"98 quantile of the scores is -\d.*positive"):
        _fit(rng.exponential(size=10_000) - 20, 1e-4)
    with pytest.raises(DataError, match=r"allows 1\.007e\+04 events.*only 612.*risk below 0\.012"):
        PeaksOverThreshold(0.19, 0.8, is_declustered=True).fit(_scores(rng.exponential(size=53_000)), EventRule())
    with pytest.raises(DataError, match="excesses equal"):
        _fit(np.where(rng.random(10_000) < 0.015, 9.0, rng.random(10_000) < 0.5), 1e-4)


def test_many_equal_heights_still_give_a_line():
    score = np.round(np.random.default_rng(0).exponential(size=100_000), 1)
    for is_declustered in (False, True):
        result = PeaksOverThreshold(1e-5, is_declustered=is_declustered).fit(_scores(score), RULE)
        assert result.threshold == pytest.approx(-np.log(1e-5), rel=0.15)

"""A line for each operating mode: equal rates in all of them, and one shared line where data are too few."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sensorad.alarm_line import AlarmLine
from sensorad.errors import TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import Budget, BudgetThreshold, CalibrationScores, QuantileThreshold, ThresholdResult
from sensorad.thresholds.per_mode import PerModeThreshold

MODES = ("off", "idle", "half", "full", "clean")
LOUDNESS = (1.0, 1.5, 2.5, 4.0, 8.0)
RULE = EventRule(merge_gap_rows=5, step_seconds=60.0)
MINUTE = 60 * 10**9


def _scores(days: float, seed: int, shares: tuple[float, ...] = (0.2,) * 5) -> CalibrationScores:
    """Exponential scores, louder in some modes than in others; the mode changes every two hours."""
    draws = np.random.default_rng(seed)
    n_rows = round(days * 1440)
    mode = np.repeat(draws.choice(5, size=n_rows // 120 + 1, p=shares), 120)[:n_rows].astype(np.int32)
    score = draws.exponential(size=n_rows) * np.array(LOUDNESS)[mode]
    return CalibrationScores(
        np.arange(n_rows) * MINUTE, score, np.zeros(n_rows, np.int32), 60.0, mode=mode, mode_names=MODES
    )


def _rates(scores: CalibrationScores, line: AlarmLine) -> list[float]:
    """Share of the rows of each mode that are above its line."""
    assert scores.mode is not None
    level = line.comparable(scores.score, scores.mode, scores.mode_names)
    return [float((level[scores.mode == code] > line.threshold).mean()) for code in range(5)]


def test_each_mode_keeps_its_rate_where_one_line_is_far_off() -> None:
    fitted = PerModeThreshold(QuantileThreshold(q=0.999)).fit(_scores(300, seed=1), RULE)
    fresh = _scores(400, seed=2)
    assert set(fitted.modes) == set(MODES)
    for rate in _rates(fresh, fitted.line):
        assert 0.5e-3 < rate < 1.5e-3
    one_line = _rates(fresh, AlarmLine(fitted.threshold))
    assert max(one_line) > 4.5e-3
    assert min(one_line) < 1e-3 / 5


def test_a_mode_with_too_little_data_shares_the_line_of_all_rows() -> None:
    scores = _scores(30, seed=3, shares=(0.3, 0.3, 0.2, 0.198, 0.002))
    result = PerModeThreshold(BudgetThreshold(Budget.parse("1/day"))).fit(scores, RULE)
    assert set(result.modes) == set(MODES) - {"clean"}
    assert result.line.by_mode.keys() == result.modes.keys()
    assert "too little data for lines of their own: clean" in " ".join(result.assumptions)
    assert "Operating modes with lines of their own: off" in result.statement()


def test_a_budget_holds_over_all_modes_together_and_is_used_up() -> None:
    """Modes on the shared line alarm too; what single modes may not use alone is not lost."""
    scores = _scores(30, seed=4, shares=(0.45, 0.45, 0.06, 0.03, 0.01))
    method = BudgetThreshold(Budget.parse("1/day"))
    result = PerModeThreshold(method).fit(scores, RULE)
    assert {"off", "idle"} <= set(result.modes) < set(MODES)
    level = scores.comparable(result.line)
    n_events = len(event_spans(level.time, level.score, level.group, result.threshold, RULE))
    assert n_events == result.parameters["n_allowed"] == method.fit(level, RULE).parameters["n_allowed"]
    assert result.expected_events_per_day == pytest.approx(n_events / 30)
    assert result.is_promised
    assert not any(part.is_promised for part in result.modes.values())
    assert sum(part.parameters.get("n_allowed", 0) for part in result.modes.values()) == 0


def test_the_true_rate_is_within_the_budget_over_all_and_even_over_modes() -> None:
    """Thirty calibrations on fresh days: the promise is kept about as often as said, no mode pays for the others."""
    method = PerModeThreshold(BudgetThreshold(Budget.parse("1/day")))
    fresh = _scores(300, seed=99)
    assert fresh.mode is not None
    rates, shares = [], np.zeros(5)
    for seed in range(30):
        line = method.fit(_scores(14, seed=100 + seed), RULE).line
        level = fresh.comparable(line)
        spans = event_spans(level.time, level.score, level.group, line.threshold, RULE)
        rates.append(len(spans) / 300)
        shares += np.bincount(fresh.mode[spans.start], minlength=5)
    assert np.mean(np.array(rates) <= 1.0) >= 0.8
    assert 0.5 < np.mean(rates) < 0.95
    assert (shares / shares.sum()).max() < 0.35
    assert (shares / shares.sum()).min() > 0.08


def test_events_are_counted_on_all_lines_together() -> None:
    scores = _scores(20, seed=5)
    result = PerModeThreshold(QuantileThreshold(q=0.999)).fit(scores, RULE)
    level = scores.comparable(result.line)
    n_events = len(event_spans(level.time, level.score, level.group, result.threshold, RULE))
    assert result.expected_events_per_day * 20 == pytest.approx(n_events)
    of_modes = sum(part.expected_events_per_day * part.calibration_days for part in result.modes.values())
    assert of_modes == pytest.approx(n_events, rel=0.1), "modes change every two hours: few events cross a change"


def test_without_modes_or_with_one_it_is_the_method_itself() -> None:
    scores = _scores(10, seed=6)
    plain = replace(scores, mode=None, mode_names=())
    method = QuantileThreshold(q=0.99)
    assert PerModeThreshold(method).fit(plain, RULE) == method.fit(plain, RULE)
    single = replace(scores, mode=np.zeros(len(scores.score), np.int32), mode_names=("run", "never seen"))
    assert PerModeThreshold(method).fit(single, RULE) == method.fit(plain, RULE)
    assert PerModeThreshold(method).name == "quantile"


def test_rows_of_an_unknown_mode_share_the_line() -> None:
    scores = replace(_scores(30, seed=10), mode_names=("", *MODES[1:]))
    result = PerModeThreshold(QuantileThreshold(q=0.99)).fit(scores, RULE)
    assert set(result.modes) == set(MODES[1:])


def test_what_the_method_refuses_for_all_rows_is_refused() -> None:
    with pytest.raises(TooLittleDataError, match="machine-hours"):
        PerModeThreshold(BudgetThreshold(Budget.parse("1/month"))).fit(_scores(3, seed=7), RULE)


def test_lines_survive_json() -> None:
    result = PerModeThreshold(QuantileThreshold(q=0.99)).fit(_scores(10, seed=8), RULE)
    again = ThresholdResult.from_json(json.loads(json.dumps(result.to_json())))
    assert again == result
    assert again.line == result.line


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(UsageError, match="'night'"):
        _scores(1, seed=9).of_mode("night")


@pytest.mark.parametrize("line", [0.0, -1.0, float("nan"), float("inf")])
def test_lines_are_positive(line: float) -> None:
    with pytest.raises(UsageError, match="positive and finite"):
        AlarmLine(1.0, {"idle": line})

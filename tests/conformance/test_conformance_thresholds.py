"""What every threshold method promises: a positive line that explains itself, or a refusal that says why."""

from __future__ import annotations

import json
from math import isfinite

import numpy as np
import pytest
from cases import Case, fit
from small_plant import normal_log

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import THRESHOLDS, Budget, CalibrationScores, ThresholdMethod, ThresholdResult, threshold_class

OPTIONS = {"budget": {"budget": Budget.parse("1/day")}}
"""Settings that have no default; a method that is not listed here has defaults for all of its own."""

RULE = EventRule(merge_gap_rows=5, step_seconds=60.0)
METHODS = sorted(THRESHOLDS)


def _method(name: str) -> ThresholdMethod:
    return threshold_class(name)(**OPTIONS.get(name, {}))


def _scores(values: np.ndarray) -> CalibrationScores:
    n_rows = len(values)
    return CalibrationScores(np.arange(n_rows) * 60 * 10**9, values, np.zeros(n_rows, np.int32), 60.0)


def _normal(n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=n_rows)


@pytest.mark.parametrize("name", METHODS)
def test_the_line_is_a_positive_number_and_counts_its_events(name: str) -> None:
    scores = _scores(_normal(10_000))
    result = _method(name).fit(scores, RULE)
    assert isfinite(result.threshold)
    assert result.threshold > 0
    assert result.method == name
    n_events = len(event_spans(scores.time, scores.score, scores.group, result.threshold, RULE))
    assert result.expected_events_per_day * scores.days == pytest.approx(n_events)
    low, high = result.interval
    assert low <= result.expected_events_per_day <= high
    assert result.n_rows == 10_000
    assert f"{result.threshold:.4g}" in result.statement()


@pytest.mark.parametrize("name", METHODS)
def test_the_result_survives_json(name: str) -> None:
    result = _method(name).fit(_scores(_normal(10_000)), RULE)
    assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    with pytest.raises(UsageError, match="surprise"):
        ThresholdResult.from_json({**result.to_json(), "surprise": 1})


@pytest.mark.parametrize("name", METHODS)
def test_rows_without_a_score_are_left_out(name: str) -> None:
    values = _normal(12_000)
    holed = values.copy()
    holed[2_000:4_000] = np.nan
    result = _method(name).fit(_scores(holed), RULE)
    assert result.n_rows == 10_000
    assert result.calibration_days == pytest.approx(10_000 / 1440)


@pytest.mark.parametrize("name", METHODS)
def test_it_refuses_rather_than_guess(name: str) -> None:
    method = _method(name)
    with pytest.raises(TooLittleDataError, match="none of the 500"):
        method.fit(_scores(np.full(500, np.nan)), RULE)
    with pytest.raises(TooLittleDataError, match=r"\d"):
        method.fit(_scores(_normal(20)), RULE)
    with pytest.raises(DataError, match="all 10,000 calibration scores equal"):
        method.fit(_scores(np.ones(10_000)), RULE)
    infinite = _normal(10_000)
    infinite[7] = np.inf
    with pytest.raises(DataError, match="infinity"):
        method.fit(_scores(infinite), RULE)
    with pytest.raises(DataError, match="positive"):
        method.fit(_scores(-_normal(10_000) - 1.0), RULE)


@pytest.mark.parametrize("name", METHODS)
def test_larger_scores_have_a_larger_line(name: str) -> None:
    """Lines are positions among the normal scores: a change of unit moves them along and moves no event."""
    line, scaled = (_method(name).fit(_scores(k * _normal(10_000)), RULE) for k in (1.0, 8.0))
    assert scaled.threshold == pytest.approx(8.0 * line.threshold, rel=1e-9)
    assert scaled.expected_events_per_day == line.expected_events_per_day


@pytest.mark.parametrize("name", METHODS)
def test_a_detector_takes_it_by_name_and_as_an_object(name: str) -> None:
    from sensorad import Detector

    method = _method(name)
    config = Case("linear").config()
    log = normal_log(3600, seed=1)
    fitted = Detector(config=config).fit(log, time="time", group="machine", threshold=method)
    assert fitted.threshold_result_.method == name
    assert fitted.notes_ == []
    options = {"budget": "1/day"} if name == "budget" else {}
    result = fitted.calibrate(log, method=name, **options)
    assert result == fitted.threshold_result_
    assert result.method == name


def test_unknown_methods_and_options_are_named() -> None:
    detector = fit(Case("linear"))
    log = normal_log(60, seed=2)
    with pytest.raises(UsageError, match="did you mean 'quantile'"):
        detector.calibrate(log, method="quantil")
    with pytest.raises(UsageError, match="quarter"):
        detector.calibrate(log, method="quantile", quarter=0.9)
    with pytest.raises(UsageError, match="has no budget"):
        detector.calibrate(log, method="quantile", budget="1/day")
    line = detector.threshold_
    with pytest.raises(TooLittleDataError, match="machine-hours"):
        detector.calibrate(log, budget="1/month")
    assert detector.threshold_ == line, "a refused calibration leaves the old one in force"

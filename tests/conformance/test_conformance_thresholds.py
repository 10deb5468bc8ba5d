"""What every threshold method promises: a positive line that explains itself, or a refusal that says why."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isfinite

import numpy as np
import pandas as pd
import pytest
from cases import Case, fit
from small_plant import normal_log, with_fault

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_spans
from sensorad.thresholds import (
    ECHO,
    NORMAL,
    THRESHOLDS,
    Budget,
    CalibrationScores,
    PerModeThreshold,
    ThresholdMethod,
    ThresholdResult,
    threshold_class,
)

DAILY = Budget.parse("1/day")
OPTIONS = {"budget": {"budget": DAILY}, "budget-mean": {"budget": DAILY}, "conformal": {"alpha": 0.05}}
"""Settings that have no default, or one for logs longer than these; the others have defaults that suit."""

NEEDS_FAULTS = {"fbeta"}
"""Methods that learn from labelled faults: they get one more hour, in which everything is ten times as high."""

RULE = EventRule(merge_gap_rows=5, step_seconds=60.0)
METHODS = sorted(THRESHOLDS)


def _method(name: str) -> ThresholdMethod:
    return threshold_class(name)(**OPTIONS.get(name, {}))


def _scores(name: str, values: np.ndarray) -> CalibrationScores:
    fault = None
    if name in NEEDS_FAULTS:
        highest = np.nanmax(values, where=np.isfinite(values), initial=1e-9)
        values = np.append(values, np.full(60, 10.0 * highest if np.isfinite(values).any() else np.nan))
        fault = np.full(len(values), NORMAL, np.int32)
        fault[-60:] = 0
    n_rows = len(values)
    return CalibrationScores(np.arange(n_rows) * 60 * 10**9, values, np.zeros(n_rows, np.int32), 60.0, fault)


def _normal(n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=n_rows)


@pytest.mark.parametrize("name", METHODS)
def test_the_line_is_a_positive_number_and_counts_its_events(name: str) -> None:
    given = _scores(name, _normal(10_000))
    result = _method(name).fit(given, RULE)
    scores = given.normal()
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
    result = _method(name).fit(_scores(name, _normal(10_000)), RULE)
    assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    with pytest.raises(UsageError, match="surprise"):
        ThresholdResult.from_json({**result.to_json(), "surprise": 1})


@pytest.mark.parametrize("name", METHODS)
def test_rows_without_a_score_are_left_out(name: str) -> None:
    values = _normal(12_000)
    holed = values.copy()
    holed[2_000:4_000] = np.nan
    result = _method(name).fit(_scores(name, holed), RULE)
    assert result.n_rows == 10_000
    assert result.calibration_days == pytest.approx(10_000 / 1440)


@pytest.mark.parametrize("name", METHODS)
def test_it_refuses_rather_than_guess(name: str) -> None:
    method = _method(name)
    with pytest.raises(TooLittleDataError, match=r"none of the 5[06]0"):
        method.fit(_scores(name, np.full(500, np.nan)), RULE)
    with pytest.raises(TooLittleDataError, match=r"\d"):
        method.fit(_scores(name, _normal(20)), RULE)
    with pytest.raises(DataError, match="all 10,000 calibration scores equal"):
        method.fit(_scores(name, np.ones(10_000)), RULE)
    infinite = _normal(10_000)
    infinite[7] = np.inf
    with pytest.raises(DataError, match="infinity"):
        method.fit(_scores(name, infinite), RULE)
    with pytest.raises(DataError, match="positive"):
        method.fit(_scores(name, -_normal(10_000) - 1.0), RULE)


@pytest.mark.parametrize("name", METHODS)
def test_larger_scores_have_a_larger_line(name: str) -> None:
    """Lines are positions among the normal scores: a change of unit moves them along and moves no event."""
    line, scaled = (_method(name).fit(_scores(name, k * _normal(10_000)), RULE) for k in (1.0, 8.0))
    assert scaled.threshold == pytest.approx(8.0 * line.threshold, rel=1e-9)
    assert scaled.expected_events_per_day == line.expected_events_per_day


@pytest.mark.parametrize("name", METHODS)
def test_rows_of_faults_are_not_normal(name: str) -> None:
    """Neither they nor the rows that remember them move the line of a method that learns from normal rows only."""
    values = _normal(10_000)
    fault = np.full(10_000, NORMAL, np.int32)
    fault[3_000:3_060], fault[3_060:3_100] = 0, ECHO
    faulty = values.copy()
    faulty[3_000:3_100] = 50.0
    plain = _scores("", np.where(fault == NORMAL, values, np.nan))
    marked = replace(_scores("", faulty), fault=fault)
    if name in NEEDS_FAULTS:
        with pytest.raises(TooLittleDataError, match="no labelled fault"):
            _method(name).fit(plain, RULE)
        assert _method(name).fit(marked, RULE).n_rows == 9_900
    else:
        assert _method(name).fit(marked, RULE) == _method(name).fit(plain, RULE)
    with pytest.raises(DataError, match="all 10,000 scored calibration rows are labelled"):
        _method(name).fit(replace(marked, fault=np.zeros(10_000, np.int32)), RULE)


@pytest.mark.parametrize("name", METHODS)
def test_modes_have_lines_of_their_own(name: str) -> None:
    draws = np.random.default_rng(0)
    mode = (np.arange(40_000) // 200 % 2).astype(np.int32)
    scores = _scores(name, draws.exponential(size=40_000) * np.where(mode == 1, 6.0, 1.0))
    mode = np.append(mode, np.zeros(len(scores.score) - 40_000, np.int32))
    result = PerModeThreshold(_method(name)).fit(replace(scores, mode=mode, mode_names=("idle", "run")), RULE)
    ran = result.modes["run"].threshold if name not in NEEDS_FAULTS else result.threshold
    assert 4 < ran / result.modes["idle"].threshold < 9


@pytest.mark.parametrize("name", METHODS)
def test_a_detector_takes_it_by_name_and_as_an_object(name: str) -> None:
    from sensorad import Detector

    config = Case("linear").config()
    log = normal_log(3600, seed=1)
    options = {key: str(value) if key == "budget" else value for key, value in OPTIONS.get(name, {}).items()}
    if name in NEEDS_FAULTS:
        fitted = Detector(config=config).fit(log, time="time", group="machine")
        times = log["time"].iloc[[2000, 2100]].tolist()
        labels = pd.DataFrame({"start": times[:1], "end": times[1:], "machine": ["east"]})
        by_object = fitted.calibrate(with_fault(log, 1000, 1051), method=_method(name), labels=labels)
        assert fitted.calibrate(with_fault(log, 1000, 1051), method=name, labels=labels) == by_object
        assert by_object.parameters["n_faults"] == 1
        return
    fitted = Detector(config=config).fit(log, time="time", group="machine", threshold=_method(name))
    assert fitted.threshold_result_.method == name
    assert fitted.notes_ == []
    result = fitted.calibrate(log, method=name, **options)
    assert result == fitted.calibrate(log, method=_method(name))
    assert result.method == name
    with pytest.raises(UsageError, match="put them into it"):
        fitted.calibrate(log, method=_method(name), confidence=0.5)


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

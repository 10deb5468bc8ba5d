"""Best F-beta: exact against trying every line, held by the budget, and never a guess."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import DataError, TooLittleDataError, UsageError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds import Budget, BudgetThreshold, CalibrationScores, ThresholdResult
from sensorad.thresholds.base import ECHO, NORMAL
from sensorad.thresholds.fbeta import MOST_BUILT, PRIOR_FAULTS, FBetaThreshold
from sensorad.thresholds.labelled import fault_heights, labelled_by_rows

DAY = 1440  # rows of one minute
RULE = EventRule(merge_gap_rows=5, step_seconds=60.0)
PLAIN = FBetaThreshold(budget=None)


def _scores(score: np.ndarray, is_anomalous: np.ndarray | None = None, n_machines: int = 1) -> CalibrationScores:
    each = len(score) // n_machines
    time = np.tile(np.arange(each, dtype=np.int64) * 60 * 10**9, n_machines)
    scores = CalibrationScores(time, score, np.repeat(np.arange(n_machines), each).astype(np.int32), 60.0)
    return scores if is_anomalous is None else labelled_by_rows(scores, is_anomalous, echo_rows=10)


def _with_faults(
    n_days: int = 14, n_faults: int = 7, height: float = 20.0, seed: int = 0, scale: float = 1.0
) -> CalibrationScores:
    """A log of exponential scores in which each fault lifts 15 rows by about ``height``."""
    rng = np.random.default_rng(seed)
    score = rng.exponential(size=n_days * DAY)
    is_anomalous = np.zeros(len(score), bool)
    for row in np.linspace(100, len(score) - 100, n_faults).astype(int):
        score[row : row + 15] += height * rng.uniform(0.5, 1.5)
        is_anomalous[row : row + 15] = True
    return _scores(scale * score, is_anomalous)


def _f(hits: int, false: int, n: int, beta: float) -> float:
    if hits == 0:
        return 0.0
    precision, recall = hits / (hits + false), hits / n
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _small(seed: int) -> CalibrationScores:
    """Some hundred rows of two machines with a few faults, some without a score."""
    rng = np.random.default_rng(seed)
    score = np.exp(np.convolve(rng.standard_normal(404), np.ones(5) / 5**0.5, "valid"))
    is_anomalous = np.zeros(400, bool)
    for row in rng.choice(380, int(rng.integers(1, 7)), replace=False):
        is_anomalous[row : row + int(rng.integers(1, 12))] = True
    score[is_anomalous] *= rng.uniform(0.5, 4.0)
    score = score.round(1)  # equal scores must not confuse it
    score[rng.random(400) < 0.1] = np.nan
    return _scores(score, is_anomalous, n_machines=2)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 1.0, 2.0]))
def test_the_best_line_by_row_by_trying_every_score(seed: int, beta: float) -> None:
    scores = _small(seed)
    assert scores.fault is not None
    result = FBetaThreshold(beta=beta, unit="row", budget=None).fit(scores, RULE)
    faulty = [s for s, f in zip(scores.score, scores.fault, strict=True) if f >= 0 and not np.isnan(s)]
    normal = [s for s, f in zip(scores.score, scores.fault, strict=True) if f == NORMAL and not np.isnan(s)]
    best, at = 0.0, np.nan
    for line in sorted({s for s in faulty + normal if s > 0} | {1e-9}):
        value = _f(sum(s > line for s in faulty), sum(s > line for s in normal), len(faulty), beta)
        if value >= best - 1e-12:
            best, at = max(value, best), line
    assert result.parameters["f_beta"] == pytest.approx(best, rel=1e-12)
    if at > 1e-9:
        assert result.threshold == at


rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 9),
    min_rows=st.sampled_from([1, 1, 2]),
    release=st.sampled_from([0.4, 0.8, 1.0]),
    step_seconds=st.sampled_from([None, 60.0]),
    refractory_rows=st.sampled_from([0, 0, 25]),
)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 1.0, 2.0]), rules)
def test_the_best_line_by_event_by_asking_the_builder_everywhere(seed: int, beta: float, rule: EventRule) -> None:
    scores = _small(seed)
    normal = scores.normal()
    heights = fault_heights(scores, rule.min_rows)
    heights = heights[~np.isnan(heights)]
    floor = np.quantile(normal.finite, 0.95)

    def value(line: float) -> float:
        false = len(event_spans(normal.time, normal.score, normal.group, line, rule))
        return _f(int(sum(h > line for h in heights)), false, len(heights), beta)

    # Counts change at scores, at scores / release and at heights only: between these, one line speaks for all.
    steps = np.concatenate([normal.finite, normal.finite / rule.release, heights, [floor]])
    steps = np.unique(steps[steps >= floor])
    values = np.array([value((low + high) / 2) for low, high in pairwise([*steps, steps[-1] + 1])])
    method = FBetaThreshold(beta=beta, budget=None)
    if len(heights) == 0 or values.max() == 0:
        with pytest.raises(DataError):
            method.fit(scores, rule)
        return
    result = method.fit(scores, rule)
    assert result.parameters["f_beta"] == pytest.approx(values.max(), rel=1e-12)
    assert value(result.threshold) == pytest.approx(values.max(), rel=1e-12)
    # Every line above is as good up to the next change, and from there on worse.
    above = values[np.searchsorted(steps, result.threshold, side="right") - 1 :] >= values.max() - 1e-12
    assert (np.diff(above.astype(int)) <= 0).all()


@pytest.mark.parametrize("unit", ["event", "row"])
def test_of_equally_good_lines_the_highest_is_taken(unit: Any) -> None:
    """Two faults: one found with no false alarm, or both with two, is an F-1 of 2/3 either way."""
    score = np.tile([1.0, 2.0], 500)
    score[[100, 300, 500, 700]] = 10.0, 5.0, 4.0, 3.0
    scores = _scores(score, np.isin(np.arange(1000), [100, 700]))
    result = FBetaThreshold(beta=1.0, unit=unit, budget=None).fit(scores, replace(RULE, release=1.0))
    assert result.parameters["f_beta"] == pytest.approx(2 / 3)
    assert result.threshold == 5.0
    assert result.parameters["n_found"] == 1


def test_long_rules_are_tried_on_few_lines_and_still_close_to_the_best() -> None:
    rule = replace(RULE, min_rows=2)
    scores = _with_faults(n_days=3, n_faults=12, height=3.0, seed=1)
    result = PLAIN.fit(scores, rule)
    normal, heights = scores.normal(), fault_heights(scores, 2)
    lines = np.unique(normal.finite[normal.finite > np.quantile(normal.finite, 0.95)])
    assert len(lines) > 2 * MOST_BUILT
    best = max(
        _f(
            int((heights > line).sum()),
            len(event_spans(normal.time, normal.score, normal.group, line, rule)),
            len(heights),
            0.5,
        )
        for line in lines
    )
    assert result.parameters["f_beta"] >= 0.97 * best


def test_what_the_result_says_is_what_can_be_counted() -> None:
    scores = _with_faults(n_faults=9, height=5.0)
    for unit in ("event", "row"):
        result = FBetaThreshold(unit=unit, beta=1.0, budget=Budget.parse("2/day")).fit(scores, RULE)
        line, found = result.threshold, result.parameters
        normal = scores.normal()
        n_false = len(event_spans(normal.time, normal.score, normal.group, line, RULE))
        n_found = int((fault_heights(scores) > line).sum())
        assert result.expected_events_per_day * result.calibration_days == pytest.approx(n_false)
        assert result.interval[0] <= result.expected_events_per_day <= result.interval[1]
        assert (found["n_faults"], found["n_found"]) == (9, n_found)
        assert scores.fault is not None
        hits, false, n = n_found, n_false, 9
        if unit == "row":
            above = scores.score > line
            hits, false = int((above & (scores.fault >= 0)).sum()), int((above & (scores.fault == NORMAL)).sum())
            n = 9 * 15
        assert found["precision"] == pytest.approx(hits / (hits + false))
        assert found["recall"] == pytest.approx(hits / n)
        assert found["f_beta"] == pytest.approx(_f(hits, false, n, 1.0))
        assert ThresholdResult.from_json(json.loads(json.dumps(result.to_json()))) == result
        assert result.n_rows == 14 * DAY - 9 * 25
        assert f"{line:.4g}" in result.statement()


def test_an_alarm_in_the_echo_finds_the_fault_and_is_no_false_alarm() -> None:
    score = np.random.default_rng(0).exponential(size=1000)
    fault = np.full(1000, NORMAL, np.int32)
    fault[500:503], fault[503:513] = 0, ECHO
    score[500:513] = 0.0
    score[507] = 50.0
    scores = replace(_scores(score), fault=fault)
    result = PLAIN.fit(scores, RULE)
    assert (result.parameters["n_found"], result.parameters["precision"]) == (1, 1.0)
    assert result.threshold < 50.0
    with pytest.raises(DataError, match="say nothing"):
        FBetaThreshold(unit="row", budget=None).fit(scores, RULE)  # by row the echo counts as neither


def test_endless_alarms_are_no_cheap_false_event() -> None:
    """Below most scores all normal rows are one single event, which would look like a precision of 10/11."""
    rule = replace(RULE, merge_gap_rows=30)
    score = np.random.default_rng(0).exponential(size=5000)
    is_anomalous = np.zeros(5000, bool)
    is_anomalous[100::500] = True
    scores = _scores(score, is_anomalous)
    normal = scores.normal()
    assert len(event_spans(normal.time, normal.score, normal.group, 0.01, rule)) == 1
    result = PLAIN.fit(scores, rule)
    assert np.mean(normal.finite > result.threshold) <= 0.05
    assert result.parameters["precision"] < 0.5


class TestBudget:
    def test_a_line_that_labels_want_lower_stays_at_the_budget_line(self) -> None:
        scores = _with_faults(height=6.0)
        kept = FBetaThreshold(beta=2.0, unit="row").fit(scores, RULE)
        promised = BudgetThreshold(Budget.parse("1/day")).fit(scores, RULE)
        found = kept.parameters
        assert found["tau_F"] < found["tau_budget"] == promised.threshold == kept.threshold
        assert (found["is_decided_by_budget"], found["is_budget_kept"], kept.is_promised) == (True, True, True)
        assert found["events_per_machine_day"] == 1.0
        assert "Promise: no more than 1 alarm event a day" in kept.statement()
        free = FBetaThreshold(beta=2.0, unit="row", is_budget_kept=False).fit(scores, RULE)
        weight = 7 / (7 + PRIOR_FAULTS)
        drawn = found["tau_F"] ** weight * found["tau_budget"] ** (1 - weight)
        assert free.threshold == pytest.approx(drawn, rel=1e-12)
        assert not free.is_promised
        assert "promises nothing" in free.statement()

    def test_a_line_that_labels_want_higher_is_drawn_towards_it_the_less_the_more_labels(self) -> None:
        shares = []
        for n_faults in (1, 5, 25):
            result = FBetaThreshold().fit(_with_faults(n_faults=n_faults, height=60.0), RULE)
            found = result.parameters
            assert found["tau_budget"] < result.threshold < found["tau_F"]
            assert result.is_promised
            assert not found["is_decided_by_budget"]
            assert found["weight"] == n_faults / (n_faults + PRIOR_FAULTS)
            shares.append(np.log(result.threshold / found["tau_budget"]) / np.log(found["tau_F"] / found["tau_budget"]))
            assert shares[-1] == pytest.approx(found["weight"])
        assert shares == sorted(shares)

    def test_without_a_budget_the_labels_decide_and_nothing_is_promised(self) -> None:
        scores = _with_faults()
        result = PLAIN.fit(scores, RULE)
        assert result.threshold == result.parameters["tau_F"]
        assert not result.is_promised
        assert result.parameters["tau_budget"] is None
        assert "budget" not in result.parameters
        few = replace(_with_faults(n_days=1, n_faults=2))
        assert PLAIN.fit(few, RULE).parameters["n_found"] == 2

    def test_too_little_normal_data_is_refused_in_the_budgets_words(self) -> None:
        scores = _with_faults(n_days=2, n_faults=3)
        with pytest.raises(TooLittleDataError) as budget:
            BudgetThreshold(Budget.parse("1/day")).fit(scores, RULE)
        with pytest.raises(TooLittleDataError, match=r"machine-hours.*without a budget \(budget=None\)") as own:
            FBetaThreshold().fit(scores, RULE)
        assert own.value.what == budget.value.what
        assert own.value.where == "threshold method fbeta"

    @pytest.mark.parametrize("seed", range(3))
    def test_the_budget_is_kept_on_new_data(self, seed: int) -> None:
        """Faults as low as normal rows pull the line down; what is promised must hold all the same."""
        rng = np.random.default_rng(seed)
        fresh = _scores(rng.exponential(size=1000 * DAY))
        truth = event_curve(fresh.time, fresh.score, fresh.group, RULE, 3.0)
        lines = [FBetaThreshold(beta=2.0).fit(_with_faults(height=3.0, seed=100 * seed + i), RULE) for i in range(20)]
        rates = truth.count(np.array([line.threshold for line in lines])) / 1000
        assert np.mean(rates <= 1.0) >= 0.85


def test_it_refuses_rather_than_guess() -> None:
    score = np.random.default_rng(0).exponential(size=14 * DAY)
    nothing = np.zeros(len(score), bool)
    for method in (FBetaThreshold(), PLAIN, FBetaThreshold(unit="row")):
        for scores in (_scores(score), _scores(score, nothing)):
            with pytest.raises(TooLittleDataError, match=r"no labelled fault among 20,160.*sensorad label"):
                method.fit(scores, RULE)
        with pytest.raises(TooLittleDataError, match="all 20,160 scored calibration rows are labelled"):
            method.fit(_scores(score, ~nothing), RULE)
        with pytest.raises(TooLittleDataError, match="none of the 500"):
            method.fit(_scores(np.full(500, np.nan), np.arange(500) < 20), RULE)
        with pytest.raises(DataError, match="equal 1,"):
            method.fit(_scores(np.ones(len(score)), np.arange(len(score)) < 20), RULE)


def test_labels_without_a_score_are_refused_and_single_ones_left_out() -> None:
    scores = _with_faults(n_faults=3)
    assert scores.fault is not None
    blind = scores.score.copy()
    blind[(scores.fault >= 0) | (scores.fault == ECHO)] = np.nan
    with pytest.raises(TooLittleDataError, match="none of the 3 labelled faults has a row with a score"):
        FBetaThreshold().fit(replace(scores, score=blind), RULE)
    rows = scores.score.copy()
    rows[scores.fault >= 0] = np.nan
    with pytest.raises(TooLittleDataError, match="none of the 3 labelled"):
        FBetaThreshold(unit="row").fit(replace(scores, score=rows), RULE)
    one = scores.score.copy()
    place = np.flatnonzero(scores.fault == 1)
    one[place[0] : place[-1] + 11] = np.nan
    assert FBetaThreshold().fit(replace(scores, score=one), RULE).parameters["n_faults"] == 2


@pytest.mark.parametrize("is_faulty", [True, False])
def test_infinite_scores_are_refused_wherever_they_stand(is_faulty: bool) -> None:
    scores = _with_faults()
    assert scores.fault is not None
    score = scores.score.copy()
    score[np.flatnonzero((scores.fault >= 0) == is_faulty)[3]] = np.inf
    with pytest.raises(DataError, match="infinity"):
        FBetaThreshold(unit="row").fit(replace(scores, score=score), RULE)
    with pytest.raises(DataError, match="infinity"):
        PLAIN.fit(replace(scores, score=score), RULE)


@pytest.mark.parametrize("unit", ["event", "row"])
def test_scores_that_are_never_positive(unit: Any) -> None:
    scores = _with_faults()
    negative = replace(scores, score=scores.score - 1000.0)
    for budget in (Budget(1.0), None):
        with pytest.raises(DataError, match="positive"):
            FBetaThreshold(unit=unit, budget=budget).fit(negative, RULE)
    # Only the faults are: a line just below the lowest of them is positive.
    assert scores.fault is not None
    shifted = np.where(scores.fault == NORMAL, scores.score - 1000.0, scores.score)
    result = FBetaThreshold(unit=unit, budget=None).fit(replace(scores, score=shifted), RULE)
    assert result.threshold > 0
    assert result.parameters["precision"] == 1.0
    assert result.parameters["n_found"] == 7


def test_faults_below_the_bulk_of_normal_rows_say_nothing() -> None:
    scores = _with_faults()
    assert scores.fault is not None
    low = np.where(scores.fault == NORMAL, scores.score, 0.01)
    with pytest.raises(DataError, match=r"no labelled fault scores above.*times and machines"):
        FBetaThreshold().fit(replace(scores, score=low), RULE)


@pytest.mark.parametrize("unit", ["event", "row"])
def test_scaling_renumbering_and_interleaving_do_not_matter(unit: Any) -> None:
    method = FBetaThreshold(unit=unit)
    plain = method.fit(_with_faults(), RULE)
    scaled = method.fit(_with_faults(scale=7.3), RULE)
    assert scaled.threshold == pytest.approx(7.3 * plain.threshold, rel=1e-12)
    assert scaled.expected_events_per_day == plain.expected_events_per_day
    base = _with_faults()
    both = _scores(base.score, np.asarray(base.fault) >= 0, n_machines=2)
    order = np.argsort(both.time, kind="stable")
    assert both.fault is not None
    mixed = CalibrationScores(
        both.time[order], both.score[order], 9 - both.group[order], 60.0, fault=50 - both.fault[order]
    )
    mixed = replace(mixed, fault=np.where(both.fault[order] < 0, both.fault[order], mixed.fault).astype(np.int32))
    assert method.fit(mixed, RULE).threshold == method.fit(both, RULE).threshold


def test_rows_without_a_score_are_left_out() -> None:
    scores = _with_faults()
    pad = 500
    padded = CalibrationScores(
        np.arange(len(scores.score) + pad) * 60 * 10**9,
        np.concatenate([scores.score, np.full(pad, np.nan)]),
        np.zeros(len(scores.score) + pad, np.int32),
        60.0,
        fault=np.concatenate([np.asarray(scores.fault), np.full(pad, NORMAL, np.int32)]),
    )
    assert FBetaThreshold().fit(padded, RULE) == FBetaThreshold().fit(scores, RULE)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"beta": np.inf}, "beta must be positive"),
        ({"unit": "day"}, "'event' or by 'row'"),
        ({"confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FBetaThreshold(**settings)


def test_a_little_shrinkage_serves_new_faults_better_than_much_or_the_budget_alone() -> None:
    """The simulation behind `PRIOR_FAULTS`, in small: mean F-0.5 on new data, known from the true distributions."""
    rng = np.random.default_rng(0)
    n_days = 30
    fresh = _scores(rng.exponential(size=1000 * DAY))
    truth = event_curve(fresh.time, fresh.score, fresh.group, RULE, 3.0)
    faults = np.sort(15.0 * np.exp(0.6 * rng.standard_normal(100_000)))

    def on_new_data(line: float, n_new: int) -> float:
        hits = n_new * float(np.mean(faults > line))
        false = float(truth.count(np.array([line]))[0]) / 1000 * n_days
        return 1.25 * hits / (0.25 * n_new + hits + false)

    mean = dict.fromkeys(("own", "ten", "budget"), 0.0)
    for n_faults in (2, 5, 20):
        for _ in range(12):
            score = rng.exponential(size=n_days * DAY)
            is_anomalous = np.zeros(len(score), bool)
            rows = np.linspace(100, len(score) - 100, n_faults).astype(int)
            score[rows], is_anomalous[rows] = rng.choice(faults, n_faults), True
            result = FBetaThreshold().fit(_scores(score, is_anomalous), RULE)
            by_label, by_budget = result.parameters["tau_F"], result.parameters["tau_budget"]
            weight = n_faults / (n_faults + 10)
            much = max(by_budget, by_label**weight * by_budget ** (1 - weight))
            for name, line in (("own", result.threshold), ("ten", much), ("budget", by_budget)):
                mean[name] += (on_new_data(line, n_faults) + on_new_data(line, 5 * n_faults)) / 72
    assert mean["own"] > mean["ten"] + 0.03
    assert mean["ten"] > mean["budget"] + 0.03

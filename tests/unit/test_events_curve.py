"""The event curve and declustering against the builder and double loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad.errors import UsageError
from sensorad.events import EventRule, cluster_peaks, event_curve, event_spans

FLOOR = 0.3


def _log(seed: int, n_rows: int, n_machines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n_rows + 4)
    score = np.exp(np.convolve(noise, np.ones(5) / 5**0.5, "valid"))
    score[rng.random(n_rows) < 0.1] = np.nan
    time = np.cumsum(rng.choice([1, 1, 1, 2, 6], n_rows)).astype(np.int64) * 10**9
    return time, score, rng.integers(0, n_machines, n_rows).astype(np.int32)


rules = st.builds(
    EventRule,
    merge_gap_rows=st.integers(0, 9),
    release=st.sampled_from([0.4, 0.8, 1.0]),
    step_seconds=st.sampled_from([None, 2.0]),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 150), st.integers(1, 3), rules)
def test_counts_are_the_builders_at_any_threshold(seed, n_rows, n_machines, rule):
    time, score, group = _log(seed, n_rows, n_machines)
    curve = event_curve(time, score, group, rule, FLOOR)
    for threshold in np.random.default_rng(seed).uniform(FLOOR, 6.0, 12):
        expected = len(event_spans(time, score, group, threshold, rule))
        assert curve.count(np.array([threshold]))[0] == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 150), rules, st.integers(1, 3), st.integers(0, 40))
def test_counts_are_upper_bounds_with_least_rows_or_a_refractory_time(seed, n_rows, rule, min_rows, refractory_rows):
    time, score, group = _log(seed, n_rows, 2)
    strict = EventRule(**rule.to_json() | {"min_rows": min_rows, "refractory_rows": refractory_rows})
    curve = event_curve(time, score, group, strict, FLOOR)
    for threshold in np.random.default_rng(seed).uniform(FLOOR, 6.0, 12):
        bound = curve.count(np.array([threshold]))[0]
        assert len(event_spans(time, score, group, threshold, strict)) <= bound
        assert bound == len(event_spans(time, score, group, threshold, rule))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 120), rules, st.integers(0, 8))
def test_level_is_the_lowest_line_without_more_events_from_there_up(seed, n_rows, rule, n_events):
    time, score, group = _log(seed, n_rows, 2)
    level = event_curve(time, score, group, rule, FLOOR).level(n_events)
    # Counts change at scores and at scores / release only: between these, one threshold speaks for all.
    changes = np.unique(np.concatenate([score, score / rule.release, [FLOOR, 100.0]]))
    changes = changes[changes >= FLOOR]
    between = (changes[1:] + changes[:-1]) / 2
    counts = np.array([len(event_spans(time, score, group, t, rule)) for t in between])
    assert (counts[between > level] <= n_events).all()
    if level > FLOOR:
        assert counts[between < level][-1] > n_events


def test_splitting_events_are_not_overlooked():
    # One event at a low line, two at 2.5, one at 3.5: the lowest line with "never more than one" is 3.
    score = np.array([0.1, 4.0, 2.0, 2.0, 2.0, 3.0, 0.1])
    time, group = np.arange(7) * 10**9, np.zeros(7, np.int32)
    rule = EventRule(merge_gap_rows=1, release=1.0)
    curve = event_curve(time, score, group, rule, 0.5)
    assert curve.count(np.array([1.0, 2.5, 3.5])).tolist() == [1, 2, 1]
    assert curve.level(1) == 3.0
    assert curve.level(2) == 0.5
    assert curve.level(0) == 4.0


def test_a_curve_answers_only_above_its_floor():
    curve = event_curve(np.arange(3), np.array([1.0, 5.0, 1.0]), np.zeros(3, np.int32), EventRule(), 2.0)
    with pytest.raises(UsageError, match=r"thresholds of 2 and above, got 1\.5"):
        curve.count(np.array([3.0, 1.5]))


def test_curves_of_nothing():
    rule = EventRule()
    nothing = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int32)
    quiet = np.arange(3), np.full(3, 0.1), np.zeros(3, np.int32)
    for log in (nothing, quiet):
        curve = event_curve(*log, rule, 1.0)
        assert curve.count(np.array([1.0, 9.0])).tolist() == [0, 0]
        assert curve.level(0) == 1.0


@pytest.mark.parametrize("gap", [0, 1, 5])
def test_cluster_peaks_by_double_loop(gap):
    time, score, group = _log(3, 300, 3)
    heights, times, rows = cluster_peaks(time, score, group, 1.5, gap)
    expected = []
    for machine in range(3):
        cluster: list[int] = []
        of_machine = [i for i in range(300) if group[i] == machine]
        for place, row in enumerate(of_machine):
            if not score[row] > 1.5:
                continue
            if cluster and place - cluster[-1] - 1 > gap:
                expected.append(max((of_machine[c] for c in cluster), key=lambda r: score[r]))
                cluster = []
            cluster.append(place)
        if cluster:
            expected.append(max((of_machine[c] for c in cluster), key=lambda r: score[r]))
    assert sorted(rows.tolist()) == sorted(expected)
    assert len(rows) > 5
    np.testing.assert_array_equal(heights, score[rows])
    np.testing.assert_array_equal(times, time[rows])


def test_cluster_peaks_see_holes_in_time():
    score, group = np.full(4, 2.0), np.zeros(4, np.int32)
    time = np.array([0, 1, 50, 51]) * 10**9
    assert len(cluster_peaks(time, score, group, 1.0, 3)[0]) == 1
    assert len(cluster_peaks(time, score, group, 1.0, 3, step_seconds=1.0)[0]) == 2

"""Operational metrics against row-by-row counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorad import metrics
from sensorad.errors import DataError, UsageError
from sensorad.metrics import (
    delay_summary,
    detection_rate,
    event_recall,
    event_recall_at,
    false_alarm_events,
    false_alarm_events_per_day,
    false_alarm_rate,
    label_events,
    onset_delays,
)

rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=60)


def naive_label_events(labels, group):
    """Runs of anomalous rows, machine by machine."""
    events = []
    for machine in sorted(set(group)):
        was_anomalous = False
        for i in [i for i in range(len(labels)) if group[i] == machine]:
            if labels[i] and not was_anomalous:
                events.append([])
            if labels[i]:
                events[-1].append(i)
            was_anomalous = labels[i]
    return events


def naive_false_alarms(labels, alarm, group, gap):
    """Alarm events that open on a normal row, machine by machine."""
    n_false = 0
    for machine in set(group):
        last = None
        for place, i in enumerate(i for i in range(len(labels)) if group[i] == machine):
            if alarm[i]:
                is_new = last is None or place - last - 1 > gap
                n_false += is_new and not labels[i]
                last = place
    return n_false


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(0, 5))
def test_events_delays_and_false_alarms_by_loops(drawn, gap):
    labels, alarm, group = (list(column) for column in zip(*drawn, strict=True))
    events = naive_label_events(labels, group)
    assert [event.tolist() for event in label_events(labels, group)] == events
    assert false_alarm_events(labels, alarm, group, gap) == naive_false_alarms(labels, alarm, group, gap)
    if not events:
        with pytest.raises(DataError, match="no labelled events"):
            event_recall(labels, alarm, group)
        return
    delays = [next((k for k, i in enumerate(event) if alarm[i]), None) for event in events]
    expected = np.array([np.nan if delay is None else delay for delay in delays], float)
    np.testing.assert_array_equal(onset_delays(labels, alarm, group), expected)
    found = [delay for delay in delays if delay is not None]
    assert event_recall(labels, alarm, group) == len(found) / len(events)
    summary = delay_summary(labels, alarm, group)
    assert (summary.n_events, summary.n_detected) == (len(events), len(found))
    if found:
        assert summary.median_rows == np.median(found)
        assert summary.p90_rows == np.quantile(found, 0.9)
    else:
        assert np.isnan(summary.median_rows)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 1)), min_size=2, max_size=40).filter(
        lambda drawn: 0 < sum(row[0] for row in drawn) < len(drawn)
    ),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_recall_at_a_false_alarm_rate_by_trying_every_threshold(drawn, gap, n_allowed):
    labels, scores, group = (np.array(column) for column in zip(*drawn, strict=True))
    threshold_allowed = -1.0
    for threshold in range(6, -2, -1):  # whole scores: every alarm set there is
        if naive_false_alarms(labels, scores > threshold, group, gap) > n_allowed:
            threshold_allowed = threshold + 1
            break
    recall, threshold = event_recall_at(labels, scores, n_allowed * 10_000 / np.sum(~labels), group, gap)
    assert recall == event_recall(labels, scores > threshold_allowed, group)
    np.testing.assert_array_equal(scores > threshold, scores > threshold_allowed)


def test_rates_of_rows():
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    alarm = [0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert detection_rate(labels, alarm) == 0.25
    assert false_alarm_rate(labels, alarm) == 0.25
    with pytest.raises(DataError, match="no anomalous rows"):
        detection_rate([0, 0], [0, 1])
    with pytest.raises(DataError, match="no normal rows"):
        false_alarm_rate([1, 1], [0, 1])


def test_false_alarms_per_day_count_normal_time_only():
    labels = np.zeros(2 * 1440, bool)
    labels[1440:] = True
    alarm = np.zeros(2 * 1440, bool)
    alarm[[10, 12, 500, 2000]] = True
    assert false_alarm_events_per_day(labels, alarm, 60.0) == 3.0
    assert false_alarm_events_per_day(labels, alarm, 60.0, merge_gap_rows=1) == 2.0
    assert false_alarm_events_per_day(labels, alarm, 30.0) == 6.0
    with pytest.raises(UsageError, match="positive"):
        false_alarm_events_per_day(labels, alarm, 0.0)
    with pytest.raises(DataError, match="no normal rows"):
        false_alarm_events_per_day([1], [1], 60.0)


def test_an_alarm_that_outlasts_its_event_is_not_false_but_an_early_one_is():
    labels = [0, 0, 0, 1, 1, 0, 0, 0]
    assert false_alarm_events(labels, [0, 0, 0, 0, 1, 1, 1, 0]) == 0
    assert false_alarm_events(labels, [0, 0, 1, 1, 1, 0, 0, 0]) == 1


def test_a_random_score_finds_long_events_only_by_chance():
    rng = np.random.default_rng(0)
    labels = np.zeros(50_000, bool)
    for start in range(1000, 50_000, 2000):
        labels[start : start + 20] = True
    recall, _ = event_recall_at(labels, rng.random(50_000), per_10k_rows=1.0)
    assert recall < 0.1
    assert event_recall_at(labels, labels + rng.random(50_000), per_10k_rows=1.0)[0] == 1.0


def test_point_adjustment_is_not_offered():
    assert not [name for name in metrics.__all__ if "adjust" in name]


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="equally long"):
        event_recall([0, 1], [1])
    with pytest.raises(DataError, match="alarms must be 0 or 1"):
        detection_rate([0, 1], [np.nan, 1.0])
    with pytest.raises(DataError, match="one entry for each"):
        label_events([0, 1], group=[0])
    with pytest.raises(UsageError, match="merge_gap_rows"):
        false_alarm_events([0, 1], [0, 1], merge_gap_rows=-1)
    with pytest.raises(UsageError, match="rate must not be negative"):
        event_recall_at([0, 1], [0, 1], per_10k_rows=-1)

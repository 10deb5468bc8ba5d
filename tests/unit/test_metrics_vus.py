"""Volume under the surface against its definition, row by row and level by level."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sensorad.metrics import auc_pr, auc_roc, range_area, vus_pr, vus_roc

N_LEVELS = 250

TOUCHING = 1
"""1: events whose buffers touch are one event here. The benchmark's code joins only buffers that overlap (0)."""


def naive_runs(labels: list[int]) -> list[tuple[int, int]]:
    """First and last row of each labelled run."""
    runs = []
    for i, label in enumerate(labels):
        if label and (i == 0 or not labels[i - 1]):
            runs.append((i, i))
        elif label:
            runs[-1] = runs[-1][0], i
    return runs


def naive_area(labels: list[int], scores: list[float], buffer: int) -> tuple[float, float]:
    """Range AUC-PR and AUC-ROC at one buffer width."""
    n_rows, half = len(labels), buffer // 2
    runs = naive_runs(labels)
    soft = [float(label) for label in labels]
    for first, last in runs:
        for distance in range(1, half + 1):
            for row in (first - distance, last + distance):
                if 0 <= row < n_rows:
                    soft[row] += math.sqrt(1 - distance / buffer)
    soft = [min(1.0, value) for value in soft]
    # Runs whose buffers meet are one event.
    events: list[tuple[int, int]] = []
    for first, last in runs:
        low, high = max(first - half, 0), min(last + half, n_rows - 1)
        if events and low <= events[-1][1] + TOUCHING:
            events[-1] = events[-1][0], high
        else:
            events.append((low, high))

    descending = sorted(scores, reverse=True)
    curve = [(0.0, 0.0)]
    precision = []
    for place in np.linspace(0, n_rows - 1, N_LEVELS).astype(int):
        level = descending[place]
        flagged = [score >= level for score in scores]
        found = sum(soft[i] for i in range(n_rows) if flagged[i])
        weight = sum(1.0 if labels[i] else soft[i] * flagged[i] for i in range(n_rows))
        size = (sum(labels) + weight) / 2
        existence = sum(any(flagged[low : high + 1]) for low, high in events) / len(events)
        curve.append((min(found / size, 1.0) * existence, (sum(flagged) - found) / (n_rows - size)))
        precision.append(found / sum(flagged))
    area_pr = sum((curve[k + 1][0] - curve[k][0]) * precision[k] for k in range(N_LEVELS))
    curve.append((1.0, 1.0))
    area_roc = sum((curve[k + 1][1] - curve[k][1]) * (curve[k + 1][0] + curve[k][0]) / 2 for k in range(N_LEVELS + 1))
    return area_pr, area_roc


def _series(seed: int) -> tuple[list[int], list[float]]:
    rng = np.random.default_rng(seed)
    n_rows = int(rng.integers(20, 90))
    labels = np.zeros(n_rows, int)
    for start in rng.integers(0, n_rows, 3):
        labels[start : start + int(rng.integers(1, 8))] = 1
    labels[rng.integers(n_rows)] = 0
    scores = rng.standard_normal(n_rows) + labels
    if seed % 3 == 0:
        scores = np.round(scores)  # ties
    return labels.tolist(), scores.tolist()


@pytest.mark.parametrize("seed", range(15))
def test_same_as_row_by_row(seed):
    labels, scores = _series(seed)
    window = seed % 8
    areas = [naive_area(labels, scores, buffer) for buffer in range(window + 1)]
    assert vus_pr(labels, scores, window) == pytest.approx(np.mean([pr for pr, _ in areas]), abs=1e-10)
    assert vus_roc(labels, scores, window) == pytest.approx(np.mean([roc for _, roc in areas]), abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_one_buffer_width_alone(seed):
    labels, scores = _series(seed)
    for buffer in (0, 1, 5, 30):
        area = range_area(labels, scores, range(buffer, buffer + 1))
        pr, roc = naive_area(labels, scores, buffer)
        assert area.precision_recall == pytest.approx(pr, abs=1e-10)
        assert area.roc == pytest.approx(roc, abs=1e-10)


def test_without_buffer_and_with_one_event_it_is_the_plain_area():
    rng = np.random.default_rng(0)
    labels = np.zeros(200, int)
    labels[50:80] = 1
    scores = rng.permutation(200) + 100.0 * labels
    scores[60] = 1000.0  # the event is met at the highest level, so every level counts it
    assert vus_pr(labels, scores, 0) == pytest.approx(auc_pr(labels, scores), abs=1e-3)
    assert vus_roc(labels, scores, 0) == pytest.approx(auc_roc(labels, scores), abs=1e-3)


def test_a_near_miss_is_forgiven_within_the_buffer():
    labels = np.zeros(300, int)
    labels[100:110] = 1
    near, far = np.zeros(300), np.zeros(300)
    near[98:106] = 1.0
    far[200:208] = 1.0
    assert vus_pr(labels, near, 20) > vus_pr(labels, near, 0)
    assert vus_pr(labels, near, 20) > 10 * vus_pr(labels, far, 20)


def test_a_random_score_gets_about_the_base_rate():
    rng = np.random.default_rng(0)
    labels = np.zeros(20_000, int)
    for start in range(500, 20_000, 2000):
        labels[start : start + 100] = 1
    assert vus_pr(labels, rng.random(20_000), 10) == pytest.approx(0.05, abs=0.02)
    assert vus_roc(labels, rng.random(20_000), 10) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 1], [0.0, 1.0, 2.0]), ([0, 1], [0.0, np.nan]), ([1, 1], [0.0, 1.0]), ([0, 0], [0.0, 1.0])],
)
def test_what_cannot_be_measured_is_refused(labels, scores):
    with pytest.raises(ValueError, match="must"):
        vus_pr(labels, scores, 2)

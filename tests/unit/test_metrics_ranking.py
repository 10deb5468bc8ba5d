"""Areas under ranking curves against scikit-learn and against counting pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from sensorad.errors import DataError
from sensorad.metrics import auc_pr, auc_roc

ranked = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@settings(max_examples=200, deadline=None)
@given(ranked)
def test_same_as_scikit_learn_with_ties(rows):
    labels, scores = zip(*rows, strict=True)
    assert auc_pr(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert auc_roc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(ranked)
def test_roc_area_is_the_share_of_pairs_in_order(rows):
    wins = [
        1.0 if anomalous > normal else 0.5 if anomalous == normal else 0.0
        for is_anomalous, anomalous in rows
        if is_anomalous
        for is_other, normal in rows
        if not is_other
    ]
    labels, scores = zip(*rows, strict=True)
    assert auc_roc(labels, scores) == pytest.approx(np.mean(wins), abs=1e-12)


def test_a_constant_score_has_no_quality():
    labels = np.arange(100) % 4 == 0
    assert auc_pr(labels, np.ones(100)) == 0.25
    assert auc_roc(labels, np.ones(100)) == 0.5


def test_perfect_and_worst_rankings():
    labels = np.array([0, 0, 0, 1, 1])
    assert auc_pr(labels, labels) == auc_roc(labels, labels) == 1.0
    assert auc_roc(labels, -labels) == 0.0


@pytest.mark.parametrize("metric", [auc_pr, auc_roc])
def test_what_cannot_be_ranked_is_refused(metric):
    with pytest.raises(DataError, match="equally long"):
        metric([0, 1], [0.0, 1.0, 2.0])
    with pytest.raises(DataError, match="1 scores are not finite"):
        metric([0, 1], [np.nan, 1.0])
    with pytest.raises(DataError, match="all 2 are the same"):
        metric([1, 1], [0.0, 1.0])
    with pytest.raises(DataError, match="0 or 1"):
        metric([0, 2], [0.0, 1.0])
    with pytest.raises(DataError, match="at least one row"):
        metric([], [])

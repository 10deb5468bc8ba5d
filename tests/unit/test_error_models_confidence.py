"""Scores of how unsure a classifier is, and the temperature of its logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sensorad.config import CLASS_SCORES, TRANSFORM_SCORES
from sensorad.error_models.confidence import (
    CONFIDENCES,
    TRANSFORM_CONFIDENCES,
    circular_distance,
    circular_score,
    energy_score,
    fit_temperature,
    log_probability_score,
    max_probability_score,
    uniform_score,
)
from sensorad.errors import TooLittleDataError, UsageError

LOGITS = np.random.default_rng(0).normal(size=(7, 4)) * 3
TURNED = np.random.default_rng(1).normal(size=(5, 4, 4)) * 2


def _softmax(row: np.ndarray) -> np.ndarray:
    return np.exp(row) / np.exp(row).sum()


def test_scores_are_those_of_their_formulas() -> None:
    x = torch.from_numpy(LOGITS)
    for n, row in enumerate(LOGITS):
        p = _softmax(row)
        assert np.exp(float(max_probability_score(x)[n])) == pytest.approx(1 - p.max(), rel=1e-9)
        assert float(uniform_score(x)[n]) == pytest.approx(sum(np.log(p)) / 4, rel=1e-9)
        assert float(energy_score(x)[n]) == pytest.approx(-np.log(sum(np.exp(row))), rel=1e-9)


def test_scores_of_transforms_are_those_of_double_loops() -> None:
    x = torch.from_numpy(TURNED)
    for n in range(5):
        said = distance = 0.0
        for t in range(4):
            p = _softmax(TURNED[n, t])
            said -= np.log(p[t]) / 4
            for k in range(4):
                distance += p[k] * min(abs(k - t), 4 - abs(k - t)) / 4
        assert float(log_probability_score(x)[n]) == pytest.approx(said, rel=1e-9)
        assert float(circular_score(x)[n]) == pytest.approx(distance, rel=1e-9)


def test_a_classifier_that_is_all_but_certain_still_has_an_order() -> None:
    x = torch.tensor([[60.0, 0.0], [80.0, 0.0]], dtype=torch.float32)
    assert max_probability_score(x).tolist() == pytest.approx([-60.0, -80.0])


def test_all_scores_are_highest_where_classes_are_alike_and_can_be_differentiated() -> None:
    rng = np.random.default_rng(2)
    for measure in (max_probability_score, uniform_score):
        even = float(measure(torch.zeros(1, 4))[0])
        assert (measure(torch.from_numpy(rng.normal(size=(50, 4)))).numpy() < even).all()
    for known, shape in ((CONFIDENCES, (3, 4)), (TRANSFORM_CONFIDENCES, (3, 4, 4))):
        for measure in known.values():
            x = torch.from_numpy(rng.normal(size=shape)).requires_grad_()
            [slope] = torch.autograd.grad(measure(x).sum(), x)
            assert torch.isfinite(slope).all()
            assert slope.abs().max() > 0


def test_distances_on_a_circle() -> None:
    said, true = torch.arange(4)[:, None], torch.arange(4)
    assert circular_distance(said, true, 4).tolist() == [[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]]


def test_the_names_of_settings_are_those_of_scores() -> None:
    assert set(CLASS_SCORES) == set(CONFIDENCES)
    assert set(TRANSFORM_SCORES) == set(TRANSFORM_CONFIDENCES)


def _cost(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    warmed = logits / temperature
    top = warmed.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(warmed - top).sum(axis=1))
    return float(np.mean([total[n] - warmed[n, k] for n, k in enumerate(labels)]))


@pytest.mark.parametrize("factor", [0.5, 1.0, 5.0])
def test_the_temperature_has_the_highest_likelihood(factor: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(400, 3)) * 2
    labels = np.array([rng.choice(3, p=_softmax(row)) for row in logits])
    found = fit_temperature(factor * logits, labels)
    assert found == pytest.approx(factor, rel=0.25)
    best = min(_cost(factor * logits, labels, t) for t in np.geomspace(0.25, 20, 300))
    assert _cost(factor * logits, labels, found) <= best + 1e-9
    assert fit_temperature(factor * logits, labels) == found


def test_a_temperature_needs_labels_that_are_classes() -> None:
    with pytest.raises(TooLittleDataError):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64))
    with pytest.raises(UsageError, match="0 to 2"):
        fit_temperature(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(UsageError, match=r"\(N, K\)"):
        fit_temperature(np.zeros((2, 3)), np.array([0]))


def test_classes_that_are_always_right_do_not_freeze() -> None:
    assert 0.25 <= fit_temperature(np.eye(3) * 9.0, np.arange(3)) < 1.0

"""How little a classifier is sure of itself, as a score: higher is more anomalous. Imports torch.

All scores take logits, divided by the temperature where there is one, and can be differentiated. They are exact where
a classifier is all but certain: the probability of the other classes is summed, never taken as 1 minus something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sensorad.errors import TooLittleDataError, UsageError

__all__ = [
    "CONFIDENCES",
    "TRANSFORM_CONFIDENCES",
    "circular_distance",
    "circular_score",
    "energy_score",
    "fit_temperature",
    "log_probability_score",
    "max_logit_score",
    "max_probability_score",
    "uniform_score",
]

COLDEST, HOTTEST = 0.25, 20.0
"""Between these a temperature is looked for: where no class is ever mistaken, the likelihood knows no end."""


def max_probability_score(logits: Tensor) -> Tensor:
    """(N, K) -> (N,) log(1 - MSP), MSP the largest softmax probability (Hendrycks and Gimpel 2017).

    The logarithm orders windows as 1 - MSP does, and tells apart those of which the classifier is certain.

    Examples
    --------
    >>> max_probability_score(torch.tensor([[0.9, 0.1], [0.5, 0.5]]).log()).exp()
    tensor([0.1000, 0.5000])
    """
    top = logits.argmax(1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf)  # (N, K)
    return others.logsumexp(1) - logits.logsumexp(1)


def uniform_score(logits: Tensor) -> Tensor:
    """(N, K) -> (N,) -H(u; f) = mean over k of log p_k: highest, -log K, where all classes are as likely.

    Source: Hendrycks, Mazeika and Dietterich 2019, the score of classifiers with outlier exposure.

    Examples
    --------
    >>> uniform_score(torch.tensor([[0.5, 0.5], [0.8, 0.2]]).log())
    tensor([-0.6931, -0.9163])
    """
    return logits.log_softmax(1).mean(1)


def energy_score(logits: Tensor) -> Tensor:
    """(N, K) -> (N,) -log sum over k of exp(logit_k), the free energy (Liu et al. 2020).

    Examples
    --------
    >>> energy_score(torch.tensor([[0.0, 0.0], [5.0, 0.0]]))
    tensor([-0.6931, -5.0067])
    """
    return -logits.logsumexp(1)


def max_logit_score(logits: Tensor) -> Tensor:
    """(N, K) -> (N,) -max over k of logit_k (Hendrycks et al. 2022, scaling out-of-distribution detection).

    Examples
    --------
    >>> max_logit_score(torch.tensor([[1.0, 0.0], [5.0, 0.0]]))
    tensor([-1., -5.])
    """
    return -logits.amax(1)


def log_probability_score(logits: Tensor) -> Tensor:
    """(N, K, K) -> (N,) mean over t of -log p(t | window under transform t), from logits [n, t, k].

    Source: Golan and El-Yaniv 2018, summed log-probability of self-made labels.

    Examples
    --------
    >>> certain, lost = torch.eye(3) * 50.0, torch.zeros(3, 3)
    >>> log_probability_score(torch.stack([certain, lost])).abs()
    tensor([0.0000, 1.0986])
    """
    return -logits.log_softmax(2).diagonal(dim1=1, dim2=2).mean(1)


def circular_score(logits: Tensor) -> Tensor:
    """(N, K, K) -> (N,) expected distance on a circle of K classes between the transform said and that applied.

    Examples
    --------
    >>> circular_score(torch.zeros(1, 4, 4))
    tensor([1.])
    """
    n_classes = logits.shape[2]
    place = torch.arange(n_classes, device=logits.device)
    distance = circular_distance(place[:, None], place, n_classes).to(logits)  # (K, K)
    return (logits.softmax(2) * distance).sum(2).mean(1)


def circular_distance(said: Tensor, true: Tensor, n_classes: int) -> Tensor:
    """min(|a - b|, K - |a - b|) of classes that lie on a circle.

    Examples
    --------
    >>> circular_distance(torch.tensor([0, 3, 1]), torch.tensor([3, 0, 3]), 4)
    tensor([1, 1, 2])
    """
    apart = (said - true).abs()
    return torch.minimum(apart, n_classes - apart)


CONFIDENCES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"msp": max_probability_score, "entropy": uniform_score, "energy": energy_score, "max_logit": max_logit_score}
)
"""Of classes whose truth is not known, (N, K) -> (N,)."""

TRANSFORM_CONFIDENCES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"log_probability": log_probability_score, "circular": circular_score}
)
"""Of transforms that were applied, (N, K, K) -> (N,)."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The T at which logits (N, K) / T give labels (N,) the highest likelihood (Guo et al. 2017).

    Of data that the classifier was not trained on. T orders classes as they were: it changes how sure, not what.

    Raises
    ------
    TooLittleDataError
        No labels.
    UsageError
        Labels are not positions of classes.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> logits = generator.normal(size=(20_000, 3))
    >>> p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    >>> labels = (p.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)
    >>> round(fit_temperature(4.0 * logits, labels))
    4
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    if not len(labels):
        raise TooLittleDataError("a temperature needs labelled windows, got none", hint="give more rows")
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise UsageError(f"logits (N, K) and labels (N,) expected, got {logits.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise UsageError(f"labels from 0 to {logits.shape[1] - 1} expected, got {labels.min()} to {labels.max()}")
    values = logits.astype(np.float64)
    own = values[np.arange(len(values)), labels]

    def cost(log_temperature: float) -> float:
        warmth = np.exp(-log_temperature)
        return float(np.mean(logsumexp(values * warmth, axis=1) - own * warmth))

    found = minimize_scalar(cost, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))

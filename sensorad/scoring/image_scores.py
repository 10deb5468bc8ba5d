"""Scores of whole images that were rebuilt: how badly, how unusual the code is, and what several networks agree on.

Images have no rows and no sensors to blame, so there is one number for each. Everything that is called usual is learned
from normal images of the training part: no score depends on the images that are judged with it. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import UsageError
from sensorad.scoring.covariance import ErrorCovariance
from sensorad.scoring.tails import TailModel

__all__ = ["CodeDistance", "TailMedian", "pixel_cross_entropy", "squared_error"]

SMALLEST_PROBABILITY = 1e-6

Array = NDArray[np.floating]


def squared_error(images: Array, rebuilt: Array) -> NDArray[np.float64]:
    """Mean squared difference of the pixels: 2 x (N, ...) -> (N,).

    Examples
    --------
    >>> squared_error(np.array([[1.0, 0.0]]), np.array([[0.5, 0.0]]))
    array([0.125])
    """
    difference = _flat(images) - _flat(rebuilt)  # (N, F)
    score: NDArray[np.float64] = np.square(difference).mean(1)
    return score


def pixel_cross_entropy(images: Array, rebuilt: Array) -> NDArray[np.float64]:
    """Mean binary cross-entropy of the pixels, in nats: 2 x (N, ...) in [0, 1] -> (N,).

    A grey pixel costs its own entropy however well it is rebuilt: a picture of many greys scores high for that alone.
    Probabilities are held at least 1e-6 from 0 and 1.

    Examples
    --------
    >>> pixel_cross_entropy(np.array([[1.0], [0.5]]), np.array([[0.5], [0.5]])).round(4)
    array([0.6931, 0.6931])
    """
    truth, found = _flat(images), _flat(rebuilt).clip(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    score: NDArray[np.float64] = -(truth * np.log(found) + (1.0 - truth) * np.log1p(-found)).mean(1)
    return score


@dataclass(frozen=True, slots=True)
class CodeDistance:
    """How unusual codes are, alone or beside the error, both in units of what is usual for normal images.

    The sum of the two is what principal components have as the statistics T^2 and Q (Jackson and Mudholkar,
    Technometrics 21, 1979): a network with a wide code may rebuild anomalies as well as anything, but hardly from usual
    codes.

    Attributes
    ----------
    covariance
        Of the codes of normal images.
    usual_error
        Mean error of normal images.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(5000, 4))
    >>> found = CodeDistance.fit(codes, errors=np.full(5000, 0.02))
    >>> found.distance(np.array([[0.0, 0.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]])).round()
    array([0., 4.])
    >>> found.with_error(np.array([[4.0, 0.0, 0.0, 0.0]]), np.array([0.06])).round()
    array([7.])
    """

    covariance: ErrorCovariance
    usual_error: float

    @classmethod
    def fit(cls, codes: Array, errors: Array) -> CodeDistance:
        """Learn from the codes (N, code) and errors (N,) of normal images."""
        noise = np.zeros(codes.shape[1])
        return cls(ErrorCovariance.fit(codes, noise), max(float(np.mean(errors)), 1e-12))

    def distance(self, codes: Array) -> NDArray[np.float64]:
        """(N, code) -> (N,) squared Mahalanobis distance by unit of the code: 1 is usual."""
        distance: NDArray[np.float64] = self.covariance.distance(codes) / codes.shape[1]
        return distance

    def with_error(self, codes: Array, errors: Array) -> NDArray[np.float64]:
        """Distance of codes (N, code) plus errors (N,) by the usual one: 2 is usual."""
        return self.distance(codes) + np.asarray(errors, np.float64) / self.usual_error


@dataclass(frozen=True, slots=True)
class TailMedian:
    """Median over several scores of the surprise, -log10 of the tail probability, of each on normal images.

    Scores of unlike networks become comparable without any of the images that are judged; one that fails alone, by
    alarm or by silence, is outvoted.

    Examples
    --------
    >>> normal = np.random.default_rng(0).exponential(size=(3, 20_000)) * [[1.0], [10.0], [100.0]]
    >>> ensemble = TailMedian.fit(list(normal))
    >>> ensemble.score([np.array([np.log(100.0)]), np.array([0.0]), np.array([100 * np.log(1000.0)])]).round(1)
    array([2.])
    """

    tails: tuple[TailModel, ...]

    @classmethod
    def fit(cls, scores: Sequence[Array]) -> TailMedian:
        """Learn from the scores (N,) that each member gives normal images.

        Raises
        ------
        UsageError
            No member.
        TooLittleDataError
            Fewer than 20 normal images.
        """
        if not scores:
            raise UsageError("at least one member expected, got none")
        return cls(tuple(TailModel.fit(np.asarray(own)) for own in scores))

    def score(self, scores: Sequence[Array]) -> NDArray[np.float64]:
        """Scores (N,) of all members, in the order of `fit` -> (N,)."""
        if len(scores) != len(self.tails):
            raise UsageError(f"scores of {len(self.tails)} members expected, got {len(scores)}")
        surprise = [tail.evidence(np.asarray(own)) for tail, own in zip(self.tails, scores, strict=True)]
        median: NDArray[np.float64] = np.median(surprise, axis=0)
        return median


def _flat(images: Array) -> NDArray[np.float64]:
    """(N, ...) -> (N, F)."""
    return np.asarray(images, np.float64).reshape(len(images), -1)

"""Plain scoring schemes: the published encoder-decoder rule and the usual alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import SensorErrors
from sensorad.scoring.covariance import ErrorCovariance
from sensorad.scoring.evidence import RowEvidence, StepHistory, as_shares
from sensorad.scoring.tails import TailModel

__all__ = ["LargestScheme", "MahalanobisScheme", "SquaredErrorScheme", "TopShareScheme"]

TOP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class MahalanobisScheme:
    """score = (e - mu)^T Sigma^-1 (e - mu) of the newest row's absolute errors e = |x - x'|.

    mu and Sigma come from normal rows that the weights were not trained on; Sigma is the Ledoit-Wolf estimate.
    Source: Malhotra et al., ICML 2016 anomaly detection workshop, section 2.2.
    """

    covariance: ErrorCovariance
    tail: TailModel
    name: ClassVar[str] = "mahalanobis"
    memory_rows: ClassVar[int] = 1

    @classmethod
    def fit(cls, errors: Sequence[SensorErrors], noise: NDArray[np.float64]) -> Self:
        size = np.concatenate([np.abs(part.newest) for part in errors])
        covariance = ErrorCovariance.fit(size, noise)
        return cls(covariance, TailModel.fit(_where_ready(covariance.distance(size), size)))

    def evidence(self, errors: SensorErrors, history: StepHistory | None = None) -> RowEvidence:
        size = np.abs(errors.newest)
        score = _where_ready(self.covariance.distance(size), size)
        return RowEvidence(score, self.tail.evidence(score), as_shares(self.covariance.blame(size)))

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        return self.covariance.to_arrays("mahalanobis") | self.tail.to_arrays("mahalanobis.row")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        return cls(ErrorCovariance.from_arrays(arrays, "mahalanobis"), TailModel.from_arrays(arrays, "mahalanobis.row"))


@dataclass(frozen=True, slots=True)
class SquaredErrorScheme:
    """score = sum over sensors of the mean square window error, in deviations."""

    size: NDArray[np.float64]
    tail: TailModel
    name: ClassVar[str] = "sse"
    memory_rows: ClassVar[int] = 1

    @classmethod
    def fit(cls, errors: Sequence[SensorErrors], noise: NDArray[np.float64]) -> Self:
        window = np.concatenate([part.window for part in errors])
        newest = np.concatenate([part.newest for part in errors])
        size = np.sqrt(np.nanmean(window, axis=0) + noise**2)
        row = np.nan_to_num(newest**2 / size**2).mean(axis=1)
        return cls(size, TailModel.fit(_where_ready(row, newest)))

    def evidence(self, errors: SensorErrors, history: StepHistory | None = None) -> RowEvidence:
        row = _where_ready(np.nan_to_num(errors.newest**2 / self.size**2).mean(axis=1), errors.newest)
        amount = np.nan_to_num(self._amount(errors.window))
        score = _where_ready(self._total(amount), errors.window)
        return RowEvidence(score, self.tail.evidence(row), as_shares(amount))

    def _amount(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, C) what each sensor adds."""
        return window

    def _total(self, amount: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, C) -> (T,)."""
        total: NDArray[np.float64] = amount.sum(axis=1)
        return total

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        return {f"{self.name}.size": self.size} | self.tail.to_arrays(f"{self.name}.row")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        return cls(arrays[f"{cls.name}.size"], TailModel.from_arrays(arrays, f"{cls.name}.row"))


class TopShareScheme(SquaredErrorScheme):
    """score = mean of the largest tenth of the sensors' window errors, each divided by its usual size squared."""

    __slots__ = ()
    name: ClassVar[str] = "topk"

    def _amount(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        return window / self.size**2

    def _total(self, amount: NDArray[np.float64]) -> NDArray[np.float64]:
        n_top = max(1, int(np.ceil(TOP_SHARE * amount.shape[1])))
        mean: NDArray[np.float64] = np.partition(amount, -n_top, axis=1)[:, -n_top:].mean(axis=1)
        return mean


class LargestScheme(TopShareScheme):
    """score = the largest of the sensors' window errors, each divided by its usual size squared."""

    __slots__ = ()
    name: ClassVar[str] = "max"

    def _total(self, amount: NDArray[np.float64]) -> NDArray[np.float64]:
        largest: NDArray[np.float64] = amount.max(axis=1)
        return largest


def _where_ready(values: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) NaN in rows whose errors (T, C) are all unknown."""
    return np.where(np.isfinite(errors).any(axis=1), values, np.nan)

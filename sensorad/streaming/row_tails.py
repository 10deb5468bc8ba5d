"""Tail models and window evidence for one value at a time: the numbers of their whole-array forms, without arrays."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import ceil, isnan, log, log1p, log10, nan

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import TINY
from sensorad.scoring.tails import TailModel
from sensorad.scoring.window_evidence import TOP_SHARE, WindowEvidence

__all__ = ["RowWindow", "largest", "row_tail"]

add, multiply, subtract = np.add, np.multiply, np.subtract


def row_tail(tail: TailModel) -> Callable[[float], float]:
    """`TailModel.evidence` of one value that is not NaN.

    Examples
    --------
    >>> tail = TailModel.fit(np.random.default_rng(0).exponential(size=20_000))
    >>> evidence = row_tail(tail)
    >>> [round(evidence(value), 6) for value in (0.1, 9.0)] == tail.evidence(np.array([0.1, 9.0])).round(6).tolist()
    True
    """
    values = (-tail.quantiles[::-1]).tolist()  # rising
    above = np.linspace(0.0, 1.0, len(values)).tolist()
    # Of values that tie the last is found, so no step of width 0 is ever used.
    slopes = [
        (above[i + 1] - above[i]) / (values[i + 1] - values[i]) if values[i + 1] > values[i] else 0.0
        for i in range(len(values) - 1)
    ]
    slopes.append(0.0)
    level, share, shape, scale = tail.level, tail.tail_share, tail.shape, tail.scale
    at_level, log_ten = -log10(share), log(10.0)

    def evidence(x: float) -> float:
        if x > level:
            reach = (x - level) / scale
            return at_level + (log1p(shape * reach) / shape if shape > 0 else reach) / log_ten
        at = bisect_right(values, -x) - 1
        if at < 0:
            return at_level
        found = above[at] + slopes[at] * (-x - values[at])
        return -log10(found) if found > share else at_level

    return evidence


class RowWindow:
    """`WindowEvidence.evidence` of one row of window errors.

    Parameters
    ----------
    evidence
        What was learned.
    """

    def __init__(self, evidence: WindowEvidence) -> None:
        self._evidence = evidence
        self._size = evidence.size
        self._inverse = 1.0 / evidence.size
        self._inverse_square = 1.0 / evidence.size**2
        self._noise = float((evidence.noise**2 / evidence.size).sum())
        self._slope = 0.5 / evidence.spread
        self._shift = evidence.centre / evidence.spread
        self._tiny = np.full(len(evidence.size), TINY**2)  # adding a number costs twice as much as adding an array
        self._n_top = max(1, ceil(TOP_SHARE * len(evidence.size)))
        self._total, self._few = row_tail(evidence.tails["total"]), row_tail(evidence.tails["few"])
        self._logs = np.empty(len(evidence.size))

    def read(self, window: NDArray[np.float64]) -> tuple[float, float]:
        """Evidence of total and few from errors (C,), NaN where not known; NaN if none is."""
        amount = float(window.dot(self._inverse))
        if isnan(amount):
            is_known = np.isfinite(window)
            if not is_known.any():
                return nan, nan
            return self.read(np.where(is_known, window, self._size**2))  # sensors that were not seen count as usual
        total = log(amount + self._noise)
        logs = self._logs
        add(window, self._tiny, logs)
        np.log(logs, logs)
        multiply(logs, self._slope, logs)
        subtract(logs, self._shift, logs)
        if self._n_top == 1:
            few = max(logs.tolist())
        else:
            logs.partition(-self._n_top)
            few = sum(logs[-self._n_top :].tolist()) / self._n_top
        return self._total(total), self._few(few)

    def amount(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., C) by how much window errors exceed usual ones; 0 for sensors that were not seen."""
        amount: NDArray[np.float64] = window * self._inverse_square
        amount -= 1.0
        return np.fmax(amount, 0.0, out=amount)  # of a NaN and 0 it is 0


def largest(first: float, second: float) -> float:
    """The larger of two values, NaN if one of them is."""
    return nan if isnan(first) or isnan(second) else max(first, second)

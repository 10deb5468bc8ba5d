"""The head of exposure at work: standardised numbers of each sensor, and how odd they are. NumPy is all it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorad.error_models.errors import AskedRows
from sensorad.error_models.fault_features import FEATURES, FaultFeatures
from sensorad.models.exposed_config import LARGEST_NUMBERS
from sensorad.models.linear import RidgeAutoregression
from sensorad.models.other_sensors import OtherSensorsRegression

__all__ = ["FaultHead", "FaultWeights", "UsualNumbers"]

Floats = NDArray[np.float64]

OUTER = 0.005
"""Share of normal values beyond each of the two quantiles that measure a spread."""

OUTER_SIGMA = 2.576
"""How far they lie out in a normal distribution, in standard deviations."""

UNHEARD = 1e9
"""Spread of a number that no normal window had: nothing is odd then."""


@dataclass(frozen=True, slots=True)
class UsualNumbers:
    """What numbers of each sensor usually are, (C, F) each, with a spread to either side.

    Most of these numbers are skew or mostly at one value (no two neighbours of a noisy sensor are ever equal), so one
    spread for both sides would call a normal value odd or an odd one normal.

    Attributes
    ----------
    centre
        Medians.
    above, below
        Spreads.
    """

    centre: Floats
    above: Floats
    below: Floats

    @classmethod
    def fit(cls, numbers: Floats) -> UsualNumbers:
        """Learn from normal windows (N, C, F); NaN is left out, and what is always NaN will say nothing."""
        is_known = np.isfinite(numbers).any(axis=0)  # (C, F)
        known = np.where(is_known, numbers, 0.0)
        centre, low, high = np.nanquantile(known, [0.5, OUTER, 1.0 - OUTER], axis=0)
        least = np.where(is_known, list(FEATURES.values()), UNHEARD)
        return cls(
            centre,
            np.maximum((high - centre) / OUTER_SIGMA, least),
            np.maximum((centre - low) / OUTER_SIGMA, least),
        )

    def standardised(self, numbers: Floats) -> NDArray[np.float32]:
        """Numbers (N, C, F) as signed log deviations; 0 where one is NaN.

        Examples
        --------
        >>> usual = UsualNumbers(np.zeros((1, 2)), np.ones((1, 2)), np.full((1, 2), 2.0))
        >>> usual.standardised(np.array([[[1.0, -4.0]], [[np.nan, 0.0]]])).round(2).tolist()
        [[[0.6899999976158142, -1.100000023841858]], [[0.0, 0.0]]]
        """
        deviation = numbers - self.centre
        deviation /= np.where(deviation > 0, self.above, self.below)
        result = np.copysign(np.log1p(np.abs(deviation)), deviation)
        np.nan_to_num(result, copy=False, nan=0.0)
        return result.astype(np.float32)


@dataclass(frozen=True, slots=True)
class FaultWeights:
    """Those of a trained `sensorad.models.exposed.FaultNetwork`.

    Attributes
    ----------
    sides : (2, F)
        Factors of numbers above and below what is usual, positive.
    line : (2,)
        Slope, positive, and bias of the logit.
    """

    sides: Floats
    line: Floats

    def logits(self, numbers: NDArray[np.float32]) -> Floats:
        """(N, C, F) standardised -> (N, C)."""
        sizes = np.abs(numbers) * np.where(numbers > 0, *self.sides)  # (N, C, F)
        largest = np.partition(sizes, -LARGEST_NUMBERS, axis=-1)[..., -LARGEST_NUMBERS:]
        oddness = np.sort(largest, axis=-1).mean(axis=-1)  # sorted: sums are then the same whatever came first
        found: Floats = oddness * self.line[0] + self.line[1]
        return found


@dataclass(frozen=True, slots=True)
class FaultHead:
    """How faulty the oddest sensor looks in the last rows.

    Attributes
    ----------
    features
        Works out the numbers.
    usual
        What they usually are.
    weights
        How much each of them tells.
    """

    features: FaultFeatures
    usual: UsualNumbers
    weights: FaultWeights

    def logit(self, asked: AskedRows, window: Floats) -> Floats:
        """(n,) log odds that the oddest sensor is faulty; ``window`` as of `FaultFeatures.of`.

        A sensor that is away has no say; where none has, the result is the lowest there is.
        """
        numbers, is_there = self.features.of(asked, window)
        logits = self.weights.logits(self.usual.standardised(numbers))  # (n, C)
        return np.asarray(np.where(is_there, logits, self.weights.line[1]).max(axis=1))

    def to_arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Plain arrays for an artefact, under ``name``."""
        parts = [(part, field.name) for part in (self.usual, self.weights) for field in fields(part)]
        arrays: dict[str, NDArray[Any]] = {f"{name}.{key}": getattr(part, key) for part, key in parts}
        return (
            arrays | self.features.others.to_arrays(f"{name}.others") | {f"{name}.steps": self.features.steps.weights}
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str, length: int, lags: int) -> FaultHead:
        """The head of `to_arrays`."""
        others = OtherSensorsRegression.from_arrays(arrays, f"{name}.others")
        steps = RidgeAutoregression(arrays[f"{name}.steps"].astype(np.float32), lags)
        usual = UsualNumbers(*(arrays[f"{name}.{field.name}"] for field in fields(UsualNumbers)))
        weights = FaultWeights(*(arrays[f"{name}.{field.name}"] for field in fields(FaultWeights)))
        return cls(FaultFeatures(length, steps, others), usual, weights)

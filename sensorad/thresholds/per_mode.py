"""A line for each operating mode, where the mode has data enough for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sensorad.errors import DataError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdMethod, ThresholdResult
from sensorad.thresholds.budget import BudgetThreshold
from sensorad.thresholds.counting import expected_rate

__all__ = ["PerModeThreshold"]


ROUNDING = 1e-12
"""Lines and scores are scaled apart from each other: an event whose peak is the line must not slip above it."""


@dataclass(frozen=True, slots=True)
class PerModeThreshold:
    """The same method on each operating mode alone; modes that it refuses share the line of all rows.

    One line for all modes is a line for the loudest of them: it buys quiet there with blindness in the others. A
    rate asked for counts in time spent in the mode, so equal rates in all modes add up to that rate over all time.

    Where the method promises a rate, modes with the shared line could still add to the others what those no longer
    use: all lines then rise by one factor until the method finds its rate kept over all modes together.

    Parameters
    ----------
    method
        Any threshold method. It judges a mode's scores as a log in which other rows have none.

    Raises
    ------
    DataError
        The method refuses all rows together.

    Examples
    --------
    >>> import numpy as np
    >>> from sensorad.thresholds.quantile import QuantileThreshold
    >>> rng = np.random.default_rng(0)
    >>> mode = (np.arange(20_000) // 1000 % 2).astype(np.int32)
    >>> scores = CalibrationScores(
    ...     np.arange(20_000) * 60 * 10**9, rng.exponential(size=20_000) * (1 + 9 * mode), np.zeros(20_000, np.int32),
    ...     60.0, mode=mode, mode_names=("idle", "run"))
    >>> result = PerModeThreshold(QuantileThreshold(q=0.99)).fit(scores, EventRule())
    >>> {name: round(of_mode.threshold) for name, of_mode in result.modes.items()}
    {'idle': 4, 'run': 46}
    """

    method: ThresholdMethod

    @property
    def name(self) -> str:
        """Of the method: modes do not make it another one."""
        return self.method.name

    def fit(self, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
        """The alarm lines; without modes, or with one only, the method's own."""
        pooled = self.method.fit(replace(scores, mode=None, mode_names=()), rule)
        if scores.mode is None:
            return pooled
        own: dict[str, ThresholdResult] = {}
        refused: list[str] = []
        observed = list(_observed_modes(scores))
        if len(observed) < 2:
            return pooled
        # A mode with too little data borrows from the others before it extrapolates.
        method = self.method
        if isinstance(method, BudgetThreshold):
            method = replace(method, is_extrapolated_if_short=False)
        for name in observed:
            try:
                own[name] = method.fit(scores.of_mode(name), rule)
            except DataError:  # too little of it, or nothing moves in it
                refused.append(name)
        result = replace(pooled, modes=own)
        if pooled.is_promised and own and refused:
            needed = self.method.fit(scores.comparable(result.line), rule).threshold
            factor = needed / pooled.threshold * (1 + ROUNDING)
            if factor > 1:
                own = {name: self._raised(scores.of_mode(name), rule, part, factor) for name, part in own.items()}
                result = replace(result, threshold=pooled.threshold * factor, modes=own)
        return _recounted(result, scores, rule, refused)

    def _raised(
        self, scores: CalibrationScores, rule: EventRule, result: ThresholdResult, factor: float
    ) -> ThresholdResult:
        return _recounted(replace(result, threshold=result.threshold * factor), scores, rule, [])


def _observed_modes(scores: CalibrationScores) -> Iterator[str]:
    for name in scores.mode_names:
        if scores.of_mode(name).normal().n_scored:
            yield name


def _recounted(
    result: ThresholdResult, scores: CalibrationScores, rule: EventRule, refused: list[str]
) -> ThresholdResult:
    """The result with the events that its lines give."""
    level = scores.normal().comparable(result.line)
    spread = float(result.parameters.get("dispersion", 1.0))
    rate = expected_rate(level, rule, result.threshold, result.confidence, spread)
    assumptions = result.assumptions
    if result.modes:
        shared = f"; too little data for lines of their own: {', '.join(refused)}" if refused else ""
        assumptions += (f"the operating mode is known for every row and means what it meant here{shared}",)
    return replace(result, expected_events_per_day=rate.per_day, interval=rate.interval, assumptions=assumptions)

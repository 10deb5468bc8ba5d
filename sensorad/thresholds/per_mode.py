"""A line for each operating mode, where the mode has data enough for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sensorad.alarm_line import AlarmLine
from sensorad.errors import DataError
from sensorad.events import EventRule
from sensorad.thresholds.base import CalibrationScores, ThresholdMethod, ThresholdResult
from sensorad.thresholds.budget import BudgetThreshold
from sensorad.thresholds.budget_mean import BudgetMeanThreshold
from sensorad.thresholds.counting import expected_rate

__all__ = ["PerModeThreshold"]

WIDER = 8.0
"""Modes are compared at so many times the budget: at the budget itself a mode of a few days has one or two events, and
lines drawn through those would differ by chance and fit just these days. With five simulated modes and one event a week
from 60 days, the budget is kept in 82 % of calibrations with 4, in 87 % with 8 and in 93 % with 16."""

ROUNDING = 1e-12
"""Lines and scores are scaled apart from each other: an event whose peak is the line must not slip above it."""


@dataclass(frozen=True, slots=True)
class PerModeThreshold:
    """The same method on each operating mode alone; modes that it refuses share the line of all rows.

    One line for all modes is a line for the loudest of them: it buys quiet there with blindness in the others. A
    rate counts in time spent in the mode, so equal rates in all modes are that rate over all time.

    A budget is about all alarms together. So a method that has one first compares the modes, at a wider budget, and
    then sets its line on the scores of all rows, each relative to the line of its mode: the budget is kept, or met in
    the mean, over all modes, and each mode has about its share.

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
        whole = replace(scores, mode=None, mode_names=())
        pooled = self.method.fit(whole, rule)
        observed = [] if scores.mode is None else list(_observed_modes(scores))
        if len(observed) < 2:
            return pooled
        method = self.method
        if isinstance(method, BudgetThreshold | BudgetMeanThreshold):
            method = _wider(method)
            pooled = method.fit(whole, rule)
        own = _fitted(method, scores, observed, rule)
        if method is not self.method:
            relative = AlarmLine(pooled.threshold, {name: part.threshold for name, part in own.items()})
            final = self.method.fit(scores.comparable(relative), rule)
            factor = final.threshold / pooled.threshold * (1 + ROUNDING)
            pooled = replace(final, threshold=pooled.threshold * factor)
            own = {name: _scaled(part, factor) for name, part in own.items()}
        own = {name: _recounted(part, scores.of_mode(name), rule) for name, part in own.items()}
        refused = [name for name in observed if name not in own]
        shared = f"; too little data for lines of their own: {', '.join(refused)}" if refused else ""
        known = f"the operating mode is known for every row and means what it meant here{shared}"
        result = replace(pooled, modes=own, assumptions=(*pooled.assumptions, known))
        return _recounted(result, scores, rule)


def _wider(method: BudgetThreshold | BudgetMeanThreshold) -> ThresholdMethod:
    budget = replace(method.budget, count=WIDER * method.budget.count)
    if isinstance(method, BudgetThreshold):  # a mode with too little data borrows from the others, not from its tail
        return replace(method, budget=budget, is_extrapolated_if_short=False)
    return replace(method, budget=budget)


def _observed_modes(scores: CalibrationScores) -> Iterator[str]:
    for name in scores.mode_names:
        if name and scores.of_mode(name).normal().n_scored:  # "" is a mode that nobody wrote down
            yield name


def _fitted(
    method: ThresholdMethod, scores: CalibrationScores, names: list[str], rule: EventRule
) -> Mapping[str, ThresholdResult]:
    """The method on each mode that it does not refuse: too little of it, or nothing moves in it."""
    found = {}
    for name in names:
        try:
            found[name] = method.fit(scores.of_mode(name), rule)
        except DataError:
            continue
    return found


def _scaled(result: ThresholdResult, factor: float) -> ThresholdResult:
    """The line of one mode at the height that the budget over all modes asks for; alone it promises nothing."""
    kept = ("dispersion", "n_machines", "per")
    parameters = {name: result.parameters[name] for name in kept}
    return replace(result, threshold=result.threshold * factor, parameters=parameters, is_promised=False)


def _recounted(result: ThresholdResult, scores: CalibrationScores, rule: EventRule) -> ThresholdResult:
    """The result with the events that its lines give on these scores."""
    level = scores.normal().comparable(result.line)
    spread = float(result.parameters.get("dispersion", 1.0))
    rate = expected_rate(level, rule, result.threshold, result.confidence, spread)
    return replace(result, expected_events_per_day=rate.per_day, interval=rate.interval)

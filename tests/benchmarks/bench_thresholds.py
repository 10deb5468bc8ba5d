"""Do thresholds keep their word? Five simulated kinds of scores, many calibrations each; prints Markdown tables.

For every calibration the true rate of alarm events at the chosen line is read from a very long simulation of the same
process. Run with ``python tests/benchmarks/bench_thresholds.py``; ``--calibrations 20`` is a quick look.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from score_processes import MODES, PROCESSES, ROWS_PER_DAY, simulated, simulated_modes

from sensorad.alarm_line import AlarmLine
from sensorad.errors import SensoradError, TooLittleDataError
from sensorad.events import EventRule, event_curve, event_spans
from sensorad.thresholds import (
    Budget,
    CalibrationScores,
    PerModeThreshold,
    ReturnPeriods,
    ThresholdMethod,
    threshold_class,
)

RULE = EventRule(step_seconds=60.0)
TRUTH_DAYS = 4_000.0
CHUNK_DAYS = 250.0
SEED = 20261122


@dataclass(frozen=True)
class Question:
    """A budget, and the days of calibration that it may rest on."""

    budget: str
    days: float

    @property
    def per_day(self) -> float:
        return Budget.parse(self.budget).per_day


QUESTIONS = (Question("1/day", 14.0), Question("1/week", 60.0))
SHORT = Question("1/week", 7.0)

ASKED: dict[str, Callable[[Budget], ThresholdMethod]] = {
    "budget": lambda budget: threshold_class("budget")(budget=budget),
    "budget-mean": lambda budget: threshold_class("budget-mean")(budget=budget),
}
"""Methods that know what was asked for."""

EXTRAPOLATED: dict[str, Callable[[Budget], ThresholdMethod]] = {
    "budget, extrapolated": lambda budget: threshold_class("budget")(budget=budget, is_extrapolated_if_short=True),
}

UNASKED: dict[str, Callable[[Budget], ThresholdMethod]] = {
    "sigma, k = 3": lambda _: threshold_class("sigma")(k=3.0),
    "mad, k = 6": lambda _: threshold_class("mad")(k=6.0),
    "quantile, q = 0.999": lambda _: threshold_class("quantile")(q=0.999),
    "pot, risk 1e-4 a row": lambda _: threshold_class("pot")(risk=1e-4),
    "pot, declustered, 1/day": lambda _: threshold_class("pot")(risk=1 / 1440, is_declustered=True),
    "conformal, alpha = 0.01": lambda _: threshold_class("conformal")(alpha=0.01),
}
"""Methods that give whatever they give."""


class TrueRate:
    """Alarm events a day at any line, from `TRUTH_DAYS` simulated days; lines below the median are not asked for."""

    def __init__(self, name: str) -> None:
        draws = np.random.default_rng([SEED, 0, list(PROCESSES).index(name)])
        self._parts = []
        for _ in range(round(TRUTH_DAYS / CHUNK_DAYS)):
            scores = simulated(PROCESSES[name], CHUNK_DAYS, draws)
            floor = float(np.median(scores.score))
            self._parts.append(event_curve(scores.time, scores.score, scores.group, RULE, floor))
        self.floor = max(part.floor for part in self._parts)

    def __call__(self, lines: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = sum(part.count(np.maximum(lines, self.floor)) for part in self._parts)
        return np.asarray(counts / TRUTH_DAYS)


def lines_of(name: str, question: Question, methods: Iterable[str], n: int) -> dict[str, list[float | None]]:
    """The line that each method chooses in each of ``n`` calibrations; None = refused."""
    known = ASKED | UNASKED | EXTRAPOLATED
    budget = Budget.parse(question.budget)
    found: dict[str, list[float | None]] = {method: [] for method in methods}
    number = [*QUESTIONS, SHORT].index(question)
    for calibration in range(n):
        draws = np.random.default_rng([SEED, 1, list(PROCESSES).index(name), number, calibration])
        scores = simulated(PROCESSES[name], question.days, draws)
        for method in methods:
            try:
                found[method].append(known[method](budget).fit(scores, RULE).threshold)
            except SensoradError:
                found[method].append(None)
    return found


def judge(name: str, n: int) -> list[dict[str, object]]:
    """All methods on one process."""
    truth = TrueRate(name)
    rows: list[dict[str, object]] = []
    plans = [(question, [*ASKED, *(UNASKED if question is QUESTIONS[0] else [])]) for question in QUESTIONS]
    plans.append((SHORT, [*EXTRAPOLATED]))
    for question, methods in plans:
        for method, lines in lines_of(name, question, methods, n).items():
            kept = np.array([line for line in lines if line is not None])
            rate = truth(kept) if len(kept) else np.array([np.nan])
            rows.append(
                {
                    "process": name,
                    "budget": question.budget,
                    "days": question.days,
                    "method": method,
                    "refused": len(lines) - len(kept),
                    "per_day": float(rate.mean()),
                    "mean_over_budget": float(rate.mean() / question.per_day),
                    "within_budget": float((rate <= question.per_day).mean()),
                }
            )
    return rows


RETURN_SHARES = (0.1, 0.3, 1.0)
"""Return periods that are put to the test, in calibration lengths."""


def judge_returns(name: str, n: int, days: float) -> list[float]:
    """How often events come that are said to come once in R days, over once in R days; mean over calibrations."""
    truth = TrueRate(name)
    ratios: list[NDArray[np.float64]] = []
    for calibration in range(n):
        draws = np.random.default_rng([SEED, 4, list(PROCESSES).index(name), round(days), calibration])
        try:
            returns = ReturnPeriods.fit(simulated(PROCESSES[name], days, draws), RULE)
        except TooLittleDataError:
            continue
        said = np.array([share * days for share in RETURN_SHARES])
        levels = np.interp(-np.log(1.0 / said), -np.log(returns.rates), returns.levels)
        ratios.append(truth(levels) * said)
    return np.mean(ratios, axis=0).tolist() if ratios else [float("nan")] * len(RETURN_SHARES)


def judge_modes(n: int, days: float = 60.0) -> list[str]:
    """Alarm events a day in each of five modes, over what was asked for, with a line for each and with one for all."""
    draws = np.random.default_rng([SEED, 2])
    truth = simulated_modes(TRUTH_DAYS / 4, draws)
    methods: dict[str, ThresholdMethod] = {
        "quantile, q = 0.999": threshold_class("quantile")(q=0.999),
        "budget-mean, 1/day": threshold_class("budget-mean")(budget=Budget.parse("1/day")),
        "budget, 1/day": threshold_class("budget")(budget=Budget.parse("1/day")),
    }
    lines = [
        f"| realised / asked, {days:g} days | line | {' | '.join(MODES)} |",
        "|---|---|" + "---|" * len(MODES),
    ]
    for name, method in methods.items():
        measure = _row_rates if name.startswith("quantile") else _event_rates
        asked = 1e-3 if name.startswith("quantile") else 1.0
        found: dict[str, list[NDArray[np.float64]]] = {"one for all": [], "one for each": []}
        for calibration in range(n):
            scores = simulated_modes(days, np.random.default_rng([SEED, 3, calibration]))
            result = PerModeThreshold(method).fit(scores, RULE)
            pooled = method.fit(replace(scores, mode=None, mode_names=()), RULE)
            found["one for each"].append(measure(truth, result.line))
            found["one for all"].append(measure(truth, pooled.line))
        for kind, rates in found.items():
            means = np.mean(rates, axis=0) / asked
            lines.append(f"| {name} | {kind} | {' | '.join(f'{value:.2f}' for value in means)} |")
    return lines


def judge_mode_promise(n: int) -> list[str]:
    """Whether a budget is kept over all modes together, with a line for each."""
    truth = simulated_modes(TRUTH_DAYS / 4, np.random.default_rng([SEED, 5]))
    lines = ["| asked | days | share within | mean / asked |", "|---|---|---|---|"]
    for question in QUESTIONS:
        method = PerModeThreshold(threshold_class("budget")(budget=Budget.parse(question.budget)))
        rates = []
        for calibration in range(n):
            draws = np.random.default_rng([SEED, 6, calibration])
            result = method.fit(simulated_modes(question.days, draws), RULE)
            level = truth.comparable(result.line)
            n_events = len(event_spans(level.time, level.score, level.group, result.threshold, RULE))
            rates.append(n_events / (TRUTH_DAYS / 4) / question.per_day)
        kept = np.mean(np.array(rates) <= 1.0)
        lines.append(f"| {question.budget} | {question.days:g} | {kept:.0%} | {np.mean(rates):.2f} |")
    return lines


def _row_rates(truth: CalibrationScores, line: AlarmLine) -> NDArray[np.float64]:
    """Share of the rows of each mode above its line."""
    level = line.comparable(truth.score, truth.mode, truth.mode_names)
    assert truth.mode is not None
    return np.array([(level[truth.mode == code] > line.threshold).mean() for code in range(len(MODES))])


def _event_rates(truth: CalibrationScores, line: AlarmLine) -> NDArray[np.float64]:
    """Alarm events that open in each mode, a day spent in it."""
    level = truth.comparable(line)
    assert truth.mode is not None
    spans = event_spans(level.time, level.score, level.group, line.threshold, RULE)
    opened = np.bincount(truth.mode[spans.start], minlength=len(MODES))
    return np.asarray(opened / np.bincount(truth.mode, minlength=len(MODES)) * ROWS_PER_DAY)


def table(rows: list[dict[str, object]], question: Question, methods: Iterable[str], what: str) -> list[str]:
    """A Markdown table, one line for each method and one column for each process."""
    lines = [f"| {what} | {' | '.join(PROCESSES)} | all |", "|---|" + "---|" * (len(PROCESSES) + 1)]
    for method in methods:
        of_method = {
            row["process"]: row for row in rows if (row["method"], row["budget"], row["days"]) == (
                method, question.budget, question.days)
        }  # fmt: skip
        values = [of_method[name] for name in PROCESSES]
        cells = [_cell(row, what) for row in values]
        mean = float(np.nanmean([float(str(row[_key(what)])) for row in values]))
        lines.append(f"| {method} | {' | '.join(cells)} | {_shown(mean, what)} |")
    return lines


def _key(what: str) -> str:
    return {"share within": "within_budget", "mean / asked": "mean_over_budget", "events a day": "per_day"}[what]


def _cell(row: dict[str, object], what: str) -> str:
    shown = _shown(float(str(row[_key(what)])), what)
    return f"{shown} ({row['refused']} refused)" if row["refused"] else shown


def _shown(value: float, what: str) -> str:
    return f"{value:.0%}" if what == "share within" else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrations", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        parts = pool.map(partial(judge, n=options.calibrations), PROCESSES)
        rows = [row for part in parts for row in part]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{options.calibrations} calibrations of each process\n")
    for question in QUESTIONS:
        print(f"Asked: {question.budget}, from {question.days:g} days\n")
        for what in ("share within", "mean / asked"):
            print("\n".join(table(rows, question, ASKED, what)) + "\n")
    print(f"Asked: {SHORT.budget}, from {SHORT.days:g} days, which is too short for a promise\n")
    for what in ("share within", "mean / asked"):
        print("\n".join(table(rows, SHORT, EXTRAPOLATED, what)) + "\n")
    print(f"Methods that cannot be asked for a rate, {QUESTIONS[0].days:g} days\n")
    print("\n".join(table(rows, QUESTIONS[0], UNASKED, "events a day")) + "\n")
    heads = [f"{days:g} days, R = {share:g} x" for days in (14, 60) for share in RETURN_SHARES]
    print("Events that are said to come once in R days: realised / said\n")
    print(f"| process | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for name in PROCESSES:
        cells = [f"{value:.2f}" for days in (14.0, 60.0) for value in judge_returns(name, options.calibrations, days)]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\nFive operating modes of different loudness\n")
    print("\n".join(judge_modes(max(2, options.calibrations // 10))) + "\n")
    print("The promise over all five modes together\n")
    print("\n".join(judge_mode_promise(max(2, options.calibrations // 2))))


if __name__ == "__main__":
    main()

"""How true a detectability card is, how near the linear detector comes to the ideal, and what a card costs.

    python tests/benchmarks/bench_detectability.py [--seeds N] [--quick]

Three tables: limits of detection on white noise against theory; a bias of one sensor found by the linear detector and
by the detector that knows everything (which sensor, how long, the true covariance) at the same budget; seconds of
process time for a whole card.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import sensorad
from sensorad.detectability import CardConfig, DetectabilityCard, FunctionJudge, measure
from sensorad.events import EventRule
from sensorad.thresholds import Budget, BudgetThreshold, CalibrationScores
from sensorad.types import RowBlock

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from white_noise import (
    limit,
    miss_of_largest,
    miss_of_square,
    noise_block,
    schema_of,
    square,
    square_line,
)

Floats = NDArray[np.float64]
ROWS = 60
FALSE_ALARM = 1e-5
FINE = tuple(np.geomspace(0.05, 20.0, 240).tolist())  # 2.5 % from step to step
CALIBRATION_DAYS, CARD_DAYS = 20, 10


def steady(size: float) -> Floats:
    return np.full(ROWS, size)


def ramp(size: float) -> Floats:
    return size * np.arange(1, ROWS + 1) / ROWS


def pair(rho: float) -> Floats:
    return np.array([[1.0, rho], [rho, 1.0]])


def fine_config(kind: str, n_placements: int, seed: int) -> CardConfig:
    severities = {kind: FINE}
    return CardConfig(
        kinds=(kind,),
        sensors=("x0",),
        rows=ROWS,
        n_placements=n_placements,
        severities=severities,
        random_state=seed,
    )


def limits(card: DetectabilityCard, kind: str) -> tuple[float, float]:
    cell = card.cell("x0", kind)
    return tuple(np.nan if one is None else one.severity for one in (cell.half, cell.most))  # type: ignore[return-value]


def header(columns: str) -> None:
    print(f"| {columns} |\n|{'---|' * len(columns.split('|'))}")


def theory_table(n_seeds: int, n_placements: int) -> None:
    """Card against theory, mean and worst over seeds."""
    print(f"\n### Card against theory: faults of {ROWS} rows, {n_placements} places, {n_seeds} seeds\n")
    header("judge | fault | found at | theory, sigma | card, sigma | mean error | worst error")
    cases: list[tuple[str, str, Floats, FunctionJudge, Callable[[float], Floats]]] = []
    for n_sensors in (1, 10, 38):
        line = square_line(n_sensors, FALSE_ALARM)
        covariance = np.eye(n_sensors)
        judge = FunctionJudge(schema_of(n_sensors), square(covariance), line)
        for kind, course in (("bias", steady), ("drift", ramp)):
            miss = _square_miss(n_sensors, line, course, 1.0)
            cases.append((f"square of {n_sensors} sensors", kind, covariance, judge, miss))
    largest = FunctionJudge(schema_of(10), lambda rows: np.abs(rows).max(axis=1).astype(np.float64), 5.0)
    cases.append(
        ("largest of 10 sensors", "bias", np.eye(10), largest, lambda size: miss_of_largest(10, 5.0, steady(size)))
    )
    for rho in (0.5, 0.9, 0.99):
        line = square_line(2, FALSE_ALARM)
        judge = FunctionJudge(schema_of(2), square(pair(rho)), line)
        miss = _square_miss(2, line, steady, float(np.sqrt(1 - rho**2)))
        cases.append((f"square of 2, correlation {rho:g}", "bias", pair(rho), judge, miss))
    for name, kind, covariance, judge, miss in cases:
        found = np.array(
            [
                limits(measure(judge, [noise_block(40_000, covariance, s)], fine_config(kind, n_placements, s)), kind)
                for s in range(n_seeds)
            ]
        )
        for column, share in enumerate((0.5, 0.9)):
            theory = limit(miss, share)
            error = found[:, column] / theory - 1.0
            print(
                f"| {name} | {kind} | {share:.0%} | {theory:.3f} | {found[:, column].mean():.3f} | "
                f"{error.mean():+.1%} | {error[np.abs(error).argmax()]:+.1%} |",
                flush=True,
            )


def _square_miss(
    n_sensors: int, line: float, course: Callable[[float], Floats], conditional: float
) -> Callable[[float], Floats]:
    return lambda size: miss_of_square(n_sensors, line, course(size) / conditional)


def ideal_judge(covariance: Floats, days: float, seed: int) -> FunctionJudge:
    """The likelihood ratio of a bias of x0 that lasts ``ROWS`` rows, its line by the same budget on as many days."""
    weight = np.linalg.inv(covariance)[0]
    weight = weight / np.sqrt(weight @ covariance @ weight)  # unit variance

    def score(rows: NDArray[np.float32]) -> Floats:
        total = np.cumsum(np.concatenate([[0.0], rows.astype(np.float64) @ weight]))
        row = np.arange(1, len(rows) + 1)
        return np.asarray(np.abs(total[row] - total[np.maximum(row - ROWS, 0)]) / np.sqrt(ROWS))

    rule = EventRule(merge_gap_rows=ROWS // 2, step_seconds=60.0)
    block = minutes(noise_block(round(days * 1440), covariance, seed))
    scores = CalibrationScores(block.time, score(block.values), block.group, step_seconds=60.0)
    line = BudgetThreshold(Budget.parse("1/day")).fit(scores, rule).threshold
    return FunctionJudge(schema_of(len(covariance)), score, line, context_rows=ROWS - 1, rule=rule)


def minutes(block: RowBlock) -> RowBlock:
    block.time *= 60
    return block


def ideal_table(n_seeds: int, n_placements: int) -> None:
    """A bias of x0: the linear detector against the likelihood ratio that knows what it looks for."""
    print(
        f"\n### The linear detector against the ideal: bias of {ROWS} rows of minutes, white noise, budget 1/day, "
        f"{CALIBRATION_DAYS} days to learn from, {n_placements} places, {n_seeds} seeds\n"
    )
    header("sensors | correlation | ideal, sigma | linear, sigma | linear / ideal | square of a row / ideal")
    for n_sensors, rho in ((2, 0.0), (2, 0.9), (10, 0.0), (10, 0.9)):
        covariance = np.full((n_sensors, n_sensors), rho) + (1 - rho) * np.eye(n_sensors)
        rows = []
        for seed in range(n_seeds):
            card_rows = minutes(noise_block(CARD_DAYS * 1440, covariance, 1000 + seed))
            config = fine_config("bias", n_placements, seed)
            ideal = ideal_judge(covariance, CALIBRATION_DAYS, 2000 + seed)
            detector = fitted(covariance, seed)
            line = square_line(n_sensors, 1.0 / 1440)  # about one row a day
            row_wise = FunctionJudge(schema_of(n_sensors), square(covariance), line)
            rows.append([limits(measure(j, [card_rows], config), "bias")[0] for j in (ideal, detector, row_wise)])
        best, linear, plain = np.mean(rows, axis=0)
        print(
            f"| {n_sensors} | {rho:g} | {best:.3f} | {linear:.3f} | {linear / best:.2f} | {plain / best:.2f} |",
            flush=True,
        )


def fitted(covariance: Floats, seed: int) -> sensorad.Detector:
    block = noise_block(CALIBRATION_DAYS * 1440, covariance, seed)
    frame = pd.DataFrame(block.values, columns=list(schema_of(len(covariance)).names))
    frame.insert(0, "time", pd.date_range("2024-01-01", periods=len(frame), freq="min", tz="UTC"))
    return sensorad.Detector().fit(frame, time="time", budget="1/day")


def cost_table(shapes: list[tuple[int, int]]) -> None:
    """Seconds of a whole card of the linear detector with its defaults: all sensors, all kinds."""
    print("\n### Cost of a whole card, linear detector, one core\n")
    header("rows x sensors | fit, s | card with a log of its own, s | with a second fit, s | severities tried")
    for n_rows, n_sensors in shapes:
        rng = np.random.default_rng(0)
        wave = np.sin(np.arange(n_rows)[:, None] / np.array([40, 90, 200, 35])) + 0.3 * rng.normal(size=(n_rows, 4))
        values = wave @ rng.normal(size=(4, n_sensors)) + 0.3 * rng.normal(size=(n_rows, n_sensors))
        frame = pd.DataFrame(values, columns=list(schema_of(n_sensors).names))
        frame.insert(0, "time", pd.date_range("2024-01-01", periods=n_rows, freq="min", tz="UTC"))
        cut = n_rows * 4 // 5
        fit, detector = timed(lambda frame=frame, cut=cut: sensorad.Detector().fit(frame.iloc[:cut], time="time"))
        own, card = timed(lambda d=detector, f=frame, cut=cut: sensorad.detectability_card(d, f.iloc[cut:]))
        second, _ = timed(lambda d=detector, f=frame: sensorad.detectability_card(d, f, held_back=0.2))
        n_tried = np.mean([len(cell.tried) for cell in card.cells])
        print(f"| {n_rows:,} x {n_sensors} | {fit:.1f} | {own:.1f} | {second:.1f} | {n_tried:.1f} of 9 |", flush=True)


def timed(call: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one seed, fewer places, no large log")
    parser.add_argument("--only", choices=("theory", "ideal", "cost"))
    options = parser.parse_args()
    n_seeds, n_placements = (1, 100) if options.quick else (options.seeds, 400)
    if options.only in (None, "theory"):
        theory_table(n_seeds, n_placements)
    if options.only in (None, "ideal"):
        ideal_table(n_seeds, n_placements // 2)
    if options.only in (None, "cost"):
        cost_table([(20_000, 20)] if options.quick else [(20_000, 8), (20_000, 20), (20_000, 38)])


if __name__ == "__main__":
    main()

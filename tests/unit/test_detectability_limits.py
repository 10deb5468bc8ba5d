"""On white noise the card agrees with the limit of detection that theory gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from white_noise import limit, miss_of_largest, miss_of_square, noise_block, schema_of, square, square_line

from sensorad.detectability import CardConfig, DetectabilityCard, FunctionJudge, measure

ROWS, FALSE_ALARM, TOLERANCE = 30, 1e-5, 0.1
FINE = tuple(np.geomspace(0.2, 20.0, 150).tolist())  # 3 % from step to step


def config(*kinds: str, n_placements: int = 200, seed: int = 0) -> CardConfig:
    severities = dict.fromkeys(kinds, FINE)
    return CardConfig(
        kinds=kinds,
        sensors=("x0",),
        rows=ROWS,
        n_placements=n_placements,
        severities=severities,
        random_state=seed,
    )


def severities(card: DetectabilityCard, kind: str) -> tuple[float, float]:
    cell = card.cell("x0", kind)
    assert cell.half is not None
    assert cell.most is not None
    return cell.half.severity, cell.most.severity


def ramp(size: float) -> np.ndarray:
    return size * np.arange(1, ROWS + 1) / ROWS


def steady(size: float) -> np.ndarray:
    return np.full(ROWS, size)


@pytest.mark.parametrize("n_sensors", [1, 8])
def test_square_of_independent_sensors(n_sensors: int) -> None:
    covariance = np.diag(np.linspace(0.5, 4.0, n_sensors))
    line = square_line(n_sensors, FALSE_ALARM)
    judge = FunctionJudge(schema_of(n_sensors), square(covariance), line)
    card = measure(judge, [noise_block(30_000, covariance, 1)], config("bias", "drift"))
    for kind, course in (("bias", steady), ("drift", ramp)):
        for found, share in zip(severities(card, kind), (0.5, 0.9), strict=True):
            theory = limit(lambda size, course=course: miss_of_square(n_sensors, line, course(size)), share)
            assert found == pytest.approx(theory, rel=TOLERANCE), (kind, share)


def test_largest_of_independent_sensors() -> None:
    n_sensors, line = 6, 4.5
    judge = FunctionJudge(schema_of(n_sensors), lambda rows: np.abs(rows).max(axis=1).astype(np.float64), line)
    card = measure(judge, [noise_block(30_000, np.eye(n_sensors), 2)], config("bias", "noise"))
    for found, share in zip(severities(card, "bias"), (0.5, 0.9), strict=True):
        theory = limit(lambda size: miss_of_largest(n_sensors, line, steady(size)), share)
        assert found == pytest.approx(theory, rel=TOLERANCE), share
    wide = limit(lambda size: np.full(ROWS, 1.0 - 2.0 * norm.sf(line / np.hypot(1.0, size))), 0.5)
    assert severities(card, "noise")[0] == pytest.approx(wide, rel=TOLERANCE)


@pytest.mark.parametrize("rho", [0.6, 0.95])
def test_correlation_lowers_the_limit_to_the_conditional_sigma(rho: float) -> None:
    covariance = np.array([[1.0, rho], [rho, 1.0]])
    line = square_line(2, FALSE_ALARM)
    judge = FunctionJudge(schema_of(2), square(covariance), line)
    card = measure(judge, [noise_block(30_000, covariance, 3)], config("bias"))
    conditional = np.sqrt(1.0 - rho**2)
    for found, share in zip(severities(card, "bias"), (0.5, 0.9), strict=True):
        theory = conditional * limit(lambda size: miss_of_square(2, line, steady(size)), share)
        assert found == pytest.approx(theory, rel=TOLERANCE), share


def test_delay_of_a_fault_that_is_found_with_the_same_chance_in_every_row() -> None:
    """The median of a geometric distribution that is cut at the end of the fault."""
    line, size = 4.5, 3.2
    judge = FunctionJudge(schema_of(1), lambda rows: np.abs(rows[:, 0]).astype(np.float64), line)
    settings = CardConfig(kinds=("bias",), rows=ROWS, n_placements=600, severities={"bias": (size,)})
    card = measure(judge, [noise_block(40_000, np.eye(1), 4)], settings)
    (tried,) = card.cell("x0", "bias").tried
    miss = float(miss_of_largest(1, line, np.array([size]))[0])
    assert tried.outcome.share == pytest.approx(1.0 - miss**ROWS, abs=0.03)
    median = np.log(1.0 - 0.5 * (1.0 - miss**ROWS)) / np.log(miss) - 1.0
    assert tried.outcome.delay_rows == pytest.approx(median, abs=1.0)


def test_alarms_that_come_anyway_are_no_finds() -> None:
    """With a line so low that every stretch of rows has an alarm of its own, nothing is ever found."""
    judge = FunctionJudge(schema_of(1), lambda rows: np.abs(rows[:, 0]).astype(np.float64), 1.0)
    card = measure(judge, [noise_block(5_000, np.eye(1), 5)], config("bias", n_placements=40))
    assert card.baseline.share == 1.0
    assert card.cell("x0", "bias").state == "never"


def test_baseline_is_the_false_alarm_rate_of_a_fault_without_a_fault() -> None:
    line = 3.0
    judge = FunctionJudge(schema_of(1), lambda rows: np.abs(rows[:, 0]).astype(np.float64), line)
    card = measure(judge, [noise_block(50_000, np.eye(1), 6)], config("bias", n_placements=40))
    expected = 1.0 - (1.0 - 2.0 * norm.sf(line)) ** ROWS  # 0.078
    assert card.baseline.n == 200
    assert abs(card.baseline.share - expected) < 3 * np.sqrt(expected * (1 - expected) / 200)

"""The scoring engine as its description reads: one row at a time, one window at a time, loops only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sensorad.error_models import SensorErrors
from sensorad.error_models.errors import PredictionErrors
from sensorad.scoring import ScoringEngine
from sensorad.scoring.engine import BLIND_ROWS, LEAST_SENSORS
from sensorad.types import FLAWS, RowBlock

MINUTE = 60 * 10**9


@dataclass
class Row:
    """One row of a segment as it entered the model."""

    time: int
    filled: np.ndarray
    usable: np.ndarray
    is_blind: bool
    errors: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Machine:
    """All rows of the running segment of one machine, and the newest time of all."""

    newest: int
    segment: list[Row] = field(default_factory=list)


@dataclass
class Scored:
    """What is said of one row."""

    status: str
    reason: str
    score: float = np.nan
    surprise: float = np.nan
    blame: np.ndarray | None = None


def scored_rows(engine: ScoringEngine, blocks: Sequence[RowBlock]) -> list[Scored]:
    """What a fresh engine should say of every row; only for a window-PCA with an autoregression."""
    machines: dict[str, Machine] = {}
    found = []
    for block in blocks:
        for row in range(len(block)):
            name = block.group_names[block.group[row]]
            found.append(_score_row(engine, machines, name, block, row))
    return found


def _score_row(engine: ScoringEngine, machines: dict[str, Machine], name: str, block: RowBlock, row: int) -> Scored:
    time = int(block.time[row])
    machine = machines.get(name)
    if machine is not None and time <= machine.newest:
        return Scored("duplicate", "same_time") if time == machine.newest else Scored("late", "out_of_order")
    if machine is None:
        machine = machines[name] = Machine(time)
    is_gap = time - machine.newest > engine.timing.gap_seconds * 1e9
    machine.newest = time

    used = engine.scaler.used_positions
    flaws = [FLAWS[flaw] for flaw in block.flaw[row, used]]
    present = np.array([flaw == "" for flaw in flaws])
    is_blind = present.sum() < LEAST_SENSORS * len(present)
    n_blind = 0
    for earlier in reversed(machine.segment):
        if not earlier.is_blind:
            break
        n_blind += 1
    if is_gap or (not is_blind and n_blind > BLIND_ROWS):
        machine.segment = []
    segment = machine.segment
    before = segment[-1].filled if segment else np.zeros(len(used))
    filled = filled_row(engine, block.values[row], present, before)
    segment.append(Row(time, filled, present & (not is_blind), bool(is_blind)))
    segment[-1].errors = newest_errors(engine, segment)

    evidence = engine.scheme.evidence(_stacked(engine, segment[-engine.scheme.memory_rows :]))
    score = float(evidence.score[-1])
    status, reason = _status(engine, segment, flaws, score)
    if status not in ("scored", "degraded"):
        return Scored(status, reason)
    return Scored(status, reason, score, float(evidence.surprise[-1]), evidence.blame[-1])


def filled_row(engine: ScoringEngine, values: np.ndarray, present: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Deviations of one row, compressed; missing ones from the conditional Gaussian."""
    scaler, covariance = engine.scaler, engine.imputer.covariance
    used = scaler.used_positions
    n_sensors = len(used)
    row = np.zeros(n_sensors, np.float32)
    for place, sensor in enumerate(used):
        if present[place]:
            deviation = (float(values[sensor]) - scaler.centre[sensor]) / scaler.scale[sensor]
            row[place] = squeezed(deviation)
    missing = [n_sensors + place for place in range(n_sensors) if not present[place]]
    if missing:
        known = [*range(n_sensors), *(n_sensors + place for place in range(n_sensors) if present[place])]
        given = np.concatenate([before, row])[known]
        inverse = np.linalg.inv(covariance[np.ix_(known, known)])
        row[~present] = covariance[np.ix_(missing, known)] @ inverse @ given
    return row


def squeezed(deviation: float) -> float:
    """Linear up to 5 deviations, logarithmic beyond."""
    if abs(deviation) <= 5.0:
        return deviation
    return float(np.sign(deviation) * (5.0 + 5.0 * np.log(1.0 + (abs(deviation) - 5.0) / 5.0)))


def newest_errors(engine: ScoringEngine, segment: Sequence[Row]) -> dict[str, np.ndarray]:
    """Errors of the newest row of a segment: of its window and of its one-step prediction."""
    pca, regression = engine.model.pca, engine.model.autoregression
    n_sensors, length = len(segment[-1].filled), engine.length
    errors = {name: np.full(n_sensors, np.nan) for name in ("window", "newest", "expected", "step")}
    if len(segment) >= length:
        window = segment[-length:]
        flat = np.concatenate([row.filled for row in window]).astype(np.float64)
        rebuilt = np.zeros(len(flat))
        for component in pca.components.T.astype(np.float64):
            rebuilt += component * (component @ flat)
        rebuilt = rebuilt.reshape(length, n_sensors)
        errors["expected"] = rebuilt[-1]
        for c in range(n_sensors):
            squares = [(row.filled[c] - rebuilt[n, c]) ** 2 for n, row in enumerate(window) if row.usable[c]]
            errors["window"][c] = np.mean(squares) if squares else np.nan
            if window[-1].usable[c]:
                errors["newest"][c] = window[-1].filled[c] - rebuilt[-1, c]
    if len(segment) > regression.lags:
        for c in range(n_sensors):
            predicted = float(regression.weights[-1, c])
            for back in range(1, regression.lags + 1):
                for other in range(n_sensors):
                    weight = regression.weights[(back - 1) * n_sensors + other, c]
                    predicted += float(weight) * float(segment[-1 - back].filled[other])
            errors["step"][c] = segment[-1].filled[c] - predicted if segment[-1].usable[c] else 0.0
    span = min(length, regression.lags + 1)
    if len(segment) >= span and engine.scheme.name == "fused":
        away = ~np.any([row.usable for row in segment[-span:]], axis=0)
        if away.any() and not away.all():
            errors["step"] *= quietened(engine, away)
    return errors


def quietened(engine: ScoringEngine, away: np.ndarray) -> np.ndarray:
    """By what one-step errors are multiplied while some sensors are away: their guesses, row after row, summed up."""
    regression, size = engine.model.autoregression, engine.scheme.step_size
    n, lost, there = len(away), np.flatnonzero(away), np.flatnonzero(~away)
    known = [*range(n), *(n + there)]
    covariance = engine.imputer.covariance
    weights = covariance[np.ix_(n + lost, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    truth = covariance - 0.05 * np.eye(2 * n)  # less the ridge
    combined = np.zeros((len(lost), 2 * n))
    combined[:, known] = -weights
    combined[range(len(lost)), n + lost] += 1.0
    carried, own = weights[:, lost], combined @ truth @ combined.T
    spread = own
    for _ in range(5000):
        spread = carried @ spread @ carried.T + own
    most = truth[np.ix_(n + lost, n + lost)]
    if not np.trace(spread) < np.trace(most):
        spread = most
    factors = np.ones(n)
    for c in there:
        added = 0.0
        for k in range(regression.lags):
            for other in range(regression.lags):
                one, two = (regression.weights[lag * n + lost, c].astype(np.float64) for lag in (k, other))
                # e of k rows ago grew out of that of more rows ago
                power = np.linalg.matrix_power(carried, abs(other - k))
                between = power @ spread if other >= k else spread @ power.T
                added += one @ between @ two
        factors[c] = 1.0 / np.sqrt(1.0 + 2.3**2 * max(added, 0.0) / size[c] ** 2)
    return factors


def _stacked(engine: ScoringEngine, rows: Sequence[Row]) -> SensorErrors:
    stack = {name: np.stack([row.errors[name] for row in rows]) for name in rows[0].errors}
    return PredictionErrors(**stack, linear=stack["window"], autoregression=engine.model.autoregression)


def _status(engine: ScoringEngine, segment: Sequence[Row], flaws: Sequence[str], score: float) -> tuple[str, str]:
    """The strongest thing that can be said of the newest row."""
    worst = max(flaws, key=FLAWS.index)
    if segment[-1].is_blind:
        return "unscorable", worst
    recent = segment[-engine.length :]
    if sum(row.is_blind for row in recent) > (1.0 - LEAST_SENSORS) * engine.length:
        return "unscorable", "missing"
    steps = [(b.time - a.time) / 1e9 for a, b in pairwise(recent)]
    change = 1.0
    if len(steps) >= min(engine.length - 1, 5):
        change = float(np.mean(steps)) / engine.timing.mean_step_seconds
        change = max(change, 1.0 / change)
    if change > 2.0:
        return "unscorable", "rate"
    if np.isnan(score):
        return "warmup", "segment_start"
    if worst:
        return "degraded", worst
    return ("degraded", "rate") if change > 1.2 else ("scored", "")


def random_block(rng: np.random.Generator, n_rows: int, n_sensors: int, *, machines: int = 1) -> RowBlock:
    """A messy log: slow waves, missing and infinite cells, silent rows, gaps, equal and late times, any rate."""
    phase = rng.uniform(0, 6, (machines, n_sensors))
    group = rng.integers(0, machines, n_rows).astype(np.int32)
    minutes = np.zeros(n_rows)
    for machine in range(machines):
        steps = rng.choice([1.0, 0.0, 2.0, 0.5, 40.0, -1.5], n_rows, p=[0.88, 0.03, 0.03, 0.02, 0.02, 0.02])
        if rng.random() < 0.3:  # a stretch at another rate
            steps[n_rows // 2 :] *= rng.choice([0.4, 0.7, 1.5, 2.5])
        minutes[group == machine] = np.cumsum(steps)[group == machine]
    values = np.sin(minutes[:, None] / 4.0 + phase[group]) + 0.2 * rng.normal(size=(n_rows, n_sensors))
    values = values * (1.0 + np.arange(n_sensors)) + 10.0
    values[rng.random(values.shape) < 0.005] *= 20.0
    flaw = rng.choice(len(FLAWS), values.shape, p=[0.96, 0.03, 0.005, 0.005]).astype(np.uint8)
    flaw[rng.random(n_rows) < 0.03] = FLAWS.index("missing")
    flaw[rng.random(n_rows) < 0.03, 1:] = FLAWS.index("infinite")  # one sensor is left, which is not enough
    start = int(rng.integers(0, n_rows))
    flaw[start : start + int(rng.integers(0, 12))] = FLAWS.index("missing")
    return RowBlock(
        index=np.arange(n_rows),
        time=(minutes * MINUTE).astype(np.int64) + 20_000 * 1440 * MINUTE,
        values=np.where(flaw == 0, values, 0.0).astype(np.float32),
        flaw=flaw,
        group=group,
        group_names=tuple(f"machine {number}" for number in range(machines)),
    )

"""Who is blamed: faults of one and of two sensors in simulated plants, and labelled causes of SMD and ASD.

``python tests/benchmarks/bench_attribution.py [--quick] [--parts plants small causes] [--seeds N] [--first-seed S]``

Every fault is put into normal rows that no step of the fit has seen, where nothing alarms without it. Its severity is
the least of a grid of powers of two that raises an alarm ("at the line"), and the next ("twice"). A hit is a fault
whose event (the first that overlaps it) names the right sensor first. Faults that raise no alarm at any severity, such
as a stuck sensor while nothing moves, do not count. Beside the product's blame stands blame by each sensor's own
errors alone. The causes need SENSORAD_DATA.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sensorad import Detector
from sensorad.error_models import ErrorModel, SensorErrors
from sensorad.logs import LogFormat
from sensorad.scoring import ScoringEngine
from sensorad.types import Event, RowBlock
from sensorad_datasets import PlantConfig, simulate_plant

Floats = NDArray[np.float64]

GOAL = "goal: single sensors first in 0.85 of the events, both of a pair among the first three in 0.80"
CONTEXT, AFTER = 160, 60
"""Rows scored before and after a fault."""

DAY = 1440
MINUTE_NS = 60 * 10**9
START_NS = 1_704_067_200 * 10**9
POWERS = 0.05 * 2.0 ** np.arange(9)
ONCE = np.ones(1)
PARTS = ("plants", "small", "causes")

GRIDS: dict[str, Floats] = {
    "bias": POWERS,
    "drift": 2.0 * POWERS,
    "gain": POWERS,
    "spike": POWERS,
    "stuck": ONCE,
    "dropout": ONCE,
    "noise": POWERS,
    "intermittent": POWERS,
    "lag": np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
    "correlation break": ONCE,
    "frequency shift": np.array([1.25, 1.5, 2.0, 3.0]),
    "saturation": np.array([0.6, 0.8, 0.9, 0.97]),
    "quantisation": 2.0 * POWERS,
    "oscillation": POWERS,
}
"""Family -> severities: deviations, rows of delay, factors of time, or the share that is cut off."""


@dataclass(frozen=True)
class Fault:
    """``n_rows`` rows of one sensor from ``start`` on; ``seed`` decides signs, phases and noise."""

    sensor: int
    family: str
    start: int
    n_rows: int
    seed: int


@dataclass(frozen=True)
class Plant:
    """A calibrated detector, and normal rows (T, C) that it has not seen."""

    detector: Detector
    own_errors: Detector
    rows: Floats
    is_quiet: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        return self.detector.schema_.names


def spoilt(x: Floats, fault: Fault, severity: float) -> NDArray[Any]:
    """The reading (n,) of a faulty sensor, from its true course ``x`` (T,)."""
    rng = np.random.default_rng(fault.seed)
    start, n = fault.start, fault.n_rows
    true = x[start : start + n]
    spread, sign, t = x.std(), rng.choice([-1.0, 1.0]), np.arange(n)
    low, high = x.min(), x.max()
    match fault.family:
        case "bias":
            return true + sign * severity * spread
        case "drift":
            return true + sign * severity * spread * (t + 1) / n
        case "gain":
            centre = x.mean() if rng.random() < 0.5 else 0.0
            return centre + (1.0 + severity) ** sign * (true - centre)
        case "spike":
            return true + sign * severity * (np.quantile(x, 0.95) - np.quantile(x, 0.05))
        case "stuck":
            return np.full(n, true[0])
        case "dropout":
            return np.full(n, low - 0.5 * (high - low))
        case "noise":
            return true + severity * spread * rng.normal(size=n)
        case "intermittent":
            is_on = np.repeat(rng.random(n // 5 + 1) < rng.uniform(0.1, 0.5), 5)[:n]
            is_on[0] = True
            return true + sign * severity * spread * is_on
        case "lag":
            return x[start - int(severity) : start - int(severity) + n]
        case "correlation break":
            other = int(rng.integers(0, len(x) - n))
            return x[other : other + n]
        case "frequency shift":
            pace = severity**sign
            return np.interp(np.minimum(start + pace * t, len(x) - 1), np.arange(len(x)), x)
        case "saturation":
            return np.clip(true, *np.quantile(x, [severity / 2.0, 1.0 - severity / 2.0]))
        case "quantisation":
            return severity * spread * np.round(true / (severity * spread))
        case "oscillation":
            return true + severity * spread * np.sin(2.0 * np.pi * t / rng.integers(4, 31) + rng.uniform(0, 6))
    raise KeyError(fault.family)


def correlated_log(n_rows: int, n_sensors: int, seed: int) -> pa.Table:
    """A few slow causes behind all sensors, each with a delay and 5 to 30 % of noise of its own."""
    rng = np.random.default_rng([seed, n_sensors])
    t = np.arange(n_rows)
    causes = []
    for _ in range(max(1, n_sensors // 4)):
        waves = sum(np.sin(2.0 * np.pi * t / rng.uniform(60, 400) + rng.uniform(0, 6)) for _ in range(3))
        keep = rng.uniform(0.9, 0.99)
        causes.append(waves / 1.2 + _lagged(rng.normal(size=n_rows) / np.sqrt(1.0 - keep), keep))
    mix = rng.normal(size=(n_sensors, len(causes)))
    signals = mix / np.linalg.norm(mix, axis=1, keepdims=True) @ np.array(causes)
    signals = np.array([_lagged(signal, rng.uniform(0.0, 0.85)) for signal in signals])
    signals /= signals.std(axis=1, keepdims=True)
    signals += rng.uniform(0.05, 0.3, (n_sensors, 1)) * rng.normal(size=signals.shape)
    columns = {f"S{c}": pa.array((100.0 + 10.0 * x).astype(np.float32)) for c, x in enumerate(signals)}
    return pa.table({"time": pa.array(START_NS // 1000 + t * 60_000_000, pa.timestamp("us", "UTC")), **columns})


def _lagged(x: Floats, keep: float) -> Floats:
    """First-order lag (T,)."""
    out = np.empty_like(x)
    state = 0.0
    for row, value in enumerate((1.0 - keep) * x):
        state = keep * state + value
        out[row] = state
    return out


def fitted(log: pa.Table, mode: str | None, n_fit: int, n_calibration: int) -> Plant:
    """Fit, calibrate to one event a day, and keep the rest."""
    detector = Detector().fit(log.slice(0, n_fit), format=LogFormat(time="time", mode=mode))
    detector.calibrate(log.slice(n_fit, n_calibration), budget="1/day")
    fresh = log.slice(n_fit + n_calibration)
    rows = np.stack([fresh[sensor].to_numpy() for sensor in detector.schema_.names], axis=1).astype(np.float64)
    is_quiet = np.ones(len(rows), bool)
    for event in events_of(detector, rows):
        is_quiet[event.start // MINUTE_NS : event.end // MINUTE_NS + 1] = False
    return Plant(detector, OwnErrorsDetector.like(detector), rows, is_quiet)


class OwnErrors:
    """The model, without saying where its one-step errors come from: every sensor is blamed for its own."""

    def __init__(self, model: ErrorModel) -> None:
        self.model = model

    @property
    def context_rows(self) -> int:
        return self.model.context_rows

    def errors(self, rows: NDArray[np.float32], usable: NDArray[np.bool_], time: NDArray[np.int64]) -> SensorErrors:
        errors = self.model.errors(rows, usable, time)
        return SensorErrors(*(getattr(errors, field.name) for field in fields(SensorErrors)))


class OwnErrorsDetector(Detector):
    """A detector that blames by own errors alone."""

    @classmethod
    def like(cls, detector: Detector) -> OwnErrorsDetector:
        """The same fit and line."""
        copy = cls()
        vars(copy).update(vars(detector))
        return copy

    def engine(self, **options: Any) -> ScoringEngine:
        engine = super().engine(**options)
        return replace(engine, model=OwnErrors(engine.model))


def events_of(detector: Detector, rows: Floats) -> list[Event]:
    """Alarm events of rows a minute apart."""
    block = RowBlock(
        index=np.arange(len(rows)),
        time=np.arange(len(rows)) * MINUTE_NS,
        values=np.ascontiguousarray(rows, np.float32),
        flaw=np.zeros(rows.shape, np.uint8),
        group=np.zeros(len(rows), np.int32),
    )
    builder = detector.event_builder()
    events = [*builder.update(detector.engine().score(block)), *builder.finish()]
    return [event for event in events if event.kind != "quality"]


class Injection:
    """Faults at one place of a plant's log."""

    def __init__(self, plant: Plant, start: int, n_rows: int) -> None:
        self.plant, self.start, self.n_rows = plant, start, n_rows
        self.first = start - CONTEXT
        self.clean = plant.rows[self.first : start + n_rows + AFTER]

    def event(self, faults: Sequence[tuple[Fault, float]], detector: Detector | None = None) -> Event | None:
        """The first event that overlaps the faults, or opens while the window holds them."""
        rows = self.clean.copy()
        for fault, severity in faults:
            at = slice(fault.start - self.first, fault.start - self.first + fault.n_rows)
            rows[at, fault.sensor] = spoilt(self.plant.rows[:, fault.sensor], fault, severity)
        low, high = CONTEXT * MINUTE_NS, (CONTEXT + self.n_rows + 30) * MINUTE_NS
        events = events_of(detector or self.plant.detector, rows)
        found = [event for event in events if event.end >= low and event.start <= high]
        return min(found, key=lambda event: event.start) if found else None

    def both(self, faults: Sequence[tuple[Fault, float]]) -> tuple[Event, Event] | None:
        """The event with the blame by own errors and with the product's; None where nothing alarms."""
        own, product = (self.event(faults, detector) for detector in (self.plant.own_errors, self.plant.detector))
        return None if own is None or product is None else (own, product)

    def least(self, fault: Fault) -> int | None:
        """Position in the grid of the first severity that alarms."""
        grid = GRIDS[fault.family]
        return next((place for place, severity in enumerate(grid) if self.event([(fault, severity)])), None)


def injection(plant: Plant, family: str, rng: np.random.Generator) -> Injection:
    """A place where nothing alarms, and how long the fault lasts."""
    n_rows = int(rng.integers(1, 4)) if family == "spike" else int(rng.integers(40, 241))
    while True:
        start = int(rng.integers(CONTEXT + 100, len(plant.rows) - n_rows - AFTER))
        if plant.is_quiet[start - 60 : start + n_rows + AFTER].all():
            return Injection(plant, start, n_rows)


Hits = dict[str, list[tuple[bool, bool, bool, bool, bool]]]
"""Family -> (twice the least severity, first by own errors, first, first three by own errors, first three)."""


def single_faults(plant: Plant, rng: np.random.Generator, n_each: int) -> Hits:
    """``n_each`` faults of each family in each sensor."""
    hits: Hits = {family: [] for family in GRIDS}
    for family in GRIDS:
        for sensor in [*range(len(plant.names))] * n_each:
            place = injection(plant, family, rng)
            fault = Fault(sensor, family, place.start, place.n_rows, int(rng.integers(2**31)))
            least = place.least(fault)
            if least is None:
                continue
            for twice, severity in enumerate(GRIDS[family][least : least + 2]):
                events = place.both([(fault, severity)])
                if events:  # a coarser step, or a longer delay, need not disturb more
                    hits[family].append(_judged(bool(twice), events, {plant.names[sensor]}))
    return hits


def pair_faults(plant: Plant, rng: np.random.Generator, n_pairs: int) -> Hits:
    """Faults of two sensors at once, each of a severity that alarms alone."""
    pairs = np.array(list(combinations(range(len(plant.names)), 2)))
    strength = np.abs(np.corrcoef(plant.rows.T))[pairs[:, 0], pairs[:, 1]]
    close = pairs[np.argsort(-strength)[: max(1, len(pairs) // 10)]]
    unit = pairs[[plant.names[a][-3] == plant.names[b][-3] for a, b in pairs]] if len(plant.names[0]) > 3 else pairs
    hits: Hits = {}
    for kind, choice in (("any two", pairs), ("closest correlated", close), ("same process unit", unit)):
        for number in range(n_pairs if len(choice) < len(pairs) or kind == "any two" else 0):
            families = [str(rng.choice(list(GRIDS))) for _ in range(2)]
            if number % 2:
                families[1] = families[0]
            place = injection(plant, "spike" if families == ["spike", "spike"] else "bias", rng)
            faults = []
            for sensor, family in zip(rng.permutation(choice[rng.integers(len(choice))]), families, strict=True):
                n_rows = min(place.n_rows, int(rng.integers(1, 4))) if family == "spike" else place.n_rows
                fault = Fault(int(sensor), family, place.start, n_rows, int(rng.integers(2**31)))
                least = place.least(fault)
                if least is None:
                    break
                faults.append((fault, float(GRIDS[family][least])))
            if len(faults) < 2:
                continue
            events = place.both(faults)
            if events:
                which = f"{kind}, {'one family' if number % 2 else 'two families'}"
                wanted = {plant.names[fault.sensor] for fault, _ in faults}
                hits.setdefault(which, []).append(_judged(False, events, wanted))
    return hits


def _judged(twice: bool, events: tuple[Event, Event], wanted: set[str]) -> tuple[bool, bool, bool, bool, bool]:
    (own, product), (own_three, three) = (
        [event.sensors[0] in wanted for event in events],
        [wanted <= set(event.sensors[:3]) for event in events],
    )
    return twice, own, product, own_three, three


def print_table(title: str, hits: Hits, *, is_pair: bool = False) -> None:
    """Shares of hits by family and over all of them."""
    heads = ["faults", "n", "all in first three, own errors", "all in first three"]
    if not is_pair:
        heads[2:2] = ["first, own errors", "first", "at the line", "twice"]
    print(f"\n{title}\n\n| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name, judged in [*hits.items(), ("**all**", [hit for family in hits.values() for hit in family])]:
        if not judged:
            continue
        table = np.array(judged)
        twice, (own, product, own_three, three) = table[:, 0], table[:, 1:].mean(axis=0)
        levels = [table[twice == level, 2] for level in (False, True)]
        split = [f"{level.mean():.2f}" if len(level) else "" for level in levels]
        figures = [] if is_pair else [f"{own:.2f}", f"{product:.2f}", *split]
        print(f"| {name} | {len(table)} | " + " | ".join([*figures, f"{own_three:.2f}", f"{three:.2f}"]) + " |")


def merged(parts: Iterator[Hits]) -> Hits:
    hits: Hits = {}
    for part in parts:
        for name, found in part.items():
            hits.setdefault(name, []).extend(found)
    return hits


def simulated(seed: int) -> Plant:
    """Three weeks to fit, two to calibrate, three for faults."""
    log = simulate_plant(PlantConfig(days=56), np.random.default_rng(seed)).table
    return fitted(log, "mode", 21 * DAY, 14 * DAY)


def small(n_sensors: int, seed: int) -> Plant:
    """A plant of a few sensors that all follow the same causes."""
    return fitted(correlated_log(31 * DAY, n_sensors, seed), None, 7 * DAY, 14 * DAY)


def labelled_causes(set_name: str, *, quick: bool) -> None:
    """Share of causes whose most blamed sensor is a labelled one, and of labelled sensors among as many blamed."""
    from sensorad_datasets import list_series, load_series
    from sensorad_datasets.bench.measures import top_sensor_hits
    from sensorad_datasets.bench.methods import DetectorRunner

    names = [name for name in list_series(set_name) if load_series(set_name, name).causes]
    hits: list[list[bool]] = [[], []]
    rates: list[list[float]] = [[], []]
    for name in names[:2] if quick else names:
        series = load_series(set_name, name)
        runner = DetectorRunner(Detector())
        runner.fit(series)
        for place, detector in enumerate((OwnErrorsDetector.like(runner.detector), runner.detector)):
            scored = DetectorRunner(detector).score(series, with_blame=True)
            hits[place] += top_sensor_hits(series, scored)[0] or []
            for cause in series.causes:
                if cause.sensors and cause.end > cause.start and scored.blame is not None:
                    total = np.nansum(scored.blame[cause.start : cause.end], axis=0)
                    wanted = set(cause.sensors)
                    named = {series.sensors[c] for c in np.argsort(-total, kind="stable")[: len(wanted)]}
                    rates[place].append(len(named & wanted) / len(wanted))
    figures = " | ".join(f"{np.mean(values):.3f}" for values in (*hits, *rates))
    print(f"| {set_name} | {len(hits[0])} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one plant of each kind and few faults")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to run")
    parser.add_argument("--seeds", type=int, default=5, help="simulated plants")
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    seeds = range(options.first_seed, options.first_seed + (1 if options.quick else options.seeds))
    print(GOAL)
    if "plants" in options.parts:
        plants = [(simulated(seed), np.random.default_rng([seed, 1])) for seed in seeds]
        hits = merged(single_faults(plant, rng, 1) for plant, rng in plants)
        print_table(f"{len(plants)} simulated plants of 16 sensors, one faulty sensor", hits)
        hits = merged(pair_faults(plant, rng, 10 if options.quick else 40) for plant, rng in plants)
        print_table("the same, two faulty sensors", hits, is_pair=True)
    for n_sensors in (2, 3, 8) if "small" in options.parts else ():
        plants = [(small(n_sensors, seed), np.random.default_rng([seed, n_sensors])) for seed in seeds[:3]]
        n_each = 1 if options.quick else max(1, 12 // n_sensors)
        hits = merged(single_faults(plant, rng, n_each) for plant, rng in plants)
        print_table(f"{len(plants)} plants of {n_sensors} correlated sensors, one faulty sensor", hits)
    if "causes" in options.parts and not os.environ.get("SENSORAD_DATA"):
        print("\nSENSORAD_DATA is not set: labelled causes are left out.")
    elif "causes" in options.parts:
        print("\n| labelled causes | n | top-1, own errors | top-1 | HitRate@100%, own errors | HitRate@100% |")
        print("|---" * 6 + "|")
        for set_name in ("asd", "smd"):
            labelled_causes(set_name, quick=options.quick)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

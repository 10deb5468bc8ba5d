"""The promise put to the test: a budget of one alarm event a day on simulated weeks that no step of the fit has seen.

One simulation gives 70 normal days: 28 to fit, 14 to calibrate, 28 to count alarms on. A second one gives 28 days
with 28 faults of known time, kind and sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from sensorad.logs import LogFormat

from ..plant import PlantConfig, SimulatedPlant, simulate_plant
from ..plant_faults import Fault
from ..plant_plan import plan_faults

if TYPE_CHECKING:
    import pyarrow as pa

    from sensorad.detector import Detector
    from sensorad.types import Event

__all__ = ["BUDGET", "PlantTrial", "judge_faults", "run_plant", "simulate_trial"]

BUDGET = "1/day"
SETTLING_HOURS = 3.0
"""After a process fault the controllers bring the plant back: alarms in that time are neither findings nor false."""

NS_PER_DAY = 86_400 * 10**9

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlantTrial:
    """How long each part of the simulated log is, in days, and how many faults the last one holds."""

    fit_days: int = 28
    calibration_days: int = 14
    normal_days: int = 28
    faulty_days: int = 28
    n_faults: int = 28


def run_plant(detector: Detector, seed: int, trial: PlantTrial | None = None) -> Row:
    """Fit, calibrate, then count: alarms on fresh normal days, and faults found, missed and rightly blamed."""
    trial = trial or PlantTrial()
    normal, faulty = simulate_trial(seed, trial)
    per_day = normal.num_rows // (trial.fit_days + trial.calibration_days + trial.normal_days)
    n_fit, n_calibration = per_day * trial.fit_days, per_day * trial.calibration_days
    began = process_time()
    detector.fit(normal.slice(0, n_fit), format=LogFormat(time="time", mode="mode"))
    fit_seconds = process_time() - began
    result = detector.calibrate(normal.slice(n_fit, n_calibration), budget=BUDGET)
    began = process_time()
    quiet = _alarm_events(detector, normal.slice(n_fit + n_calibration))
    score_seconds = process_time() - began
    times = faulty.table["time"].cast("int64").to_numpy() * 1000
    spoiled = detector.config_.length + detector.config_.lags
    judged = judge_faults(_alarm_events(detector, faulty.table), faulty.faults, times, spoiled)
    return {
        "n_normal_alarms": len(quiet),
        "normal_days": trial.normal_days,
        "line": result.threshold,
        **judged,
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
    }


@lru_cache(maxsize=1)
def simulate_trial(seed: int, trial: PlantTrial) -> tuple[pa.Table, SimulatedPlant]:
    """The normal log in one piece, and the faulty one that follows it; the same for the same seed."""
    normal_draws, faulty_draws, plan_draws = np.random.default_rng(seed).spawn(3)
    config = PlantConfig(days=trial.fit_days + trial.calibration_days + trial.normal_days)
    end = config.start_time + timedelta(days=config.days)
    later = replace(config, days=trial.faulty_days, start=end.isoformat())
    faults = plan_faults(later, plan_draws, trial.n_faults)
    return simulate_plant(config, normal_draws).table, simulate_plant(later, faulty_draws, faults)


def judge_faults(
    events: Sequence[Event], faults: Sequence[Fault], times: np.ndarray[Any, np.dtype[np.int64]], window_rows: int
) -> Row:
    """Alarm events held against faults.

    An event meets a fault if they overlap, or if it opens while the window still holds the fault. It is false if it
    meets none and does not open within `SETTLING_HOURS` of a process fault either.

    Parameters
    ----------
    times : (T,)
        Times of the rows in nanoseconds, evenly spaced.
    window_rows
        How long a bad row can raise the score.
    """
    step = int(times[1] - times[0])
    settling = round(SETTLING_HOURS * 3600e9)
    is_explained = [False] * len(events)
    is_excused = np.zeros(len(times), bool)
    found, blamed, missed, delays = 0, 0, [], []
    for fault in faults:
        start, end = int(times[fault.rows.start]), int(times[fault.rows.stop - 1])
        echo = window_rows * step
        after = max(settling, echo) if fault.is_process else echo
        is_excused |= (times >= start) & (times <= end + after)
        met = []
        for number, event in enumerate(events):
            if event.end >= start and event.start <= end + echo:
                met.append(event)
            is_explained[number] |= event.end >= start and event.start <= end + after
        found += bool(met)
        blamed += any(set(event.sensors[:3]) & set(fault.sensors) for event in met)
        if met:
            delays.append(max(0, min(event.start for event in met) - start) / step)
        else:
            missed.append(fault.family)
    return {
        "n_faults": len(faults),
        "n_found": found,
        "n_blamed": blamed,
        "missed": missed,
        "delay_median_rows": float(np.median(delays)) if delays else None,
        "n_false": len(events) - sum(is_explained),
        "false_days": float((~is_excused).sum()) * step / NS_PER_DAY,
    }


def _alarm_events(detector: Detector, table: pa.Table) -> list[Event]:
    """Events about the plant; quality events say something of the data only."""
    return [event for event in detector.find_events(detector.open_log(table)) if event.kind != "quality"]

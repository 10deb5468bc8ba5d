"""A small plant of two machines: normal logs, an obvious fault, and logs with everything wrong that a log can have."""

from __future__ import annotations

import numpy as np
import pandas as pd

SENSORS = ("flow", "power", "pressure", "temperature", "valve")
MACHINES = ("east", "west")
STEP_SECONDS = 60


def normal_log(n_rows: int, seed: int, machines: tuple[str, ...] = MACHINES) -> pd.DataFrame:
    """``n_rows`` minutes of each machine, interleaved; the valve never moves."""
    rng = np.random.default_rng(seed)
    parts = []
    for machine in machines:
        t = np.arange(n_rows) + rng.uniform(0, 100)
        load = np.sin(t / 9.0) + 0.4 * np.sin(t / 23.0)
        noise = rng.normal(size=(4, n_rows))
        parts.append(
            pd.DataFrame(
                {
                    "time": pd.date_range("2024-05-01", periods=n_rows, freq="min", tz="UTC"),
                    "machine": machine,
                    "flow": 50.0 + 5.0 * load + 0.5 * noise[0],
                    "power": 200.0 + 30.0 * load + 3.0 * noise[1],
                    "pressure": 3.0 + 0.2 * np.roll(load, 3) + 0.02 * noise[2],
                    "temperature": 70.0 + 4.0 * load**2 + 0.4 * noise[3],
                    "valve": 7.0,
                }
            )
        )
    return pd.concat(parts).sort_values(["time", "machine"], kind="stable", ignore_index=True)


def with_fault(log: pd.DataFrame, first: int, stop: int, sensor: str = "power", size: float = 60.0) -> pd.DataFrame:
    """The log with a bias of ``size`` on one sensor of the first machine, from its row ``first`` to before ``stop``."""
    faulted = log.copy()
    rows = np.flatnonzero(faulted["machine"] == faulted["machine"].iloc[0])[first:stop]
    faulted.loc[rows, sensor] += size
    return faulted


def messy_log(n_rows: int, seed: int) -> pd.DataFrame:
    """A log with missing and infinite cells, silent rows, huge and tiny numbers, a gap, and repeated time stamps."""
    rng = np.random.default_rng(seed)
    log = normal_log(n_rows, seed)
    names = list(SENSORS)
    cell = rng.random((len(log), len(names)))
    values = log[names].to_numpy(copy=True)
    for limit, odd in ((0.004, np.nan), (0.006, np.inf), (0.008, -np.inf), (0.010, 1e300), (0.012, -0.0)):
        values[(cell < limit) & (cell >= limit - 0.002)] = odd
    values[cell > 0.998] = 1e-42
    values[rng.random(len(log)) < 0.01] = np.nan
    silent = int(rng.integers(20, n_rows // 2))
    values[2 * silent : 2 * silent + 18] = np.nan  # nine rows of each machine: longer than what is bridged
    log[names] = values
    gap = n_rows // 2 + int(rng.integers(0, n_rows // 4))
    log.loc[2 * gap :, "time"] += pd.Timedelta(minutes=45)
    again = log.iloc[rng.integers(0, len(log), 6)].copy()
    again.iloc[::2, log.columns.get_loc("flow")] += 1.0  # every other repetition contradicts the first row
    return pd.concat([log, again]).sort_values("time", kind="stable", ignore_index=True)
